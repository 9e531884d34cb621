"""Bias and consistency on cases worked by hand; the logistic model on data of known coefficients."""

import numpy as np
import pytest

from judge.agreement.analyses.bias import bias
from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.length_style_bias import logistic
from judge.agreement.analyses.solutions import compare_orders
from judge.agreement.analyses.win_rates import estimates, label_next
from judge.agreement.build import AgreementConfig, Inputs, report
from judge.agreement.data.table import Table, build
from judge.agreement.schema import AgreementReport, Bias
from judge.agreement.serialization import from_row
from judge.agreement.statistics.bootstrap import Resampler
from judge.report.report import Report
from tests.agreement.support import Row, columns, judged, pair_row, votes


def measured(table: Table) -> Measure:
    return Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))


def of(rows: list[Row], people: list[str], forward: str, swapped: str = "", name: str = "j") -> Measure:
    said = [judged(row, one, swapped[at : at + 1]) for at, (row, one) in enumerate(zip(rows, forward, strict=True))]
    return measured(build(columns({name: said}, [votes(row, one) for row, one in zip(rows, people, strict=True)])))


def values(figures: tuple[object, ...]) -> dict[str, float | None]:
    return {f"{figure.name} {figure.of}".strip(): figure.value for figure in figures}  # type: ignore[attr-defined]


def biased(*args: object) -> Bias:
    return bias(of(*args))  # type: ignore[arg-type]


def test_position() -> None:
    """Four pairs, both orders: f f, f s, s s, t f. Two change. Shown first: f; f and s; s(no) and s; f (no)."""
    rows = [pair_row(at) for at in range(4)]
    found = values(biased(rows, ["f"] * 4, "ffst", "fssf").position)
    assert found["flips"] == 2 / 4
    # Readings with a winner: 4 forward less one tie, 4 swapped = 7. First shown wins: forward f, f; swapped s, s.
    assert found["shown_first"] == pytest.approx(4 / 7)
    assert found["ties"] == 2 / 4


def test_length() -> None:
    """First longer in rows 1, 2, shorter in 3, 4. Judge: f f s f; people f s s s."""
    sides = [("long text", "short")] * 2 + [("short", "long text")] * 2
    rows = [pair_row(at, first=one, second=two) for at, (one, two) in enumerate(sides)]
    found = values(biased(rows, ["f", "s", "s", "s"], "ffsf").length)
    assert found["longer_judge"] == 3 / 4
    assert found["longer_people"] == 3 / 4
    assert found["longer_difference"] == 0
    found = values(biased(rows, ["s", "s", "f", "f"], "ffss").length)
    assert (found["longer_judge"], found["longer_people"], found["longer_difference"]) == (1, 0, 1)


def test_style() -> None:
    rows = [pair_row(at, first="**a**\n- b", second="a b") for at in range(2)]
    found = values(biased(rows, ["s", "f"], "ff").style)
    assert (found["styled_judge"], found["styled_people"], found["styled_difference"]) == (1, 0.5, 0.5)


def test_the_logistic_model_finds_its_coefficients() -> None:
    draw = np.random.default_rng(0)
    design = np.column_stack([np.ones(5000), draw.normal(size=5000), draw.normal(size=5000)])
    chosen = (draw.random(5000) < 1 / (1 + np.exp(-(design @ [0.3, 1.2, -0.5])))).astype(float)
    fit = logistic(design, chosen, np.arange(5000))
    assert fit is not None
    assert fit.value == pytest.approx([0.3, 1.2, -0.5], abs=0.12)
    assert np.abs(fit.value - [0.3, 1.2, -0.5]).max() < 4 * fit.error.max()


def test_a_choice_without_exception_has_no_coefficient() -> None:
    design = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    assert logistic(design, (design[:, 1] > 0).astype(float), np.arange(100)) is None


def test_transitivity() -> None:
    """One prompt, answers x y z: x > y, y > z and z > x is a circle; another prompt closes."""
    rows = []
    for prompt in ("p", "q"):
        for one, two in (("x", "y"), ("y", "z"), ("x", "z")):
            rows.append(pair_row(len(rows), prompt, one, two))
    found = values(biased(rows, ["f"] * 6, "ffs" + "fff").consistency)
    assert found["transitivity"] == 1 / 2


def test_self_consistency() -> None:
    """Three votes f f s: one of three pairs agrees; two votes f f: one of one. Two of four."""
    rows = []
    for at, letters in enumerate(("ffs", "ff")):
        row = judged(pair_row(at), "f")
        row["judgement"]["readings"] = [
            {"asked": "forward", "verdict": {"f": "first", "s": "second"}[letter], "vote": vote}
            for vote, letter in enumerate(letters)
        ] + [{"asked": "swapped", "verdict": "first", "vote": 0}]
        rows.append(row)
    table = build(columns({"j": rows}, [votes(pair_row(at), "f") for at in range(2)]))
    assert values(bias(measured(table)).consistency)["self_consistency"] == 2 / 4


def test_self_preference() -> None:
    """Ten pairs of GPT-4 against B; people give GPT-4 five wins, the judge gpt-4 nine: 0.4 of a win more."""
    rows = [pair_row(at, meta={"model_a": "GPT-4", "model_b": "B"}) for at in range(10)]
    said = [judged(row, one) for row, one in zip(rows, "fffffffffs", strict=True)]
    table = build(columns({"gpt4-pair": said}, [votes(row, "fs"[at % 2]) for at, row in enumerate(rows)]))
    found = values(bias(measured(table)).self_preference)
    assert found["self_preference GPT-4"] == pytest.approx(0.4)
    assert found["author_preference B"] == pytest.approx(-0.4)


def test_win_rates_and_the_rows_worth_labelling() -> None:
    """Twenty pairs of A and B in either place, ten labelled: A wins 15 of 20 by the judge, 6 of 10 by people."""
    rows, said = [], []
    for at in range(20):
        turned = at % 2 == 1
        names = ("B", "A") if turned else ("A", "B")
        rows.append(pair_row(at, meta={"first_model": names[0], "second_model": names[1]}))
        wins = at < 15
        said.append(judged(rows[-1], "f" if wins != turned else "s", p_first=0.5 if at == 19 else 0.99))
    people = [votes(rows[at], "f" if (at < 6) != (at % 2 == 1) else "s") for at in range(10)]
    measure = measured(build(columns({"j": said}, people)))
    (found,) = estimates(measure)
    assert (found.system, found.over) == ("A", "B")
    assert found.judge.value == pytest.approx(15 / 20)
    assert found.human.value == pytest.approx(6 / 10)
    best = label_next(measure)[0][1]
    assert (best.id, best.information) == (rows[19]["id"], pytest.approx(1.0))


def test_orders() -> None:
    """0 1 2 against 0 2 1: two of three pairs; τ 1/3; ρ = 1 - 6·2/24."""
    assert compare_orders((0, 1, 2), {0: 0, 2: 1, 1: 2}) == pytest.approx((2 / 3, 1.0, 1 / 3, 0.5))


def test_a_report_comes_back_from_its_json() -> None:
    import json

    rows = [pair_row(at, first="a" * (at + 1)) for at in range(60)]
    said = [judged(row, "fs"[at % 2], "f", p_first=0.6) for at, row in enumerate(rows)]
    made: AgreementReport = report(
        Inputs(columns({"j": said}, [votes(row, "ffs") for row in rows])), AgreementConfig(resamples=50)
    )
    assert from_row(json.loads(Report(made).to_json())) == made
