"""rmjudge's own rows: every record and every judgement, there and back without loss.

    {"id", "kind": "pair",     "prompt": […], "first": […], "second": […],         "human": […], "meta": {…}}
    {"id", "kind": "response", "prompt": […], "response": […], "reference": "…",   "human": […], "meta": {…}}
    {"id", "kind": "solution", "prompt": […], "steps": ["…"], "reference": "…",    "human": […], "meta": {…}}
    {"id", "kind": "solution", "prompt": […], "turns": […],   "steps": ["…"], …}   an agent's trajectory
    {"id", "kind": "ranking",  "prompt": […], "responses": [[…], …],               "human": […], "meta": {…}}

Pairs and rankings may have a `reference` too, and every kind a `rubric`: {criterion, points, name, gate, tags} each.

A row written by hand may give texts where message lists stand, leave out `kind`, `id`, `human` and `meta`, and have
fields of its own (they go to `meta`). The rows of a run are these with one field more, `judgement`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import (
    assistant,
    cell,
    conversation,
    finite,
    items,
    need,
    offered,
    rest,
    text,
    texts,
    values,
    wrong,
)
from judge.formats.rubric import rubric_of, rubric_rows
from judge.records import Conversation, HumanLabel, Pair, Ranking, Record, Response, Solution

_BODY = {
    "pair": ("first", "second"),
    "response": ("response",),
    "solution": ("steps",),
    "ranking": ("responses",),
}
_COMMON = ("id", "kind", "prompt", "reference", "rubric", "human", "meta", "judgement")
_OF_RUNS = ("shortened",)
"""What a run's rows have beside the record and its judgement (see runs/labelling.py)."""


def to_row(record: Record) -> dict[str, Any]:
    """The row of a record: plain JSON values, `id` first."""
    row: dict[str, Any] = {"id": record.id, "kind": record.kind, "prompt": _messages(record.prompt)}
    match record:
        case Pair():
            row |= {"first": _messages(record.first), "second": _messages(record.second)}
            row |= {"reference": record.reference} if record.reference else {}
        case Response():
            row |= {"response": _messages(record.response), "reference": record.reference}
        case Solution():
            row |= {"turns": _messages(record.turns)} if record.turns else {}
            row |= {"steps": list(record.steps), "reference": record.reference}
        case Ranking():
            row["responses"] = [_messages(response) for response in record.responses]
            row |= {"reference": record.reference} if record.reference else {}
    if record.rubric:
        row["rubric"] = rubric_rows(record.rubric)
    row["human"] = [_label_row(label) for label in record.human]
    row["meta"] = dict(record.meta)
    return row


def _messages(conversation: Conversation) -> list[dict[str, Any]]:
    """Messages with their content as text always; what the data wrote in its place stands in `extra`."""
    return [
        {"role": message.role, "content": message.content}
        | message.more
        | ({"extra": dict(message.extra)} if message.extra else {})
        for message in conversation
    ]


def _label_row(label: HumanLabel) -> dict[str, Any]:
    verdict = list(label.verdict) if isinstance(label.verdict, tuple) else label.verdict
    row = {"annotator": label.annotator, "verdict": verdict}
    return row | {"criterion": label.criterion} if label.criterion else row


def from_row(row: Row) -> Record:
    """The record of a row; raises InputError without a place.

    A response may be empty. An empty prompt is an error in a row written by hand, and is let through in one whose id
    says that rmjudge wrote it. An id that is not ours goes to `meta["source_id"]`.
    """
    kind = _kind(row)
    if "id" not in row:
        return _record(row, kind, empty=False)
    record = _record(row, kind, empty=True)
    if record.id == row["id"]:
        return record
    return _record(row, kind, empty=False, source_id=row["id"])


def from_table(row: Row, labels: Iterable[str]) -> Record:
    """The record of a row whose people's labels stand in columns, one an annotator, named as the column is."""
    kind, names = _kind(row), list(labels)
    human = [label for name in names for label in cell(name, need(row, name), kind)]
    return from_row({name: value for name, value in row.items() if name not in names} | {"human": human})


def _kind(row: Row) -> str:
    if "kind" in row:
        if not isinstance(row["kind"], str) or row["kind"] not in _BODY:
            raise wrong("kind", row["kind"], ", ".join(_BODY))
        return str(row["kind"])
    for kind, names in _BODY.items():
        if all(name in row for name in names):
            return kind
    raise InputError(f"no field tells what is judged (accepted: {', '.join('+'.join(n) for n in _BODY.values())})")


def _record(row: Row, kind: str, *, empty: bool, source_id: Any = None) -> Record:
    meta = row.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise wrong("meta", meta, "an object")
    known = (*_COMMON, *_BODY[kind], *(_OF_RUNS if "judgement" in row else ()))
    meta = {**meta, **rest(row, (*known, "turns") if kind == "solution" else known)}
    if source_id is not None:
        meta["source_id"] = source_id
    prompt = conversation(need(row, "prompt"), "user", "prompt", empty=empty)
    if "tools" in row:  # written by hand; in a row of rmjudge's they stand on the prompt
        prompt = offered(prompt, row)
        meta.pop("tools", None)
    reference = _reference(row)
    rubric = rubric_of(row)
    if not rubric and row.get("rubric") is not None:
        meta["rubric"] = row["rubric"]  # a text, which is no list of criteria
    beside: dict[str, Any] = {"reference": reference, "rubric": rubric, "meta": meta}
    if kind == "pair":
        first, second = assistant(row, "first", empty=empty), assistant(row, "second", empty=empty)
        return Pair(prompt=prompt, first=first, second=second, human=_human(row, _pair_verdict), **beside)
    if kind == "ranking":
        responses = tuple(
            conversation(value, "assistant", f"responses[{index}]", empty=empty)
            for index, value in enumerate(values(row, "responses"))
        )
        if len(responses) < 2:
            raise InputError(f"field 'responses': found {len(responses)} (accepted: two or more)")
        human = _human(row, lambda label: _order(label, len(responses)))
        return Ranking(prompt=prompt, responses=responses, human=human, **beside)
    if kind == "response":
        response, human = assistant(row, "response", empty=empty), _human(row, _of_response)
        return Response(prompt=prompt, response=response, human=human, **beside)
    if row.get("turns"):
        turns = conversation(row["turns"], "assistant", "turns", empty=empty)
        solution = Solution(prompt=prompt, turns=turns, **beside)
        return replace(solution, human=_human(row, lambda label: _step(label, len(solution.steps))))
    steps = texts(row, "steps", empty=empty)
    human = _human(row, lambda label: _step(label, len(steps)))
    return Solution(prompt=prompt, steps=steps, human=human, **beside)


def _reference(row: Row) -> str:
    """The reference, or several as numbered blocks."""
    if row.get("reference") is None:
        return ""
    if isinstance(row["reference"], str):
        return text(row, "reference", empty=True)
    several = texts(row, "reference")
    numbered = (f"Reference {number}:\n{answer}" for number, answer in enumerate(several, start=1))
    return several[0] if len(several) == 1 else "\n\n".join(numbered)


def _human(row: Row, verdict: Callable[[Row], Any]) -> tuple[HumanLabel, ...]:
    if not row.get("human"):
        return ()
    labels = items(row, "human", "a list of {annotator, verdict}")
    return tuple(
        HumanLabel(
            annotator=str(label.get("annotator", "human")),
            verdict=verdict(label),
            criterion=str(label.get("criterion") or ""),
        )
        for label in labels
    )


def _pair_verdict(label: Row) -> str:
    value = need(label, "verdict")
    if value not in ("first", "second", "tie"):
        raise wrong("human.verdict", value, "first, second, tie")
    return str(value)


def _score(label: Row) -> float:
    value: float = need(label, "verdict")
    if isinstance(value, bool) or not finite(value):
        raise wrong("human.verdict", value, "a number")
    return value


def _of_response(label: Row) -> str | float:
    """A score, or the name of a category."""
    value = need(label, "verdict")
    return value if isinstance(value, str) and value.strip() else _score(label)


def _step(label: Row, count: int) -> float:
    value = _score(label)
    if not label.get("criterion") and (value != int(value) or not -1 <= value < count):
        raise wrong("human.verdict", value, f"the first wrong step, -1 for none, to {count - 1}")
    return value


def _order(label: Row, count: int) -> tuple[int, ...]:
    order = values(label, "verdict", "a list of indices, best first")
    if len(set(map(str, order))) != len(order) or not all(type(i) is int and 0 <= i < count for i in order):
        raise wrong("human.verdict", order, f"different indices from 0 to {count - 1}, best first")
    return tuple(order)


def _fits(row: Row) -> bool:
    if isinstance(row.get("kind"), str):
        return row["kind"] in _BODY
    return any(all(name in row for name in names) for names in _BODY.values())


NAME = "rmjudge"
FORMATS = (
    Format(
        name=NAME,
        about="our own rows, also those of a run: prompt with first+second, response, steps or responses; human labels",
        fields=("prompt",),
        read=lambda row: [from_row(row)],
        fits=_fits,
    ),
)
