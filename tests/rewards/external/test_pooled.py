"""Published models in vLLM: the scores of transformers, whatever the padding token; and what vLLM is not asked for."""

from importlib.util import find_spec
from pathlib import Path

import pytest

import judge
from judge.errors import ConfigError, EngineError, UnknownNameError
from tests.rewards.external.test_published import (
    ANSWERS,
    CPU,
    LABELS,
    PROMPT,
    bert_tokenizer,
    by_transformers,
    save,
)

SIZES = {"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 2}  # vLLM has kernels for heads of 64


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_several_outputs_and_padding_that_ends_texts(tmp_path: Path) -> None:
    folder = save(tmp_path, num_labels=3, id2label=LABELS, problem_type="regression", pad_token_id=1, **SIZES)
    model = judge.open_reward(folder, engine="vllm", **CPU)
    for _ in range(2):  # the process stays
        rewards = model.score_batch([(PROMPT, answer) for answer in ANSWERS])
        for (reward,), answer in zip(rewards, ANSWERS, strict=True):
            logits = by_transformers(folder, PROMPT, answer)
            assert reward.objectives == pytest.approx(dict(zip(LABELS.values(), logits, strict=True)), abs=1e-4)
            assert reward.value == pytest.approx(sum(logits) / 3, abs=1e-4)


def test_what_vllm_is_not_asked_for(tmp_path: Path) -> None:
    folder = save(tmp_path / "bert", "Bert", num_labels=1, words_of=bert_tokenizer())
    with pytest.raises(ConfigError, match="the engine vllm reads decoders"):
        judge.open_reward(folder, engine="vllm", **CPU).score_batch([(PROMPT, ANSWERS[0])])
    with pytest.raises(UnknownNameError, match="did you mean 'vllm'"):
        judge.open_reward(folder, engine="vlm")


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_a_model_that_vllm_cannot_load_is_one_line(tmp_path: Path) -> None:
    from judge.rewards.inference.vllm_pooling import VllmPooling

    with VllmPooling(tmp_path / "nothing", max_length=64) as engine, pytest.raises(EngineError) as raised:
        engine.scores([[1, 2]], "classify")
    assert "could not score" in str(raised.value) and "\n" not in str(raised.value)
