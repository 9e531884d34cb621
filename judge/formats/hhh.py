"""HHH alignment in Prometheus' layout: the texts stand inside two grading prompts that differ in the response."""

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import label, rest, said, text
from judge.records import Pair

_MARKS = ("###The instruction to evaluate:\n", "\n\n###Response to evaluate:\n", "\n\n###Score Rubrics:\n")


def pair(row: Row) -> list[Pair]:
    """One pair, taken out of its grading prompts; the rubric goes to `meta["rubric"]`."""
    instruction, chosen, rubric = _cut(row, "chosen_instruction")
    other_instruction, rejected, _ = _cut(row, "rejected_instruction")
    if instruction != other_instruction:
        raise InputError("fields 'chosen_instruction', 'rejected_instruction': they grade different instructions")
    meta = rest(row, ("chosen_instruction", "rejected_instruction")) | {"rubric": rubric}
    first, second = said("assistant", chosen), said("assistant", rejected)
    return [Pair(prompt=said("user", instruction), first=first, second=second, human=label("hhh", "first"), meta=meta)]


def _cut(row: Row, name: str) -> tuple[str, str, str]:
    left = text(row, name)
    parts = []
    for mark in _MARKS:
        part, separator, left = left.partition(mark)
        if not separator:
            raise InputError(f"field '{name}': found no '{mark.strip()}'")
        parts.append(part.strip())
    if not parts[1]:
        raise InputError(f"field '{name}': the instruction in it is empty")
    return parts[1], parts[2], left.partition("\n\n###Feedback:")[0].strip()


FORMATS = (
    Format(
        name="hhh",
        about="HHH alignment (Prometheus' layout): source, chosen_instruction, rejected_instruction",
        fields=("chosen_instruction", "rejected_instruction"),
        read=pair,
    ),
)
