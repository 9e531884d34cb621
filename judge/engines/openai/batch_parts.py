"""The parts of a batched run on disk: which requests went where, so that a kill at any moment loses and doubles none.

A part is one file of requests and one batch. Beside its requests (`ID.input.jsonl`) and, once it has ended, the
server's lines (`ID.output.jsonl`, `ID.errors.jsonl`) lies its state (`ID.json`), written before each step that the
server sees. A batch carries the part's id in its metadata: where a kill fell between submitting a batch and writing its
id down, the batch is found by it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from judge.errors import RunError
from judge.files import write_atomic, write_chunks

OUTPUTS = ("output", "errors")


@dataclass(slots=True, kw_only=True)
class Part:
    """One batch.

    Attributes:
        id: made here; the batch has it in its metadata.
        requests: how many it holds.
        tries: how often its requests have been asked with it, itself included.
        prepared: when it was made, in seconds since 1970.
        file_id: of the uploaded requests, "" before.
        creating: whether the server may have been told to begin the batch.
        batch_id: of the batch, "" before it is known.
        status: the batch's last one. ended: whether its lines lie here.
    """

    id: str
    requests: int
    tries: int = 1
    prepared: float = 0.0
    file_id: str = ""
    creating: bool = False
    batch_id: str = ""
    status: str = ""
    ended: bool = False


class PartStore:
    """The parts in one directory."""

    def __init__(self, directory: Path) -> None:
        """Raises RunError for a state that cannot be read."""
        self.directory = directory
        self.parts: list[Part] = []
        names = {field.name for field in fields(Part)}
        for path in sorted(directory.glob("*.json")):
            try:
                state = orjson.loads(path.read_bytes())
                self.parts.append(Part(**{name: value for name, value in state.items() if name in names}))
            except (OSError, ValueError, TypeError, AttributeError) as error:
                raise RunError(f"{path}: cannot be read as the state of a batch: {error}") from None
        self.parts.sort(key=lambda part: part.prepared)

    def add(self, lines: Sequence[bytes], *, tries: int = 1) -> Part:
        """Write the requests of a new part down, each a line; then its state, so that a part is there whole or not."""
        part = Part(id=uuid4().hex, requests=len(lines), tries=tries, prepared=time.time())
        write_chunks(self.file(part, "input"), lines)
        self.save(part)
        self.parts.append(part)
        return part

    def save(self, part: Part) -> None:
        """Write a part's state, whole or not at all, and force it to the disk."""
        write_atomic(self.directory / f"{part.id}.json", orjson.dumps(asdict(part)).decode() + "\n")

    def file(self, part: Part, kind: str) -> Path:
        """The file of a part: "input", "output" or "errors"."""
        return self.directory / f"{part.id}.{kind}.jsonl"

    def custom_ids(self, part: Part) -> list[str]:
        """The names of a part's requests, in the order asked."""
        with self.file(part, "input").open("rb") as file:
            return [orjson.loads(line)["custom_id"] for line in file]

    def lines(self, part: Part) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(custom id, line) of everything that the server said of an ended part; what cannot be read is passed over."""
        for kind in OUTPUTS:
            with suppress(FileNotFoundError), self.file(part, kind).open("rb") as file:
                for text in file:
                    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
                        line = orjson.loads(text)
                        if isinstance(line["custom_id"], str):
                            yield line["custom_id"], line

    def forget(self) -> None:
        """Remove the ended parts, the state first, and the directory when nothing is left in it."""
        for part in [part for part in self.parts if part.ended]:
            (self.directory / f"{part.id}.json").unlink(missing_ok=True)
            for kind in ("input", *OUTPUTS):
                self.file(part, kind).unlink(missing_ok=True)
            self.parts.remove(part)
        if not self.parts and self.directory.is_dir():
            for path in self.directory.iterdir():  # of a part that a kill left before its state was there
                path.unlink()
            self.directory.rmdir()
