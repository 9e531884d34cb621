"""Rows out of files and files onto the disk.

Reads JSONL, JSON, CSV, TSV, Parquet, any text kind of them as `.gz` or `.zst`, globs of these, folders that `datasets`
saved to disk, hub names (`hf://NAME[:CONFIG][:SPLIT]`) and URLs (locations/) one row at a time, each with its
place `file:line` (`file:row` for Parquet, Arrow and the hub). Writes whole files and directories, or nothing. What a
row means is formats/, how a run directory grows is runs/journal.py.
"""

import csv
import glob
import gzip
import io
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from math import isfinite
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple, cast

from judge.errors import InputError, RunError
from judge.hub import hub_rows
from judge.json_input import load_json
from judge.locations.data_files import files_of, is_saved
from judge.locations.remote_files import RemoteFile, target_path

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
PACKED = (".gz", ".zst")
_DECODER = json.JSONDecoder()
# Parquet and the hub hold dates and decimals, which JSON has no words for: they are written as texts.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)
_ASCII = json.JSONEncoder(separators=(",", ":"), default=str, allow_nan=False)
_BLANK = re.compile(r"[ \t\r\n]*")


class Scanned(NamedTuple):
    """One row and its place, or what is wrong at that place."""

    place: str
    row: Row | InputError


def read_rows(path: str | Path) -> Iterator[tuple[str, Row]]:
    """Every row of a file or hub name with its place, streaming; the first broken one raises InputError."""
    for place, row in scan_rows(path):
        if isinstance(row, InputError):
            raise row
        yield place, row


def scan_rows(path: str | Path) -> Iterator[Scanned]:
    """Like `read_rows`, but a broken row is handed out as its error and reading goes on where the kind of file allows
    it (JSONL, CSV). A file that cannot be opened still raises."""
    name = str(path)
    if name.startswith("hf://") and not is_saved(Path(name.removeprefix("hf://").partition(":")[0])):
        yield from (_object(row, place) for place, row in hub_rows(name))
        return
    for file in files_of(path):
        yield from _scan(file)


def _scan(file: Path | RemoteFile) -> Iterator[Scanned]:
    name, last = str(file), PurePath(file.name)
    packed = last.suffix in PACKED
    suffix = (last.with_suffix("").suffix if packed else last.suffix).lower()
    if suffix not in SUFFIXES or (packed and suffix in (".parquet", ".arrow")):
        if isinstance(file, RemoteFile):
            file.info()  # it may be a directory, or not be there
        accepted = ", ".join(SUFFIXES)
        raise InputError(f"{name}: unknown kind of file '{last.suffix}' (accepted: {accepted}, .gz and .zst of texts)")
    if suffix in (".parquet", ".arrow"):
        yield from _batches(file, suffix)
        return
    try:
        with file.open("rb") as raw, _unpacked(raw, last.suffix) as stream:
            if suffix in (".csv", ".tsv"):
                yield from _csv(stream, name, "\t" if suffix == ".tsv" else ",")
            elif suffix == ".json":
                yield from _json(stream.read(), name)
            else:
                yield from _jsonl(stream, name)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name}: broken gzip file: {error}") from None
    except OSError as error:
        if last.suffix == ".zst" and error.errno is None:
            raise InputError(f"{name}: broken zstd file: {str(error).splitlines()[0]}") from None
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None


def file_hash(path: str | Path) -> str:
    """32 hexadecimal digits from the bytes of a file, or of all files that a pattern names (blake2b, 16 bytes); of the
    name itself for a hub name, whose content is not on this machine."""
    digest = blake2b(digest_size=16)
    if str(path).startswith("hf://"):
        digest.update(str(path).encode())
        return digest.hexdigest()
    for file in files_of(path):
        try:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def to_json(value: Any) -> str:
    """One line of compact JSON that always encodes as UTF-8 (a lone surrogate is escaped).

    JSON has no NaN and no infinity: they are written as null.
    """
    try:
        text = _ENCODER.encode(value)
    except ValueError:
        value = _finite(value)
        text = _ENCODER.encode(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return _ASCII.encode(value)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(name) if isinstance(name, float) else name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def from_json(text: str | bytes, place: str) -> Row:
    """The object that a line of JSON holds; raises InputError that begins with `place`."""
    row = _decode(text, place)
    if isinstance(row, InputError):
        raise row
    return row


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a whole file or leave the old one as it is; raises RunError where the disk says no."""
    write_chunks(path, [content])


def write_rows(path: str | Path, rows: Iterable[Row]) -> int:
    """Write rows as JSONL (gzipped when the name ends in .gz), all or nothing; returns their number."""
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        for row in rows:
            count += 1
            yield to_json(row) + "\n"

    write_chunks(path, lines(), compress=str(path).endswith(".gz"))
    return count


def write_chunks(path: str | Path, chunks: Iterable[str | bytes], *, compress: bool = False) -> None:
    """Write a file piece by piece under another name, then rename it: a reader never sees half of it."""
    target = target_path(path, "file")
    temporary: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as raw:
            out: BinaryIO = cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0)) if compress else raw
            for chunk in chunks:
                out.write(chunk.encode(errors="backslashreplace") if isinstance(chunk, str) else chunk)
            if compress:
                out.close()
            raw.flush()
            os.fsync(raw.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


@contextmanager
def staged_directory(out: str | Path, *, fill: bool = False, last: Sequence[str] = ()) -> Iterator[Path]:
    """A temporary directory that becomes `out` when the block ends well, and vanishes when it does not.

    Args:
        out: where it shall stand.
        fill: where `out` is there, move the files into it one by one; else it is replaced as a whole, and what was
            there goes only once the new one stands.
        last: with `fill`, the files that are moved last, in this order: those that say that the others are complete.

    Raises:
        RunError: where the disk says no.
    """
    target = target_path(out, "directory")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
            shutil.rmtree(stale, ignore_errors=True)  # of a process that was killed
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
        try:
            yield folder
            _sync_files(folder)
            os.chmod(folder, 0o777 & ~_umask())
            if not target.exists():
                os.replace(folder, target)
            elif fill:
                order = {name: number for number, name in enumerate(last, start=1)}
                for file in sorted(folder.iterdir(), key=lambda file: (order.get(file.name, 0), file.name)):
                    os.replace(file, target / file.name)
            else:
                _replace_directory(folder, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{target}: cannot be written: {error.strerror or error}") from None


def _replace_directory(folder: Path, target: Path) -> None:
    old = folder.with_suffix(".old")
    os.replace(target, old)
    try:
        os.replace(folder, target)
    except OSError:
        with suppress(OSError):
            os.replace(old, target)
        raise
    shutil.rmtree(old) if old.is_dir() else old.unlink()


def _sync_files(folder: Path) -> None:
    """Force everything to the disk, so that the new name never stands before its content."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    # mkstemp makes files for the owner alone; what we write should look like any other file of this user.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unpacked(raw: BinaryIO, suffix: str) -> BinaryIO:
    if suffix == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))
    if suffix == ".zst":
        import pyarrow

        return cast(BinaryIO, io.BufferedReader(pyarrow.input_stream(raw, compression="zstd"), 1 << 20))
    return raw


def _object(value: Any, place: str) -> Scanned:
    if isinstance(value, dict):
        return Scanned(place, value)
    return Scanned(
        place, InputError(f"{place}: found {_kind(value)} where an object (a row with named fields) belongs")
    )


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _decode(line: str | bytes, place: str) -> Row | InputError:
    try:
        value = load_json(line if isinstance(line, str) else line.decode())
    except json.JSONDecodeError as error:
        column = min(error.pos, len(error.doc.rstrip())) + 1
        return InputError(f"{place}: broken JSON at column {column}: {error.msg}")
    except UnicodeDecodeError as error:
        return InputError(f"{place}: not UTF-8 text (byte {error.start + 1} of the line)")
    except (ValueError, RecursionError) as error:
        return InputError(f"{place}: broken JSON: {error}")
    return value if isinstance(value, dict) else cast(InputError, _object(value, place).row)


def _jsonl(stream: BinaryIO, name: str) -> Iterator[Scanned]:
    for number, line in enumerate(stream, 1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
            if line.lstrip().startswith(b"["):  # a JSON array that was named .jsonl
                yield from _json(line + stream.read(), name)
                return
        if line.isspace():
            continue
        place = f"{name}:{number}"
        yield Scanned(place, _decode(line, place))


def _json(content: bytes, name: str) -> Iterator[Scanned]:
    """The rows of a JSON text: the elements of a list, of every list in an object of lists, a single object, or several
    objects one after another."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"{name}:{content.count(10, 0, error.start) + 1}"  # 10 is the newline
        yield Scanned(place, InputError(f"{place}: not UTF-8 text"))
        return
    line, counted = 1, 0
    values = _values(text)
    while True:
        try:
            position, value = next(values)
        except StopIteration:
            return
        except json.JSONDecodeError as error:
            place = f"{name}:{error.lineno}"
            yield Scanned(place, InputError(f"{place}: broken JSON at column {error.colno}: {error.msg}"))
            return
        except (ValueError, RecursionError) as error:
            place = f"{name}:{line}"
            yield Scanned(place, InputError(f"{place}: broken JSON: {error}"))
            return
        line, counted = line + text.count("\n", counted, position), position
        yield _object(value, f"{name}:{line}")


def _values(text: str) -> Iterator[tuple[int, Any]]:
    position = _skip(text, 0)
    while position < len(text):
        if text[position] == "[":
            position = yield from _elements(text, position)
        else:
            value, end = _DECODER.raw_decode(text, position)
            if _holds_rows(value):
                yield from _members(text, position)
            else:
                yield position, value
            position = end
        position = _skip(text, position)


def _elements(text: str, start: int) -> Generator[tuple[int, Any], None, int]:
    position = _skip(text, start + 1)
    if text[position : position + 1] == "]":
        return position + 1
    while True:
        value, end = _DECODER.raw_decode(text, position)
        yield position, value
        position = _skip(text, end)
        mark = text[position : position + 1]
        if mark == "]":
            return position + 1
        if mark != ",":
            raise json.JSONDecodeError("expecting ',' or ']'", text, position)
        position = _skip(text, position + 1)


def _members(text: str, start: int) -> Iterator[tuple[int, Any]]:
    # The object decoded well before, so only its marks have to be stepped over here.
    position = _skip(text, start + 1)
    while text[position] == '"':
        _, position = _DECODER.raw_decode(text, position)
        position = yield from _elements(text, _skip(text, _skip(text, position) + 1))
        position = _skip(text, _skip(text, position) + 1)
        if position >= len(text):
            return


def _holds_rows(value: Any) -> bool:
    """Whether an object is a bundle of lists of rows (as Mr-Ben's) and not itself a row whose fields are messages."""
    if not isinstance(value, dict) or not value:
        return False
    lists = list(value.values())
    if not all(isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows) for rows in lists):
        return False
    return not any({"role", "content"} <= rows[0].keys() or {"from", "value"} <= rows[0].keys() for rows in lists)


def _skip(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _csv(stream: BinaryIO, name: str, delimiter: str) -> Iterator[Scanned]:
    csv.field_size_limit(1 << 30)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        yield from _table(csv.reader(text, delimiter=delimiter), name)
    finally:
        text.detach()  # else it would close the stream that is not its own


def _table(reader: Any, name: str) -> Iterator[Scanned]:
    header: list[str] = []
    while True:
        place = f"{name}:{reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, UnicodeDecodeError) as error:
            yield Scanned(place, InputError(f"{place}: broken CSV: {error}"))
            return
        if not header:
            header = [cell.strip() for cell in cells]
            if len(set(header)) != len(header):
                yield Scanned(place, InputError(f"{place}: the header names a column twice: {', '.join(header)}"))
                return
        elif not cells:
            continue
        elif len(cells) != len(header):
            problem = f"{place}: found {len(cells)} cells, the header names {len(header)}"
            yield Scanned(place, InputError(problem))
        else:
            yield Scanned(place, dict(zip(header, cells, strict=True)))


def _arrow_file(file: Path | RemoteFile, suffix: str) -> Any:
    import pyarrow

    if isinstance(file, RemoteFile):
        return file.open()
    return pyarrow.OSFile(str(file)) if suffix == ".parquet" else pyarrow.memory_map(str(file))


def _of_parquet(source: Any) -> Iterator[Any]:
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(source)
    for group in range(file.num_row_groups):  # else pyarrow reads all of them ahead
        yield from file.iter_batches(batch_size=1024, row_groups=[group])


def _batches(file: Path | RemoteFile, suffix: str) -> Iterator[Scanned]:
    """The rows of a Parquet file, or of an Arrow stream as `datasets` writes it."""
    import pyarrow

    number, name = 0, str(file)
    try:
        with closing(_arrow_file(file, suffix)) as source:
            for batch in _of_parquet(source) if suffix == ".parquet" else pyarrow.ipc.open_stream(source):
                for row in batch.to_pylist():
                    number += 1
                    yield Scanned(f"{name}:{number}", row)
    except io.UnsupportedOperation:
        reason = "its server gives no ranges of bytes, which this kind of file needs"
        raise InputError(f"{name}: cannot be read: {reason}") from None
    except (pyarrow.ArrowException, OSError) as error:
        kind = "Parquet" if suffix == ".parquet" else "Arrow"
        raise InputError(f"{name}: broken {kind}: {str(error).splitlines()[0]}") from None
