"""What loading rmjudge costs: nothing heavy before the work needs it. `benchmarks/startup.py` measures the time."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HEAVY = ["torch", "vllm", "transformers", "datasets", "ray", "numpy", "scipy", "pyarrow", "pandas", "choix", "openai"]


def loaded_after(statement: str) -> set[str]:
    """The top-level modules in a fresh interpreter after one statement."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import judge",
        "from judge import *",
        "import judge.cli.main",
        "import judge.tasks, judge.engines, judge.formats, judge.runs",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert loaded_after(statement).isdisjoint(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["label", "--help"]])
def test_asking_for_help_loads_nothing_heavy(arguments: list[str]) -> None:
    statement = f"""
import sys
sys.argv = ["rmjudge", *{arguments!r}]
from judge.cli.main import run
try:
    run()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    assert loaded_after(statement).isdisjoint(HEAVY)


def test_the_command_is_what_pyproject_says() -> None:
    root = Path(__file__).resolve().parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"rmjudge": "judge.cli.main:run"}
