"""Steps, scores, outcomes and rankings: figures worked by hand, and a whole report of each."""

from typing import Any

import pytest

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.main_figure import main_figure
from judge.agreement.build import AgreementConfig, Inputs, report
from judge.agreement.data.table import build
from judge.agreement.schema import AgreementReport, JudgeReport
from judge.agreement.statistics.bootstrap import Resampler
from tests.agreement.support import Row, columns

SETTINGS = AgreementConfig(resamples=50)


def row_of(kind: str, number: int, human: list[Any], judgement: Row, **body: Any) -> Row:
    people = [
        {"annotator": chr(ord("a") + at), **(said if isinstance(said, dict) else {"verdict": said})}
        for at, said in enumerate(human)
    ]
    prompt = [{"role": "user", "content": f"q{number}"}]
    return {
        "id": f"{kind}{number}",
        "kind": kind,
        "prompt": prompt,
        "human": people,
        "meta": {},
        "judgement": judgement,
        **body,
    }


def reported(rows: list[Row]) -> tuple[AgreementReport, JudgeReport]:
    made = report(Inputs(columns({"j": rows}, rows)), SETTINGS)
    return made, made.judges[0]


def values(judge: JudgeReport) -> dict[str, float | None]:
    return {f"{figure.name} {figure.of}".strip(): figure.value for figure in judge.agreement}


def test_steps() -> None:
    """Five solutions of three steps (people, judge): 1/1, 1/2, none/none, none/0, 0/1.

    Steps that people speak of, "wrong" as the finding: row 1 steps 0, 1: TN TP; row 2: TN, FN (judge: wrong at 2,
    of which people say nothing); row 3: TN TN TN; row 4: FP TN TN; row 5, step 0 only: FN."""
    cases = [(1, 1), (1, 2), (-1, -1), (-1, 0), (0, 1)]
    rows = []
    for at, (truth, said) in enumerate(cases):
        verdicts = ["wrong" if step == said else "right" for step in range(3)]
        judgement = {"task": "steps", "verdict": verdicts, "first_wrong": said}
        rows.append(row_of("solution", at, [truth], judgement, steps=["a", "b", "c"], reference=""))
    made, judge = reported(rows)
    found = values(judge)
    assert found["first_wrong"] == 2 / 5
    assert found["first_wrong_on_wrong"] == pytest.approx(1 / 3)
    assert found["first_wrong_on_right"] == 1 / 2
    assert found["processbench_f1"] == pytest.approx(2 * (1 / 3) * (1 / 2) / (5 / 6))
    assert found["first_wrong_within_one"] == 4 / 5
    assert found["mistake_found"] == 4 / 5
    assert (found["step_precision"], found["step_recall"]) == (1 / 2, pytest.approx(1 / 3))
    assert found["step_f1"] == pytest.approx(2 / 5)
    assert found["step_accuracy"] == pytest.approx(8 / 11)
    assert judge.confusion[0].counts == ((1, 1), (0, 3))
    assert made.disagreements_total == 3


def test_scores() -> None:
    """Two criteria; two people whose mean is the truth: helpful 1, 2, 3.5 (rounds to 4) against 1, 3, 4."""
    people = [(1, 1), (2, 2), (3, 4)]
    rows = []
    for at, ((a, b), given) in enumerate(zip(people, (1, 3, 4), strict=True)):
        human = [{"verdict": a, "criterion": "helpful"}, {"verdict": b, "criterion": "helpful"}]
        judgement = {
            "task": "score",
            "verdict": {"helpful": given, "clear": None},
            "expected": {"helpful": given - 0.5},
        }
        text = [{"role": "assistant", "content": "x" * (at + 1)}]
        rows.append(row_of("response", at, human, judgement, response=text, reference=""))
    _, judge = reported(rows)
    found = values(judge)
    assert found["spearman helpful"] == 1
    assert found["kendall helpful"] == 1
    # x - 8/3: -5/3 1/3 4/3; y - 13/6: -7/6 -1/6 8/6. Σxy = 65/18... over common thirds and sixths, by hand 0.9449.
    top = (5 / 3) * (7 / 6) - (1 / 3) * (1 / 6) + (4 / 3) * (8 / 6)
    bottom = ((25 + 1 + 16) / 9 * (49 + 1 + 64) / 36) ** 0.5
    assert found["pearson helpful"] == pytest.approx(top / bottom)
    assert found["pearson_expected helpful"] == pytest.approx(top / bottom)
    assert found["mean_difference helpful"] == pytest.approx((0 + 1 + 0.5) / 3)
    assert found["mean_absolute_error helpful"] == pytest.approx(1.5 / 3)
    assert found["accuracy helpful"] == pytest.approx(2 / 3)
    assert "spearman clear" not in found


def test_outcomes() -> None:
    """Right with .9 and .4, wrong with .6 and .2: AUC 3/4; Brier (.01 + .36 + .36 + .04) / 4."""
    cases = [(1.0, 0.9), (1.0, 0.4), (0.0, 0.6), (0.0, 0.2)]
    rows = []
    for at, (truth, p) in enumerate(cases):
        judgement = {"task": "outcome", "verdict": "right" if p > 0.5 else "wrong", "p_correct": p}
        text = [{"role": "assistant", "content": f"answer {at}"}]
        human = [{"verdict": truth, "criterion": "correct"}]
        rows.append(row_of("response", at, human, judgement, response=text, reference=""))
    made, judge = reported(rows)
    found = values(judge)
    assert found["accuracy"] == 2 / 4
    assert found["auc"] == 3 / 4
    assert found["brier"] == pytest.approx(0.77 / 4)
    assert judge.confusion[0].counts == ((1, 1), (1, 1))
    assert judge.calibration is not None
    assert [row.human for row in made.disagreements] == []
    assert made.disagreements_total == 2


def test_rankings() -> None:
    """People 0 1 2 twice; the judge 0 1 2 and 1 0 2: pairs 3/3 and 2/3, best 1 of 2, τ 1 and 1/3."""
    rows = []
    for at, order in enumerate(((0, 1, 2), (1, 0, 2))):
        judgement = {"task": "ranking", "verdict": list(order)}
        responses = [[{"role": "assistant", "content": text}] for text in "abc"]
        rows.append(row_of("ranking", at, [[0, 1, 2]], judgement, responses=responses))
    _, judge = reported(rows)
    found = values(judge)
    assert found["pairs_in_order"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["best_response"] == 1 / 2
    assert found["kendall"] == pytest.approx((1 + 1 / 3) / 2)


def test_parts_and_judges_with_scores_are_compared_by_correlation() -> None:
    """A judge on another scale is never within half a point, and right in order: r is 1 on one criterion, -1 on the
    other. Criteria that differ in height do not look like agreement: all rows together have r = 0."""
    rows = []
    for at in range(40):
        truth = float(at % 4)
        human = [{"verdict": truth, "criterion": "fluent"}, {"verdict": 10 + truth, "criterion": "true"}]
        judgement = {"task": "score", "verdict": {"fluent": 100 + truth, "true": 300 - truth}}
        text = [{"role": "assistant", "content": "same"}]
        rows.append(row_of("response", at, human, judgement, response=text, reference=""))
    _, judge = reported(rows)
    parts = {part.value: part for part in judge.slices if part.field == "criterion"}
    assert {name: part.figure.value for name, part in parts.items()} == {
        "fluent": pytest.approx(1.0),
        "true": pytest.approx(-1.0),
    }
    assert parts["fluent"].difference == pytest.approx(2.0)
    assert parts["true"].figure.unit == "coefficient"
    table = build(columns({"j": rows}, rows))
    measure = Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))
    assert main_figure(measure).figure(measure, "", measure.rows).value == pytest.approx(0.0, abs=1e-9)


def test_a_triangle_of_scores_is_one_of_correlations() -> None:
    """The judge is people plus a, the model people plus a half of a, a uncorrelated with people: all that they share
    beyond people is a, and r between people and judge is sd(people) / sd(people + a)."""
    rows: dict[str, list[Row]] = {"judge": [], "model": []}
    for at in range(40):
        truth, own = float(at % 4), float(at // 4 % 2)
        for name, given in (("judge", truth + own), ("model", 100 + truth + own / 2)):
            judgement = {"task": "score", "verdict": {"": given}}
            text = [{"role": "assistant", "content": "same"}]
            rows[name].append(row_of("response", at, [truth], judgement, response=text, reference=""))
    made = report(Inputs(columns(rows, rows["judge"])), AgreementConfig(resamples=50, triangle=True)).triangle
    assert made is not None
    assert made.human_judge.value == pytest.approx((1.25 / (1.25 + 0.25)) ** 0.5)
    assert made.human_model.value == pytest.approx((1.25 / (1.25 + 0.0625)) ** 0.5)
    assert made.inherited.value == pytest.approx(1.0)
    assert not made.parts
