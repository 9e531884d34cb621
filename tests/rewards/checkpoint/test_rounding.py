"""Loaders of a model whose weights are rounded to half precision."""

import re
from pathlib import Path

import pytest

from judge.rewards.checkpoint.save_load import save
from judge.rewards.inference.loader_parity import check_loaders
from tests.rewards.checkpoint.test_save_load import make, shaken


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_loaders_of_rounded_weights_agree_and_both_roundings_are_said(
    lora_rank: int, llama: Path, tmp_path: Path
) -> None:
    model, tokenizer, config = make(llama, lora_rank=lora_rank)
    shaken(model)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    rows = check_loaders(tmp_path / "model", vllm=False, dtype="bfloat16")
    judged = [row.largest for row in rows if row.largest is not None]
    assert len(judged) > 6
    assert max(judged) < 1e-4
    weights, arithmetic = rows[-2:]
    assert (weights.loader, arithmetic.loader) == (
        "rmjudge, weights rounded to bfloat16",
        "rmjudge, computed in bfloat16",
    )
    for row in (weights, arithmetic):
        moved = float(re.search(r"move by (\S+)", row.note)[1].rstrip(","))  # type: ignore[index]
        assert row.largest is None
        assert 1e-5 < moved < 0.5  # a number of bf16 has eight bits
    plain = check_loaders(tmp_path / "model", vllm=False)
    assert not any("rounded" in row.loader for row in plain)
