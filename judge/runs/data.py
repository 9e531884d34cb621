"""What a run judges: files, hub names, run directories and rows in memory, each as a source of records.

A source can say how a manifest names it, and whether it only grew since, so that rows added at its end are welcome.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import has_magic
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union

from judge.errors import ConfigError, InputError
from judge.files import to_json
from judge.formats import BadRow, OnBad, Placed, judgement_to_row, read_records, records_from, to_row
from judge.locations.data_files import files_of
from judge.locations.remote_files import RemoteFile, is_remote, local_path, remote_files
from judge.records import Pair, Ranking, Record, Response, Solution
from judge.runs.reader import Run
from judge.secrets import mask_secrets

if TYPE_CHECKING:
    import datasets
    import torch

Data = Union[
    str,
    Path,
    Run,
    Sequence[Mapping[str, Any]],
    Sequence[Record],
    "datasets.Dataset",
    "torch.utils.data.Dataset[Any]",
    Sequence[str],
    Sequence[Path],
    Sequence[Run],
]
_CHUNK = 1 << 20


class DataSource(Protocol):
    """Where records come from."""

    @property
    def name(self) -> str:
        """What errors and manifests call it."""
        ...

    @property
    def streamed(self) -> bool:
        """Whether it comes from the hub row by row, so that it is not read to its end before the work."""
        ...

    def entry(self) -> dict[str, Any]:
        """How a manifest names it: by its content, or by its name on the hub."""
        ...

    def begins_with(self, entry: Mapping[str, Any]) -> bool:
        """Whether it still begins with the content that an entry names."""
        ...

    def state(self) -> Any:
        """What is another one after its content was overwritten in place; costs nothing to ask."""
        ...

    def records(self, format: str | None = None, on_bad: OnBad | None = None) -> Iterator[Placed]:
        """Its records with their places; on_bad is told of each row that is wrong, without it InputError names them."""
        ...


def open_data(data: Data, *, shard: "Shard | str | None" = None) -> tuple[DataSource, ...]:
    """The sources that data means.

    Args:
        data: a path, a glob, a hub name `hf://NAME[:CONFIG][:SPLIT]`, a URL that fsspec reads (`s3://BUCKET/*.jsonl`,
            `https://…`), a run directory, a `Run`, a sequence of these; or rows in memory: a list of dicts or of
            records, a `datasets.Dataset`, a torch `Dataset` (map-style, or iterable, which is read to its end) whose
            rows are dicts, records, or (record, judgement).
        shard: only a share of the records, "2/8" for the second of eight.

    Returns:
        One source a file, hub name or run; one for rows in memory. Nothing is read yet.

    Raises:
        ConfigError: for what is none of these.
        InputError: for a glob that fits no file.
    """
    if shard:
        share = Shard.of(shard)
        return tuple(ShardSource(source, share) for source in open_data(data))
    if isinstance(data, str | Path | Run):
        return tuple(_sources(data))
    if (
        isinstance(data, tuple)
        and data
        and all(isinstance(part, FileSource | RowSource | ShardSource) for part in data)
    ):
        return data  # opened already
    if _is_table(data):
        return (RowSource(data),)
    if not isinstance(data, Sequence):
        return (RowSource([_as_row(row) for row in _rows_of(data)]),)
    if data and all(isinstance(row, Mapping) for row in data):
        return (RowSource(data),)
    if data and all(isinstance(row, Pair | Ranking | Response | Solution | tuple) for row in data):
        return (RowSource([_as_row(row) for row in data]),)
    return tuple(source for part in data for source in _sources(part))


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file here or elsewhere, a run directory (its labels) or a hub name.

    path: what it is read by; as a name without the secrets that a URL may hold.
    """

    path: str

    @property
    def name(self) -> str:
        return mask_secrets(self.path) if is_remote(self.path) else self.path

    @property
    def streamed(self) -> bool:
        return self.path.startswith("hf://")

    def entry(self) -> dict[str, Any]:
        if self.streamed:
            return {"name": self.name}
        files = files_of(self.path)
        if isinstance(files[0], RemoteFile) and (checksum := files[0].checksum()) is not None:
            return checksum  # the store keeps it, so that the file need not be read for it
        size, digest = _hash_file(self.path, None)
        return {"bytes": size, "hash": digest}

    def begins_with(self, entry: Mapping[str, Any]) -> bool:
        size, digest = entry.get("bytes"), entry.get("hash")
        if self.streamed or not isinstance(size, int) or digest is None:
            return False
        return _hash_file(self.path, size) == (size, digest)

    def state(self) -> Any:
        if self.streamed:
            return ()
        return dict(_state(file) for file in files_of(self.path))

    def records(self, format: str | None = None, on_bad: OnBad | None = None) -> Iterator[Placed]:
        return read_records(self.path, format=format, on_bad=on_bad)


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows in memory. table: a sequence of dicts, or a `datasets.Dataset`. A place is `row 17`, counted from 1."""

    table: Any
    name: str = "rows in memory"
    streamed: bool = False

    def entry(self) -> dict[str, Any]:
        return {"rows": len(self.table), "hash": _hash_rows(self.table, len(self.table))}

    def begins_with(self, entry: Mapping[str, Any]) -> bool:
        count = entry.get("rows")
        return isinstance(count, int) and count <= len(self.table) and _hash_rows(self.table, count) == entry["hash"]

    def state(self) -> Any:
        return ()

    def records(self, format: str | None = None, on_bad: OnBad | None = None) -> Iterator[Placed]:
        return records_from(self._rows(), name=self.name, format=format, on_bad=on_bad)

    def _rows(self) -> Iterator[tuple[str, Mapping[str, Any] | InputError]]:
        for number, row in enumerate(self.table, start=1):
            place = f"row {number}"
            wrong = InputError(f"{place}: found {type(row).__name__} where a dict belongs")
            yield place, row if isinstance(row, Mapping) else wrong


class Shard(NamedTuple):
    """A share of the records, by their ids: every record is in one shard, whatever file it stands in.

    Attributes:
        number: which share, counted from 1.
        total: how many there are.
    """

    number: int
    total: int

    @classmethod
    def of(cls, text: "Shard | str") -> "Shard":
        """The shard that "2/8" means. Raises ConfigError for anything else."""
        number, _, count = text.partition("/") if isinstance(text, str) else (str(text[0]), "/", str(text[1]))
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ConfigError(f"shard '{text}': write NUMBER/COUNT, such as 2/8 for the second of eight")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def holds(self, content_id: str) -> bool:
        """Whether a record belongs to it."""
        return int(content_id[-16:-8], 16) % self.total == self.number - 1


@dataclass(frozen=True, slots=True)
class ShardSource:
    """The records of a source that belong to a shard. Rows that cannot be read belong to all of them."""

    source: DataSource
    shard: Shard

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def streamed(self) -> bool:
        return self.source.streamed

    def entry(self) -> dict[str, Any]:
        return {**self.source.entry(), "shard": str(self.shard)}

    def begins_with(self, entry: Mapping[str, Any]) -> bool:
        return entry.get("shard") == str(self.shard) and self.source.begins_with(entry)

    def state(self) -> Any:
        return self.source.state()

    def records(self, format: str | None = None, on_bad: OnBad | None = None) -> Iterator[Placed]:
        return (placed for placed in self.source.records(format, on_bad) if self.shard.holds(placed[1].id))


def reject(place: str, reason: str, on_bad: OnBad | None) -> None:
    """Tell of a row that cannot be worked on; raises InputError where nobody wants to be told."""
    bad = BadRow(place, reason)
    if on_bad is None:
        raise InputError(str(bad))
    on_bad(bad)


def _sources(data: object) -> Iterator[DataSource]:
    if isinstance(data, str):
        data = local_path(data)
    if isinstance(data, str) and is_remote(data):
        yield from (FileSource(file.url) for file in remote_files(data))
    elif isinstance(data, Run):
        yield FileSource(str(data.directory))
    elif not isinstance(data, str | Path):
        kind = type(data).__name__
        raise ConfigError(f"data holds a value of the type {kind} (accepted: paths, hub names, runs; or rows as dicts)")
    elif has_magic(str(data)) and not str(data).startswith("hf://") and not Path(data).exists():
        pattern = Path(data).expanduser()
        root = Path(pattern.anchor)
        paths = sorted(str(path) for path in root.glob(str(pattern.relative_to(root) if pattern.anchor else pattern)))
        if not paths:
            raise InputError(f"{data}: fits no file")
        yield from map(FileSource, paths)
    else:
        yield FileSource(str(data))


def _is_table(data: object) -> bool:
    """Whether it is a `datasets.Dataset`, which is not imported to find out."""
    return hasattr(data, "column_names") and hasattr(data, "__len__") and not isinstance(data, Mapping)


def _rows_of(data: Any) -> Iterator[Any]:
    """The rows of a torch `Dataset`, which is not imported to find out: by index where it has a length, else in
    turn."""
    if isinstance(data, Mapping) or not (hasattr(data, "__getitem__") or hasattr(data, "__iter__")):
        raise ConfigError(f"data of the type {type(data).__name__} (accepted: a path, rows as dicts, a Dataset, a Run)")
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return (data[index] for index in range(len(data)))
    return iter(data)


def _as_row(row: Any) -> Any:
    """A row as the dict that our own format has: of a record, or of a record with its judgement."""
    if isinstance(row, Pair | Ranking | Response | Solution):
        return to_row(row)
    if isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], Pair | Ranking | Response | Solution):
        record, judgement = row
        return to_row(record) | ({} if judgement is None else {"judgement": judgement_to_row(judgement)})
    return row


def _hash_rows(table: Any, count: int) -> str:
    digest = blake2b(digest_size=16)
    for row in islice(table, count):
        digest.update(to_json(row).encode() + b"\n")
    return digest.hexdigest()


def _state(file: Path | RemoteFile) -> tuple[Any, Any]:
    """What stays the same while a file does, and what changes when it is overwritten in place."""
    if isinstance(file, RemoteFile):
        return file.url, file.state()  # what is read of it next is of the new one
    stat = file.stat()  # a file that was replaced has another number; whoever reads it still reads the old one
    return (str(file), stat.st_ino), (stat.st_size, stat.st_mtime_ns)


def _hash_file(path: str, limit: int | None) -> tuple[int, str]:
    """The size and hash of a file's bytes, or of its first ones."""
    digest, size = blake2b(digest_size=16), 0
    for part in files_of(path):  # a run's labels, the parts of a saved data set
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK if limit is None else min(_CHUNK, limit - size)):
                digest.update(chunk)
                size += len(chunk)
    return size, digest.hexdigest()
