"""Settings in a spec, and which judge of a jury is handed which shared setting."""

from pathlib import Path
from typing import Any

import pytest

from judge.engines.jury import _share, load_jury
from judge.engines.spec import Spec, parse_spec, read_settings
from judge.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("vllm:some/model", Spec("vllm", "some/model", {})),
        ("vllm:m?max_model_len=8192&dtype=float32", Spec("vllm", "m", {"max_model_len": 8192, "dtype": "float32"})),
        ("tiny", Spec("tiny", "", {})),
        ("tiny?dtype=float32", Spec("tiny", "", {"dtype": "float32"})),
        ("openai:http://h/v1?version=2#m", Spec("openai", "http://h/v1?version=2#m", {})),
        ("openai:http://h/v1?version=2#m?timeout=5.5", Spec("openai", "http://h/v1?version=2#m", {"timeout": 5.5})),
        ("hf:/models/a#b?trust_remote_code=true", Spec("hf", "/models/a#b", {"trust_remote_code": True})),
        ("hf:m?name=a%26b", Spec("hf", "m", {"name": "a&b"})),
    ],
)
def test_a_spec_has_settings_of_its_own(text: str, spec: Spec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize("text", ["vllm:m?", "vllm:m?dtype", "vllm:m?=3"])
def test_a_setting_without_a_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write NAME=VALUE"):
        parse_spec(text)


def test_settings_may_be_a_mapping_or_texts() -> None:
    assert read_settings(None) == {}
    assert read_settings({"a": 1}) == read_settings(["a=1"]) == {"a": 1}


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ("vllm:m", {"max_model_len", "tensor_parallel_size"}),
        ("hf:m", {"max_model_len"}),
        ("hf:m?max_model_len=1", set()),
        ("openai:http://h/v1#m", {"concurrency"}),
        ("scripted:f", set()),
    ],
)
def test_a_shared_setting_goes_to_the_engines_that_know_it(spec: str, taken: set[str]) -> None:
    shared: dict[str, Any] = {"max_model_len": 8, "tensor_parallel_size": 2, "concurrency": 4}
    jury = ["vllm:m", "hf:m", "openai:http://h/v1#m", "scripted:f"]
    assert set(_share(spec, jury, shared)) == taken


def test_a_setting_that_no_engine_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.jsonl").write_text('{"match": "", "text": "A"}\n')
    scripted = f"scripted:{tmp_path / 'rules.jsonl'}"
    openai = "openai:http://localhost:1/v1#m"
    with pytest.raises(ConfigError, match="takes no settings"):
        load_jury([scripted], {"timeout": 3})
    with pytest.raises(UnknownNameError, match="did you mean 'timeout'"):
        load_jury([openai, scripted], {"timeuot": 3})
    assert len(load_jury([openai, scripted], {"timeout": 3})) == 2
