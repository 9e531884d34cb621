"""Scores do not depend on batches, windows and the order of the data; what cannot be read has a reason."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaModel

import judge
from judge.judgements import Outcome, Preference, Score, Steps
from judge.records import Message, Pair, Ranking, Record, Response, Solution
from judge.rewards.checkpoint.metadata import REWARD_FILE
from judge.rewards.checkpoint.save_load import LoadedModel, load, save
from judge.rewards.config import RewardConfig
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.inference.judgements import Rule, sigmoid
from judge.rewards.inference.scoring import Scored, collator_for, compute_rewards, examples_of, score
from judge.rewards.modeling.reward_model import build_reward_model

TINY = Path(judge.__file__).parent / "tiny" / "model"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random causal backbone with the embedded judge's tokenizer."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0, "eos_token_id": 1}
    config = LlamaConfig(vocab_size=458, hidden_size=32, intermediate_size=64, bos_token_id=None, **heads)
    LlamaModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(TINY).save_pretrained(folder)
    return str(folder)


def loaded(backbone: str, **given: object) -> LoadedModel:
    config = RewardConfig.of(backbone=backbone, **{"max_length": 96, **given})  # type: ignore[arg-type]
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    model = build_reward_model(config, tokenizer).eval()
    return LoadedModel(model, tokenizer, config, None, {})


def said(text: str, role: str = "assistant") -> tuple[Message, ...]:
    return (Message(role, text),)  # type: ignore[arg-type]


def pairs(count: int) -> list[Record]:
    return [
        Pair(
            prompt=said(f"What is {number // 2} + 1?", "user"),
            first=said("It is " + "so " * (number % 7) + str(number)),
            second=said("I do not know" + "." * (number % 5)),
        )
        for number in range(count)
    ]


def flat(batches: "list[list[Scored]]") -> list[Scored]:
    return [one for batch in batches for one in batch]


def test_rows_come_in_the_order_of_the_data_and_batches_change_no_score(backbone: str) -> None:
    model, records = loaded(backbone), pairs(40)
    one = flat(list(score(model, records, batch_tokens=1)))
    assert [scored.record for scored in one] == records
    for batch_tokens, window in ((100, 7), (10_000, 1024), (300, 40)):
        other = flat(list(score(model, records, batch_tokens=batch_tokens, window=window)))
        assert [scored.record for scored in other] == records
        for a, b in zip(one, other, strict=True):
            assert a.numbers["scores"] == pytest.approx(b.numbers["scores"], abs=1e-5)


def test_padding_changes_no_score(backbone: str) -> None:
    records = pairs(20)
    packed, padded = loaded(backbone), loaded(backbone, layout="padded")
    assert (packed.model.layout, padded.model.layout) == ("packed", "padded")
    for a, b in zip(flat(list(score(packed, records))), flat(list(score(padded, records))), strict=True):
        assert a.numbers["scores"] == pytest.approx(b.numbers["scores"], abs=1e-5)


def test_a_pair_and_its_swap_add_up_to_one(backbone: str) -> None:
    records = pairs(10)
    swapped = [pair.swap() for pair in records if isinstance(pair, Pair)]
    model = loaded(backbone)
    for a, b in zip(flat(list(score(model, records))), flat(list(score(model, swapped))), strict=True):
        assert isinstance(a.judgement, Preference) and isinstance(b.judgement, Preference)
        assert a.judgement.p_first is not None and b.judgement.p_first is not None
        assert a.judgement.p_first + b.judgement.p_first == pytest.approx(1, abs=1e-5)


def test_a_calibrated_model_says_what_its_description_says(backbone: str, tmp_path: Path) -> None:
    """The sigmoid of the difference, divided by the temperature that stands in reward.json."""
    model = loaded(backbone)
    calibration = Calibration(about="pair", method="temperature", temperature=2.5)
    save(model.model, model.tokenizer, model.config, calibration, [], tmp_path / "model")
    again = load(tmp_path / "model", device="cpu")
    assert again.metadata["calibration"]["temperature"] == 2.5 and (tmp_path / "model" / REWARD_FILE).is_file()
    for one in flat(list(score(again, pairs(6)))):
        first, second = one.numbers["scores"]
        assert isinstance(one.judgement, Preference)
        assert one.judgement.p_first == pytest.approx(sigmoid((first - second) / 2.5))


def test_texts_that_are_too_long_have_a_reason_and_cut_prompts_a_count(backbone: str) -> None:
    long = Response(prompt=said("Hi", "user"), response=said("so it is, " * 200))
    cut = Response(prompt=said("What is it? " * 60, "user"), response=said("2"))
    fits = Response(prompt=said("1 + 1?", "user"), response=said("2"))
    too_long, shortened, whole = flat(list(score(loaded(backbone), [long, cut, fits])))
    assert isinstance(too_long.judgement, Score)
    assert too_long.judgement.verdict == {"": None} and "longer than max_length" in too_long.judgement.reason
    assert (too_long.cut, shortened.cut, whole.cut) == (0, 1, 0)
    assert shortened.judgement.verdict != {"": None}


def test_responses_of_one_prompt_are_computed_with_it_once(backbone: str) -> None:
    prompt = said("What is 1 + 1? Say it in one word, and do not explain it.", "user")
    ranking = Ranking(prompt=prompt, responses=tuple(said(word) for word in ("2", "two", "3")))
    one = flat(list(score(loaded(backbone), [ranking])))[0]
    alone = [
        flat(list(score(loaded(backbone), [Response(prompt=prompt, response=response)])))[0]
        for response in ranking.responses
    ]
    assert one.numbers["scores"] == pytest.approx([other.numbers["scores"][0] for other in alone], abs=1e-5)
    assert one.tokens == sum(other.tokens for other in alone)
    # Two of three prompts are not computed again; what the replies share goes with them.
    frame = len(AutoTokenizer.from_pretrained(TINY)(f"<|user|>{prompt[0].content}<eos><|assistant|>")["input_ids"])
    assert one.shared >= 2 * frame


def test_rows_of_one_prompt_are_computed_with_it_once(backbone: str) -> None:
    """Four rows of one prompt among rows of others, in a batch that would not hold four prompts."""
    prompt = said("What is 1 + 1? Say it in one word, and do not explain it.", "user")
    own = [Response(prompt=prompt, response=said(word)) for word in ("2", "two", "3", "22")]
    others = [Response(prompt=said(f"{number} + 1?", "user"), response=said("1")) for number in range(3)]
    model = loaded(backbone)
    frame = len(AutoTokenizer.from_pretrained(TINY)(f"<|user|>{prompt[0].content}<eos><|assistant|>")["input_ids"])
    mixed = [own[0], others[0], own[1], others[1], own[2], others[2], own[3]]
    scored = flat(list(score(model, mixed, batch_tokens=2 * frame + 40)))
    assert [part.record for part in scored] == mixed
    assert sum(part.shared for part in scored) == 3 * frame
    alone = [flat(list(score(model, [record])))[0].numbers["scores"][0] for record in mixed]
    assert [part.numbers["scores"][0] for part in scored] == pytest.approx(alone, abs=1e-5)


# -- steps ------------------------------------------------------------------------------------------------------------


def test_a_process_model_reads_solutions_and_lines_alike(backbone: str) -> None:
    model = loaded(backbone, kind="process", classes=3)
    prompt = said("1 + 1 + 1?", "user")
    solution = Solution(prompt=prompt, steps=("1 + 1 = 2", "2 + 1 = 3"))
    steps = flat(list(score(model, [solution])))[0]
    assert isinstance(steps.judgement, Steps) and len(steps.judgement.verdict) == 2
    whole = flat(list(score(model, [solution], rule=Rule(aggregation="product", whole=True))))[0]
    assert isinstance(whole.judgement, Outcome)
    right = [p for p in steps.judgement.p_right if p is not None]
    assert whole.judgement.p_correct == pytest.approx(right[0] * right[1], abs=1e-6)
    text = Response(prompt=prompt, response=said("1 + 1 = 2\n\n2 + 1 = 3\n"))
    lines = flat(list(score(model, [text], rule=Rule(aggregation="product", whole=True))))[0]
    assert lines.judgement.p_correct == pytest.approx(whole.judgement.p_correct)  # type: ignore[union-attr]


def test_a_later_step_never_changes_an_earlier_verdict(backbone: str) -> None:
    model = loaded(backbone, kind="process")
    prompt, steps = said("1 + 1 + 1?", "user"), ("1 + 1 = 2", "2 + 1 = 3", "so 4")
    found = [
        flat(list(score(model, [Solution(prompt=prompt, steps=steps[:count])])))[0].judgement for count in (1, 2, 3)
    ]
    for count, judgement in enumerate(found, 1):
        assert isinstance(judgement, Steps)
        assert judgement.p_right == pytest.approx(found[-1].p_right[:count], abs=1e-5)  # type: ignore[union-attr]


def test_an_ensemble_of_equal_members_is_sure(backbone: str) -> None:
    model = loaded(backbone, kind="ensemble", members=3)
    with torch.no_grad():
        weight = model.model.head.score.weight  # type: ignore[union-attr]
        weight.copy_(weight[:1].expand(3, -1))  # type: ignore[operator]
    one = flat(list(score(model, pairs(1))))[0]
    assert one.numbers["std"] == pytest.approx([0, 0], abs=1e-6)
    assert one.numbers["mean"] == pytest.approx(one.numbers["scores"])


def test_a_read_has_what_the_model_has(backbone: str) -> None:
    model = loaded(backbone, kind="multi", objectives=("kind", "true"), objective_weights=(1.0, 3.0), bank="fifo")
    example = examples_of(pairs(1)[0], "multi")
    reads = compute_rewards(model, collator_for(model), example)[0]
    assert len(reads) == 2 and len(reads[0].values) == 2
    assert reads[0].reward == pytest.approx(reads[0].values[0] / 4 + reads[0].values[1] * 3 / 4, abs=1e-6)
    assert reads[0].novelty == 1.0  # an empty memory knows nothing
