"""PRM800K's file of test samples: many solutions to a problem, each with whether its answer is right."""

import pytest

from judge.errors import InputError
from judge.formats import choose, records_of
from judge.records import HumanLabel, Message, Solution

ROW = {
    "problem": "p",
    "steps": ["s", "t"],
    "answer": "8",
    "ground_truth_answer": "7",
    "is_correct": False,
    "prm_score": 0.25,
    "orm_score": None,
}


def test_a_sample() -> None:
    family = choose(ROW, "f:1")
    assert family.name == "prm800k-samples"
    assert records_of(family, ROW, "f:1") == [
        Solution(
            prompt=(Message("user", "p"),),
            steps=("s", "t"),
            reference="7",
            human=(HumanLabel(annotator="prm800k", verdict=0.0, criterion="correct"),),
            meta={"answer": "8", "prm_score": 0.25},
        )
    ]


@pytest.mark.parametrize(("given", "answer"), [({"given_answer": "9"}, "9"), ({"answer": None}, None), ({}, None)])
def test_a_sample_without_an_answer_has_none(given: dict[str, str | None], answer: str | None) -> None:
    """The answer goes by one of two names, and a solution that came to no end has none."""
    row = {name: value for name, value in ROW.items() if name != "answer"} | given
    (record,) = records_of(choose(row, "f:1"), row, "f:1")
    assert record.meta.get("answer") == answer


def test_a_score_that_is_no_number_is_named() -> None:
    row = ROW | {"prm_score": "high"}
    with pytest.raises(InputError, match="f:1: field 'prm_score': found \"high\" \\(accepted: a number\\)"):
        records_of(choose(row, "f:1"), row, "f:1")
