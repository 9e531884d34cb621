"""Mr-Ben: solutions of three models to exam questions; people marked what is right and the first wrong step."""

import re
from typing import Any

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import label, need, one_of, rest, said, text, texts
from judge.records import HumanLabel, Solution

_NUMBER = re.compile(r"\s*Step\s+(\d+)")
_USED = (
    "Question",
    "Options",
    "Ground_Truth_Answer",
    "Ground_Truth_Answer_Modified",
    "Model_Solution_Steps",
    "Model_Solution_Correctness",
    "Model_Solution_First_Error_Step",
)


def solution(row: Row) -> list[Solution]:
    """One solution. Lines without a number of their own belong to the step above: the annotators' "first error step"
    is the number that stands in the text ("Step 4"), not a place in the list (in 138 of the 769 wrong ones of the
    maths file the two differ, and the corrected step they wrote begins with the former).

    A coding solution is one text, whose lines are the steps; its first error step is quoted, and is no label where the
    quotation is not among the lines.
    """
    need(row, "Model_Solution_Steps")
    code = isinstance(row["Model_Solution_Steps"], str) and not row["Model_Solution_Steps"].lstrip().startswith("[")
    lines = tuple(row["Model_Solution_Steps"].splitlines()) if code else texts(row, "Model_Solution_Steps", empty=True)
    steps, numbers = (_lines(lines), []) if code else _steps(lines)
    right = one_of(row, "Model_Solution_Correctness", {"correct": True, "incorrect": False})
    wrong_step = str(row.get("Model_Solution_First_Error_Step", "N/A")).strip()
    human = label("mr-ben", float(right), "correct")
    if wrong_step == "N/A" or (code and right):
        human = (label("mr-ben", -1) if right else ()) + human
    elif code:
        human = _quoted(wrong_step, steps) + human
    else:
        human = label("mr-ben", _index(wrong_step, numbers)) + human
    options = row.get("Options")
    prompt = text(row, "Question") + (f"\n\n{options}" if options else "")
    answer: Any = row.get("Ground_Truth_Answer_Modified") or row.get("Ground_Truth_Answer") or ""
    meta = rest(row, _USED)
    return [Solution(prompt=said("user", prompt), steps=steps, reference=str(answer), human=human, meta=meta)]


def _lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    lines = tuple(line for line in lines if line.strip())
    if not lines:
        raise InputError("field 'Model_Solution_Steps': found nothing but empty texts")
    return lines


def _quoted(wrong_step: str, steps: tuple[str, ...]) -> tuple[HumanLabel, ...]:
    first = wrong_step.partition("\n")[0].strip()
    places = [index for index, step in enumerate(steps) if step.strip() == first]
    return label("mr-ben", places[0]) if first and places else ()


def _steps(lines: tuple[str, ...]) -> tuple[tuple[str, ...], list[int]]:
    """The numbered steps with the lines that follow them, and their numbers; every line a step when none has one."""
    lines = tuple(line for line in lines if line.strip())
    if not lines:
        raise InputError("field 'Model_Solution_Steps': found nothing but empty texts")
    marks = [_NUMBER.match(line) for line in lines]
    if not any(marks):
        return lines, list(range(1, len(lines) + 1))
    steps: list[str] = []
    numbers: list[int] = []
    for line, mark in zip(lines, marks, strict=True):
        if mark or not steps:
            steps.append(line)
            numbers.append(int(mark[1]) if mark else 0)
        else:
            steps[-1] += f"\n{line}"
    return tuple(steps), numbers


def _index(wrong_step: str, numbers: list[int]) -> int:
    if not wrong_step.isdigit() or int(wrong_step) not in numbers:
        accepted = ", ".join(str(number) for number in numbers)
        raise InputError(f"field 'Model_Solution_First_Error_Step': found '{wrong_step}' (accepted: N/A, {accepted})")
    return numbers.index(int(wrong_step))


FORMATS = (
    Format(
        name="mr-ben",
        about="Mr-Ben: Question, Options, Model_Solution_Steps, Model_Solution_Correctness, …_First_Error_Step",
        fields=("Question", "Model_Solution_Steps", "Model_Solution_Correctness"),
        read=solution,
    ),
)
