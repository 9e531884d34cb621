"""What a data file holds: the family, counts, human labels, lengths, duplicates, and everything that is wrong with it.

Streams: what it keeps of a record is its 16-byte id and a few lengths.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, assert_never

from judge.errors import InputError
from judge.files import scan_rows
from judge.formats import choose, judgement_from_row, judgement_to_row, named, recognise, records_of, to_row
from judge.formats.base import Format
from judge.formats.fields import inner
from judge.judgements import Judgement, Steps, shape_of
from judge.records import Conversation, Pair, Ranking, Record, Response, Solution, tagged
from judge.run_files import is_skipped
from judge.secrets import mask_secrets

KINDS_OF_VERDICT = 12
"""More different verdicts of one criterion than this are numbers to be summed up, not names to be counted."""


@dataclass(slots=True, kw_only=True, repr=False)
class Survey:
    """What was found in a file.

    rows: data rows, also the wrong ones. barren: rows that the family's own rules give no record for.
    problems: one line each, beginning with file:line. duplicates: records whose id was seen before.
    labelled: records with a human label. annotators: their names, with the number of labels of each.
    verdicts: (kind, criterion) -> verdict -> count. lengths: part -> characters of each record's part.
    judged: what the judge of a run said -> count, by task.
    """

    path: str
    format: str = ""
    fits: list[str] = field(default_factory=list)
    forced: bool = False
    rows: int = 0
    barren: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    first: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    duplicates: int = 0
    empty: int = 0
    alike: int = 0
    without_texts: int = 0
    labelled: int = 0
    annotators: Counter[str] = field(default_factory=Counter)
    verdicts: dict[tuple[str, str], Counter[Any]] = field(default_factory=dict)
    judged: dict[str, Counter[str]] = field(default_factory=dict)
    lengths: "dict[str, array[int]]" = field(default_factory=dict)

    @property
    def records(self) -> int:
        """How many records the rows gave."""
        return self.kinds.total()

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What there is to know, as names and words for people."""
        return list(_facts(self))

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return as_json(self)

    def __repr__(self) -> str:
        lines = [f"{self.path}: {self.format}" + (" (forced)" if self.forced else "")]
        return "\n".join([*lines, *(f"{name}: {words}" for name, words in self.facts), *self.problems])


def survey(path: str | Path | Iterable[Mapping[str, Any]], *, format: str | None = None, first: int = 3) -> Survey:
    """Read all of a file, or rows in memory, and tell about it.

    Args:
        path: a file, a run directory, a hub name, a URL, or rows: a list of dicts, a `datasets.Dataset`.
        format: the family of formats, where it is not to be recognised.
        first: so many records are kept as rows.

    Raises:
        InputError: where nothing at all can be read: no such file, an unknown kind of file, no row that fits a format.
    """
    scanned = scan_rows(path) if isinstance(path, str | Path) else _scan_memory(path)
    path = path if isinstance(path, str | Path) else "rows in memory"
    result = Survey(path=mask_secrets(str(path)), forced=format is not None)
    family = named(format) if format else None
    seen: set[bytes] = set()
    for place, row in scanned:
        result.rows += 1
        if isinstance(row, InputError):
            result.problems.append(str(row))
            continue
        if is_skipped(row):
            result.problems.append(f"{row['place']}: {row['reason']}")
            continue
        try:
            family = family or _recognised(result, row, place)
            records = records_of(family, row, place)
            judgement = _judgement(row, place) if family.name == "rmjudge" else None
        except InputError as error:
            result.problems.append(str(error))
            continue
        result.barren += not records
        for record in records:
            _count(result, record, seen)
            if len(result.first) < first:
                result.first.append(to_row(record) | (_shown(judgement) if judgement else {}))
        if judgement:
            result.judged.setdefault(judgement.task, Counter()).update(_words(judgement))
    if not result.rows:
        raise InputError(f"{path}: no rows in it")
    if not result.records:
        raise InputError(result.problems[0] if result.problems else f"{path}: its rows hold nothing to judge")
    result.format = family.name if family else ""
    return result


def _scan_memory(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any] | InputError]]:
    for number, row in enumerate(rows, start=1):
        yield f"row {number}", dict(row)


def _recognised(result: Survey, row: dict[str, Any], place: str) -> Format:
    result.fits = recognise(row)
    return choose(row, place)


def _judgement(row: dict[str, Any], place: str) -> Judgement | None:
    if "judgement" not in row:
        return None
    try:
        return judgement_from_row(inner(row, "judgement"))
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _words(judgement: Judgement) -> Iterable[str]:
    """The verdict in a word that can be counted, one for each criterion of a score."""
    shape, verdict = shape_of(judgement.task), judgement.verdict
    if shape.summary is not None:
        return shape.summary(judgement)
    match shape.form:
        case "scores":
            return [f"{name} unreadable" if score is None else f"{name} {score}" for name, score in verdict.items()]
        case "steps":
            assert isinstance(judgement, Steps)
            wrong = judgement.first_wrong
            return ["unreadable" if wrong is None else "every step right" if wrong == -1 else "a step wrong"]
        case "label":
            return [verdict or "unreadable"]
        case "text":
            return ["unreadable" if verdict is None else "written"]
        case "order":
            return ["unreadable" if verdict is None else "ordered"]
        case _:
            assert_never(shape.form)


def _shown(judgement: Judgement) -> dict[str, Any]:
    """A judgement for the eye: what it says, and the first reply that it was read from."""
    row = judgement_to_row(judgement)
    replies = [reading.text for reading in judgement.readings if reading.text]
    row.pop("readings", None)
    return {"judgement": row} | ({"reply": replies[0]} if replies else {})


def _count(result: Survey, record: Record, seen: set[bytes]) -> None:
    result.kinds[record.kind] += 1
    key = bytes.fromhex(record.id)
    result.duplicates += key in seen
    seen.add(key)
    if isinstance(record, Pair) and not record.judgeable and not record.first and not record.second:
        result.without_texts += 1
    else:
        _measure(result, record)
    result.labelled += bool(record.human)
    for label in record.human:
        result.annotators[label.annotator] += 1
        verdict = label.verdict if isinstance(label.verdict, str | tuple) else float(label.verdict)
        result.verdicts.setdefault((record.kind, label.criterion), Counter())[verdict] += 1


def _measure(result: Survey, record: Record) -> None:
    result.lengths.setdefault("prompt", array("q")).append(_size(record.prompt))
    sizes = list(_sizes(record))
    part = "step" if isinstance(record, Solution) else "response"
    result.lengths.setdefault(part, array("q")).extend(sizes)
    result.empty += sizes.count(0)
    result.alike += isinstance(record, Pair) and record.first == record.second


def _sizes(record: Record) -> Iterator[int]:
    match record:
        case Pair():
            yield _size(record.first)
            yield _size(record.second)
        case Response():
            yield _size(record.response)
        case Solution():
            yield from (len(step.strip()) for step in record.steps)
        case Ranking():
            yield from map(_size, record.responses)


def _size(conversation: Conversation) -> int:
    return sum(len((tagged(message) if message.more else message.content).strip()) for message in conversation)


def spread(lengths: "array[int]") -> tuple[int, int, int]:
    """The shortest, the median and the longest."""
    return min(lengths), round(median(lengths)), max(lengths)


def label_lines(result: Survey) -> Iterator[tuple[str, str]]:
    """Per criterion, what the people said: counts of verdicts, or the range and mean of many numbers."""
    for (kind, criterion), verdicts in result.verdicts.items():
        name = criterion or ("first wrong step" if kind == "solution" else "verdict")
        total = verdicts.total()
        if kind == "ranking":
            yield name, f"{total} orders"
        elif kind == "solution" and not criterion:
            yield name, f"in {total - verdicts[-1.0]}, none in {verdicts[-1.0]}"
        elif not any(isinstance(v, str) for v in verdicts) and (
            len(verdicts) > KINDS_OF_VERDICT or not all(v.is_integer() for v in verdicts)
        ):
            mean = sum(value * count for value, count in verdicts.items()) / total
            yield name, f"{total} from {min(verdicts):g} to {max(verdicts):g}, mean {mean:.4g}"
        else:
            ordered = sorted(verdicts.items(), key=lambda entry: (isinstance(entry[0], str), entry[0]))
            yield name, ", ".join(f"{_verdict(value)} {count}" for value, count in ordered)


def _verdict(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}:"


SHOWN_ANNOTATORS = 6


def _facts(survey: Survey) -> Iterator[tuple[str, str]]:
    kinds = ", ".join(f"{count:,} {kind}{'s' if count != 1 else ''}" for kind, count in survey.kinds.items())
    yield "rows", f"{survey.rows:,}"
    yield "records", kinds
    counts = {
        "rows without a record": survey.barren,
        "duplicates": survey.duplicates,
        "empty texts": survey.empty,
        "two equal responses": survey.alike,
        "labels without texts": survey.without_texts,
        "wrong rows": len(survey.problems),
    }
    yield from ((name, f"{count:,}") for name, count in counts.items() if count)
    for part, sizes in survey.lengths.items():
        low, middle, high = spread(sizes)
        yield f"{part} characters", f"{low:,} to {high:,}, median {middle:,}"
    if survey.labelled:
        names = [f"{name} {count:,}" for name, count in survey.annotators.most_common(SHOWN_ANNOTATORS)]
        more = len(survey.annotators) - len(names)
        yield "human labels", f"on {survey.labelled:,}: {', '.join(names)}{f', {more} more' if more else ''}"
    yield from ((f"  {name}", line) for name, line in label_lines(survey))
    for task, verdicts in survey.judged.items():
        yield (
            f"judged: {task}",
            ", ".join(
                f"{verdict} {count:,}" for verdict, count in sorted(verdicts.items(), key=lambda item: str(item[0]))
            ),
        )


def as_json(result: Survey) -> dict[str, Any]:
    """The survey as plain JSON values."""
    return {
        "path": result.path,
        "format": result.format,
        "forced": result.forced,
        "fits": result.fits,
        "rows": result.rows,
        "records": dict(result.kinds),
        "rows_without_records": result.barren,
        "duplicates": result.duplicates,
        "empty_texts": result.empty,
        "equal_responses": result.alike,
        "without_texts": result.without_texts,
        "labelled": result.labelled,
        "annotators": dict(result.annotators),
        "labels": dict(label_lines(result)),
        "judgements": {task: dict(words) for task, words in result.judged.items()},
        "characters": {
            part: dict(zip(("min", "median", "max"), spread(sizes), strict=True))
            for part, sizes in result.lengths.items()
        },
        "problems": result.problems,
        "first": result.first,
    }
