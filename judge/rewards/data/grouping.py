"""Examples by their prompts: groups that stay together, parts of the data, and batches; none of it reads a text.

It is the same for examples in memory and for stored ones.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judge.id_set import id_key
from judge.records import content_id
from judge.rewards.data.example_store import Places, StoredExamples
from judge.rewards.data.examples import Example

POOL = 50  # batches' worth of groups that are sorted by length together


def group_keys(examples: Sequence[Example]) -> NDArray[np.uint64]:
    """64 bits of each example's group."""
    if isinstance(examples, StoredExamples):
        return examples.group_keys
    return np.array([id_key(example.group) for example in examples], dtype=np.uint64)


def group_numbers(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], Places]:
    """The group of each example, numbered in the order in which groups first appear, and the first place of each."""
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[numbers.reshape(-1)], first[order]


def chosen(examples: Sequence[Example], places: Places) -> Sequence[Example]:
    """Those at some places."""
    if isinstance(examples, StoredExamples):
        return examples.chosen(places)
    return [examples[place] for place in places.tolist()]


def changed(examples: Sequence[Example], change: Callable[[Example], Example]) -> Sequence[Example]:
    """The examples with a change that keeps their texts, at most in another order."""
    if isinstance(examples, StoredExamples):
        return examples.mapped(change)
    return [change(example) for example in examples]


def labels_alone(examples: Sequence[Example]) -> Sequence[Example]:
    """Stored examples in memory without their texts, for what reads labels several times; others as they are."""
    if not isinstance(examples, StoredExamples):
        return examples
    return [
        replace(example, prompt=(), responses=((),) * len(example.responses), steps=("",) * len(example.steps))
        for example in examples
    ]


def without(examples: Sequence[Example], others: Sequence[Example]) -> Sequence[Example]:
    """Those whose group is in none of the others."""
    return chosen(examples, np.flatnonzero(~np.isin(group_keys(examples), group_keys(others))))


def count_groups(*parts: Sequence[Example]) -> int:
    """How many groups parts have together."""
    return len(np.unique(np.concatenate([group_keys(part) for part in parts])))


def split(made: Sequence[Example], share: float, seed: int) -> tuple[Sequence[Example], Sequence[Example]]:
    """Training and validation examples, whole groups on either side; the same groups whatever order they come in.

    Groups are drawn until about `share` of all examples are held out; one group stays for training at least.
    """
    numbers, first = group_numbers(group_keys(made))
    counts = np.bincount(numbers)
    held = np.zeros(len(counts), dtype=bool)
    wanted, taken = share * len(made), 0
    for number in _drawn(made, first, seed)[:-1]:
        count = int(counts[number])
        if taken + count / 2 <= wanted:
            held[number] = True
            taken += count
    held_out = held[numbers]
    return chosen(made, np.flatnonzero(~held_out)), chosen(made, np.flatnonzero(held_out))


def _drawn(made: Sequence[Example], first: Places, seed: int) -> Places:
    """Numbers of groups in the order of a hash of the seed and the group."""
    hashes = bytearray()
    for place in first.tolist():
        name = made.group_name(place) if isinstance(made, StoredExamples) else made[place].group
        hashes += bytes.fromhex(content_id(seed, name))
    halves = np.frombuffer(hashes, dtype=">u8").reshape(-1, 2)
    order: Places = np.lexsort((halves[:, 1], halves[:, 0]))
    return order


class BatchPlaces:
    """Batches of one epoch as places of examples: whole groups, equal lengths together, in a drawn order.

    The order depends on seed and epoch alone. Groups are drawn, every 50 batches' worth of them is sorted by length and
    cut into batches, and the batches are shuffled. A group larger than a batch is one batch.

    Args:
        numbers: the group of each example, of `group_numbers`.
        lengths: of the examples.
        size: about how many examples a batch has.
        seed: of the draw.
        epoch: 0-based.
    """

    def __init__(self, numbers: NDArray[np.int64], lengths: Sequence[int], size: int, seed: int, epoch: int) -> None:
        rng, count = Random(f"{seed}:{epoch}"), len(numbers)
        members = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers))
        longest = np.maximum.reduceat(np.asarray(lengths)[members], np.r_[0, ends[:-1]]) if count else ends
        groups = array("q", range(len(ends)))
        rng.shuffle(groups)
        self._places, self._ends = array("q"), array("q")
        for pool in _pools(groups, np.diff(ends, prepend=0), POOL * size):
            pool.sort(key=longest.__getitem__)
            self._fill(pool, members, ends, size)
        self._order = array("q", range(len(self._ends)))
        rng.shuffle(self._order)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[list[int]]:
        for number in self._order:
            start = self._ends[number - 1] if number else 0
            yield self._places[start : self._ends[number]].tolist()

    def _fill(self, pool: Iterable[int], members: Places, ends: Places, size: int) -> None:
        """Consecutive groups joined while they fit."""
        filled = 0
        for group in pool:
            group_places = members[(ends[group - 1] if group else 0) : ends[group]].tolist()
            if filled and filled + len(group_places) <= size:
                self._ends[-1] += len(group_places)
                filled += len(group_places)
            else:
                self._ends.append(len(self._places) + len(group_places))
                filled = len(group_places)
            self._places.extend(group_places)


def _pools(groups: Iterable[int], counts: NDArray[Any], wanted: int) -> Iterator[list[int]]:
    pool: list[int] = []
    filled = 0
    for group in groups:
        pool.append(group)
        filled += int(counts[group])
        if filled >= wanted:
            yield pool
            pool, filled = [], 0
    if pool:
        yield pool


def batches(
    examples: Sequence[Example], size: int, seed: int, epoch: int, *, lengths: Sequence[int] | None = None
) -> Iterator[list[Example]]:
    """Batches for one epoch, see `BatchPlaces`.

    Args:
        examples: of the epoch.
        size: about how many examples a batch has.
        seed: of the draw.
        epoch: 0-based.
        lengths: of the examples in tokens; characters where they are not given.
    """
    sizes = lengths if lengths is not None else [_characters(example) for example in examples]
    numbers, _ = group_numbers(group_keys(examples))
    return ([examples[place] for place in places] for places in BatchPlaces(numbers, sizes, size, seed, epoch))


def _characters(example: Example) -> int:
    texts = (message.content for response in (example.prompt, *example.responses) for message in response)
    return sum(map(len, texts)) + sum(map(len, example.steps))
