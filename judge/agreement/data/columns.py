"""Rows become columns: what agreement needs of a million rows, in numbers, never their texts.

One `Columns` takes every judge's run and the human labels, in any order; a record seen twice is one row. Verdicts are
codes (an index into `labels`) where a task has named verdicts, else the number itself; nan is "not there".
This module refuses to know files (sources.py) and what the numbers mean (verdicts.py and its neighbours).
"""

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from judge.errors import InputError
from judge.records import MORE, content_id

Row = Mapping[str, Any]
Order = tuple[int, ...] | frozenset[int]
"""What a person said of a ranking: its responses, best first, or which of them are right."""
LABELS: dict[str, tuple[str, ...]] = {
    "preference": ("first", "second", "tie"),
    "outcome": ("right", "wrong"),
    "score": (),
    "steps": (),
    "ranking": (),
}
KINDS = {
    "preference": ("pair",),
    "outcome": ("response", "solution"),
    "score": ("response", "solution"),
    "steps": ("solution",),
    "ranking": ("ranking",),
}
MISSING, UNREADABLE, READ = 0, 1, 2
_CODES = {task: {label: float(code) for code, label in enumerate(labels)} for task, labels in LABELS.items()}
_MARKS = ("**", "\n- ", "\n* ", "\n#", "```", "\n1. ")
_FIRST, _SECOND, _TIE = (_CODES["preference"][label] for label in LABELS["preference"])
_WHOLE = ("",)


def _ints() -> "array[int]":
    return array("q")


def _floats() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class JudgeColumns:
    """What one judge said, by row. state: missing, unreadable or read. probability: of the first verdict on offer
    (P(first), P(right)), nan when not stated. forward, swapped: codes of the verdict in each order (nan: none);
    consistent: whether both orders gave the same verdict, -1 where one of them gave none. pairs, same: pairs of
    repeated answers to one question, and those that agree. detail: what is no number."""

    name: str
    task: str
    state: "array[int]" = field(default_factory=lambda: array("b"))
    verdict: "array[float]" = field(default_factory=_floats)
    probability: "array[float]" = field(default_factory=_floats)
    forward: "array[float]" = field(default_factory=_floats)
    swapped: "array[float]" = field(default_factory=_floats)
    consistent: "array[int]" = field(default_factory=lambda: array("b"))
    pairs: "array[int]" = field(default_factory=lambda: array("i"))
    same: "array[int]" = field(default_factory=lambda: array("i"))
    detail: dict[int, Any] = field(default_factory=dict)
    duplicates: int = 0

    def grow(self, size: int) -> None:
        """Make room for so many rows; what is too much is cut off when the table is built."""
        missing = size - len(self.state)
        if missing > 0:
            self.state.extend([MISSING] * missing)
            for column in (self.verdict, self.probability, self.forward, self.swapped):
                column.extend([math.nan] * missing)
            self.consistent.extend([-1] * missing)
            self.pairs.extend([0] * missing)
            self.same.extend([0] * missing)


@dataclass(slots=True)
class Columns:
    """Records, their features, the people's votes and the judges' verdicts.

    key: a field of `meta` that joins rows instead of their id. fields: names of `meta` fields kept for slices.
    place: (source, position) of the row that holds a record's texts, to read them again for the few that are shown.
    """

    task: str = ""
    key: str = ""
    wanted: tuple[str, ...] = ()
    index: dict[str, int] = field(default_factory=dict)
    group: "array[int]" = field(default_factory=lambda: array("i"))
    criterion: list[str] = field(default_factory=list)
    source: "array[int]" = field(default_factory=lambda: array("h"))
    position: "array[int]" = field(default_factory=_ints)
    first: "array[int]" = field(default_factory=_ints)
    second: "array[int]" = field(default_factory=_ints)
    length: "array[float]" = field(default_factory=_floats)
    style: "array[float]" = field(default_factory=_floats)
    size: "array[int]" = field(default_factory=lambda: array("i"))
    authors: dict[int, tuple[str, str]] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)
    judges: list[JudgeColumns] = field(default_factory=list)
    annotators: dict[str, int] = field(default_factory=dict)
    vote_row: "array[int]" = field(default_factory=lambda: array("i"))
    vote_who: "array[int]" = field(default_factory=lambda: array("i"))
    vote: "array[float]" = field(default_factory=_floats)
    vote_source: "array[int]" = field(default_factory=lambda: array("h"))
    seconds: dict[int, float] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    _prompts: dict[Any, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.group)

    def judge(self, name: str, task: str) -> JudgeColumns:
        """The columns of a new judge; every judge of a report must do the same task."""
        if task not in LABELS:
            raise InputError(f"{name}: a {task} has no verdict that people could share (accepted: {', '.join(LABELS)})")
        if self.task and task != self.task:
            raise InputError(f"{name}: its verdicts are of the task {task}, the others' of {self.task}")
        self.task = task
        column = JudgeColumns(name, task)
        self.judges.append(column)
        return column

    def row_of(self, row: Row, source: int, position: int, criterion: str = "") -> int:
        """The index of a record (under a criterion); a record seen for the first time is entered."""
        name = str(row["id"]) if not self.key else self._joined(row)
        if criterion:
            name = f"{name}\t{criterion}"
        at = self.index.get(name)
        if at is None:
            at = self.index[name] = len(self.group)
            self._enter(row, source, position, criterion, at)
        elif self.source[at] < 0 and _has_text(row):
            self._describe(row, source, position, at)
        else:
            for field_name in self.wanted:  # a field may stand in the judge's rows or in the people's
                self.fields[field_name][at] = self.fields[field_name][at] or _field(row, field_name)
        return at

    def _as_known(self, row: Row) -> Row:
        """A pair that is known in the other order, turned into that order with its labels; else as it is."""
        if not row.get("first") or not row.get("second"):
            return row
        turned = content_id("pair", *(_plain(row[name]) for name in ("prompt", "second", "first")))
        if turned not in self.index:
            return row
        human = [{**label, "verdict": _TURNED.get(label["verdict"], label["verdict"])} for label in row["human"]]
        return {**row, "id": turned, "first": row["second"], "second": row["first"], "human": human}

    def _joined(self, row: Row) -> str:
        value = (row.get("meta") or {}).get(self.key, row.get(self.key))
        if value is None:
            raise InputError(f"no field '{self.key}' in meta to join on")
        return str(value)

    def _enter(self, row: Row, source: int, position: int, criterion: str, at: int) -> None:
        group, first, second, length, style, size = self._features(row, at)
        known = _has_text(row)
        self.criterion.append(criterion)
        self.group.append(group)
        self.source.append(source if known else -1)
        self.position.append(position if known else -1)
        self.first.append(first)
        self.second.append(second)
        self.length.append(length)
        self.style.append(style)
        self.size.append(size)
        for name in self.wanted:
            self.fields.setdefault(name, []).append(_field(row, name))

    def _describe(self, row: Row, source: int, position: int, at: int) -> None:
        """Put the features of a row with texts in place of those of one without."""
        features = self._features(row, at)
        self.group[at], self.first[at], self.second[at], self.length[at], self.style[at], self.size[at] = features
        self.source[at], self.position[at] = source, position
        for name in self.wanted:
            self.fields[name][at] = _field(row, name)

    def _features(self, row: Row, at: int) -> tuple[int, int, int, float, float, int]:
        """Prompt, what tells two responses apart, length, style, number of steps or responses; notes the authors."""
        meta, turns, kind = row.get("meta"), row["prompt"], row["kind"]
        prompt = hash(_text(turns)) if turns else _key(row, meta or {})
        group = self._prompts.setdefault(prompt, len(self._prompts))
        names = authors(meta) if meta else None
        if names:
            self.authors[at] = names
        if kind == "pair":
            one, two = _text(row["first"]), _text(row["second"])
            if one or two:
                length = math.log((len(one) + 1) / (len(two) + 1))
                return group, hash(one), hash(two), length, marks(one) - marks(two), 0
            one, two = names or ("", "")
            return group, hash(one), hash(two), math.nan, math.nan, 0
        if kind == "response":
            return group, -1, -1, math.log(len(_text(row["response"])) + 1), math.nan, 0
        return group, -1, -1, math.nan, math.nan, len(row["steps"] if kind == "solution" else row["responses"])

    def add_votes(self, row: Row, source: int, position: int) -> int:
        """The people's labels on a record that fit the task; how many there were. Of several of one annotator the first
        one will stand (table.py)."""
        added = 0
        if row["kind"] == "pair" and not self.key and row.get("human") and row["id"] not in self.index:
            row = self._as_known(row)
        for label in row.get("human") or ():
            value, criterion = self._value(label, row)
            if value is None:
                continue
            annotator = label.get("annotator", "human")
            who = self.annotators.get(annotator)
            if who is None:
                who = self.annotators.setdefault(str(annotator), len(self.annotators))
            if self.task == "ranking":
                named = frozenset if label.get("criterion") else tuple
                self.orders[len(self.vote)] = named(label["verdict"])
            if "seconds" in label:
                self.seconds[len(self.vote)] = float(label["seconds"])
            self.vote_row.append(self.row_of(row, source, position, criterion))
            self.vote_who.append(who)
            self.vote_source.append(source)
            self.vote.append(value)
            added += 1
        return added

    def _value(self, label: Row, row: Row) -> tuple[float | None, str]:
        """A label as a code or number, and its criterion; None when it speaks of something else than the task."""
        verdict, criterion = label["verdict"], str(label.get("criterion") or "")
        match self.task:
            case "preference":
                if criterion or row["kind"] != "pair":
                    return None, ""
                return _code("preference", verdict), ""
            case "outcome":
                if isinstance(verdict, str):
                    return _code("outcome", verdict), ""
                return (1.0 - float(verdict >= 0.5) if criterion == "correct" else None), ""
            case "score":
                number = isinstance(verdict, int | float) and criterion != "correct"
                return (float(verdict) if number else None), criterion
            case "steps":
                right = isinstance(verdict, int | float) and not criterion and row["kind"] == "solution"
                return (float(verdict) if right else None), ""
            case "ranking":
                return (0.0 if isinstance(verdict, list | tuple) and criterion in ("", "correct") else None), ""
        return None, ""

    def add_judgement(self, judge: JudgeColumns, row: Row, source: int, position: int) -> None:
        """A judge's verdict on a record; the first one stands when an id comes twice."""
        said = row["judgement"]
        if said["task"] != judge.task:
            raise InputError(f"its verdict is of the task {said['task']}, those before are of {judge.task}")
        for criterion in said["verdict"] if judge.task == "score" else _WHOLE:
            at = self.row_of(row, source, position, criterion)
            if at >= len(judge.state):
                judge.grow(2 * len(self.group) + 1024)
            if judge.state[at] != MISSING:
                judge.duplicates += 1
                continue
            self._judge(judge, at, said, criterion)

    def _judge(self, judge: JudgeColumns, at: int, said: Row, criterion: str) -> None:
        verdict = said["verdict"]
        match judge.task:
            case "preference":
                value = _CODES["preference"].get(verdict, math.nan)
                judge.probability[at] = _number(said.get("p_first"))
                _orders(judge, at, said)
            case "outcome":
                value = _CODES["outcome"].get(verdict, math.nan)
                judge.probability[at] = _number(said.get("p_correct"))
                _repeats(judge, at, said.get("readings") or ())
            case "score":
                value = _number(verdict[criterion])
                judge.probability[at] = _number((said.get("expected") or {}).get(criterion))
            case "steps":
                value = _number(said.get("first_wrong"))
                judge.detail[at] = (tuple(verdict), tuple(said.get("p_right") or ()))
            case _:
                value = math.nan if verdict is None else 0.0
                judge.detail[at] = tuple(verdict or ()), tuple(said.get("strengths") or ())
        judge.verdict[at] = value
        judge.state[at] = UNREADABLE if math.isnan(value) else READ


_TURNED = {"first": "second", "second": "first"}


def _plain(turns: list[Row]) -> list[list[Any]]:
    """Messages of a row as ids are made from them."""
    plain: list[list[Any]] = []
    for turn in turns:
        more = {name: turn[name] for name in MORE if turn.get(name)}
        plain.append([turn["role"], turn["content"], more] if more else [turn["role"], turn["content"]])
    return plain


def _code(task: str, verdict: Any) -> float:
    code = _CODES[task].get(verdict)
    if code is None:
        raise InputError(f"field 'human.verdict': found {verdict!r} (accepted: {', '.join(LABELS[task])})")
    return code


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _has_text(row: Row) -> bool:
    return bool(row["prompt"]) or bool(row.get("first"))


def _text(conversation: list[Row]) -> str:
    return conversation[0]["content"] if len(conversation) == 1 else "\n".join(turn["content"] for turn in conversation)


def _key(row: Row, meta: Row) -> Any:
    """What stands for the prompt of a record without texts: its source and question."""
    key = meta.get("key")
    return tuple(map(str, key[:2])) if isinstance(key, list | tuple) and len(key) > 1 else row["id"]


def marks(text: str) -> int:
    """How much a text is set in markdown: bold, lists, headings and code fences, counted."""
    if "\n" not in text and "**" not in text:
        return 0
    return sum(text.count(mark) for mark in _MARKS)


def authors(meta: Row) -> tuple[str, str] | None:
    """Who wrote the first and the second response, where the data says so."""
    key = meta.get("key")
    if isinstance(key, list | tuple) and len(key) >= 5 and key[0] == "mt-bench":
        return str(key[-2]), str(key[-1])
    for one, two in (("first_model", "second_model"), ("chosen_model", "rejected_model"), ("model_a", "model_b")):
        if meta.get(one) and meta.get(two):
            return str(meta[one]), str(meta[two])
    return None


def _field(row: Row, name: str) -> str:
    value = (row.get("meta") or {}).get(name, row.get(name, ""))
    return value if isinstance(value, str) else str(value)


def _orders(judge: JudgeColumns, at: int, said: Row) -> None:
    """The verdict in each order, and whether they are the same: as the judgement says, which knows the weights of its
    principles, else by these two."""
    readings = said.get("readings") or ()
    forward, swapped = list[float](), list[float]()
    principled, codes = False, _CODES["preference"]
    for reading in readings:
        code = codes.get(reading["verdict"])
        if code is not None:
            (forward if reading["asked"] == "forward" else swapped).append(code)
            principled = principled or "principle" in reading
    if forward:
        judge.forward[at] = _leading(forward, principled)
    if swapped:
        judge.swapped[at] = _leading(swapped, principled)
    consistent = said.get("consistent")
    if consistent is not None:
        judge.consistent[at] = consistent
    elif forward and swapped:
        judge.consistent[at] = judge.forward[at] == judge.swapped[at]
    if len(readings) > 2:
        _repeats(judge, at, readings)


def _leading(codes: list[float], principled: bool) -> float:
    """The verdict that most readings gave, a tie where two lead. Under a constitution a tie is the abstention of one
    principle: it counts only where none decides."""
    if len(codes) == 1:
        return codes[0]
    first, second = codes.count(_FIRST), codes.count(_SECOND)
    tie = len(codes) - first - second
    if first == second or (tie >= max(first, second) and not principled):
        return _TIE
    return _FIRST if first > second else _SECOND


def _repeats(judge: JudgeColumns, at: int, readings: Iterable[Row]) -> None:
    """How often two answers of one juror to the same question agree."""
    by_question: dict[Any, dict[str, int]] = {}
    for reading in readings:
        if reading["verdict"] is not None:
            own = by_question.setdefault((reading["asked"], reading.get("judge", 0), reading.get("principle", "")), {})
            own[reading["verdict"]] = own.get(reading["verdict"], 0) + 1
    for own in by_question.values():
        total = sum(own.values())
        judge.pairs[at] += total * (total - 1) // 2
        judge.same[at] += sum(count * (count - 1) // 2 for count in own.values())
