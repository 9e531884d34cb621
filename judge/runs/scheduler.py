"""The only loop: records become programs, programs' requests go to engines, judgements go to the journal.

A bounded window of programs is alive over a lazy stream of records, and each advances the moment its own batch is
back. So there are no stage barriers: a record in its third round and one at its first verdict share a batch. What an
earlier record goes on to ask has a lower ticket than what later ones ask, so it does not wait behind them. The order
in which engines answer never changes a row, only the order of rows.

A judge that gives out does not cost what the others say: their replies are kept, record by record, and the next go asks
for what is missing. A cost limit stops a run in the same way.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from judge.engines.base import Completion, Engine, Request
from judge.engines.prices import Budget, limit_reached
from judge.errors import ConfigError, EngineError
from judge.id_set import IdSet
from judge.judgements import Judgement, readable
from judge.records import Record
from judge.runs.counts import Counts
from judge.tasks.base import Program

WINDOW = 1024


class Sink(Protocol):
    """Where rows go; `Journal` is the one on disk."""

    @property
    def done(self) -> Container[str]:
        """The ids that need not be judged."""
        ...

    def write(self, row: Mapping[str, Any], *, readable: bool) -> None:
        """Take a row for good."""

    def sync(self) -> None:
        """A moment to force rows to the disk."""


@runtime_checkable
class Background(Protocol):
    """An engine that works while nobody steps it, as one that asks a server does."""

    def ready(self) -> bool:
        """Whether `step` would return at once."""
        ...


class Replies(Protocol):
    """Where the replies to unfinished records are kept; `KeptReplies` is the one on disk."""

    def keep(self, content_id: str, replies: Sequence[Completion | None]) -> None:
        """Keep a record's completions in the order asked, None for the missing ones."""

    def take(self, content_id: str) -> list[Completion | None]:
        """What an earlier go kept for a record."""
        ...


class Forgotten:
    """Keeps nothing."""

    def keep(self, content_id: str, replies: Sequence[Completion | None]) -> None:
        """See Replies."""

    def take(self, content_id: str) -> list[Completion | None]:
        """See Replies."""
        return []


def distinct(records: Iterable[Record], counts: Counts) -> Iterator[tuple[str, Record]]:
    """Each record once, with its id; a repeated one is counted and passed over."""
    seen = IdSet()
    for record in records:
        content_id = record.id
        if seen.add(content_id):
            yield content_id, record
        else:
            counts.duplicates += 1


def run(
    records: Iterable[Record],
    program_for: Callable[[Record], Program[Judgement]],
    engines: Sequence[Engine],
    journal: Sink,
    row_for: Callable[[Record, Judgement], Mapping[str, Any]],
    *,
    counts: Counts | None = None,
    window: int = WINDOW,
    limit: int | None = None,
    watch: Callable[[Counts], None] = lambda counts: None,
    shielded: Callable[[], AbstractContextManager[None]] = nullcontext,
    replies: Replies | None = None,
    budget: Budget | None = None,
) -> Counts:
    """Judge each distinct record that the journal does not hold yet, and journal each judgement when it is complete.

    window: how many programs are alive at once. limit: only the first so many distinct records, those the journal
    holds included. watch: called after each turn. shielded: a context in which a signal must wait. replies: where the
    replies to records go that cannot be finished because a judge gave out. budget: what answers cost, and how much they
    may cost: a request waits until its longest reply fits beside those of the requests that are under way.
    Raises EngineError when a judge gave out: at once when it never answered or was the last one alive, else when the
    others have said what they could. Raises CostLimitError when no request is left that still fits.
    """
    counts = counts if counts is not None else Counts()
    once = islice(distinct(records, counts), limit)
    return run_waiting(
        (entry for entry in once if entry[0] not in journal.done),
        program_for,
        engines,
        journal,
        row_for,
        counts=counts,
        window=window,
        watch=watch,
        shielded=shielded,
        replies=replies,
        budget=budget,
    )


def run_waiting(
    waiting: Iterator[tuple[str, Record]],
    program_for: Callable[[Record], Program[Judgement]],
    engines: Sequence[Engine],
    journal: Sink,
    row_for: Callable[[Record, Judgement], Mapping[str, Any]],
    *,
    counts: Counts,
    window: int = WINDOW,
    watch: Callable[[Counts], None] = lambda counts: None,
    shielded: Callable[[], AbstractContextManager[None]] = nullcontext,
    replies: Replies | None = None,
    budget: Budget | None = None,
) -> Counts:
    """Judge records that come with their ids, each once, as `run` does.

    waiting: may say that it has none and have some later; it has no more when it says so while nothing is in work.
    """

    def finish(record: Record, judgement: Judgement) -> None:
        row, good = row_for(record, judgement), readable(judgement)
        journal.write(row, readable=good)
        counts.add_row(row, readable=good)

    live = _LivePrograms(engines, counts, finish, replies or Forgotten(), budget or Budget(engines, {}))
    while True:
        with shielded():
            while len(live) < window and not live.held and (entry := next(waiting, None)) is not None:
                content_id, record = entry
                live.start(content_id, record, program_for(record))
        if not live:
            live.report()
            return counts
        if not any(live.open):
            with shielded():
                live.stop()
        for judge in _due(engines, live.open):
            try:
                finished = engines[judge].step()
            except EngineError as error:
                with shielded():
                    live.lose(judge, error)
                continue
            with shielded():
                live.take(judge, finished)
        journal.sync()
        watch(counts)


def _due(engines: Sequence[Engine], open_requests: Sequence[int]) -> list[int]:
    """The judges to step now. Of several, those that work in the background only when they have finished something: one
    that is silent holds up none of the others."""
    busy = [judge for judge, count in enumerate(open_requests) if count]
    if len(busy) < 2:
        return busy
    while True:
        due = [judge for judge in busy if not isinstance(engine := engines[judge], Background) or engine.ready()]
        if due:
            return due
        time.sleep(_LOOK_SECONDS)


class _Live:
    """A program between two turns.

    ticket: of its next request. back: the completions of its batch that are there. missing: how many are under way.
    stuck: whether its batch needs a judge that gave out. replies: all completions so far, in the order asked, None for
    the missing ones. kept: those of an earlier go, in the same order.
    """

    __slots__ = ("back", "content_id", "kept", "missing", "program", "record", "replies", "stuck", "ticket")

    def __init__(
        self, content_id: str, record: Record, program: Program[Judgement], ticket: int, kept: list[Completion | None]
    ) -> None:
        self.content_id = content_id
        self.record = record
        self.program = program
        self.ticket = ticket
        self.kept = kept
        self.replies: list[Completion | None] = []
        self.back: list[Completion] = []
        self.missing = 0
        self.stuck = False


class _LivePrograms:
    """The programs that are alive, and where the completion of each ticket belongs.

    open: how many requests each engine has not answered yet. held: tickets of requests that wait until the budget has
    room for them, in the order asked.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        counts: Counts,
        finish: Callable[[Record, Judgement], None],
        replies: Replies,
        budget: Budget,
    ) -> None:
        self.open = [0] * len(engines)
        self.held: deque[tuple[int, Request]] = deque()
        self._budget = budget
        self._reserves: dict[int, float] = {}  # ticket -> the most that its answer may cost
        self._reserved = 0.0
        self._engines = engines
        self._counts = counts
        self._finish = finish
        self._replies = replies
        self._alive = 0
        self._tickets: dict[int, tuple[_Live, int, int]] = {}  # ticket -> program, place in its batch, judge
        self._started = 0
        self._answered = [0] * len(engines)
        self._lost: dict[int, EngineError] = {}
        self._suspended = 0

    def __len__(self) -> int:
        return self._alive

    def start(self, content_id: str, record: Record, program: Program[Judgement]) -> None:
        """Let a program take its first turn."""
        self._alive += 1
        self._started += 1
        kept = self._replies.take(content_id)
        self._advance(_Live(content_id, record, program, self._started * _REQUESTS, kept), None)

    def take(self, judge: int, finished: Sequence[tuple[int, Completion]]) -> None:
        """Give completions to their programs; each program whose batch is whole takes its next turn."""
        if not finished:
            raise EngineError(f"judge {judge} holds {self.open[judge]} requests and finished none of them")
        self._answered[judge] += len(finished)
        for ticket, completion in finished:
            self.open[judge] -= 1
            self._counts.add_completion(completion, self._budget.cost(judge, completion))
            self._release(ticket)
            live, place, _ = self._tickets.pop(ticket)
            live.back[place] = completion
            live.replies[place - len(live.back)] = completion
            live.missing -= 1
            if not live.missing:
                self._turn(live)
        while self.held and self._reserve(*self.held[0]):
            self._send(*self.held.popleft())

    def stop(self) -> None:
        """Suspend the programs whose requests would cost more than the budget has left, and raise CostLimitError."""
        while self.held:
            self._orphan(self.held.popleft()[0])
        raise limit_reached(self._budget.limit, self._counts.cost, self._counts.rows)

    def lose(self, judge: int, error: EngineError) -> None:
        """Go on without a judge that gave out; raise where nobody is left or where it never gave an answer."""
        self._lost[judge] = error
        self.open[judge] = 0
        last = len(self._lost) == len(self._engines) or not self._answered[judge]
        orphans = {ticket for ticket, (_, _, ticket_judge) in self._tickets.items() if last or ticket_judge == judge}
        self.held = deque(entry for entry in self.held if entry[0] not in orphans)
        for ticket in orphans:
            self._orphan(ticket)
        if last:
            self.report()

    def _orphan(self, ticket: int) -> None:
        """Give up a request that nobody will answer."""
        self._release(ticket)
        live, _, _ = self._tickets.pop(ticket)
        live.stuck = True
        live.missing -= 1
        if not live.missing:
            self._suspend(live)

    def report(self) -> None:
        """Raise for the first judge that gave out, if any did."""
        for judge, error in self._lost.items():
            name = f"judge {judge + 1} gave out: " if len(self._engines) > 1 else ""
            rest = f"; what was said of {self._suspended} unfinished rows is kept, and the same command asks the rest"
            raise EngineError(f"{name}{error}{rest if self._suspended else ''}") from error

    def _turn(self, live: _Live) -> None:
        if live.stuck:
            self._suspend(live)
        else:
            self._advance(live, live.back)

    def _advance(self, live: _Live, back: list[Completion] | None) -> None:
        """Let a program go on until it waits for an engine or has come to its end."""
        while True:
            try:
                batch = next(live.program) if back is None else live.program.send(back)
            except StopIteration as stop:
                self._alive -= 1
                self._finish(live.record, stop.value)
                return
            live.back, live.missing = [_MISSING] * len(batch), 0
            start = len(live.replies)
            live.replies += live.kept[start : start + len(batch)]
            live.replies += [None] * (start + len(batch) - len(live.replies))
            for place, request in enumerate(batch):
                kept = live.replies[start + place]
                if kept is not None:
                    live.back[place] = kept
                else:
                    self._submit(live, place, request)
            if live.missing:
                return
            if live.stuck:
                self._suspend(live)
                return
            back = live.back

    def _submit(self, live: _Live, place: int, request: Request) -> None:
        judge = request.judge
        if not 0 <= judge < len(self._engines):
            raise ConfigError(f"a task asked judge {judge}; the run has {len(self._engines)}")
        if judge in self._lost:
            live.stuck = True
            return
        ticket, live.ticket = live.ticket, live.ticket + 1
        self._tickets[ticket] = (live, place, judge)
        live.missing += 1
        if self.held or not self._reserve(ticket, request):
            self.held.append((ticket, request))
        else:
            self._send(ticket, request)

    def _reserve(self, ticket: int, request: Request) -> bool:
        """Set aside what the longest reply to a request costs; False where the budget has no room for it."""
        if self._budget.limit == math.inf:
            return True
        most = self._budget.most(request)
        if self._counts.cost + self._reserved + most > self._budget.limit:
            return False
        self._reserves[ticket] = most
        self._reserved += most
        return True

    def _release(self, ticket: int) -> None:
        self._reserved -= self._reserves.pop(ticket, 0.0)
        if not self._reserves:
            self._reserved = 0.0  # of the roundings nothing is carried on

    def _send(self, ticket: int, request: Request) -> None:
        self.open[request.judge] += 1
        self._engines[request.judge].submit(ticket, request)

    def _suspend(self, live: _Live) -> None:
        """Leave a program that needs a lost judge, and keep what was said."""
        self._alive -= 1
        live.program.close()
        if any(reply is not None for reply in live.replies):
            self._suspended += 1
            self._replies.keep(live.content_id, live.replies)


_MISSING = Completion(text="", finish="error")
_LOOK_SECONDS = 0.005
_REQUESTS = 1 << 24  # tickets set aside for each program, more than it will ever ask
