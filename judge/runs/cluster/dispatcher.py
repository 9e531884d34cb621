"""Which worker judges which records: blocks for whoever has room, again where a worker died, twice where one is slow.

Pure bookkeeping: no Ray, no threads, no files.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import ceil
from typing import NamedTuple

from judge.engines.base import Completion
from judge.records import Record

BLOCK = 64
"""Records handed out at once, at most."""
OVERDUE = 2.0
"""A record that takes so many times the mean is judged a second time by a worker that has nothing else to do."""


class Item(NamedTuple):
    """A record on its way to a worker.

    Attributes:
        id: its content id.
        record: what is judged.
        place: where it stands in the data, "" where rows do not say.
        kept: replies that an earlier attempt kept, see `KeptReplies`.
    """

    id: str
    record: Record
    place: str = ""
    kept: Sequence[Completion | None] = ()


class _Given(NamedTuple):
    item: Item
    time: float


class Dispatcher:
    """Hands a stream of records out and knows who holds what.

    Args:
        items: the records, read as they are handed out.
        window: records that one worker holds at most.
        workers: how many workers there may be: near the end nobody is given more than a fair share.
        total: how many records there are, None where it is not known.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        items: Iterator[Item],
        *,
        window: int,
        workers: int,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._items, self._window, self._workers, self._clock = items, window, workers, clock
        self._left = total
        self._returned: deque[Item] = deque()
        self._held: dict[int, dict[str, _Given]] = {}
        self._holders: dict[str, set[int]] = {}
        self._ahead = next(items, None)  # so that it is known whether something waits
        self._seconds = 0.0
        self._finished = 0

    @property
    def waiting(self) -> bool:
        """Whether there are records that nobody holds."""
        return bool(self._returned) or self._ahead is not None

    @property
    def done(self) -> bool:
        """Whether every record is judged."""
        return not self.waiting and not self._holders

    @property
    def mean_seconds(self) -> float:
        """From handing a record out to its answer; 0 before the first one."""
        return self._seconds / self._finished if self._finished else 0.0

    def held_by(self, worker: int) -> int:
        """How many records a worker holds."""
        return len(self._held.get(worker, ()))

    def take(self, worker: int, *, again: bool = True) -> list[Item]:
        """What a worker is handed now: nothing while it has no room for a block. again: also what others hold too
        long."""
        most = self._most()
        room = most - self.held_by(worker)
        block = max(1, min(BLOCK, most // 2))
        if room < block:
            return []
        items = self._next(min(room, BLOCK)) if self.waiting else []
        if again and not items and not self.held_by(worker):
            items = self._overdue(block)
        given = self._held.setdefault(worker, {})
        for item in items:
            given[item.id] = _Given(item, self._clock())
            self._holders.setdefault(item.id, set()).add(worker)
        return items

    def finish(self, worker: int, content_id: str) -> bool:
        """Take an answer up; False where another worker gave it before."""
        given = self._held.get(worker, {}).get(content_id)
        if given is None:
            return False
        self._seconds += self._clock() - given.time
        self._finished += 1
        if self._left is not None:
            self._left -= 1
        for holder in self._holders.pop(content_id):
            del self._held[holder][content_id]
        return True

    def give_back(self, worker: int, content_id: str, kept: Sequence[Completion | None]) -> None:
        """A worker could not finish a record; what was said of it so far goes along when it is handed out again."""
        given = self._held.get(worker, {}).get(content_id)
        if given is not None:
            self._held[worker][content_id] = given._replace(item=given.item._replace(kept=kept))

    def lose(self, worker: int) -> int:
        """A worker is gone: what it alone held waits again; how many records."""
        lost = 0
        for content_id, given in self._held.pop(worker, {}).items():
            holders = self._holders[content_id]
            holders.discard(worker)
            if not holders:
                del self._holders[content_id]
                self._returned.append(given.item)
                lost += 1
        return lost

    def _most(self) -> int:
        """How many records a worker may hold: the window, near the end its share of what is left."""
        if self._left is None:
            return self._window
        return max(1, min(self._window, ceil(self._left / self._workers)))

    def _next(self, count: int) -> list[Item]:
        items = [self._returned.popleft() for _ in range(min(count, len(self._returned)))]
        while len(items) < count and self._ahead is not None:
            items.append(self._ahead)
            self._ahead = next(self._items, None)
        return items

    def _overdue(self, count: int) -> list[Item]:
        """Records that one other worker has held for too long, the oldest first."""
        if not self._finished:
            return []
        before = self._clock() - OVERDUE * self.mean_seconds
        late = (
            given
            for held in self._held.values()
            for content_id, given in held.items()
            if given.time < before and len(self._holders[content_id]) == 1
        )
        return [given.item for given in islice(sorted(late, key=lambda given: given.time), count)]
