"""GSM8K: grade-school questions with a worked answer, and its authors' file of four models' solutions."""

import re

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import label, rest, said, text, truth
from judge.records import Response, Solution

_NOTE = re.compile(r"<<[^<>]*>>")
_FINAL = re.compile(r"\n(?:####|A:)\s*(.+?)\s*$")


def question(row: Row) -> list[Solution]:
    """The worked answer as a solution whose every step is right; a line is a step, the number after #### the reference.

    The calculator notes (<<16-3-4=9>>) are taken out: they were written for a tool, not for a reader.
    """
    worked, reference = _final(text(row, "answer"), "answer")
    steps = tuple(line.strip() for line in worked.splitlines() if line.strip())
    prompt = said("user", text(row, "question"))
    meta = rest(row, ("question", "answer"))
    return [Solution(prompt=prompt, steps=steps, reference=reference, human=label("gsm8k", -1), meta=meta)]


def examples(row: Row) -> list[Response]:
    """One response a model; `is_correct` is its label (criterion "correct", 1 or 0)."""
    prompt = said("user", text(row, "question"))
    _, reference = _final(text(row, "ground_truth"), "ground_truth")
    records = []
    for model, answer in row.items():
        if not isinstance(answer, dict) or "solution" not in answer:
            continue
        records.append(
            Response(
                prompt=prompt,
                response=said("assistant", _NOTE.sub("", text(answer, "solution", empty=True))),
                reference=reference,
                human=label("gsm8k", float(truth(answer, "is_correct")), "correct"),
                meta={"model": model},
            )
        )
    if not records:
        raise InputError("no field holds {solution, is_correct}")
    return records


def _final(worked: str, name: str) -> tuple[str, str]:
    match = _FINAL.search(worked)
    if not match:
        raise InputError(f"field '{name}': found no final answer (accepted: a last line '#### 18' or 'A: 18')")
    return _NOTE.sub("", worked[: match.start()]), match[1]


FORMATS = (
    Format(
        name="gsm8k",
        about="GSM8K: question, answer (worked, ending in '#### number')",
        fields=("question", "answer"),
        read=question,
        fits=lambda row: "####" in str(row["answer"]),
    ),
    Format(
        name="gsm8k-examples",
        about="GSM8K example solutions: question, ground_truth, one {solution, is_correct} a model",
        fields=("question", "ground_truth"),
        read=examples,
        fits=lambda row: any(isinstance(value, dict) and "is_correct" in value for value in row.values()),
    ),
)
