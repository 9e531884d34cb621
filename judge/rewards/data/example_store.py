"""Examples and their tokens on the disk: written while the data is read, and read again one by one.

In memory stay `INDEX` of each example and, of what is asked for, one example at a time. The files are read by their
descriptors, so they may be removed while they are in use.
"""

import os
import struct
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from judge.errors import RunError
from judge.rewards.data.example_rows import from_row, pack, to_row, unpack
from judge.rewards.data.examples import Example
from judge.rewards.data.tokenize import CUT, ExampleTokenizer, Tokens

Places = NDArray[np.int64]
# Of each example: where its row and its tokens end, the two halves of its group's id, and its length in tokens.
INDEX = np.dtype([("row", "<i8"), ("tokens", "<i8"), ("group", "<u8"), ("group_end", "<u8"), ("length", "<i4")])
_ENTRY = struct.Struct("<qqQQi")
ROWS, TOKENS, INDEX_FILE = "rows.jsonl", "tokens.i32", "index"
CHUNK = 1000  # examples that are tokenized together


class Written(NamedTuple):
    """What was written: a hash of the rows, a hash of the tokens, and counts of what was cut or dropped, by reason."""

    rows: str
    tokens: str
    counts: "Counter[str]"


def write_examples(
    made: Iterable[Example],
    tokenizer: ExampleTokenizer,
    folder: Path,
    watch: Callable[[Example], None] | None = None,
) -> Written:
    """Tokenize examples and write those that fit max_length, a thousand at a time.

    Args:
        made: the examples, read once.
        tokenizer: of the training.
        folder: to write into; it is made where it is missing.
        watch: is told of each example that fits.

    Raises:
        RunError: where the disk says no.
    """
    rows, tokens, counts = blake2b(digest_size=16), blake2b(digest_size=16), Counter[str]()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            (folder / ROWS).open("wb") as row_file,
            (folder / TOKENS).open("wb") as token_file,
            (folder / INDEX_FILE).open("wb") as index_file,
        ):
            for example, tokenized in fitting(made, tokenizer, counts):
                row, numbers = to_row(example), pack(tokenized).tobytes()
                row_file.write(row)
                token_file.write(numbers)
                group = example.group
                halves = int(group[:16], 16), int(group[16:], 16)
                index_file.write(_ENTRY.pack(row_file.tell(), token_file.tell() // 4, *halves, tokenized.length))
                rows.update(row)
                tokens.update(numbers)
                if watch is not None:
                    watch(example)
    except OSError as error:
        if isinstance(error, RunError):  # of what is read
            raise
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return Written(rows.hexdigest(), tokens.hexdigest(), +counts)


def fitting(
    made: Iterable[Example], tokenizer: ExampleTokenizer, counts: "Counter[str]"
) -> Iterator[tuple[Example, Tokens]]:
    """The examples that fit and their tokens; how many were cut (CUT) or dropped, by reason, is added to `counts`."""
    remaining = iter(made)
    while part := list(islice(remaining, CHUNK)):
        for example, tokens in zip(part, tokenizer(part), strict=True):
            if isinstance(tokens, str):
                counts[tokens] += 1
            else:
                counts[CUT] += tokens.cut > 0
                yield example, tokens


class ExampleStore:
    """Written examples.

    Args:
        folder: that `write_examples` filled.
        tokenizer: that made the tokens.
        row_hash: of the rows, as `write_examples` gave it.
        token_hash: of the tokens.

    Raises:
        RunError: for files that are missing or cannot be read.
    """

    def __init__(self, folder: Path, tokenizer: ExampleTokenizer, row_hash: str, token_hash: str) -> None:
        self.tokenizer, self.row_hash, self.token_hash = tokenizer, row_hash, token_hash
        try:
            self.index: NDArray[Any] = np.fromfile(folder / INDEX_FILE, dtype=INDEX)
            self._rows, self._tokens = (self._open(folder / name) for name in (ROWS, TOKENS))
        except OSError as error:
            raise RunError(f"{folder}: cannot be read: {error.strerror or error}") from None

    def _open(self, file: Path) -> int:
        descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def __len__(self) -> int:
        return len(self.index)

    def example(self, place: int) -> Example:
        """The example at a place; it knows where it came from."""
        start, end = self._span("row", place)
        example = from_row(os.pread(self._rows, end - start, start))
        object.__setattr__(example, "stored", (self, place))
        return example

    def tokens(self, place: int) -> Tokens:
        """The tokens of the example at a place."""
        start, end = self._span("tokens", place)
        return unpack(np.frombuffer(os.pread(self._tokens, 4 * (end - start), 4 * start), dtype=np.int32))

    def _span(self, column: str, place: int) -> tuple[int, int]:
        ends = self.index[column]
        return int(ends[place - 1]) if place else 0, int(ends[place])


class StoredExamples(Sequence[Example]):
    """Some of the examples of a store, in an order; each is read when it is asked for.

    Args:
        store: that holds them.
        places: in the store; all of them where they are not given.
        change: is applied to each example that is read. It keeps its texts, at most in another order.
    """

    def __init__(
        self, store: ExampleStore, places: Places | None = None, change: Callable[[Example], Example] | None = None
    ) -> None:
        self.store, self._change = store, change
        self._places = np.arange(len(store)) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Example: ...

    @overload
    def __getitem__(self, place: slice) -> "StoredExamples": ...

    def __getitem__(self, place: int | slice) -> "Example | StoredExamples":
        if isinstance(place, slice):
            return self.subset(self._places[place])
        return self._read(int(self._places[place]))

    def __iter__(self) -> Iterator[Example]:
        return map(self._read, map(int, self._places))

    def _read(self, place: int) -> Example:
        example = self.store.example(place)
        if self._change is None:
            return example
        changed = self._change(example)
        if (changed.responses, changed.steps) == (example.responses, example.steps):
            object.__setattr__(changed, "stored", example.stored)  # its tokens are still these
        return changed

    def subset(self, places: Places) -> "StoredExamples":
        """Those at places of the store, changed as these are."""
        return StoredExamples(self.store, places, self._change)

    def chosen(self, places: Places) -> "StoredExamples":
        """Those at places of this sequence."""
        return self.subset(self._places[places])

    def mapped(self, change: Callable[[Example], Example]) -> "StoredExamples":
        """These with a change, after any that they have."""
        before = self._change
        both = change if before is None else lambda example: change(before(example))
        return StoredExamples(self.store, self._places, both)

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each example, as `Collator.lengths` counts them."""
        return array("i", self.store.index["length"][self._places].astype(np.intc).tobytes())

    @property
    def group_keys(self) -> NDArray[np.uint64]:
        """The first 64 bits of each example's group."""
        keys: NDArray[np.uint64] = self.store.index["group"][self._places]
        return keys

    def group_name(self, place: int) -> str:
        """The group of the example at a place of this sequence, without reading it."""
        entry = self.store.index[self._places[place]]
        return f"{int(entry['group']):016x}{int(entry['group_end']):016x}"

    def fingerprint(self) -> tuple[str, str]:
        """Hashes of the rows and of the tokens, each with that of the order of the examples."""
        order = blake2b(self._places.astype("<i8").tobytes(), digest_size=16).hexdigest()
        return f"{self.store.row_hash}-{order}", f"{self.store.token_hash}-{order}"


def stored(made: Iterable[Example], tokenizer: ExampleTokenizer) -> tuple[StoredExamples, "Counter[str]"]:
    """Those examples that fit, in temporary files, and counts of what was cut or dropped; nothing stays of them."""
    with TemporaryDirectory(prefix="rmjudge-") as name:
        folder = Path(name)
        written = write_examples(made, tokenizer, folder)
        store = ExampleStore(folder, tokenizer, written.rows, written.tokens)
        return StoredExamples(store), written.counts
