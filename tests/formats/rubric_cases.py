"""Rows of the families that are made of rubrics, and the records that a reader of them expects."""

from typing import Any

from judge.records import HumanLabel, Message, Pair, Record, Response, RubricItem

USER, SAID = (Message("user", "p"),), (Message("assistant", "b"),)


def label(annotator: str, verdict: float, criterion: str) -> HumanLabel:
    return HumanLabel(annotator=annotator, verdict=verdict, criterion=criterion)


RUBRIC_CASES: list[tuple[str, dict[str, Any], list[Record]]] = [
    (
        "healthbench",
        {
            "prompt": [{"role": "user", "content": "p"}],
            "prompt_id": "x",
            "rubrics": [
                {"criterion": "says a", "points": 5, "tags": ["level:example"]},
                {"criterion": "lies", "points": -8, "tags": []},
            ],
            "ideal_completions_data": {"ideal_completion": "a", "ideal_completions_group": None},
            "completion": "b",
        },
        [
            Response(
                prompt=USER,
                response=SAID,
                reference="a",
                rubric=(
                    RubricItem(text="says a", points=5.0, tags=("level:example",)),
                    RubricItem(text="lies", points=-8.0),
                ),
                meta={
                    "prompt_id": "x",
                    "ideal_completions_data": {"ideal_completion": "a", "ideal_completions_group": None},
                },
            )
        ],
    ),
    (
        "healthbench-meta",
        {
            "prompt": [{"role": "user", "content": "p"}],
            "completion": "b",
            "rubric": "says a",
            "binary_labels": [True, False],
            "anonymized_physician_ids": ["d1", "d2"],
            "category": "hedging",
        },
        [
            Response(
                prompt=USER,
                response=SAID,
                rubric=(RubricItem(text="says a"),),
                human=(label("d1", 1.0, "says a"), label("d2", 0.0, "says a")),
                meta={"category": "hedging"},
            )
        ],
    ),
    (
        "rubrics-as-rewards",
        {
            "question": "p",
            "reference_answer": "a",
            "rubric": [{"title": "Says a", "description": "Essential: says a", "weight": 5}],
        },
        [
            Response(
                prompt=USER,
                response=(),
                reference="a",
                rubric=(RubricItem(text="Essential: says a", points=5.0, name="Says a"),),
            )
        ],
    ),
    (
        "trl-preference",
        {"prompt": "p", "chosen": "a", "rejected": "b", "rubric": ["says a"]},
        [
            Pair(
                prompt=USER,
                first=(Message("assistant", "a"),),
                second=SAID,
                rubric=(RubricItem(text="says a"),),
                human=(HumanLabel(annotator="chosen", verdict="first"),),
            )
        ],
    ),
]
