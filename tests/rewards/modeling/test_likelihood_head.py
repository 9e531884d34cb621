"""The head that reads what the backbone expected, beside the same sums made by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from judge.errors import ConfigError
from judge.rewards.checkpoint.save_load import load, save
from judge.rewards.config import RewardConfig
from judge.rewards.modeling.likelihood_head import OFFSET, SLOPE, LikelihoodHead
from judge.rewards.modeling.reward_model import build_reward_model
from judge.rewards.preparation import load_tokenizer
from tests.rewards.models import example
from tests.rewards.models import save as save_model


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("tied"), "llama", tie_word_embeddings=True)


def test_a_text_is_as_right_as_all_of_its_tokens() -> None:
    """A text of two tokens and one of one: log p is log 1/2 where both words are alike."""
    head = LikelihoodHead(4, 1)
    torch.nn.init.zeros_(head.linear.weight)
    torch.nn.init.constant_(head.slope, 2.0)
    torch.nn.init.constant_(head.offset, 1.0)
    before, embeddings = torch.zeros(3, 4), torch.randn(2, 4)
    odds = head(torch.zeros(2, 4), before, torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), embeddings)
    one = 1 / (1 + math.exp(-(2 * math.log(0.5) + 1)))  # σ(2 log 1/2 + 1)
    both = one**2
    assert odds[:, 0].tolist() == pytest.approx([math.log(both / (1 - both)), math.log(one / (1 - one))], rel=1e-5)


def config(tied: Path, **values: Any) -> RewardConfig:
    return RewardConfig.of(**{"backbone": str(tied), "head": "likelihood", "dtype": "float32", **values})


@pytest.mark.parametrize("kind", ["scalar", "process", "ensemble"])
def test_packed_and_padded_say_the_same_and_it_is_what_the_language_model_says(kind: str, tied: Path) -> None:
    tokenizer = load_tokenizer(str(tied))
    rows = [example("w7 w8", "w9 w10 w11", "w9 w12"), example("w7", "w20", "w21 w22 w23")]
    if kind == "process":
        rows = [example("w7 w8", steps=("w9 w10", "w11")), example("w7", steps=("w20", "w21 w22", "w23"))]
    found = []
    for layout in ("packed", "padded"):
        model = build_reward_model(config(tied, kind=kind, layout=layout), tokenizer).eval()
        torch.nn.init.zeros_(model.head.linear.weight)  # type: ignore[union-attr]
        with torch.no_grad():
            found.append(model(model.collator(tokenizer)(rows)))
    assert torch.allclose(found[0], found[1], atol=1e-4)
    if kind != "process":
        return
    collator = build_reward_model(config(tied, kind=kind, layout="padded"), tokenizer).collator(tokenizer)
    ids = collator(rows[:1]).tokens
    with torch.no_grad():
        hidden = model.backbone(input_ids=ids).last_hidden_state[0]
    said = torch.log_softmax(hidden @ model.backbone.get_input_embeddings().weight.T, -1)
    own = said[:-1].gather(1, ids[0, 1:, None])[:, 0]  # log p of tokens 1, 2, …
    each = torch.nn.functional.logsigmoid(SLOPE * own + OFFSET)
    first, last = each[-5:-2].sum(), each[-2:].sum()  # "w9 w10 \n" and "w11 \n"
    wanted = torch.stack([torch.stack([log, (-torch.expm1(log)).log()]) for log in (first, last)])
    assert torch.allclose(found[1][:2], wanted, atol=1e-3)


def test_it_is_saved_and_loaded_with_its_numbers(tied: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tied))
    chosen = config(tied, kind="process")
    model = build_reward_model(chosen, tokenizer).eval()
    rows = [example("w7 w8", steps=("w9 w10", "w11"))]
    with torch.no_grad():
        before = model(model.collator(tokenizer)(rows))
        save(model, tokenizer, chosen, None, [], tmp_path / "model")
        loaded = load(tmp_path / "model", device="cpu")
        after = loaded.model(loaded.model.collator(loaded.tokenizer)(rows))
    assert torch.allclose(before, after, atol=1e-6)
    assert loaded.metadata["loads_as"] == "rmjudge"


def test_what_it_cannot_read_is_refused(llama: Path, bert: Path) -> None:
    for values in ({"kind": "multi"}, {"kind": "process", "classes": 3}, {"encoder": "cross"}):
        with pytest.raises(ConfigError, match="head likelihood"):
            RewardConfig.of(head="likelihood", **values)  # type: ignore[arg-type]
    tokenizer = load_tokenizer(str(llama))
    model = build_reward_model(config(llama), tokenizer)
    with pytest.raises(ConfigError, match="tie_word_embeddings"):
        model(model.collator(tokenizer)([example("w7", "w20", "w21")]))
