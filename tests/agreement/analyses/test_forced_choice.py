"""What a judge that is made to choose gives, counted by hand."""

import pytest

import judge
from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.verdicts import agreement
from judge.agreement.data.table import build
from judge.agreement.statistics.bootstrap import Resampler
from judge.report.page import page
from tests.agreement.support import columns, judged, pair_row, votes


def values(people: str, forward: str, swapped: str, p_first: list[float]) -> dict[str, float | None]:
    rows = [pair_row(at) for at in range(len(people))]
    said = [judged(row, forward[at], swapped[at], p_first[at]) for at, row in enumerate(rows)]
    table = build(columns({"j": said}, [votes(row, people[at]) for at, row in enumerate(rows)]))
    measure = Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))
    return {figure.name: figure.value for figure in agreement(measure)}


def test_a_tie_is_decided_by_the_probability() -> None:
    """Orders f/s, f/s, t/t, f/f, s/s merge to tie, tie, tie, first, second; people say f s f f s."""
    found = values("fsffs", "fftfs", "sstfs", [0.6, 0.6, 0.5, 0.9, 0.2])
    # The verdicts alone are right twice in five; the likelier response: right, wrong, half, right, right.
    assert found["accuracy_decided"] == pytest.approx(2 / 5)
    assert found["accuracy_forced"] == pytest.approx(3.5 / 5)
    # Two of the three ties are orders that name opposite responses.
    assert found["inconsistent_ties"] == pytest.approx(2 / 3)
    # Where neither says tie, first and second are told apart without a mistake.
    assert found["cohen_kappa_without_ties"] == pytest.approx(1.0)


def test_kappa_without_ties_is_that_of_the_two_by_two_table() -> None:
    found = values("ffss", "ffsf", "ffsf", [0.9, 0.9, 0.1, 0.9])
    # p_o = 3/4; people f 1/2, judge f 3/4: p_e = 1/2 * 3/4 + 1/2 * 1/4 = 1/2; kappa = (3/4 - 1/2) / (1/2).
    assert found["cohen_kappa_without_ties"] == pytest.approx(0.5)
    assert "inconsistent_ties" not in found


def test_its_figures_have_intervals_and_stand_on_the_page() -> None:
    """Twelve prompts; people say first, the orders differ, and nine in twelve of the probabilities are right."""
    rows = [pair_row(at) for at in range(12)]
    said = [judged(row, "f", "s", 0.7 if at < 9 else 0.3) for at, row in enumerate(rows)]
    report = judge.agree(said, human=[votes(row, "f") for row in rows], resamples=200)
    forced, ties = report.figures["accuracy_forced"], report.figures["inconsistent_ties"]
    assert (forced.value, forced.n) == (9 / 12, 12)
    assert forced.low is not None and forced.high is not None
    assert 0 < forced.low < 9 / 12 < forced.high <= 1
    assert ties.value == 1
    assert ties.low == pytest.approx(0.025 ** (1 / 12))  # all twelve alike: the exact binomial bound, α/2 = low^n
    assert forced.title in page(report.data)
