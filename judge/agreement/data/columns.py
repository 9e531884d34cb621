"""Rows become columns: what agreement needs of a million rows, in numbers, never their texts.

One `Columns` takes every judge's run and the human labels, in any order; a record seen twice is one row. Verdicts are
codes (an index into the labels of the task's shape) where verdicts have names, else the number itself; nan is
"not there".
"""

import json
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from judge.errors import InputError
from judge.judgements import Shape, chance, shape_of, shapes
from judge.records import MORE, content_id, plain_rows

Row = Mapping[str, Any]
Order = tuple[int, ...] | frozenset[int]
"""A person's verdict on a ranking: its responses, best first, or which of them are right."""
MISSING, UNREADABLE, READ = 0, 1, 2
_MARKS = ("**", "\n- ", "\n* ", "\n#", "```", "\n1. ")
_FIRST, _SECOND, _TIE = 0.0, 1.0, 2.0  # the codes of a pair's labels
_WHOLE = ("",)
_NO_SHAPE = Shape(judgement=object, form="text", records=())


def _ints() -> "array[int]":
    return array("q")


def _floats() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class JudgeColumns:
    """The verdicts of one judge, by row. state: missing, unreadable or read. probability: of the first verdict on offer
    (P(first), P(right)), nan when not stated. forward, swapped: codes of the verdict in each order (nan: none);
    consistent: whether both orders gave the same verdict, -1 where one of them gave none. pairs, same: pairs of
    repeated answers to one question, and those that agree. detail: what is no number. turned: of pairs that other runs
    hold in the other order, the id in this run by the id in theirs."""

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
    turned: dict[str, str] = field(default_factory=dict)
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
    misfits: what the people's labels that do not fit the task are, counted.
    """

    task: str = ""
    shape: Shape = _NO_SHAPE
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
    misfits: Counter[str] = field(default_factory=Counter)
    _prompts: dict[Any, int] = field(default_factory=dict)
    _codes: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.group)

    def judge(self, name: str, task: str) -> JudgeColumns:
        """The columns of a new judge; every judge of a report must do the same task."""
        shape = shape_of(task)
        if shape.form == "text":
            accepted = ", ".join(other for other, known in shapes().items() if known.form != "text")
            raise InputError(f"{name}: a {task} has no verdict that people could share (accepted: {accepted})")
        if self.task and task != self.task:
            raise InputError(f"{name}: its verdicts are of the task {task}, the others' of {self.task}")
        if not self.judges:
            self.task, self.shape = task, shape
            self._codes = {label: float(code) for code, label in enumerate(shape.labels)}
        column = JudgeColumns(name, task)
        self.judges.append(column)
        return column

    def people_alone(self, row: Row) -> None:
        """Take the task from a row with labels, where no judge says what it is; a category may have any name."""
        label = row["human"][0]
        if row["kind"] == "response" and isinstance(label["verdict"], str):
            self.task = "categories"
            self.shape = Shape(judgement=object, form="label", records=("response",), nominal=True)
            return
        of_answer = "outcome" if label.get("criterion") == "correct" else ""
        self.task = {
            "pair": "preference",
            "ranking": "ranking",
            "response": of_answer or "score",
            "solution": of_answer or "steps",
        }[row["kind"]]
        self.shape = shape_of(self.task)
        self._codes = {name: float(code) for code, name in enumerate(self.shape.labels)}

    def row_of(self, row: Row, source: int, position: int, criterion: str = "") -> int:
        """The index of a record (under a criterion); a record seen for the first time is entered."""
        name = str(row["id"]) if not self.key else self._joined(row)
        if criterion:
            name = f"{name}\t{criterion}"
        index = self.index.get(name)
        if index is None:
            index = self.index[name] = len(self.group)
            self._enter(row, source, position, criterion, index)
        elif self.source[index] < 0 and _has_text(row):
            self._describe(row, source, position, index)
        else:
            for field_name in self.wanted:  # a field may stand in the judge's rows or in the people's
                self.fields[field_name][index] = self.fields[field_name][index] or _field(row, field_name)
        return index

    def _as_known(self, row: Row) -> Row:
        """A pair that is known in the other order, turned into that order with its labels; else as it is."""
        if row["kind"] != "pair" or not row.get("first") or not row.get("second"):
            return row
        if self.key:
            known = self.index.get(self._joined(row), -1)
            sides = hash(_text(row["second"])), hash(_text(row["first"]))
            is_turned = known >= 0 and sides[0] != sides[1] and sides == (self.first[known], self.second[known])
            return turned(row, self.shape, str(row["id"])) if is_turned else row
        if row["id"] in self.index:
            return row
        name = content_id("pair", *(plain_rows(row[part]) for part in ("prompt", "second", "first")))
        return turned(row, self.shape, name) if name in self.index else row

    def _joined(self, row: Row) -> str:
        value = (row.get("meta") or {}).get(self.key, row.get(self.key))
        if value is None:
            raise InputError(f"no field '{self.key}' in meta to join on")
        return str(value)

    def _enter(self, row: Row, source: int, position: int, criterion: str, index: int) -> None:
        group, first, second, length, style, size = self._features(row, index)
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

    def _describe(self, row: Row, source: int, position: int, index: int) -> None:
        """Put the features of a row with texts in place of those of one without."""
        group, first, second, length, style, size = self._features(row, index)
        self.group[index], self.first[index], self.second[index] = group, first, second
        self.length[index], self.style[index], self.size[index] = length, style, size
        self.source[index], self.position[index] = source, position
        for name in self.wanted:
            self.fields[name][index] = _field(row, name)

    def _features(self, row: Row, index: int) -> tuple[int, int, int, float, float, int]:
        """Prompt, what tells two responses apart, length, style, number of steps or responses; notes the authors."""
        meta, turns, kind = row.get("meta"), row["prompt"], row["kind"]
        prompt = hash(_text(turns)) if turns else _key(row, meta or {})
        group = self._prompts.setdefault(prompt, len(self._prompts))
        names = authors(meta) if meta else None
        if names:
            self.authors[index] = names
        if kind == "pair":
            first, second = _text(row["first"]), _text(row["second"])
            if first or second:
                length = math.log((len(first) + 1) / (len(second) + 1))
                return group, hash(first), hash(second), length, marks(first) - marks(second), 0
            first, second = names or ("", "")
            return group, hash(first), hash(second), math.nan, math.nan, 0
        if kind == "response":
            return group, -1, -1, math.log(len(_text(row["response"])) + 1), math.nan, 0
        return group, -1, -1, math.nan, math.nan, len(row["steps"] if kind == "solution" else row["responses"])

    def add_votes(self, row: Row, source: int, position: int) -> int:
        """The people's labels on a record that fit the task; how many there were. Of several of one annotator the first
        one will stand (table.py)."""
        added = 0
        if row.get("human"):
            row = self._as_known(row)
        for label in row.get("human") or ():
            value, criterion = self._value(label, row)
            if value is None:
                self.misfits[_described(label, row)] += 1
                continue
            annotator = label.get("annotator", "human")
            who = self.annotators.get(annotator)
            if who is None:
                who = self.annotators.setdefault(str(annotator), len(self.annotators))
            if self.shape.form == "order":
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
        match self.shape.form:
            case "label" if self.shape.paired:
                if criterion or row["kind"] != "pair":
                    return None, ""
                return self._code(verdict), ""
            case "label" if self.shape.nominal:
                return (self._code(verdict), criterion) if isinstance(verdict, str) else (None, "")
            case "label":
                if isinstance(verdict, str) and row["kind"] in self.shape.records:
                    return (self._code(verdict) if criterion in ("", self.task) else None), ""
                meant = criterion and criterion == self.shape.criterion
                return (1.0 - float(verdict >= 0.5) if meant else None), ""
            case "scores":
                number = isinstance(verdict, int | float) and criterion != "correct"
                return (float(verdict) if number else None), criterion
            case "steps":
                right = isinstance(verdict, int | float) and not criterion and row["kind"] == "solution"
                return (float(verdict) if right else None), ""
            case "order":
                return (0.0 if isinstance(verdict, list | tuple) and criterion in ("", "correct") else None), ""
            case "text":
                return None, ""
            case _:
                assert_never(self.shape.form)

    def _code(self, verdict: Any) -> float:
        """The code of a person's label; InputError for one that is not on offer."""
        code = self._codes.get(verdict)
        if code is None and self.shape.nominal:
            code = self._codes[verdict] = float(len(self._codes))
            self.shape = replace(self.shape, labels=tuple(self._codes))
        if code is None:
            accepted = ", ".join(self.shape.labels)
            raise InputError(f"field 'human.verdict': found {verdict!r} (accepted by the task {self.task}: {accepted})")
        return code

    def add_judgement(self, judge: JudgeColumns, row: Row, source: int, position: int) -> None:
        """A judge's verdict on a record; the first one stands when an id comes twice."""
        judgement = row["judgement"]
        if judgement["task"] != judge.task:
            raise InputError(f"its verdict is of the task {judgement['task']}, those before are of {judge.task}")
        known = self._as_known(row) if len(self.judges) > 1 else row
        if known is not row:
            row, judgement, own_id = known, known["judgement"], str(row["id"])
            judge.turned[str(row["id"])] = own_id
        for criterion in judgement["verdict"] if self.shape.form == "scores" else _WHOLE:
            index = self.row_of(row, source, position, criterion)
            if index >= len(judge.state):
                judge.grow(2 * len(self.group) + 1024)
            if judge.state[index] != MISSING:
                judge.duplicates += 1
                continue
            self._judge(judge, index, judgement, criterion)

    def _judge(self, judge: JudgeColumns, index: int, judgement: Row, criterion: str) -> None:
        verdict, shape = judgement["verdict"], self.shape
        match shape.form:
            case "label":
                named = self.shape.nominal and verdict is not None
                value = self._code(verdict) if named else self._codes.get(verdict, math.nan)
                judge.probability[index] = _number(chance(judgement.get(shape.probability), shape.probability))
                if shape.paired:
                    self._orders(judge, index, judgement)
                else:
                    _repeats(judge, index, judgement.get("readings") or ())
            case "scores":
                value = _number(verdict[criterion])
                judge.probability[index] = _number((judgement.get("expected") or {}).get(criterion))
            case "steps":
                value = _number(judgement.get("first_wrong"))
                judge.detail[index] = (tuple(verdict), tuple(judgement.get("p_right") or ()))
            case "order":
                value = math.nan if verdict is None else 0.0
                strengths = () if verdict is None else tuple(judgement.get("strengths") or ())
                judge.detail[index] = tuple(verdict or ()), strengths
            case "text":
                value = math.nan
            case _:
                assert_never(shape.form)
        judge.verdict[index] = value
        judge.state[index] = UNREADABLE if math.isnan(value) else READ

    def _orders(self, judge: JudgeColumns, index: int, judgement: Row) -> None:
        """The verdict in each order, and whether they are the same: as the judgement says, which knows the weights of
        its principles, else by these two."""
        readings = judgement.get("readings") or ()
        forward, swapped = list[float](), list[float]()
        principled = False
        for reading in readings:
            code = self._codes.get(reading["verdict"])
            if code is not None:
                (forward if reading["asked"] == "forward" else swapped).append(code)
                principled = principled or "principle" in reading
        if forward:
            judge.forward[index] = _leading(forward, principled)
        if swapped:
            judge.swapped[index] = _leading(swapped, principled)
        consistent = judgement.get("consistent")
        if consistent is not None:
            judge.consistent[index] = consistent
        elif forward and swapped:
            judge.consistent[index] = judge.forward[index] == judge.swapped[index]
        if len(readings) > 2:
            _repeats(judge, index, readings)


_ASKED = {"forward": "swapped", "swapped": "forward"}


def turned(row: Row, shape: Shape, name: str) -> Row:
    """A pair in the other order under the id `name`, with its labels, and its judgement where it has one."""
    first, second = shape.labels[:2]
    other = {first: second, second: first}
    new = {**row, "id": name, "first": row["second"], "second": row["first"]}
    new["human"] = [
        {**label, "verdict": other.get(label["verdict"], label["verdict"])} for label in row.get("human") or ()
    ]
    judgement = row.get("judgement")
    if judgement is not None:
        new["judgement"] = {**judgement, "verdict": other.get(judgement["verdict"], judgement["verdict"])}
        probability = judgement.get(shape.probability)
        if probability is not None:
            new["judgement"][shape.probability] = 1 - probability
        new["judgement"]["readings"] = [_turned_reading(reading, other) for reading in judgement.get("readings") or ()]
    return new


def _turned_reading(reading: Row, other: Mapping[str, str]) -> Row:
    chances = {other.get(label, label): chance for label, chance in (reading.get("probabilities") or {}).items()}
    asked, verdict = reading["asked"], reading["verdict"]
    return {
        **reading,
        "asked": _ASKED.get(asked, asked),
        "verdict": other.get(verdict, verdict),
        "probabilities": chances,
    }


def _described(label: Row, row: Row) -> str:
    """What a label is, in words."""
    verdict, criterion = label["verdict"], label.get("criterion")
    what = "category" if isinstance(verdict, str) else "order" if isinstance(verdict, list | tuple) else "number"
    of = f" of the criterion '{criterion}'" if criterion else ""
    return f"{what}{of} on a {row['kind']}"


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _has_text(row: Row) -> bool:
    return bool(row["prompt"]) or bool(row.get("first"))


def _text(conversation: list[Row]) -> str:
    if len(conversation) == 1:
        return _written(conversation[0])
    return "\n".join(map(_written, conversation))


def _written(turn: Row) -> str:
    """What a turn says, its tool calls and the like as JSON behind its content."""
    more = [json.dumps(turn[name], ensure_ascii=False, sort_keys=True) for name in MORE if turn.get(name)]
    return "\n".join([turn["content"], *more]) if more else turn["content"]


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
    for first, second in (("first_model", "second_model"), ("chosen_model", "rejected_model"), ("model_a", "model_b")):
        if meta.get(first) and meta.get(second):
            return str(meta[first]), str(meta[second])
    return None


_CONTENT_ID = re.compile(r"[0-9a-f]{32}")


def _field(row: Row, name: str) -> str:
    """A field of a row as text, "" without it. The id that rmjudge made of the content is none of the data's fields."""
    value = (row.get("meta") or {}).get(name, row.get(name, ""))
    text = value if isinstance(value, str) else str(value)
    return "" if name == "id" and text == row.get("id") and _CONTENT_ID.fullmatch(text) else text


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


def _repeats(judge: JudgeColumns, index: int, readings: Iterable[Row]) -> None:
    """How often two answers of one juror to the same question agree."""
    by_question: dict[Any, dict[str, int]] = {}
    for reading in readings:
        if reading["verdict"] is not None:
            question = (reading["asked"], reading.get("judge", 0), reading.get("principle", ""))
            counts = by_question.setdefault(question, {})
            counts[reading["verdict"]] = counts.get(reading["verdict"], 0) + 1
    for counts in by_question.values():
        total = sum(counts.values())
        judge.pairs[index] += total * (total - 1) // 2
        judge.same[index] += sum(count * (count - 1) // 2 for count in counts.values())
