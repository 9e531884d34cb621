"""Judges with a known fault, each called by its name; and sound ones that are not."""

import random

import pytest

from judge.agreement.build import AgreementConfig, Inputs, report
from judge.agreement.schema import AgreementReport
from tests.agreement.support import columns, judged, pair_row, votes

ROWS = 400
OTHER = {"f": "s", "s": "f", "t": "t"}


def simulated(kind: str, *, rows: int = ROWS, both: bool = True, seed: int = 1) -> AgreementReport:
    """Three people who agree with a true verdict in 85 of 100 rows, and a judge of a kind. Length has nothing to do
    with the truth."""
    draw = random.Random(seed)
    people, judge = [], []
    for number in range(rows):
        truth = draw.choice("fs")
        long_first = draw.random() < 0.5
        sides = ("a" * 300, "b" * 90) if long_first else ("a" * 90, "b" * 300)
        row = pair_row(number, first=sides[0], second=sides[1])
        said = [truth if draw.random() < 0.85 else OTHER[truth] for _ in range(3)]
        people.append(votes(row, "".join(said)))
        fair = truth if draw.random() < 0.9 else OTHER[truth]
        forward, swapped = {
            "coin": (draw.choice("fs"), draw.choice("fs")),
            "always A": ("f", "s"),
            "always B": ("s", "f"),
            "likes length": ("f" if long_first else "s",) * 2,
            "copies b": (said[1],) * 2,
            "fair": (fair, fair),
            "fair, flips": (fair, OTHER[fair]) if draw.random() < 0.3 else (fair, fair),
        }[kind]
        judge.append(judged(row, forward, swapped if both else ""))
    return report(Inputs(columns({kind: judge}, people)), AgreementConfig(resamples=300))


@pytest.mark.parametrize(
    ("kind", "both", "flag"),
    [
        ("coin", True, "coin"),
        ("coin", False, "coin"),
        ("always A", True, "always_first"),
        ("always A", False, "always_first"),
        ("always B", True, "always_second"),
        ("always B", False, "always_second"),
        ("likes length", True, "likes_length"),
        ("likes length", False, "likes_length"),
        ("copies b", True, "copies_annotator"),
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fault_is_called_by_its_name(kind: str, both: bool, flag: str, seed: int) -> None:
    found = simulated(kind, both=both, seed=seed)
    assert [one.name for one in found.flags if one.severity == "stop"] == [flag]
    assert found.headline.level == "poor"


def test_a_fair_judge_has_no_flags_and_may_stand_in() -> None:
    found = simulated("fair", rows=800)
    assert [one.name for one in found.flags if one.severity != "note"] == []
    assert found.headline.level == "good"
    assert found.judges[0].ceiling is not None
    assert found.judges[0].ceiling.alt_test.passed


def test_flips_are_a_warning() -> None:
    found = simulated("fair, flips")
    assert [one.name for one in found.flags if one.severity == "warn"] == ["position"]


def test_three_rows_are_too_few_to_say() -> None:
    rows = [pair_row(number) for number in range(3)]
    found = report(
        Inputs(columns({"j": [judged(row, "f") for row in rows]}, [votes(row, "ff") for row in rows])),
        AgreementConfig(),
    )
    assert found.headline.level == "unknown"
    assert [one.name for one in found.flags] == ["too_few", "one_human_verdict"]
    assert found.judges[0].agreement[0].low is None


def test_all_ties_and_one_annotator() -> None:
    rows = [pair_row(number) for number in range(60)]
    found = report(
        Inputs(
            columns({"j": [judged(row, "ft"[at % 2]) for at, row in enumerate(rows)]}, [votes(r, "t") for r in rows])
        ),
        AgreementConfig(resamples=100),
    )
    assert "one_human_verdict" in [one.name for one in found.flags]
    assert found.headline.level == "unknown"
    assert found.judges[0].ceiling is not None
    assert found.judges[0].ceiling.human.value is None
