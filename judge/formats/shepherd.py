"""Step marks inside the text: Math-Shepherd, and OpenRLHF's older process-reward rows of the same cut.

`input` holds the question and the steps, each closed by the tag `ки`. Math-Shepherd's `label` repeats the text with
+ or - in the tag's place; OpenRLHF's is a list with one "+", "-" or number a step.
"""

import re
from typing import Any

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import need, rest, said, text, values, wrong
from judge.formats.trl import first_false
from judge.records import Solution

TAG = "ки"
_FIRST_STEP = re.compile(r"\s*(?=Step\s+1\s*:)")


def shepherd(row: Row) -> list[Solution]:
    """One solution; the first step marked "-" is the first wrong one."""
    source, marked = text(row, "input"), text(row, "label")
    pieces = source.split(TAG)
    marks: list[bool] = []
    position = 0
    for piece in pieces[:-1]:
        position += len(piece)
        if marked[position - len(piece) : position] != piece or marked[position : position + 1] not in ("+", "-"):
            raise InputError(f"field 'label': after {len(marks)} steps it is not 'input' with + or - for each '{TAG}'")
        marks.append(marked[position] == "+")
        position += 1
    return [_solution(row, pieces, marks)]


def listed(row: Row) -> list[Solution]:
    """One solution with a list of labels, one a tag."""
    pieces = text(row, "input").split(TAG)
    signs = {"+": True, "-": False}
    marks = [signs.get(value, value) if isinstance(value, str) else value for value in values(row, "label")]
    return [_solution(row, pieces, marks)]


def _solution(row: Row, pieces: list[str], marks: list[Any]) -> Solution:
    if len(pieces) < 2:
        raise InputError(f"field 'input': found no step that ends in '{TAG}'")
    if len(marks) != len(pieces) - 1:
        raise wrong("label", need(row, "label"), f"one label a step, {len(pieces) - 1}")
    opening = _FIRST_STEP.search(pieces[0])
    cut = opening.end() if opening else pieces[0].find("\n") + 1
    prompt = pieces[0][:cut].strip()
    if not prompt:
        raise InputError(
            "field 'input': cannot tell the question from the first step (accepted: 'Step 1:' or a new line)"
        )
    steps = tuple(piece.strip() for piece in (pieces[0][cut:], *pieces[1:-1]))
    if not all(steps):
        raise InputError(f"field 'input': step {steps.index('') + 1} is empty")
    human = first_false(marks, annotator="math-shepherd" if "task" in row else "labels")
    meta = rest(row, ("input", "label")) | ({} if human else {"labels": marks})
    return Solution(prompt=said("user", prompt), steps=steps, human=human, meta=meta)


FORMATS = (
    Format(
        name="math-shepherd",
        about="Math-Shepherd: input (steps end in ки), label (the same text with + or -), task",
        fields=("input", "label"),
        read=shepherd,
        fits=lambda row: TAG in str(row["input"]) and isinstance(row["label"], str),
    ),
    Format(
        name="openrlhf-prm",
        about="OpenRLHF process reward: input (steps end in ки), label (list of +, - or numbers)",
        fields=("input", "label"),
        read=listed,
        fits=lambda row: TAG in str(row["input"]) and isinstance(row["label"], list),
    ),
)
