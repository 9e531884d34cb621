"""Features of a frozen backbone, computed once: epochs then train the head alone.

    N reads, F width of the features, R reads of all examples.

What stands still gives the same features in every epoch, as long as nothing is drawn in it: they are computed in
evaluation, so the backbone's dropout is off. They lie in tensors (R, F) beside the training's state, so an interrupted
training does not compute them again, and are read from the disk when they are needed.
"""

import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from judge.errors import RunError
from judge.records import Conversation
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator, Features, Fitted
from judge.rewards.data.examples import Example
from judge.rewards.modeling.reward_model import RewardModule

BATCH_TOKENS = 8192
Watch = Callable[[int, int], None]  # examples that are done, and all of them
NewTable = Callable[[Sequence[int], torch.dtype], Tensor]  # an empty tensor of a shape
_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.float64: "F64"}


def can_be_cached(config: RewardConfig) -> bool:
    """Whether the head reads nothing but one feature vector a read, made by a backbone that stands still.

    Two encoders have layers of their own that learn; the heads `likelihood` and `hierarchical` read every token.
    """
    model = config.model
    plain = model.encoder == "joint" and model.kind != "hierarchical" and model.head != "likelihood"
    return model.freeze_backbone and plain


class FrozenFeatures:
    """Makes batches of features where a collator makes batches of tokens.

    Args:
        model: whose backbone is frozen; on the device where features are computed.
        collate: makes this model's batches.
        autocast: the context in which the training computes; None computes in the weights' precision.
    """

    def __init__(
        self,
        model: RewardModule,
        collate: Collator,
        autocast: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> None:
        self._model, self._collate, self._autocast = model, collate, autocast or nullcontext
        self._rows: dict[int, int] = {}  # of each text of an example, its row in the tables
        self._tables: list[Tensor] = []
        self._starts: list[int] = []  # of the tables, in rows

    def __call__(self, examples: Sequence[Example]) -> Features:
        """The features of all reads of the examples, in their order; those that are not known are computed."""
        missing = [example for example in examples if _keys(example)[0] not in self._rows]
        if missing:
            self.add(missing, self.compute(missing))
        rows = [self._row(row) for example in examples for row in self._places(example)]
        return Features(torch.stack(rows))

    def _row(self, row: int) -> Tensor:
        number = bisect_right(self._starts, row) - 1
        return self._tables[number][row - self._starts[number]]

    def lengths(self, examples: Sequence[Example]) -> Sequence[int]:
        """Tokens of each example, as the collator counts them: batches are those of a training without a cache."""
        return self._collate.lengths(examples)

    def fit(self, examples: Sequence[Example]) -> Fitted:
        """The examples that fit max_length, as the collator says."""
        return self._collate.fit(examples)

    def add(self, examples: Sequence[Example], features: Tensor) -> None:
        """Remember features (R, F) of examples, in their order."""
        row = self._starts[-1] + len(self._tables[-1]) if self._tables else 0
        self._starts.append(row)
        self._tables.append(features)
        for example in examples:
            self._rows.update((key, row + place) for place, key in enumerate(_keys(example)))
            row += _reads(example)

    @torch.no_grad()
    def compute(self, examples: Sequence[Example], watch: Watch | None = None, new: NewTable | None = None) -> Tensor:
        """Features (R, F) of examples, in their order, on the CPU; examples of like length are computed together.

        Args:
            examples: that fit the collator.
            watch: is told how many are done.
            new: makes the tensor; None makes it in memory.
        """
        training, device = self._model.training, next(self._model.parameters()).device
        self._model.eval()
        ends = list(accumulate(_reads(example) for example in examples))
        table, done = torch.empty(0), 0
        for places in self._batches(examples):
            batch = [examples[place] for place in places]
            with self._autocast():
                features = self._model.read(self._collate(batch).to(device)).features.cpu()
            if not len(table):
                table = (new or _in_memory)((ends[-1], *features.shape[1:]), features.dtype)
            for place, rows in zip(places, features.split([_reads(example) for example in batch]), strict=True):
                table[ends[place] - len(rows) : ends[place]] = rows
            done += len(places)
            if watch is not None:
                watch(done, len(examples))
        self._model.train(training)
        return table

    def _batches(self, examples: Sequence[Example]) -> Iterator[list[int]]:
        """Places of examples, longest first, so many that each batch computes some BATCH_TOKENS tokens."""
        lengths = self._collate.lengths(examples)
        batch: list[int] = []
        for place in sorted(range(len(examples)), key=lambda place: -lengths[place]):
            if batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS:
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _places(self, example: Example) -> Iterator[int]:
        rows = [self._rows[key] for key in _keys(example)]
        yield from range(rows[0], rows[0] + len(example.steps)) if example.steps else rows


def frozen_features(
    model: RewardModule,
    collate: Collator,
    examples: Sequence[Example],
    folder: Path,
    key: str,
    accelerator: Any,
    watch: Watch | None = None,
) -> FrozenFeatures:
    """The features of all examples, read from the training's state or computed and kept there.

    Several processes (`accelerate launch`) compute a share each.

    Args:
        model: whose backbone is frozen; it is moved to the accelerator's device.
        collate: makes this model's batches.
        examples: of training and validation.
        folder: of the training's state.
        key: names backbone, examples and settings; features under another key are computed again.
        accelerator: of the training.
        watch: is told how many examples of this process's share are done.

    Raises:
        RunError: where the features cannot be written.
    """
    features = FrozenFeatures(model.to(accelerator.device), collate, accelerator.autocast)
    world, rank = accelerator.num_processes, accelerator.process_index
    shares = [examples[process::world] for process in range(world)]
    files = [folder / f"features-{process + 1}-of-{world}.safetensors" for process in range(world)]
    if shares[rank] and _kept(files[rank], key) is None:
        _write(files[rank], key, lambda new: features.compute(shares[rank], watch, new))
    accelerator.wait_for_everyone()
    for share, file in zip(shares, files, strict=True):
        kept = _kept(file, key) if share else None
        if kept is not None:
            features.add(share, kept)
    return features


def _kept(file: Path, key: str) -> Tensor | None:
    """The features in a file, where it has them under this key."""
    try:
        with safe_open(file, framework="pt") as content:
            return content.get_tensor("features") if (content.metadata() or {}).get("key") == key else None
    except (OSError, SafetensorError):
        return None


def _write(file: Path, key: str, compute: Callable[[NewTable], Tensor]) -> None:
    """Have features computed into a safetensors file, which gets its name when it is whole.

    It is mapped into memory, so the features may be more than fit there.

    Raises:
        RunError: where the disk has no room for them.
    """
    fresh = file.with_suffix(".new")

    def new(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        size = int(np.prod(shape)) * dtype.itemsize
        entry = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [0, size]}
        header = json.dumps({"__metadata__": {"key": key}, "features": entry}).encode()
        header += b" " * (-len(header) % 8)
        with _writing(fresh):
            with fresh.open("wb") as opened:
                opened.write(len(header).to_bytes(8, "little") + header)
                opened.flush()
                _allocate(opened.fileno(), 8 + len(header) + size)
            mapped = np.memmap(fresh, np.uint8, "r+", offset=8 + len(header))
        return torch.from_numpy(mapped).view(dtype).view(*shape)

    compute(new)
    with _writing(fresh):
        fresh.replace(file)


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Tell in a line what the disk refuses, and leave nothing of the file."""
    try:
        yield
    except OSError as error:
        file.unlink(missing_ok=True)
        raise RunError(f"{file}: cannot be written: {error.strerror}") from None


def _allocate(descriptor: int, size: int) -> None:
    """Give a file its size, and room for it on the disk: a write to mapped memory that a full disk has no room for
    would end the process. macOS has no such call."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)


def _in_memory(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.empty(*shape, dtype=dtype)


class Joined(Sequence[Example]):
    """Parts of the examples one after another; each is read when it is asked for.

    Args:
        parts: of the examples.
        places: in all of them; all where they are not given.
    """

    def __init__(self, parts: Sequence[Sequence[Example]], places: range | None = None) -> None:
        self._parts, self._ends = parts, list(accumulate(map(len, parts)))
        self._places = range(self._ends[-1]) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Example: ...

    @overload
    def __getitem__(self, place: slice) -> "Joined": ...

    def __getitem__(self, place: int | slice) -> "Example | Joined":
        if isinstance(place, slice):
            return Joined(self._parts, self._places[place])
        wanted = self._places[place]
        number = bisect_right(self._ends, wanted)
        return self._parts[number][wanted - (self._ends[number - 1] if number else 0)]


def _keys(example: Example) -> list[int]:
    """64 bits of each text of an example, of a solution of its steps: equal for the same texts in another order."""
    responses = [_hash(response) for response in example.responses]
    whole = hash((_hash(example.prompt), frozenset(responses), example.steps))
    return [whole] if example.steps else [hash((whole, response)) for response in responses]


def _hash(conversation: Conversation) -> int:
    return hash(tuple((turn.role, turn.content, repr(turn.more)) for turn in conversation))


def _reads(example: Example) -> int:
    return len(example.steps) or len(example.responses)
