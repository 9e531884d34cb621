"""PandaLM: its test set (three annotators a pair) and the prediction files that join it on `idx`."""

import re

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import integer, label, need, one_of, rest, said, wrong
from judge.records import HumanLabel, Pair

VERDICTS = {"0": "tie", "1": "first", "2": "second"}
_ANNOTATOR = re.compile(r"annotator\d+$")
_RESULT = re.compile(r"(.+)_result$")


def pair(row: Row) -> list[Pair]:
    """One pair with a label an annotator. 54 responses of the published file are empty and six are the JSON value
    true (the answer "True"): people judged them, so they stay."""
    prompt = "\n\n".join(part for part in (_scalar(row, "instruction"), _scalar(row, "input")) if part.strip())
    if not prompt:
        raise InputError("fields 'instruction', 'input': both empty (accepted: a text in one of them)")
    annotators = sorted(name for name in row if _ANNOTATOR.match(name))
    human = tuple(HumanLabel(annotator=name, verdict=one_of(row, name, VERDICTS)) for name in annotators)
    first, second = (said("assistant", _scalar(row, name)) for name in ("response1", "response2"))
    meta = rest(row, ("instruction", "input", "response1", "response2", *annotators))
    return [Pair(prompt=said("user", prompt), first=first, second=second, human=human, meta=meta)]


def _scalar(row: Row, name: str) -> str:
    value = need(row, name)
    if isinstance(value, list | dict) or value is None:
        raise wrong(name, value, "a text")
    return str(value)


def prediction(row: Row) -> list[Pair]:
    """A judge's verdict without the texts. "Tie" is a tie; what is no verdict ("garbage") leaves no label and stays in
    `meta`."""
    results = [(match[1], row[key]) for key in row if (match := _RESULT.match(key))]
    if len(results) != 1:
        raise InputError(f"found {len(results)} fields named NAME_result (accepted: one)")
    ((judge, value),) = results
    verdict = (VERDICTS | {"Tie": "tie"}).get(str(value).strip())
    human = label(judge, verdict) if verdict else ()
    key = {"key": ["pandalm", integer(row, "idx")]}
    meta = rest(row, ()) | key
    return [Pair(prompt=(), first=(), second=(), human=human, meta=meta)]


FORMATS = (
    Format(
        name="pandalm",
        about="PandaLM test set: idx, instruction, input, response1, response2, annotator1…3 (0 tie, 1, 2)",
        fields=("instruction", "input", "response1", "response2"),
        read=pair,
    ),
    Format(
        name="pandalm-predictions",
        about="PandaLM predictions: idx, NAME_result (no texts; join on idx)",
        fields=("idx",),
        read=prediction,
        fits=lambda row: sum(bool(_RESULT.match(key)) for key in row) == 1,
    ),
)
