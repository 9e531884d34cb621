"""Stored completions, answered again: verdicts are read anew without a model.

`recorded:PATH` takes a run directory or a labels file of ours, or a result file of LLMBar's authors (`result.json` or
the folder it lies in). A completion is found by its request's key, "record id/asked/judge/vote"; the messages are not
looked at, so another prompt's verdict pattern can be tried on the same replies.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from judge.engines.base import Completion, Request
from judge.errors import EngineError, InputError
from judge.files import file_hash, read_rows
from judge.formats.pairs import llmbar
from judge.json_input import load_json
from judge.run_files import ROW_FILES, read_lines, row_files

KEPT_ROWS = 256
ORDERS = {"forward": "swap = False", "swapped": "swap = True"}

Reading = Mapping[str, Any]


class Store(Protocol):
    """Where readings lie, by the id of their record."""

    def readings(self, record_id: str) -> Sequence[Reading]:
        """The stored readings of a record; empty when there are none."""
        ...

    def close(self) -> None:
        """Let go of the files."""


class RecordedEngine:
    """Answers with what another engine once answered.

    Raises EngineError for a path that holds no stored completions, InputError with file:line for a broken row.
    """

    def __init__(self, path: str | Path) -> None:
        files = _files(Path(path))
        self._name = Path(path).name
        self._hashes = [file_hash(file) for file in files]
        self._store: Store = LlmbarStore(files[0]) if _is_llmbar(files[0]) else RunStore(files)
        self._pending: list[tuple[int, Request]] = []

    def submit(self, ticket: int, request: Request) -> None:
        self._pending.append((ticket, request))

    def step(self) -> list[tuple[int, Completion]]:
        ready, self._pending = self._pending, []
        return [(ticket, self.answer(request)) for ticket, request in ready]

    def answer(self, request: Request) -> Completion:
        """The stored completion of a request; finish "error" when there is none."""
        record_id, _, rest = request.key.partition("/")
        question_name, judge, vote = rest.rsplit("/", 2) if rest.count("/") >= 2 else (rest, "0", "0")
        for reading in self._store.readings(record_id):
            place = (str(reading.get("judge", 0)), str(reading.get("vote", 0)))
            if place == (judge, vote) and question_name in _names(reading):
                return choose(reading, request) if request.choices else _whole(reading)
        return _error(f"no stored completion for {request.key or 'a request without a key'}")

    def count_tokens(self, request: Request) -> int:
        return 0

    def describe(self) -> dict[str, Any]:
        return {"engine": "recorded", "model": self._name, "files": self._hashes}

    def close(self) -> None:
        self._pending.clear()
        self._store.close()


def _names(reading: Reading) -> tuple[str, ...]:
    """What a reading was asked as; under a principle the question's name ends with it ("forward/PRINCIPLE")."""
    question_name, principle = reading["asked"], reading.get("principle", "")
    return (question_name, f"{question_name}/{principle}") if principle else (question_name,)


def _whole(reading: Reading) -> Completion:
    return Completion(
        text=reading.get("text", ""), thinking=reading.get("thinking", ""), finish=reading.get("finish", "stop")
    )


def choose(reading: Reading, request: Request) -> Completion:
    """The stored probabilities as log-probabilities of the choices.

    They are stored by verdict in the order of the labels, which is the order of the choices. They belong to the label
    that was read then: where the request stops before another one, nothing is known.
    """
    text, shares = reading.get("text", ""), list(reading.get("probabilities", {}).items())
    verdicts = [verdict for verdict, _ in shares]
    if len(shares) != len(request.choices) or reading.get("verdict") not in verdicts:
        return _error(reading.get("reason") or "no stored probabilities for these choices")
    choice_read = request.choices[verdicts.index(reading["verdict"])]
    behind = text.removeprefix(request.prefill) if text.startswith(request.prefill) else text
    if behind and not behind.lstrip().casefold().startswith(choice_read.casefold()):
        return _error("the stored probabilities belong to another place in the reply")
    logprobs = {
        choice: math.log(share) if share > 0 else -math.inf
        for choice, (_, share) in zip(request.choices, shares, strict=True)
    }
    return Completion(text=choice_read, logprobs=logprobs)


def _error(text: str) -> Completion:
    return Completion(text=text, finish="error")


class RunStore:
    """The rows of our own label files: an index of places, and the few rows that were read last."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._streams: list[BinaryIO] = [file.open("rb") for file in files]
        self._paths = list(files)
        self._places: dict[str, tuple[int, int]] = {}
        self._kept: OrderedDict[str, Sequence[Reading]] = OrderedDict()
        try:
            for number in range(len(files)):
                self._index(number)
        except InputError:
            self.close()
            raise

    def _index(self, number: int) -> None:
        for line in read_lines(self._paths[number]):
            self._places[line.row["id"]] = (number, line.offset)

    def readings(self, record_id: str) -> Sequence[Reading]:
        if record_id in self._kept:
            self._kept.move_to_end(record_id)
            return self._kept[record_id]
        if record_id not in self._places:
            return ()
        number, offset = self._places[record_id]
        self._streams[number].seek(offset)
        row = load_json(self._streams[number].readline())
        self._kept[record_id] = row["judgement"].get("readings", ())
        if len(self._kept) > KEPT_ROWS:
            self._kept.popitem(last=False)
        return self._kept[record_id]

    def close(self) -> None:
        for stream in self._streams:
            stream.close()


class LlmbarStore:
    """The completions in a `result.json` of LLMBar's authors.

    A row is the pair's own fields with `results`, one entry a stage of the prompting way; the last one holds the
    verdicts: {"swap = False": {"completion": [text, finish]}, "swap = True": …}. The swapped text speaks of the
    responses in swapped places.
    """

    def __init__(self, file: Path) -> None:
        self._readings: dict[str, list[Reading]] = {}
        for place, row in read_rows(file):
            try:
                (pair,) = llmbar(row)
                self._readings[pair.id] = [_llmbar_reading(order, row) for order in ORDERS]
            except InputError as error:
                raise InputError(f"{place}: {error}") from None
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise InputError(f"{place}: no stored completion in 'results': {error!r}") from None

    def readings(self, record_id: str) -> Sequence[Reading]:
        return self._readings.get(record_id, ())

    def close(self) -> None:
        """Nothing is open."""


def _llmbar_reading(order: str, row: Mapping[str, Any]) -> Reading:
    text, finish = row["results"][-1][ORDERS[order]]["completion"]
    return {"asked": order, "text": text, "finish": finish}


def _files(path: Path) -> list[Path]:
    """The files with completions that a path names."""
    if path.is_file():
        return [path]
    run = list(row_files(path))
    if run:
        return run
    if (path / "result.json").is_file():
        return [path / "result.json"]
    what = f"holds none of {', '.join((*ROW_FILES, 'result.json'))}" if path.is_dir() else "no such file or directory"
    raise EngineError(f"recorded:{path}: {what}")


def _is_llmbar(file: Path) -> bool:
    """Whether a file's first row is one of LLMBar's results."""
    if file.stat().st_size == 0:
        return False
    _, row = next(read_rows(file), ("", {}))
    if "results" not in row and "judgement" not in row:
        raise EngineError(f"recorded:{file}: its first row has neither 'judgement' nor 'results'")
    return "results" in row
