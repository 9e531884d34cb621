"""Where rows come from: files of rmjudge's own rows, read fast, and any other iterable of them, read again when needed.

A source hands out (position, row) and gives single rows back by position, so that a report over a million rows keeps no
text and still shows the few it picks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from judge.agreement.data.columns import Columns, JudgeColumns, Row
from judge.errors import InputError
from judge.json_input import load_json
from judge.run_files import is_skipped

RUN_FILES = ("labels.jsonl", "failures.jsonl")


def unchecked(row: Row) -> None:
    """The check of a source whose rows are known to be whole."""


class Source(Protocol):
    """Rows with their positions, the rows at given positions, and what to call a position in an error. check: a careful
    reader, which raises InputError for what is wrong with a row; it is asked only when a row could not be taken."""

    @property
    def name(self) -> str: ...

    @property
    def check(self) -> Callable[[Row], object]: ...

    def rows(self) -> Iterator[tuple[int, Row]]: ...

    def fetch(self, positions: set[int]) -> dict[int, Row]: ...

    def place(self, position: int) -> str: ...


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A JSONL file of rmjudge's own rows (or of a run); a position is a byte offset. A torn last line is left out."""

    path: Path
    name: str
    check: Callable[[Row], object] = unchecked

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Every row; raises InputError `file:line: …` at one that cannot be read."""
        import orjson

        loads, offset, line = orjson.loads, 0, b""
        try:
            with self.path.open("rb", buffering=1 << 20) as stream:
                for number, line in enumerate(stream, 1):
                    if line != b"\n":
                        try:
                            row = loads(line)
                        except orjson.JSONDecodeError as error:
                            if not line.endswith(b"\n"):
                                return
                            row = _lenient(line, f"{self.path}:{number}", error)
                        if type(row) is not dict or "id" not in row or "kind" not in row:
                            raise InputError(f"{self.path}:{number}: no row of rmjudge (it lacks 'id' or 'kind')")
                        if row["kind"] != "bad" or not is_skipped(row):
                            yield offset, row
                    offset += len(line)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from None

    def fetch(self, positions: set[int]) -> dict[int, Row]:
        """The rows at these byte offsets."""
        rows = {}
        with self.path.open("rb") as stream:
            for position in sorted(positions):
                stream.seek(position)
                rows[position] = load_json(stream.readline())
        return rows

    def place(self, position: int) -> str:
        """`file:line`."""
        with self.path.open("rb") as stream:
            return f"{self.path}:{stream.read(position).count(10) + 1}"  # 10 is the newline


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that a function makes anew on every call (another format, turned into ours); a position is an ordinal."""

    make: Callable[[], Iterable[Mapping[str, Any]]]
    name: str
    check: Callable[[Row], object] = unchecked

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Every row."""
        yield from enumerate(self.make())

    def fetch(self, positions: set[int]) -> dict[int, Row]:
        """The rows at these ordinals, by reading up to the last of them."""
        rows: dict[int, Row] = {}
        for position, row in self.rows():
            if position in positions:
                rows[position] = row
            if len(rows) == len(positions):
                break
        return rows

    def place(self, position: int) -> str:
        """The row's number, counted from 1."""
        return f"{self.name}, row {position + 1}"


def _lenient(line: bytes, place: str, error: ValueError) -> Any:
    """What the standard library reads and the fast reader does not (NaN, lone surrogates)."""
    try:
        return load_json(line)
    except ValueError:
        raise InputError(f"{place}: broken JSON: {error}") from None


def run_files(folder: Path) -> list[Path]:
    """The files of a run directory; raises InputError when it is none."""
    files = [folder / name for name in RUN_FILES if (folder / name).exists()]
    if not files:
        raise InputError(f"{folder}: no run directory (it holds neither {' nor '.join(RUN_FILES)})")
    return files


def read_judge(columns: Columns, sources: list[tuple[int, Source]], name: str, *, labels: bool) -> None:
    """Enter a judge's verdicts, and (`labels`) the people's labels that lie in the same rows.

    Rows without a judgement are read as a judge's stored output: what the file keeps of its decisions (JudgeBench,
    alpaca_eval, RewardBench, Auto-J), or the one label of a row without texts (PandaLM's and MT-Bench's files).
    """
    judge: JudgeColumns | None = None
    for number, source in sources:
        failures = source.name.endswith(RUN_FILES[1])
        for position, row in source.rows():
            if judge is None:
                judge = columns.judge(name, _task(row, source, position))
            try:
                foreign = row.get("judgement") is None
                judged = _as_judged(row) if foreign else row
                before = judge.duplicates
                columns.add_judgement(judge, judged, number, position)
                if failures:
                    judge.duplicates = before  # a failure that was judged again stands in both files
                if labels and not foreign and row.get("human"):
                    columns.add_votes(row, number, position)
            except _BROKEN as error:
                raise _named(source, position, row, error) from None
    if judge is None:
        raise InputError(f"{name}: no rows in it")


def _task(row: Row, source: Source, position: int) -> str:
    try:
        return str((row if row.get("judgement") is not None else _as_judged(row))["judgement"]["task"])
    except _BROKEN as error:
        raise _named(source, position, row, error) from None


def read_human(columns: Columns, number: int, source: Source) -> int:
    """Enter the people's labels of a source; how many fit. Rows that no judge has are entered too, as missing."""
    added = rows = 0
    for position, row in source.rows():
        rows += 1
        try:
            if not columns.task and row.get("human"):
                columns.people_alone(row)
            added += columns.add_votes(row, number, position)
        except _BROKEN as error:
            raise _named(source, position, row, error) from None
    if not rows:
        raise InputError(f"{source.name}: no rows in it")
    if not added:
        raise InputError(f"{source.name}: {_no_label(columns)}")
    return added


def _no_label(columns: Columns) -> str:
    """Why no label counts: what there is, and what the task takes."""
    if not columns.misfits:
        return "no human label in it"
    labels = ", ".join(columns.shape.labels)
    accepted = {
        "label": f"one of {labels}"
        + f", or a number of the criterion '{columns.shape.criterion}'" * bool(columns.shape.criterion),
        "scores": "a number for each criterion",
        "steps": "the first wrong step of a solution",
        "order": "an order of responses, best first",
        "text": "none",
    }[columns.shape.form]
    found = ", ".join(f"{count:,} × {what}" for what, count in columns.misfits.most_common(5))
    return f"no human label in it that fits the task {columns.task} (found: {found}; accepted: {accepted})"


_BROKEN = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What a row raises that rmjudge has not written: columns.py takes rows as they should be, for speed."""


def _named(source: Source, position: int, row: Row, error: Exception) -> InputError:
    """What is wrong with a row, as the careful reader finds it, else as the fast one stumbled on it."""
    place = source.place(position)
    if isinstance(error, InputError):
        return InputError(f"{place}: {error}")
    try:
        source.check(row)
    except InputError as found:
        return InputError(f"{place}: {found}")
    except _BROKEN as found:
        error = found
    what = f"no field {error}" if isinstance(error, KeyError) else str(error)
    return InputError(f"{place}: no row of rmjudge: {what}")


_DECISIONS = {"A>B": "first", "B>A": "second", "A=B": "tie"}
_OUTPUTS = {0: "first", 1: "second", 2: "tie"}
_ASKED = ("forward", "swapped")


def _stored(meta: Row) -> Row | None:
    """The verdict on a pair that a judge's own file keeps beside the gold label; None where it keeps none.

    JudgeBench's `judgments` are one an order, each decision in terms of the original order; LLMBar's `winners` too.
    alpaca_eval's `preference` is 2 - P(the first is better); RewardBench's `results` is 1 for the chosen one.
    """
    if isinstance(meta.get("judgments"), list):
        given = [
            _DECISIONS.get(str(answer.get("decision"))) if isinstance(answer, dict) else None
            for answer in meta["judgments"]
        ]
        return _both(given[:2])
    if isinstance(meta.get("winners"), list):
        return _both([{"1": "first", "2": "second"}.get(str(winner)) for winner in meta["winners"]])
    if "preference" in meta:
        given = meta["preference"]
        return {"verdict": None} if given in (None, "") else _of_number(2.0 - (float(given) or 1.5))  # 0: an old tie
    if isinstance(meta.get("results"), int | float) and "subset" in meta:
        return _of_number(float(meta["results"]))
    if meta.get("output") in _OUTPUTS:
        return {"verdict": _OUTPUTS[meta["output"]]}
    return None


def _both(given: list[str | None]) -> Row:
    """The verdict of two orders: a tie where they differ, unreadable where none could be read."""
    readings = [
        {"asked": order, "verdict": verdict_of_order} for order, verdict_of_order in zip(_ASKED, given, strict=False)
    ]
    read = {verdict_of_order for verdict_of_order in given if verdict_of_order is not None}
    verdict = None if not read else read.pop() if len(read) == 1 else "tie"
    return {"verdict": verdict, "readings": readings}


def _of_number(p_first: float) -> Row:
    return {"verdict": "first" if p_first > 0.5 else "second" if p_first < 0.5 else "tie", "p_first": p_first}


def _as_judged(row: Row) -> Row:
    """A row of a judge's stored output as a judged row; raises InputError where it holds people's labels alone."""
    stored = _stored(row.get("meta") or {}) if row["kind"] == "pair" else None
    if stored is not None:
        return {**row, "judgement": {"task": "preference", **stored}}
    if (row["prompt"] or row.get("first")) and "prm_score" not in (row.get("meta") or {}):
        raise InputError("it holds labels and no judge's verdict: a run of rmjudge or a judge's output; see --human")
    labels = [label for label in row.get("human") or () if label.get("criterion", "") in ("", "correct")]
    if len(labels) > 1:
        raise InputError(f"{len(labels)} labels and no judgement: this is no judge's row")
    verdict = labels[0]["verdict"] if labels else None
    match row["kind"]:
        case "pair":
            judgement = {"task": "preference", "verdict": verdict}
        case "solution" if not labels or not labels[0].get("criterion"):
            judgement = {"task": "steps", "verdict": (), "first_wrong": verdict}
        case "ranking":
            judgement = {"task": "ranking", "verdict": verdict}
        case "response" if labels and not labels[0].get("criterion"):
            judgement = {"task": "score", "verdict": {"": verdict}}
        case "solution" if "prm_score" in (row.get("meta") or {}):
            p = row["meta"]["prm_score"]  # PRM800K's file of samples: its own model's score, not whether it is right
            judgement = {"task": "outcome", "verdict": "right" if p >= 0.5 else "wrong", "p_correct": p}
        case _:
            right = None if verdict is None else "right" if verdict >= 0.5 else "wrong"
            judgement = {"task": "outcome", "verdict": right}
    return {**row, "judgement": judgement}
