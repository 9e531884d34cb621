"""`judge.distill` and the object that it returns: score, rank, batches, a card, and what a notebook shows."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.errors import ConfigError, InputError
from judge.files import write_rows
from judge.formats import judgement_to_row, to_row
from judge.judgements import Preference, Steps
from judge.records import Message, Pair, Response, Solution
from tests.rewards.models import save

YES, NO = "w10", "w20"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("llama"), "llama")


def asked(number: int) -> tuple[Message, ...]:
    return (Message("user", f"w{6 + number % 50} w{6 + number // 50}"),)


def rows(count: int) -> list[dict[str, Any]]:
    """Pairs whose human label prefers YES, in either order, as rows in memory."""
    made = []
    for number in range(count):
        first, second = (YES, NO) if number % 2 else (NO, YES)
        verdict = "first" if first == YES else "second"
        human = [{"annotator": "ann", "verdict": verdict}]
        made.append({"prompt": asked(number)[0].content, "first": first, "second": second, "human": human})
    return made


SETTINGS: dict[str, Any] = {"epochs": 4, "learning_rate": 3e-3, "validation_fraction": 0.3, "progress": False}


@pytest.fixture(scope="module")
def ensemble(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> judge.RewardModel:
    out = tmp_path_factory.mktemp("models") / "ensemble"
    return judge.distill(rows(40), kind="ensemble", members=3, backbone=str(llama), out=out, **SETTINGS)


@pytest.fixture(scope="module")
def process(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> judge.RewardModel:
    """From the file of a run: the second step is wrong where it is NO."""
    folder = tmp_path_factory.mktemp("process")
    labelled = []
    for number in range(30):
        steps = (YES, NO) if number % 2 else (YES, YES)
        verdict = ("right", "wrong" if number % 2 else "right")
        judgement = Steps(verdict=verdict, first_wrong=1 if number % 2 else -1)
        labelled.append(
            to_row(Solution(prompt=asked(number), steps=steps)) | {"judgement": judgement_to_row(judgement)}
        )
    write_rows(folder / "labels.jsonl", labelled)
    source = str(folder / "labels.jsonl")
    return judge.distill(source, kind="process", backbone=str(llama), out=folder / "model", **SETTINGS)


def test_a_model_from_rows_in_memory_knows_its_training(ensemble: judge.RewardModel) -> None:
    assert ensemble.training is not None
    assert ensemble.training["examples"] + ensemble.training["validation_examples"] == 40
    assert ensemble.figures["accuracy"] == 1.0
    assert ensemble.metadata["parents"][0]["path"] == "rows in memory"
    assert "# A reward model: ensemble" in ensemble.card


def test_a_score_is_the_members_mean_with_their_spread(llama: Path, tmp_path: Path) -> None:
    settings = {"kind": "ensemble", "members": 3, "uncertainty": "members", "epochs": 1, "progress": False}
    model = judge.distill(rows(20), backbone=str(llama), out=tmp_path / "model", **settings)
    reward = model.score("w7 w6", YES)
    assert len(reward.members) == 3
    assert reward.value == pytest.approx(sum(reward.members) / 3)
    variance = sum((member - sum(reward.members) / 3) ** 2 for member in reward.members) / 3
    assert reward.std == pytest.approx(variance**0.5, rel=1e-5)
    assert reward.lower == pytest.approx(float(reward) - variance**0.5, rel=1e-5)
    both = model.compare("w7 w6", YES, NO)
    other = model.score("w7 w6", NO)
    differences = [first - second for first, second in zip(reward.members, other.members, strict=True)]
    variance = sum((difference - sum(differences) / 3) ** 2 for difference in differences) / 3
    assert both.difference == pytest.approx(float(reward) - float(other), abs=1e-6)
    assert both.std == pytest.approx(variance**0.5, abs=1e-5)


def test_ranks_are_indices_best_first(ensemble: judge.RewardModel) -> None:
    assert ensemble.rank("w7 w6", [NO, YES, NO]) == [1, 0, 2]  # equal rewards stay in their order
    messages = [{"role": "user", "content": "w7 w6"}]
    assert ensemble.rank(messages, [[{"role": "assistant", "content": YES}], NO]) == [0, 1]


def test_a_batch_takes_texts_records_and_rows(ensemble: judge.RewardModel) -> None:
    prompt, answer = asked(7), (Message("assistant", YES),)
    pair = Pair(prompt=prompt, first=answer, second=(Message("assistant", NO),))
    batch = [(prompt[0].content, YES), Response(prompt=prompt, response=answer), pair, rows(8)[7]]
    single, response, both, row = ensemble.score_batch(batch)
    assert [len(rewards) for rewards in (single, response, both, row)] == [1, 1, 2, 2]
    for other in (response[0], both[0], row[0]):
        assert float(other) == pytest.approx(float(single[0]), abs=1e-5)
    assert float(both[0]) > float(both[1])
    with pytest.raises(ConfigError, match="a row of the type int"):
        ensemble.score_batch([3])  # type: ignore[list-item]


def test_what_cannot_be_read_has_a_reason_and_no_rank(ensemble: judge.RewardModel) -> None:
    long = " ".join([YES] * 3000)
    reward = ensemble.score("w7", long)
    assert reward.value is None and "max_length" in reward.reason
    with pytest.raises(InputError, match="no reward: "):
        ensemble.rank("w7", [YES, long])


def test_a_process_model_tells_each_step(process: judge.RewardModel) -> None:
    reward = process.score("w7 w6", f"{YES}\n\n{NO}")
    assert len(reward.steps) == 2
    assert reward.steps[0] > reward.steps[1]
    assert reward.value == pytest.approx(min(reward.steps))  # the aggregation that it was trained with


def test_it_is_opened_again_shown_and_exported(ensemble: judge.RewardModel, tmp_path: Path) -> None:
    again = judge.load_reward_model(ensemble)
    assert again.training is None
    assert again.score("w7 w6", YES) == ensemble.score("w7 w6", YES)
    assert repr(again).startswith(f"RewardModel('{ensemble.path}', kind='ensemble', accuracy=1")
    html = again._repr_html_()
    assert "<table>" in html and "accuracy" in html and "red flag" in html  # few validation examples
    assert again.export(tmp_path / "written").rank("w7 w6", [NO, YES]) == [1, 0]
    with pytest.raises(InputError, match="not a reward model"):
        judge.load_reward_model(tmp_path)


def test_a_run_teaches_by_its_verdicts_or_by_people(llama: Path, tmp_path: Path) -> None:
    labelled = []
    for number, row in enumerate(rows(20)):
        judgement = Preference(verdict="first", p_first=0.9)
        record = Pair(
            prompt=asked(number),
            first=(Message("assistant", row["first"]),),
            second=(Message("assistant", row["second"]),),
        )
        labelled.append(to_row(record) | {"judgement": judgement_to_row(judgement)})
    plan = judge.distill(labelled, kind="scalar", backbone=str(llama), dry_run=True)
    assert isinstance(plan, judge.TrainingPlan)
    assert (plan.counts["labels"], plan.counts["examples"]) == ("judge", 18)
    write_rows(tmp_path / "people.jsonl", rows(20))
    by_people = judge.distill(tmp_path / "people.jsonl", kind="scalar", backbone=str(llama), dry_run=True)
    assert isinstance(by_people, judge.TrainingPlan) and by_people.counts["labels"] == "human"
    write_rows(tmp_path / "labelled.jsonl", labelled)
    both = [tmp_path / "people.jsonl", tmp_path / "labelled.jsonl"]
    with pytest.raises(ConfigError, match='say labels "judge" or "human"'):
        judge.distill(both, kind="scalar", backbone=str(llama), dry_run=True)


def test_settings_by_either_name_and_wrong_ones(llama: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"kind": "scalar", "backbone": str(llama), "out": tmp_path / "model"}
    judge.distill(rows(20), **options, settings=["rate=1e-4", "clip=0.5", "loss.hard=true"], progress=False)
    config = judge.load_reward_model(tmp_path / "model").config
    assert (config.training.learning_rate, config.training.max_grad_norm) == (1e-4, 0.5)
    assert config.loss.arguments == {"hard": True}
    assert json.loads((tmp_path / "model" / "reward.json").read_text())["config"]["training"]["learning_rate"] == 1e-4
    with pytest.raises(ConfigError, match="given twice"):
        judge.distill(rows(4), kind="scalar", backbone=str(llama), dry_run=True, learning_rate=1.0, settings=["rate=2"])
    with pytest.raises(ConfigError, match=r"judge\.distill needs kind, backbone, out"):
        judge.distill(rows(4))
