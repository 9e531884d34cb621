"""Labelled records as responses and as comparisons of a better with a worse one to the same prompt."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from judge.records import (
    Conversation,
    HumanLabel,
    Pair,
    Ranking,
    Record,
    Response,
    Solution,
    content_id,
    plain,
    responses_of,
)

LONGEST_VALUE = 60
MOST_VALUES = 20


@dataclass(slots=True)
class Comparisons:
    """What people compare.

    Attributes:
        answers: every different response, once.
        groups: the prompt of each answer, by content.
        better, worse: indices into answers, one a comparison.
        fields: of each comparison, what its record says beside the texts.
        ties: pairs of which people call neither better.
        unlabelled: records without a label that compares responses, or without texts.
        skipped: the places of rows that could not be read as records.
    """

    answers: list[Response] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    better: list[int] = field(default_factory=list)
    worse: list[int] = field(default_factory=list)
    fields: list[Mapping[str, str]] = field(default_factory=list)
    ties: int = 0
    unlabelled: int = 0
    skipped: list[str] = field(default_factory=list)
    _index: dict[str, int] = field(default_factory=dict)
    _values: dict[str, list[tuple[int, float, Mapping[str, str]]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, record: Record, source: str = "") -> None:
        """Take in a record. source: of the data, a field of its own."""
        values = values_of(record)
        responses = responses_of(record)
        if values is None or not all(_text(response) for response in responses):
            self.unlabelled += 1
            return
        named = {"file": source, **_fields(record.meta)}
        indices = [self._answer(record.prompt, response) for response in responses]
        if isinstance(record, Pair | Ranking):
            self._compare(list(zip(indices, values, [named] * len(values), strict=True)))
        else:
            self._values[self.groups[indices[0]]].append((indices[0], values[0], named))

    def finish(self) -> "Comparisons":
        """Compare the responses that stood in records of their own, by their prompts."""
        for scored in self._values.values():
            self._compare(scored)
        self._values.clear()
        return self

    def _answer(self, prompt: Conversation, response: Conversation) -> int:
        answer = Response(prompt=prompt, response=response)
        if answer.id not in self._index:
            self._index[answer.id] = len(self.answers)
            self.answers.append(answer)
            self.groups.append(content_id(plain(prompt)))
        return self._index[answer.id]

    def _compare(self, scored: Sequence[tuple[int, float, Mapping[str, str]]]) -> None:
        for place, (first, first_value, named) in enumerate(scored):
            for second, second_value, other in scored[place + 1 :]:
                if first == second or first_value == second_value:
                    self.ties += 1
                    continue
                first_is_better = first_value > second_value
                self.better.append(first if first_is_better else second)
                self.worse.append(second if first_is_better else first)
                self.fields.append(named if first_is_better else other)

    def columns(self, wanted: Sequence[str]) -> dict[str, list[str]]:
        """The fields to slice by, a value a comparison: those asked for, else those of two to twenty values."""
        names = wanted or list(dict.fromkeys(name for named in self.fields for name in named))
        columns = {name: [named.get(name, "") for named in self.fields] for name in names}
        if wanted:
            return columns
        return {name: values for name, values in columns.items() if 1 < len(set(values)) <= MOST_VALUES}


def compare(records: Iterable[tuple[str, Record]]) -> Comparisons:
    """The comparisons in (source, record) pairs."""
    comparisons = Comparisons()
    for source, record in records:
        comparisons.add(record, source)
    return comparisons.finish()


def values_of(record: Record) -> list[float] | None:
    """How good people call each response, as numbers that can be compared; None without a label that says so."""
    correct = [label for label in record.human if label.criterion == "correct"]
    whole = [label for label in record.human if not label.criterion]
    match record:
        case Pair():
            return _pair(whole) if whole else None
        case Ranking():
            return _ranking(record, correct, whole)
        case Response():
            return _mean(correct or whole or record.human)
        case Solution():
            return _mean(correct) if correct else [fmean(label.verdict == -1 for label in whole)] if whole else None


def _mean(labels: Sequence[HumanLabel]) -> list[float] | None:
    """The mean of scores, or of right (1) and wrong (0)."""
    scores = [label.verdict for label in labels if isinstance(label.verdict, int | float)]
    return [fmean(scores)] if scores else None


def _pair(labels: Sequence[HumanLabel]) -> list[float]:
    """The verdict that most people gave; where none leads, a tie."""
    counts = Counter(str(label.verdict) for label in labels).most_common()
    leads = len(counts) == 1 or counts[0][1] > counts[1][1]
    if leads and counts[0][0] in ("first", "second"):
        return [1.0, 0.0] if counts[0][0] == "first" else [0.0, 1.0]
    return [0.5, 0.5]


def _ranking(record: Ranking, correct: Sequence[HumanLabel], whole: Sequence[HumanLabel]) -> list[float] | None:
    """The share of people who call a response right; else minus its mean place, where everyone ranks all."""
    size = len(record.responses)
    if correct:
        named = [label.verdict for label in correct if isinstance(label.verdict, tuple)]
        return [fmean(float(place in right) for right in named) for place in range(size)] if named else None
    orders = [label.verdict for label in whole if isinstance(label.verdict, tuple) and len(label.verdict) == size]
    return [-fmean(order.index(place) for order in orders) for place in range(size)] if orders else None


def _text(response: Conversation) -> bool:
    return bool(response) and bool(response[-1].content.strip() or response[-1].more)


def _fields(meta: Mapping[str, Any]) -> dict[str, str]:
    """Short words and numbers of a record's meta."""
    return {
        name: str(value)
        for name, value in meta.items()
        if isinstance(value, str | int | bool) and len(str(value)) <= LONGEST_VALUE
    }
