"""The rows of a run on disk: labels.jsonl and failures.jsonl, only ever appended to.

A row is handed to the operating system the moment it is written, so a killed process loses nothing that was complete;
it is forced to the disk in groups, so a power cut loses at most a second. What a kill or a full disk tore is the last
line, and the next opening cuts it off. One process writes to a run at a time.

A row has an `id` and a `judgement`, or stands for a row of the data that was skipped; the rest is carried.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from judge.errors import RunError
from judge.files import to_json
from judge.id_set import IdSet
from judge.json_input import load_json
from judge.run_files import FAILURES, LABELS, is_skipped

_SYNC_ROWS = 4096
_SYNC_SECONDS = 1.0


class Journal:
    """The two row files of one run directory, open for appending.

    done: ids of the rows that lay there on opening.
    seen: called with each of those rows, and whether it is readable.
    retry_failures: forget the failures of earlier attempts, so that their records are judged again.
    Raises RunError when the directory cannot be written, when another process writes to it, or when a line before the
    last is not a row.
    """

    def __init__(
        self,
        directory: Path,
        *,
        retry_failures: bool = False,
        seen: Callable[[Mapping[str, Any], bool], None] | None = None,
    ) -> None:
        self.directory = directory
        self.done = IdSet()
        self._files: list[_RowFile] = []
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name in (LABELS, FAILURES):
                self._files.append(_RowFile(directory / name))
            self._labels, self._failures = self._files
            if retry_failures:
                self._failures.cut(0)
            for file in self._files:
                for row in file.rows():
                    self.done.add(row["id"])
                    if seen is not None:
                        _show(seen, row, file.path, readable=file is self._labels)
            _sync_directory(directory)
        except OSError as error:
            self._let_go()
            if isinstance(error, RunError):
                raise
            raise RunError(f"{directory}: cannot be written as a run directory: {error.strerror}") from error

    def write(self, row: Mapping[str, Any], *, readable: bool) -> None:
        """Append a row to labels.jsonl, or to failures.jsonl when its judgement is not readable."""
        (self._labels if readable else self._failures).append(row)

    def sync(self, *, now: bool = False) -> None:
        """Force what was written to the disk when a group is full, or when `now`."""
        for file in self._files:
            file.sync(now=now)

    def close(self) -> None:
        """Force everything to the disk and let go of the files. Safe to call twice."""
        try:
            self.sync(now=True)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        for file in self._files:
            file.close()
        self._files = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _RowFile:
    """One append-only file of JSON rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._end = 0
        self._waiting = 0
        self._synced = time.monotonic()
        try:
            # Not flock: a model's worker that was forked from here would inherit that lock and outlive a kill -9.
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise RunError(
                f"{path}: another process is writing to this run; wait for it, or name another --out"
            ) from error

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Every row that lies there; a torn last line is cut off."""
        # By the same descriptor: closing another one of this file would let go of the lock.
        with open(self._descriptor, "rb", closefd=False) as file:
            for number, line in enumerate(file, start=1):
                row = _row(line)
                if row is None:
                    if file.read(1):
                        raise RunError(f"{self.path}:{number}: not a row of a run; was the file changed by hand?")
                    break
                self._end += len(line)
                yield row
        self.cut(self._end)

    def append(self, row: Mapping[str, Any]) -> None:
        line = to_json(row).encode() + b"\n"
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            with suppress(OSError):  # where even this fails, the next opening cuts
                self.cut(self._end)
            raise self._lost(error) from error
        self._end += len(line)
        self._waiting += 1

    def sync(self, *, now: bool) -> None:
        if not self._waiting:
            return
        clock = time.monotonic()
        if not (now or self._waiting >= _SYNC_ROWS or clock - self._synced >= _SYNC_SECONDS):
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._lost(error) from error
        self._waiting, self._synced = 0, clock

    def cut(self, length: int) -> None:
        if os.fstat(self._descriptor).st_size > length:
            os.ftruncate(self._descriptor, length)
            os.fsync(self._descriptor)
        self._end = length

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lost(self, error: OSError) -> RunError:
        return RunError(
            f"{self.path}: cannot be written: {error.strerror}; every row before is kept, and the same command goes on"
        )


def _show(
    seen: Callable[[Mapping[str, Any], bool], None], row: Mapping[str, Any], path: Path, *, readable: bool
) -> None:
    try:
        seen(row, readable)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        what = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{path}: the row {row['id'][:40]} is none of a run ({what}); was the file changed?") from None


def _row(line: bytes) -> Mapping[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = load_json(line)
    except ValueError:
        return None
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        return None
    return row if isinstance(row.get("judgement"), dict) or is_skipped(row) else None


def _sync_directory(directory: Path) -> None:
    # A new file's name is safe only when its directory is forced to the disk too.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
