"""`judge.calibrate`: the temperature that drew the labels is found again, and errors fall on prompts no fit saw."""

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import judge
from judge.errors import ConfigError, InputError, UnknownNameError
from judge.files import write_rows
from judge.formats import judgement_to_row, to_row
from judge.jobs.scoring.scoring_model import ScoringModel
from judge.judgements import Outcome, Preference, Steps
from judge.records import HumanLabel, Message, Pair, Response, Solution
from judge.rewards.evaluation.calibration import brier, mean_by_prompt
from judge.rewards.evaluation.human_statements import Said, human_statements
from judge.rewards.evaluation.statements import Statements
from tests.rewards.external.test_published import CPU, headed, save
from tests.rewards.models import words


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def asked(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def answer(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


# -- statements -------------------------------------------------------------------------------------------------------


def test_a_pair_is_its_difference_and_the_share_of_people() -> None:
    people = tuple(HumanLabel(annotator=name, verdict=verdict) for name, verdict in (("a", "first"), ("b", "tie")))
    pair = Pair(prompt=asked("w7"), first=answer("w8"), second=answer("w9"), human=people)
    statements = human_statements([Said(pair, Preference(verdict="first", p_first=0.9), (2.0, 0.5))])
    assert statements.about == "pair"
    assert statements.logit() == pytest.approx([1.5])  # of scores their difference, not the stated probability
    assert statements.labels[:, 0] == pytest.approx([(1 + 0.5) / 2])
    judged = human_statements([Said(pair, Preference(verdict="first", p_first=0.9))])
    assert judged.logit() == pytest.approx([math.log(0.9 / 0.1)])


def test_outcomes_and_steps() -> None:
    right = (HumanLabel(annotator="a", verdict=1.0, criterion="correct"),)
    response = Response(prompt=asked("w7"), response=answer("w8"), human=right)
    statements = human_statements([Said(response, Outcome(verdict="wrong", p_correct=0.2))])
    assert (statements.about, statements.labels[0, 0]) == ("outcome", 1.0)
    assert statements.logit() == pytest.approx([math.log(0.2 / 0.8)])
    # The second step is the first wrong one: the first is right, the third was not judged.
    solution = Solution(prompt=asked("w7"), steps=("w8", "w9", "w10"), human=(HumanLabel(annotator="a", verdict=1),))
    said = Steps(verdict=("right", "right", "right"), p_right=(0.9, 0.6, 0.9), first_wrong=-1)
    statements = human_statements([Said(solution, said)])
    assert (statements.about, statements.side) == ("step", 1)  # the side of a step is that it is wrong
    assert statements.labels[:, 1] == pytest.approx([0.0, 1.0])
    assert statements.logit() == pytest.approx([math.log(0.1 / 0.9), math.log(0.4 / 0.6)])


def test_nothing_in_common_is_said() -> None:
    pair = Pair(prompt=asked("w7"), first=answer("w8"), second=answer("w9"))
    with pytest.raises(InputError, match="people labelled nothing of what was judged"):
        human_statements([Said(pair, Preference(verdict="first", p_first=0.9))])


def test_brier_and_its_interval_by_hand() -> None:
    logits, prompts = np.zeros((4, 2)), np.array([0, 0, 1, 1])
    labels = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    statements = Statements("pair", logits, labels, prompts)
    values = brier(np.array([0.5, 0.5, 0.9, 1.0]), statements)
    assert values == pytest.approx([0.25, 0.25, 0.01, 0.0])
    value, low, high = mean_by_prompt(values, prompts)
    # Two prompts of means 0.25 and 0.005; a draw has both of one (0.25, 0.005), or one of each.
    assert (value, low, high) == pytest.approx((0.1275, 0.005, 0.25))


# -- a model ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("model"), num_labels=1)


@pytest.fixture(scope="module")
def labelled(model: Path) -> list[dict[str, Any]]:
    """Pairs whose labels are drawn by sigmoid(difference / 3) of the model's own rewards."""
    rng = Random(0)
    drawn = [
        {
            "prompt": words(*rng.choices(range(6, 60), k=4)),
            "first": words(*rng.choices(range(6, 60), k=3)),
            "second": words(*rng.choices(range(6, 60), k=3)),
        }
        for _ in range(500)
    ]
    rewards = judge.open_reward(model, **CPU).score_batch(drawn)
    for row, (first, second) in zip(drawn, rewards, strict=True):
        is_first = rng.random() < sigmoid((float(first) - float(second)) / 3)
        row["human"] = [{"annotator": "a", "verdict": "first" if is_first else "second"}]
    return drawn


def test_the_temperature_of_the_labels_is_found(model: Path, labelled: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "calibration.json"
    result = judge.calibrate(model, human=labelled, out=out, method="temperature", **CPU)
    assert (result.about, result.n, result.prompts) == ("pair", 500, 500)
    assert result.temperature == pytest.approx(3, rel=0.35)
    for name in ("ece", "brier", "log_loss"):
        assert result.after[name].value < result.before[name].value, name
        assert result.after[name].low <= result.after[name].value <= result.after[name].high
    assert json.loads(out.read_text())["calibration"]["temperature"] == result.temperature
    # A score is as it was; its probability is that of the difference over the temperature.
    row = labelled[0]
    plain = judge.open_reward(model, **CPU).score_batch([row])[0]
    run = judge.score(model, [row], out=tmp_path / "run", calibration=out, progress=False, **CPU)
    (judged,) = list(run)
    assert isinstance(judged.judgement, Preference)
    difference = float(plain[0]) - float(plain[1])
    assert judged.judgement.p_first == pytest.approx(sigmoid(difference / result.temperature), abs=1e-4)
    normal = judge.open_reward(model, calibration=out, normalize=True, **CPU).score_batch(labelled)
    rewards = [float(reward) for pair in normal for reward in pair]
    opened = judge.open_reward(model, calibration=out, **CPU)
    assert isinstance(opened, ScoringModel) and opened.reward_moments is not None
    mean, scale = opened.reward_moments  # what hooks normalize by, and the deciles that served rewards are held to
    assert np.quantile([mean + scale * reward for reward in rewards], 0.5) == pytest.approx(opened.deciles[4], abs=1e-3)
    assert np.mean(rewards) == pytest.approx(0, abs=1e-3) and np.std(rewards) == pytest.approx(1, abs=1e-3)


def test_a_run_of_scores_is_calibrated_as_its_model_is(
    model: Path, labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    run = judge.score(model, labelled, out=tmp_path / "run", progress=False, **CPU)
    by_run, by_model = judge.calibrate(run), judge.calibrate(model, human=labelled, **CPU)
    assert by_run.temperature == pytest.approx(by_model.temperature, abs=1e-3)
    assert by_run.before["ece"].value == pytest.approx(by_model.before["ece"].value, abs=1e-3)
    of_file = judge.calibrate(run.directory, out=tmp_path / "c.json")
    assert judge.open_reward(model, calibration=of_file.path, **CPU).version != judge.open_reward(model, **CPU).version


def judges_run(folder: Path, count: int = 300) -> Path:
    """A run of a judge that is too sure: people side with it as with half its log-odds."""
    rng = Random(1)
    rows = []
    for number in range(count):
        p_first = sigmoid(rng.uniform(-4, 4))
        is_first = rng.random() < sigmoid(math.log(p_first / (1 - p_first)) / 2)
        human = (HumanLabel(annotator="a", verdict="first" if is_first else "second"),)
        pair = Pair(prompt=asked(f"w{number}"), first=answer("w8"), second=answer("w9"), human=human)
        judgement = Preference(verdict="first" if p_first > 0.5 else "second", p_first=p_first)
        rows.append(to_row(pair) | {"judgement": judgement_to_row(judgement)})
    folder.mkdir()
    write_rows(folder / "labels.jsonl", rows)
    manifest = {"config": {"task": "preference", "judges": ["tiny"]}, "counts": {"rows": count}, "tokens": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_judge_that_is_too_sure(tmp_path: Path) -> None:
    result = judge.calibrate(judges_run(tmp_path / "run"), out=tmp_path / "c.json", method="temperature")
    assert result.temperature == pytest.approx(2, rel=0.35)
    assert result.after["brier"].value < result.before["brier"].value
    assert json.loads((tmp_path / "c.json").read_text())["of"]["judges"] == ["tiny"]


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_mistakes_are_one_line(model: Path, labelled: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="people labelled 10 of what it judged, on 10 prompts"):
        judge.calibrate(model, human=labelled[:10], **CPU)
    with pytest.raises(UnknownNameError, match="did you mean 'isotonic'"):
        judge.calibrate(model, human=labelled, method="isotonik")
    with pytest.raises(ConfigError, match="dtype: a run was made already"):
        judge.calibrate(judges_run(tmp_path / "run", 5), dtype="float32")
    with pytest.raises(ConfigError, match="needs human"):
        judge.calibrate(model)
    out = tmp_path / "c.json"
    judge.calibrate(model, human=labelled[:50], out=out, **CPU)
    other = headed(tmp_path / "other", "LlamaRewardModel", {})
    with pytest.raises(ConfigError, match="fitted on other weights"):
        judge.open_reward(other, calibration=out)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"broken\.json: cannot be read"):
        judge.open_reward(model, calibration=tmp_path / "broken.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match="no calibration of rmjudge"):
        judge.open_reward(model, calibration=tmp_path / "other.json")
