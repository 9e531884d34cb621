"""Specs, and what is said about wrong ones."""

import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from judge.engines import load_engine, tiny, vllm
from judge.engines.models import choose_dtype, fingerprint, locate
from judge.errors import ConfigError, EngineError, MissingExtraError, UnknownNameError


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("vlm:model", UnknownNameError, "unknown engine 'vlm'; did you mean 'vllm'?"),
        ("hf:", ConfigError, "engine 'hf:' names no MODEL: write 'hf:MODEL'"),
        ("hf", ConfigError, "engine 'hf' names no MODEL"),
        ("tiny:vlm", UnknownNameError, "did you mean 'vllm'?"),
        ("hf:./no/such/model", EngineError, "model path './no/such/model' not found"),
        ("hf:/no/such/model", EngineError, "model path '/no/such/model' not found"),
        ("scripted:x.jsonl", Exception, "x.jsonl"),
    ],
)
def test_wrong_specs(spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        load_engine(spec)
    assert message in str(caught.value)


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"holds no config\.json"):
        load_engine(f"hf:{tmp_path}")


def test_unknown_settings(small_model: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'batch_tokens'"):
        load_engine(f"hf:{small_model}", batch_token=1)


def test_a_missing_vllm_names_its_install_line(monkeypatch: pytest.MonkeyPatch, small_model: Path) -> None:
    monkeypatch.setattr(vllm, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rmjudge\[vllm\]'"):
        load_engine(f"vllm:{small_model}")


def test_tiny_runs_where_vllm_is_missing(monkeypatch: pytest.MonkeyPatch, small_model: Path) -> None:
    monkeypatch.setattr(tiny, "find_spec", lambda name: None)
    monkeypatch.setattr(tiny, "MODEL", small_model)
    described = load_engine("tiny").describe()
    assert (described["engine"], described["model"]) == ("hf", "tiny")


def test_tokens_are_counted_without_weights(small_model: Path, tmp_path: Path, ask: object) -> None:
    for path in small_model.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    for kind in ("hf", "vllm") if util.find_spec("vllm") else ("hf",):
        assert load_engine(f"{kind}:{tmp_path}").count_tokens(ask("Hi")) > 10  # type: ignore[operator]


def test_the_fingerprint_changes_with_the_weights(small_model: Path, tmp_path: Path) -> None:
    for path in small_model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    same = fingerprint(locate(str(tmp_path)), {})
    assert same == fingerprint(locate(str(small_model)), {})
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint(locate(str(tmp_path)), {}) != same


def test_dtype_is_decided_in_one_place(small_model: Path) -> None:
    small, hub = locate(str(small_model)), locate("owner/name")
    half = {"dtype": "bfloat16"}
    assert choose_dtype(small, half, cpu=True) == "float32"
    assert choose_dtype(small, half, cpu=False) == "float32"
    assert choose_dtype(hub, half, cpu=False) == "bfloat16"
    assert choose_dtype(hub, {"torch_dtype": "float16"}, cpu=False) == "float16"
    assert choose_dtype(hub, {}, cpu=False) == "float32"
    assert choose_dtype(hub, half, asked="float16", cpu=True) == "float16"


def test_importing_engines_is_light() -> None:
    heavy = "torch vllm transformers aiohttp numpy jinja2"
    code = f"import sys, judge.engines; print([name for name in '{heavy}'.split() if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
