"""A cost limit that holds on many machines: the driver leases each worker a part of what is left of it.

A worker asks for nothing whose longest reply does not fit its lease beside what it has spent and what is under way, and
the leases of all workers together never exceed the limit. A lease grows as the work asks for it, so that little is lost
with a worker that dies, and shrinks where another worker waits for money.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from threading import Condition
from typing import Any, NamedTuple

from judge.engines.base import Completion, Engine, Request
from judge.engines.prices import Budget
from judge.errors import EngineError
from judge.runs.scheduler import Background

SILENT_SECONDS = 60.0
"""After so long without a word a worker is taken to hang; what it holds stays counted."""


class Usage(NamedTuple):
    """What a worker says of its lease, in dollars since it was started.

    Attributes:
        lease: what it may spend.
        spent: what answers cost.
        reserved: the most that the requests under way may cost.
        wanted: the most that requests may cost that wait until they fit the lease.
        next: the least that lets one of these go; None where none waits.
    """

    lease: float = 0.0
    spent: float = 0.0
    reserved: float = 0.0
    wanted: float = 0.0
    next: float | None = None


class Lease:
    """The worker's side of a lease, between the thread that judges and the one that talks to the driver.

    Args:
        changed: is notified when the lease grows, or when the driver should be asked for more.
    """

    def __init__(self, changed: Condition) -> None:
        self._changed = changed
        self._limit = self._spent = self._reserved = 0.0
        self._reserves: dict[tuple[int, int], float] = {}  # (judge, ticket) -> the most that its answer may cost
        self._waiting: dict[int, tuple[float, float]] = {}  # judge -> the most of its first waiting request, of all
        self.asks = False
        self.closed = False

    # -- the thread that judges ---------------------------------------------------------------------------------------

    def reserve(self, judge: int, ticket: int, most: float) -> bool:
        """Set aside what a request may cost; False where the lease has no room for it."""
        with self._changed:
            if self._spent + self._reserved + most > self._limit:
                return False
            self._reserves[judge, ticket] = most
            self._reserved += most
            return True

    def release(self, judge: int, ticket: int, dollars: float) -> None:
        """An answer came, and cost so much."""
        with self._changed:
            self._reserved -= self._reserves.pop((judge, ticket))
            if not self._reserves:
                self._reserved = 0.0  # of the roundings nothing is carried on
            self._spent += dollars

    def want(self, judge: int, first: float, total: float) -> None:
        """Say what requests of a judge may cost that wait: the first one, and all of them."""
        with self._changed:
            if self._waiting.get(judge) != (first, total):
                self._waiting[judge] = first, total
                self.asks = True
                self._changed.notify_all()

    def want_nothing(self, judge: int) -> None:
        """No request of a judge waits."""
        with self._changed:
            self._waiting.pop(judge, None)

    def drop(self, judge: int) -> None:
        """A judge gave out: nothing of it is under way or waits any more."""
        with self._changed:
            self.want_nothing(judge)
            for key in [key for key in self._reserves if key[0] == judge]:
                self.release(*key, 0.0)

    def wait(self) -> None:
        """Wait until the driver has sent something; raises EngineError where it has no more to lease."""
        with self._changed:
            if not self.closed:
                self._changed.wait(_LOOK_SECONDS)
            if self.closed:
                raise EngineError("the cost limit of the run is reached")

    # -- the thread that talks to the driver --------------------------------------------------------------------------

    def offer(self, limit: float) -> None:
        """Take a lease over its whole life; it never falls below what is spent and reserved already."""
        with self._changed:
            self._limit = max(limit, self._spent + self._reserved)
            self._changed.notify_all()

    def usage(self) -> Usage:
        """What is to be told to the driver."""
        with self._changed:
            self.asks = False
            firsts, sums = zip(*self._waiting.values(), strict=True) if self._waiting else ((), ())
            return Usage(self._limit, self._spent, self._reserved, math.fsum(sums), min(firsts, default=None))

    def close(self) -> None:
        """There is no more to lease: requests that wait are given up."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class LeasedEngine:
    """An engine whose requests wait until their longest replies fit the lease, the lowest ticket first."""

    def __init__(self, engine: Engine, judge: int, budget: Budget, lease: Lease) -> None:
        self._engine, self._judge, self._budget, self._lease = engine, judge, budget, lease
        self._waiting: list[tuple[int, float, Request]] = []  # a heap by ticket
        self._open, self._wanted = 0, 0.0

    def submit(self, ticket: int, request: Request) -> None:
        """See Engine."""
        most = self._budget.most(request)
        heappush(self._waiting, (ticket, most, request))
        self._wanted += most
        self._submit_fitting()

    def ready(self) -> bool:
        """See Background: a request that waits for the lease holds up no other judge."""
        self._submit_fitting()
        if self._open:
            return not isinstance(self._engine, Background) or self._engine.ready()
        return self._lease.closed

    def step(self) -> list[tuple[int, Completion]]:
        """See Engine."""
        self._submit_fitting()
        while self._waiting and not self._open:
            self._lease.wait()
            self._submit_fitting()
        try:
            finished = self._engine.step()
        except EngineError:
            self._lease.drop(self._judge)
            raise
        for ticket, completion in finished:
            cost = self._budget.cost(self._judge, completion)
            self._lease.release(self._judge, ticket, cost.dollars if cost else 0.0)
            self._open -= 1
        self._submit_fitting()
        return finished

    def count_tokens(self, request: Request) -> int:
        """See Engine."""
        return self._engine.count_tokens(request)

    def describe(self) -> dict[str, Any]:
        """See Engine."""
        return self._engine.describe()

    def close(self) -> None:
        """See Engine."""
        self._engine.close()

    def _submit_fitting(self) -> None:
        while self._waiting and self._lease.reserve(self._judge, *self._waiting[0][:2]):
            ticket, most, request = heappop(self._waiting)
            self._open, self._wanted = self._open + 1, self._wanted - most
            self._engine.submit(ticket, request)
        if self._waiting:
            first = self._waiting[0][1]
            self._lease.want(self._judge, first, max(first, self._wanted))
        else:
            self._wanted = 0.0  # of the roundings nothing is carried on
            self._lease.want_nothing(self._judge)


def leased(engines: Sequence[Engine], budget: Budget, lease: Lease) -> Sequence[Engine]:
    """The engines of a worker, within its lease where the run has a limit."""
    if budget.limit == math.inf:
        return engines
    return [LeasedEngine(engine, judge, budget, lease) for judge, engine in enumerate(engines)]


class Ledger:
    """The driver's side: who holds how much of what the run may still cost.

    Args:
        limit: the most that the run may cost, in dollars.
        spent: what earlier attempts spent of it.
        clock: seconds, by which a worker that says nothing for long is told.
    """

    def __init__(self, limit: float, spent: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock, self._heard = clock, dict[int, float]()
        self._gone = spent
        self._usages: dict[int, Usage] = {}
        self.forfeited = 0.0
        """What workers that died may have spent without saying so."""

    @property
    def used(self) -> float:
        """What was spent since the run began, as far as workers said; of the dead all that they might have spent."""
        return math.fsum([self._gone, *(usage.spent for usage in self._usages.values())])

    @property
    def free(self) -> float:
        """What is neither spent nor leased."""
        return self.limit - math.fsum([self._gone, *(usage.lease for usage in self._usages.values())])

    @property
    def short(self) -> bool:
        """Whether a worker waits for money; one that says nothing for long holds up nobody."""
        return any(usage.next is not None for worker, usage in self._usages.items() if self._speaks(worker))

    def offer(self, worker: int) -> float:
        """The lease that a worker is sent now: what it needs and as much again, while no other one waits for money;
        else its share of what is left."""
        usage = self._usages.get(worker, Usage())
        used = usage.spent + usage.reserved
        need = usage.reserved + usage.wanted
        if any(other.next is not None for number, other in self._usages.items() if number != worker):
            least = usage.reserved + (usage.next or 0.0)
            lease = usage.spent + min(need, max(self._share(), least))
        else:
            lease = usage.spent + 2 * need
        lease = min(lease, usage.lease + self.free)
        if usage.next is not None and lease < used + usage.next:  # too little to be of use
            lease = used
        self._usages[worker] = usage._replace(lease=max(usage.lease, lease))  # until it says that it gave some back
        return lease

    def report(self, worker: int, usage: Usage) -> None:
        """A worker says what it has done with its lease."""
        self._usages[worker] = usage
        self._heard[worker] = self._clock()

    def lose(self, worker: int) -> None:
        """A worker is gone: what it held counts as spent, as nobody knows better."""
        usage = self._usages.pop(worker, Usage())
        self._gone += usage.lease
        self.forfeited += usage.lease - usage.spent

    def exhausted(self, holders: Iterable[int]) -> bool:
        """Whether none of the workers that hold records can ask for anything any more.

        Args:
            holders: these workers.
        """
        if any(usage.lease > usage.spent for worker, usage in self._usages.items() if self._speaks(worker)):
            return False
        firsts = [self._usages.get(worker, Usage()).next for worker in holders]
        return bool(firsts) and all(first is not None and first > self.free for first in firsts)

    def _speaks(self, worker: int) -> bool:
        """Whether a worker said something lately, or was never heard and may still be starting."""
        return self._clock() - self._heard.get(worker, self._clock()) < SILENT_SECONDS

    def _share(self) -> float:
        """What is left, by the workers that have something under way or waiting."""
        left = self.free + math.fsum(usage.lease - usage.spent for usage in self._usages.values())
        return left / max(1, sum(bool(usage.reserved or usage.next is not None) for usage in self._usages.values()))


_LOOK_SECONDS = 1.0
