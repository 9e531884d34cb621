"""From labelled records to a model directory that others load."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judge.errors import ConfigError, EngineError, InputError, RmjudgeError, RunChangedError, RunError, UnknownNameError
from judge.judgements import Preference, Score
from judge.records import Message, Pair, Response
from judge.rewards.checkpoint.save_load import load
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Labelled
from judge.rewards.distill import distill, max_tokens, prepare
from judge.rewards.training.claim import FINGERPRINT
from judge.rewards.training.resume import STATE
from tests.rewards.training.test_loop import StopAt, asked, outcomes, pairs, solutions


def scores(count: int) -> list[Labelled]:
    made: list[Labelled] = []
    for number in range(count):
        response = Response(prompt=asked(number), response=(Message("assistant", f"w{10 + number % 5}"),))
        made.append((response, Score(verdict={"help": number % 5, "harm": number % 2})))
    return made


def config(llama: Path, **values: Any) -> RewardConfig:
    return RewardConfig.of(
        **{"backbone": str(llama), "kind": "scalar", "batch": 8, "rate": 3e-3, "validation": 0.3, **values}
    )


@pytest.mark.parametrize(
    ("kind", "labelled", "outputs"),
    [
        ("scalar", pairs, 1),
        ("scalar", scores, 1),
        ("multi", scores, 2),
        ("outcome", outcomes, 1),
        ("process", solutions, 2),
        ("ensemble", pairs, 5),
        ("hierarchical", pairs, 1),
    ],
)
def test_every_kind_goes_the_whole_way(
    kind: str, labelled: Callable[[int], list[Labelled]], outputs: int, llama: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    parent = {"kind": "run", "path": "runs/x", "hash": "0" * 32}
    prepared = prepare(labelled(40), config(llama, kind=kind), parents=[parent], out=out)
    done = distill(prepared, out)
    assert done is not None
    names = {path.name for path in out.iterdir()}
    assert {"reward.json", "README.md", "curves.svg", "tokenizer.json"} <= names
    assert STATE not in names
    about = json.loads((out / "reward.json").read_text("utf-8"))
    assert [one["kind"] for one in about["parents"]] == ["run", "backbone"]
    assert about["parents"][1]["weights"].keys() == {"model.safetensors"}
    assert about["figures"]["validation_examples"] == len(prepared.validation) == 12
    loaded = load(out)
    assert loaded.config.model.kind == kind
    assert loaded.model(loaded.model.collator(loaded.tokenizer)(prepared.validation[:1])).shape[-1] == outputs
    assert "validation" in done.to_dict()


def test_members_may_be_adapters(llama: Path, tmp_path: Path) -> None:
    values = {"kind": "ensemble", "member_kind": "adapters", "members": 2, "lora_rank": 2}
    done = distill(prepare(pairs(24), config(llama, **values)), tmp_path / "model")
    assert done is not None
    assert load(tmp_path / "model").config.model.members == 2


def test_a_reward_model_is_the_backbone_of_another(llama: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "process", tmp_path / "scalar"
    distill(prepare(solutions(24), config(llama, kind="process")), first)
    distill(prepare(pairs(24), config(first)), second)
    parent = json.loads((second / "reward.json").read_text("utf-8"))["parents"][-1]
    assert parent["kind"] == "process"
    assert parent["parents"][-1]["kind"] == "backbone"  # and so back to where it began


def test_texts_that_are_too_long_are_cut_or_dropped_with_a_count(llama: Path) -> None:
    said = Preference(verdict="first", p_first=0.9)

    def one(prompt: int, response: int, number: int) -> Labelled:
        first, second = ((Message("assistant", " ".join([word] * response)),) for word in ("w7", "w8"))
        prompted = (Message("user", " ".join([f"w{20 + number}"] * prompt)),)
        return Pair(prompt=prompted, first=first, second=second), said

    labelled = [one(2, 3, 0), one(40, 3, 1), one(2, 40, 2), one(2, 40, 3)]
    prepared = prepare(labelled, config(llama, max_length=24, validation=0.0))
    assert len(prepared.examples) == 2
    assert prepared.cut == 1
    assert dict(prepared.dropped) == {"response longer than max_length": 2}
    account = prepared.to_dict()
    assert account["prompts_cut"] == 1
    with pytest.raises(InputError, match=r"no example is left: 2 response longer than max_length \(max_length is 24"):
        prepare(labelled[2:], config(llama, max_length=24))


def test_a_backbone_with_learnt_positions_takes_no_longer_texts(bert: Path, llama: Path) -> None:
    assert max_tokens(config(bert, max_length=5000)) == 256
    assert max_tokens(config(bert, max_length=100)) == 100
    assert max_tokens(config(llama, max_length=5000)) == 5000


def tied(count: int) -> list[Labelled]:
    return [(record, Preference(verdict="tie", p_first=0.5)) for record, _ in pairs(count)]


@pytest.mark.parametrize(
    ("labelled", "values", "error", "said"),
    [
        (tied(4), {}, InputError, "all 4 pairs are ties"),
        (outcomes(9)[1::2], {"kind": "outcome"}, InputError, "all 4 answers are correct"),
        (pairs(4), {"kind": "process"}, ConfigError, "preference cannot teach kind process"),
        (pairs(4), {"backbone": ""}, ConfigError, "needs a backbone"),
        (pairs(4), {"backbone": "no/such-model"}, EngineError, "the tokenizer of 'no/such-model' cannot be loaded"),
        (pairs(4), {"loss": "bradley-tery"}, UnknownNameError, "did you mean 'bradley_terry'"),
        (pairs(4), {"loss": "steps"}, ConfigError, "kind scalar is not trained by loss step_cross_entropy"),
        (scores(9), {"kind": "multi", "objectives": ("helb",)}, UnknownNameError, "did you mean 'help'"),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_anything_is_written(
    labelled: list[Labelled], values: dict[str, Any], error: type[RmjudgeError], said: str, llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        prepare(labelled, config(llama, **values), out=tmp_path / "model")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_a_directory_that_holds_something_is_left_alone(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"is not empty \(thesis.tex\)"):
        prepare(pairs(4), config(llama), out=out)
    distill(prepare(pairs(24), config(llama)), tmp_path / "other")
    with pytest.raises(RunError, match="holds a reward model already"):
        prepare(pairs(24), config(llama), out=tmp_path / "other")


def test_an_interrupted_training_goes_on_only_as_itself(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    chosen = config(llama, save_every=1, batch=4)
    with pytest.raises(KeyboardInterrupt):
        distill(prepare(pairs(24), chosen, out=out), out, StopAt(2))
    assert {path.name for path in (out / STATE).iterdir()} == {FINGERPRINT, "step-1"}
    other = prepare(pairs(24), config(llama, save_every=1, batch=4, rate=1e-3), out=out)
    with pytest.raises(RunChangedError, match=r"not this one: learning_rate was 0\.003, is 0\.001"):
        distill(other, out)
    with pytest.raises(RunChangedError, match="the data is another"):
        distill(prepare(pairs(25), chosen, out=out), out)
    done = distill(prepare(pairs(24), chosen, out=out), out)
    assert done is not None
    assert (out / "reward.json").is_file()
