"""The model card and the files it speaks of."""

import json
import re

import pytest

import judge.tiny
from judge.errors import EngineError
from judge.tiny import CARD, MODEL, READER, facts

LIMIT = 12 * 10**6


def test_the_card_says_what_the_files_say():
    if not (MODEL / "model.safetensors").is_file():
        pytest.skip("judge/tiny/model is not there")
    found = facts()
    assert found["bytes"] <= LIMIT
    assert found["architecture"] == "LlamaForCausalLM"
    card = CARD.read_text(encoding="utf-8")
    for said in (
        f"{found['parameters']:,} parameters",
        f"{found['bytes']:,} bytes",
        f"{found['layers']} layers",
        f"width {found['width']}",
        f"{found['heads']} heads of {found['head_width']}",
        f"MLP of {found['mlp_width']}",
        f"{found['vocabulary']} tokens",
        f"{found['context']:,} tokens of context",
    ):
        assert said in " ".join(card.split()), said


@pytest.mark.parametrize("folder", [MODEL, READER])
def test_the_files_are_those_that_loaders_want(folder):
    if not folder.is_dir():
        pytest.skip(f"judge/tiny/{folder.name} is not there")
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LIMIT


def test_judge_and_reader_differ_in_their_weights_alone():
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (MODEL, READER)]
    weights = [each.pop("model.safetensors") for each in files]
    assert files[0] == files[1] and weights[0] != weights[1]


def test_parameters_are_counted_from_the_header_alone(tmp_path, monkeypatch):
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 24]},
        "b": {"dtype": "F32", "shape": [5], "data_offsets": [24, 44]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)  # and no weights at all
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "head_dim", "intermediate_size")
    config = {"architectures": ["X"], "vocab_size": 1, "max_position_embeddings": 1} | dict.fromkeys(names, 1)
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr(judge.tiny, "MODEL", tmp_path)
    assert facts()["parameters"] == 17
    assert facts()["weights"] == "BF16, F32"


def test_a_copy_without_weights_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(judge.tiny, "MODEL", tmp_path)
    with pytest.raises(EngineError, match=re.escape(str(tmp_path))):
        facts()
