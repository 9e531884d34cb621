"""What the living judges said of records that wait for a judge which gave out: replies.jsonl of a run.

A line is a record's id and its completions in the order asked, null for those that are missing. A program asks the same
again in the same order, so the next go replays what is there and asks for the rest.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import orjson

from judge.engines.base import Completion
from judge.errors import RunError
from judge.files import to_json

REPLIES = "replies.jsonl"


class KeptReplies:
    """The replies kept in one run directory. The file goes when every record in it has been taken up again."""

    def __init__(self, directory: Path) -> None:
        """Raises RunError when the file cannot be read; a torn last line is passed over."""
        self._path = directory / REPLIES
        self._places: dict[str, int] = {}
        self._file: IO[bytes] | None = None
        try:
            if self._path.exists():
                self._index()
        except OSError as error:
            raise RunError(f"{self._path}: cannot be read: {error.strerror}") from error

    def keep(self, content_id: str, replies: Sequence[Completion | None]) -> None:
        """Write down the replies to one record; a later line of the same record counts."""
        row = {"id": content_id, "replies": [reply and asdict(reply) for reply in replies]}
        try:
            if self._file is None:
                self._file = self._path.open("ab")
            self._file.write(to_json(row).encode() + b"\n")
            self._file.flush()
            self._places[content_id] = -1
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written: {error.strerror}") from error

    def take(self, content_id: str) -> list[Completion | None]:
        """The replies to a record that earlier goes kept, none when they kept none."""
        place = self._places.pop(content_id, -1)
        if place < 0:
            return []
        with self._path.open("rb") as file:
            file.seek(place)
            row = orjson.loads(file.readline())
        return [reply and Completion(**reply) for reply in row["replies"]]

    def _index(self) -> None:
        end = 0
        with self._path.open("rb") as file:
            for line in file:
                with suppress(orjson.JSONDecodeError, KeyError, TypeError):
                    self._places[orjson.loads(line)["id"]] = end
                end += len(line)
        with self._path.open("rb+") as file:  # what is kept next must begin a line of its own
            file.seek(max(end - 1, 0))
            if end and file.read(1) != b"\n":
                file.write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if error is None and not self._places:
            self._path.unlink(missing_ok=True)
