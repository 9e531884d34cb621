"""How many requests are under way at once: as many as a server takes, found out by its answers.

Additive increase, multiplicative decrease, as in TCP (Chiu and Jain 1989): each round of good answers allows a
sixteenth of what the user set more (one request at least), up to that; a server that asks to wait halves the number,
one that slows down lowers it by a fifth.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

ROUNDS = 16  # of good answers lead from one request at once to as many as the user set
BUSY_CUT = 0.5
SLOW_CUT = 0.8
SLOW = 3.0  # answers that take so many times longer than usual, smoothed, are late
SLOW_FLOOR = 0.25  # lateness alone never lowers the number below this share of the user's
SMOOTHING = 0.05
FORGETTING = 1.0005  # an answer: what is usual may slowly become longer


@dataclass(slots=True)
class _Pace:
    """How long answers of one kind take: smoothed, and the best that this ever was."""

    smoothed: float
    usual: float


class Throttle:
    """Lets requests through, on one event loop.

    limit: how many may be under way now; its whole part counts, and never less than one.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """most: the upper bound, and where it begins."""
        self.limit = float(most)
        self._most = most
        self._more = max(1.0, most / ROUNDS)
        self._clock = clock
        self._under_way = 0
        self._opens = -1.0  # until then the server asked for silence
        self._cut = -1.0  # when the limit was last lowered: answers to requests from before say nothing new
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paces: dict[Hashable, _Pace] = {}

    async def enter(self) -> float:
        """Wait for a place; when the request began, for `leave`."""
        while True:
            if (pause := self._opens - self._clock()) > 0:
                await asyncio.sleep(pause)
            elif self._under_way < max(1, int(self.limit)):
                self._under_way += 1
                return self._clock()
            else:
                place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(place)
                await place

    def leave(self) -> None:
        """Give the place back."""
        self._under_way -= 1
        for _ in range(max(1, int(self.limit)) - self._under_way):
            if not self._waiting:
                break
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)

    def answered(self, began: float, kind: Hashable) -> None:
        """A good answer to a request of some kind; those of one kind take about equally long."""
        self.limit = min(self.limit + self._more / self.limit, float(self._most))
        seconds = self._clock() - began
        pace = self._paces.setdefault(kind, _Pace(seconds, seconds))
        pace.smoothed += SMOOTHING * (seconds - pace.smoothed)
        pace.usual = min(pace.usual * FORGETTING, pace.smoothed)
        if pace.smoothed > SLOW * pace.usual:
            self.late(began)

    def busy(self, began: float, wait: float) -> None:
        """The server asked to wait: no request begins for `wait` seconds, and half as many are under way then."""
        self._opens = max(self._opens, self._clock() + wait)
        self._lower(began, BUSY_CUT, 1.0)

    def late(self, began: float) -> None:
        """An answer came late, or not in time."""
        self._lower(began, SLOW_CUT, SLOW_FLOOR * self._most)

    def _lower(self, began: float, share: float, floor: float) -> None:
        if began >= self._cut:
            self.limit = max(self.limit * share, min(self.limit, floor), 1.0)
            self._cut = self._clock()
