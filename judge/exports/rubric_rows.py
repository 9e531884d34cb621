"""Responses with their rubrics as rows: HealthBench's, those of rubrics as rewards, and our own.

What was judged stands where the readers of these data look for nothing: in the criteria, and under `rmjudge`.
"""

from typing import Any

from judge.exports.examples import Graded
from judge.formats import judgement_to_row, openai_messages, to_row, tools_of
from judge.formats.rubric import OWN
from judge.records import Conversation, Response, RubricItem
from judge.tasks.checklist import WHOLE

Row = dict[str, Any]
_BESIDE = ("prompt", "question", "response", "completion", "rubric", "rubrics", "reference", "tools", OWN)
"""Fields that are a row's own; what the data's meta calls so is left aside."""


def healthbench(example: Graded, swap: bool) -> Row:
    """HealthBench: each criterion with `criteria_met` (null where the judge abstains) and the probability of it.

    A criterion that physicians voted on is a row of its evaluation of graders, with their votes.
    """
    record = example.record
    row: Row = {"prompt": openai_messages(record.prompt), **_meta(record)}
    if tools := tools_of(record.prompt):
        row["tools"] = tools
    row["completion"] = _written(record.response)
    if record.reference and "ideal_completions_data" not in row:
        row["ideal_completions_data"] = {"ideal_completion": record.reference}
    if record.human and len(record.rubric) == 1:
        row |= {
            "rubric": record.rubric[0].text,
            "binary_labels": [bool(label.verdict) for label in record.human],
            "anonymized_physician_ids": [label.annotator for label in record.human],
        }
    else:
        row["rubrics"] = [
            {"criterion": item.text, "points": item.points, "tags": list(item.tags)}
            | ({"name": item.name} if item.name else {})
            | _met(example, item)
            for item in record.rubric
        ]
    return row | _score(example)


def rubrics_as_rewards(example: Graded, swap: bool) -> Row:
    """Rubrics as rewards: question, reference_answer, rubric of {title, description, weight}, and the response."""
    record = example.record
    row: Row = {"question": _written(record.prompt), **_meta(record)}
    if tools := tools_of(record.prompt):
        row["tools"] = tools
    row |= {"reference_answer": record.reference} if record.reference else {}
    row["rubric"] = [
        ({"title": item.name} if item.name else {})
        | {"description": item.text, "weight": item.points}
        | ({"tags": list(item.tags)} if item.tags else {})
        | _met(example, item)
        for item in record.rubric
    ]
    return row | {"response": _written(record.response), **_score(example)}


def own_rubric(example: Graded, swap: bool) -> Row:
    """Our own response with its rubric and its judgement."""
    return to_row(example.record) | {"judgement": judgement_to_row(example.judgement)}


def _met(example: Graded, item: RubricItem) -> Row:
    """What was judged of a criterion."""
    verdict, expected = example.judgement.verdict.get(item.label), example.judgement.expected.get(item.label)
    gate = {"gate": True} if item.gate else {}
    return gate | {"criteria_met": None if verdict is None else bool(verdict), "p_met": expected}


def _score(example: Graded) -> Row:
    """The score of all criteria, that of the expected points, and what the judge abstained on."""
    judgement = example.judgement
    score = {"score": judgement.verdict.get(WHOLE), "expected": judgement.expected.get(WHOLE)}
    return {OWN: score | {"abstained": list(judgement.abstained)}}


def _meta(record: Response) -> Row:
    return {name: value for name, value in record.meta.items() if name not in _BESIDE}


def _written(turns: Conversation) -> str | list[dict[str, Any]]:
    """One turn that says nothing but its text as that text, others as messages."""
    if len(turns) == 1 and not turns[0].more and not turns[0].extra:
        return turns[0].content
    return openai_messages(turns)
