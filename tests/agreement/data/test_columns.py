"""What is kept of a row: the verdict in each order, abstentions under a constitution, labels that come twice."""

from typing import Any

import pytest

from judge.agreement.analyses.bias import bias
from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.data.columns import Columns
from judge.agreement.data.table import Table, build
from judge.agreement.statistics.bootstrap import Resampler
from tests.agreement.support import LETTERS, pair_row, votes

F, S, T = 0.0, 1.0, 2.0


def row_of(number: int, forward: str, swapped: str, *, principled: bool, **more: Any) -> dict[str, Any]:
    """A judged pair with one reading a letter in each order, each under a principle of its own if asked."""
    readings = [
        {"asked": asked, "verdict": LETTERS[letter]} | ({"principle": f"p{at}"} if principled else {})
        for asked, letters in (("forward", forward), ("swapped", swapped))
        for at, letter in enumerate(letters)
    ]
    return pair_row(number) | {"judgement": {"task": "preference", "verdict": "first", "readings": readings, **more}}


def table_of(row: dict[str, Any]) -> Table:
    made = Columns()
    made.add_judgement(made.judge("j", "preference"), row, 0, 0)
    made.add_votes(votes(row, "f"), 0, 0)
    return build(made)


@pytest.mark.parametrize(
    ("forward", "swapped", "principled", "expected"),
    [
        ("fft", "tts", False, (F, T)),  # most votes of an order
        ("fs", "ff", False, (T, F)),  # two lead: a tie, as the judgement has it
        ("ftt", "stt", False, (T, T)),  # repeated votes for a tie are votes
        ("ftt", "stt", True, (F, S)),  # principles that abstain are none
        ("ttt", "fst", True, (T, T)),  # all abstain; one for each side
        ("f-", "t", True, (F, T)),
    ],
)
def test_the_verdict_of_an_order(forward: str, swapped: str, principled: bool, expected: tuple[float, float]) -> None:
    (judge,) = table_of(row_of(0, forward, swapped, principled=principled)).judges
    assert (judge.forward[0], judge.swapped[0]) == expected
    assert judge.consistent[0] == (expected[0] == expected[1])


def test_what_the_judgement_says_of_its_orders_counts() -> None:
    """With weights, two light principles for the first and a heavy one for the second are no change of mind."""
    table = table_of(row_of(0, "ffs", "sst", principled=True, consistent=True))
    assert table.judges[0].consistent[0] == 1
    flips = bias(Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))).position[0]
    assert (flips.name, flips.value, flips.n) == ("flips", 0.0, 1)


def test_one_order_says_nothing_of_consistency() -> None:
    assert table_of(row_of(0, "f", "", principled=False)).judges[0].consistent[0] == -1
    assert table_of(row_of(0, "f", "-", principled=False)).judges[0].consistent[0] == -1


def test_the_first_label_of_a_person_on_a_row_stands() -> None:
    made = Columns()
    rows = [row_of(at, "f", "f", principled=False) for at in range(2)]
    judge = made.judge("j", "preference")
    for row in rows:
        made.add_judgement(judge, row, 0, 0)
    for row, said in ((rows[1], "s"), (rows[0], "fs"), (rows[1], "ff"), (rows[0], "s")):
        made.add_votes(votes(row, said), 0, 0)
    held = build(made).votes
    assert [tuple(one) for one in zip(held.row, held.who, held.value, strict=True)] == [
        (0, 0, F),
        (0, 1, S),
        (1, 0, S),
        (1, 1, F),
    ]
    assert held.duplicates == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("f", 0), ("f", 1), ("f", 2)], 0),  # one label that three runs carry along
        ([("f", 0), ("f", 0)], 1),  # the same person twice in one file
        ([("f", 0), ("s", 1)], 1),  # two files contradict each other
        ([("f", 0), ("f", 1), ("s", 1)], 1),
    ],
)
def test_a_label_that_several_runs_carry_is_one(given: list[tuple[str, int]], expected: int) -> None:
    made = Columns()
    made.add_judgement(made.judge("j", "preference"), row_of(0, "f", "f", principled=False), 0, 0)
    for letter, source in given:
        made.add_votes(votes(pair_row(0), letter), source, 0)
    found = build(made).votes
    assert (found.duplicates, found.value.tolist()) == (expected, [F])
