"""Checklists all the way: judged, compared with people, audited."""

from pathlib import Path

import pytest

import judge
from judge.agreement.analyses.probe_sensitivity import Link, moved, verdict_of
from judge.engines.base import Completion
from tests.rewards.models import save
from tests.rubric.support import choice, judge_by

GREETS = {"criterion": "Begins with Hello.", "name": "greets", "points": 2}
COLD = {"criterion": "Does not begin with Hello.", "name": "cold", "points": -2}
WORDS = {"criterion": "Has words.", "name": "words", "points": 1}


def says(criterion: str, response: str) -> Completion:
    """Knows how a response begins, and is unsure whether "?" has words."""
    if "words" in criterion:
        return choice(0.0, 1.0) if response.endswith("?") else choice(0.9)
    return choice(0.9 if response.startswith("Hello") == criterion.startswith("Begins") else 0.1)


def test_agreement_of_a_checklist_with_people_by_criterion(tmp_path: Path) -> None:
    """The judge finds that a row greets where its number is no multiple of 3, people where it is none of 4."""
    rows = [
        {
            "prompt": f"Q{row}",
            "response": f"Hello {row}" if row % 3 else f"Yes {row}",
            "human": [{"annotator": "ann", "verdict": float(row % 4 > 0), "criterion": "greets"}],
        }
        for row in range(12)
    ]
    run = judge.label(
        rows, task="checklist", judges=judge_by(says), rubric=[GREETS, WORDS], out=tmp_path / "run", progress=False
    )
    # They differ on 3, 6, 9 and on 4, 8.
    assert judge.agree(run).figures["accuracy/greets"].value == pytest.approx(7 / 12)


def test_an_audit_by_a_rubric_says_in_whose_favour_the_score_moved(tmp_path: Path) -> None:
    rows = [{"prompt": f"Q{row}", "response": f"Hello {row}, this is an answer."} for row in range(6)]
    audited = judge.audit(
        rows,
        task="checklist",
        judges=judge_by(says),
        rubric=[WORDS, COLD],
        probe=["flatter", "pad"],
        out=tmp_path / "audit",
        progress=False,
    )
    by_name = {probe.probe: probe for probe in audited.probes}
    # Praise comes first, so an answer no longer begins with Hello; what is added at its end moves nothing.
    assert (by_name["flatter"].moved.value, by_name["pad"].moved.value) == (1.0, 0.0)
    # One criterion more is met, and it is a fault: the score falls from 1 to (1 - 2) / 1, held to 0.
    assert by_name["flatter"].toward.value == 0.0


def test_another_criterion_that_is_left_out_is_another_verdict() -> None:
    before = {"task": "checklist", "verdict": {"": 1.0, "a": 1}, "abstained": ["b"]}
    after = {"task": "checklist", "verdict": {"": 1.0, "b": 1}, "abstained": ["a"]}
    verdicts = {"one": verdict_of(before), "other": verdict_of(after)}
    (result,) = moved(verdicts, [Link("one", "pad", "", "other")], {"pad": "…"}, seed=0, resamples=100)
    assert (result.moved.value, result.toward.value, result.lost) == (1.0, 0.0, 0)


def test_a_model_learns_an_objective_a_criterion(tmp_path: Path) -> None:
    """`w10` greets and `w20` does not; both have words, but where a response ends with `w9` the judge cannot say."""
    rows = [
        {"prompt": f"w{6 + row % 40}", "response": f"{('w10', 'w20')[row % 2]} w{30 + row % 7}{' w9' * (row % 8 == 0)}"}
        for row in range(48)
    ]

    def knows(criterion: str, response: str) -> Completion:
        if "words" in criterion:
            return choice(0.0, 1.0) if response.endswith("w9") else choice(0.9)
        return choice(0.9 if response.startswith("w10") else 0.1)

    run = judge.label(
        rows, task="checklist", judges=judge_by(knows), rubric=[GREETS, WORDS], out=tmp_path / "run", progress=False
    )
    backbone = save(tmp_path / "llama", "llama")
    settings = {"epochs": 6.0, "batch_size": 4, "learning_rate": 3e-3, "dtype": "float32"}
    model = judge.distill(
        run, kind="multi", backbone=str(backbone), out=tmp_path / "m", settings=settings, progress=False
    )
    greeting, other = (model.score("w7", f"{word} w31") for word in ("w10", "w20"))
    assert greeting.objectives is not None and other.objectives is not None
    assert set(greeting.objectives) >= {"greets", "words"}
    assert greeting.objectives["greets"] > other.objectives["greets"] + 0.3  # told 0.9 of one and 0.1 of the other
    assert abs(greeting.objectives["words"] - other.objectives["words"]) < 0.2  # told 0.9 of both
