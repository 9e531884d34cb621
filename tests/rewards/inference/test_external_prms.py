"""Other people's process models: their texts and places by hand, and their numbers by their own classes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    LlamaModel,
    PreTrainedTokenizerFast,
)

from judge.errors import ConfigError, EngineError, UnknownNameError
from judge.judgements import Outcome, Preference, Steps
from judge.records import Message, Pair, Response, Solution
from judge.rewards.inference.external_prms import EXTERNAL_PRMS, ExternalPrm, score
from judge.rewards.inference.judgements import Rule

WORDS = [
    *["<pad>", "<bos>", "<eos>", "<unk>", "<system>", "<user>", "<assistant>", "<extra_0>", "ки", "\n", "+", "-"],
    *["Step", "1", "2", "3", "4", "1:", "2:", "3:", "=", "so", "?", "is", "x"],
]
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<eos>{% endfor %}"
TEMPLATE += "{% if add_generation_prompt %}<assistant>{% endif %}"
PROMPT = (Message("user", "1 + 1 ?"),)
SOLUTION = Solution(prompt=PROMPT, steps=("1 + 1 = 2", "so 3"))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Words and marks, each a token; newlines stay."""
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split("\n", "isolated")]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")
    fast.add_special_tokens({"additional_special_tokens": ["<system>", "<user>", "<assistant>", "<extra_0>"]})
    fast.chat_template = TEMPLATE
    return fast


CONFIG: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "max_position_embeddings": 64,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A small model of each convention, by its name."""
    root = tmp_path_factory.mktemp("foreign")
    torch.manual_seed(0)
    LlamaForTokenClassification(LlamaConfig(**CONFIG, num_labels=2)).save_pretrained(root / "trl")
    for name in ("math-shepherd", "rlhflow"):
        LlamaForCausalLM(LlamaConfig(**CONFIG)).save_pretrained(root / name)
    shapes = {
        "qwen": {"score.0.weight": (32, 32), "score.0.bias": (32,), "score.2.weight": (2, 32), "score.2.bias": (2,)},
        "skywork": {"v_head.summary.weight": (1, 32), "v_head.summary.bias": (1,)},
    }
    for name, own in shapes.items():
        LlamaModel(LlamaConfig(**CONFIG)).save_pretrained(root / name)
        weights = load_file(root / name / "model.safetensors")
        weights = {f"model.{key}": value for key, value in weights.items()}
        weights |= {key: torch.randn(shape) for key, shape in own.items()}
        save_file(weights, root / name / "model.safetensors", metadata={"format": "pt"})
    for name in EXTERNAL_PRMS:
        tokenizer.save_pretrained(root / name)
    return root


def words(model: ExternalPrm, record: Solution = SOLUTION) -> tuple[list[str], list[str]]:
    """The tokens of a solution, and those at which it is read."""
    made = model.write(record.prompt, record.steps)
    said = model.tokenizer.convert_ids_to_tokens(made.ids)
    return said, [said[at] for at in made.reads]


@pytest.mark.parametrize(
    ("name", "said", "read"),
    [
        ("trl", "<bos> 1 + 1 ? 1 + 1 = 2 \n so 3 \n", ["\n", "\n"]),
        ("math-shepherd", "1 + 1 ? Step 1: 1 + 1 = 2 ки \n Step 2: so 3 ки", ["ки", "ки"]),
        (
            "rlhflow",
            "<user> 1 + 1 ? 1 + 1 = 2 <eos> <assistant> + <eos> <user> so 3 <eos> <assistant> + <eos>",
            ["<assistant>", "<assistant>"],
        ),
        ("skywork", "<bos> 1 + 1 ? \n 1 + 1 = 2 \n so 3 \n", ["\n", "\n"]),
    ],
)
def test_texts_are_written_as_their_makers_write_them(name: str, said: str, read: list[str], folder: Path) -> None:
    tokens, places = words(ExternalPrm(folder / name, name, device="cpu"))
    assert tokens == said.split(" ")
    assert places == read


def test_qwens_steps_end_in_its_mark(folder: Path) -> None:
    tokens, places = words(ExternalPrm(folder / "qwen", "qwen", device="cpu"))
    assert tokens[0] == "<system>" and places == ["<extra_0>", "<extra_0>"]
    assert tokens[tokens.index("<assistant>") :] == "<assistant> 1 + 1 = 2 <extra_0> so 3 <extra_0> <eos>".split(" ")


def by_hand(name: str, folder: Path) -> list[float]:
    """P(right) by the makers' own classes."""
    model = ExternalPrm(folder / name, name, device="cpu")
    made = model.write(SOLUTION.prompt, SOLUTION.steps)
    ids = torch.tensor([made.ids])
    with torch.no_grad():
        if name == "trl":
            logits = AutoModelForTokenClassification.from_pretrained(folder / name)(ids).logits[0]
            return [float(p) for p in logits.softmax(-1)[made.reads, 1]]
        if name in ("math-shepherd", "rlhflow"):
            logits = AutoModelForCausalLM.from_pretrained(folder / name)(ids).logits[0]
            return [float(p) for p in logits[made.reads][:, [WORDS.index("+"), WORDS.index("-")]].softmax(-1)[:, 0]]
        weights = load_file(folder / name / "model.safetensors")
        hidden = LlamaForCausalLM.from_pretrained(folder / name).model(ids).last_hidden_state[0, made.reads]
        if name == "skywork":
            value = nn.functional.linear(hidden, weights["v_head.summary.weight"], weights["v_head.summary.bias"])
            return [float(p) for p in value[:, 0].sigmoid()]
        inner = nn.functional.linear(hidden, weights["score.0.weight"], weights["score.0.bias"]).relu()
        logits = nn.functional.linear(inner, weights["score.2.weight"], weights["score.2.bias"])
        return [float(p) for p in logits.softmax(-1)[:, 1]]


@pytest.mark.parametrize("name", EXTERNAL_PRMS)
def test_numbers_are_those_of_the_makers_classes(name: str, folder: Path) -> None:
    model = ExternalPrm(folder / name, name, device="cpu")
    longer = Solution(prompt=PROMPT, steps=("1 + 1 = 2", "so 3", "x is 4"))  # padding beside it changes nothing
    batches = list(score(model, [longer, SOLUTION], rule=Rule(), batch_tokens=1000, window=10))
    judgement = batches[0][1].judgement
    assert isinstance(judgement, Steps)
    assert judgement.p_right == pytest.approx(by_hand(name, folder), abs=1e-5)
    # A causal model's earlier verdicts do not know the later steps.
    other = batches[0][0].judgement
    assert isinstance(other, Steps) and other.p_right[:2] == pytest.approx(judgement.p_right, abs=1e-5)


def test_whole_solutions_lines_and_pairs(folder: Path) -> None:
    model = ExternalPrm(folder / "trl", "trl", device="cpu")
    text = (Message("assistant", "1 + 1 = 2\nso 3"),)
    records = [SOLUTION, Response(prompt=PROMPT, response=text)]
    rule = Rule(aggregation="product", whole=True)
    whole, lines = [one.judgement for one in next(score(model, records, rule=rule, batch_tokens=9, window=10))]
    assert isinstance(whole, Outcome) and isinstance(lines, Outcome)
    assert whole.p_correct == pytest.approx(lines.p_correct)
    pair = Pair(prompt=PROMPT, first=text, second=text)
    same = next(score(model, [pair], rule=Rule(), batch_tokens=100, window=10))[0].judgement
    assert isinstance(same, Preference) and same.p_first == pytest.approx(0.5)


def test_what_cannot_be_read_is_told(folder: Path) -> None:
    model = ExternalPrm(folder / "trl", "trl", device="cpu")
    long = Solution(prompt=PROMPT, steps=("x " * 70,))
    judgement = next(score(model, [long], rule=Rule(), batch_tokens=100, window=10))[0].judgement
    assert isinstance(judgement, Steps) and judgement.verdict == (None,) and judgement.reason
    shepherd = ExternalPrm(folder / "math-shepherd", "math-shepherd", device="cpu")
    marked = Solution(prompt=PROMPT, steps=("1 ки 2", "so 3"))
    told, fine = next(score(shepherd, [marked, SOLUTION], rule=Rule(), batch_tokens=100, window=10))
    assert told.judgement.reason == "found 3 marks for 2 steps: a step holds the mark itself"
    assert not fine.judgement.reason  # one such row does not end the others
    with pytest.raises(UnknownNameError, match="did you mean 'skywork'"):
        ExternalPrm(folder / "trl", "skywrk")
    with pytest.raises(EngineError, match=r"no 'v_head.summary.weight'"):
        ExternalPrm(folder / "trl", "skywork", device="cpu")
    LlamaForTokenClassification(LlamaConfig(**CONFIG, num_labels=3)).save_pretrained(folder / "three")
    model.tokenizer.save_pretrained(folder / "three")
    with pytest.raises(ConfigError, match="two, wrong and right"):
        ExternalPrm(folder / "three", "trl", device="cpu")
