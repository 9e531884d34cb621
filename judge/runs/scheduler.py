"""The only loop: records become programs, programs' requests go to engines, judgements go to the journal.

A bounded window of programs is alive over a lazy stream of records, and each advances the moment its own batch is
back. So there are no stage barriers: a record in its third round and one at its first verdict share a batch. What an
earlier record goes on to ask has a lower ticket than what later ones ask, so it does not wait behind them. The order
in which engines answer never changes a row, only the order of rows.

This module refuses to know what a task asks, what a model is and what a row looks like.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Protocol

from judge.engines.base import Completion, Engine, Request
from judge.errors import ConfigError, EngineError
from judge.judgements import Judgement, readable
from judge.records import Record
from judge.runs.counts import Counts
from judge.runs.id_set import IdSet
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
) -> Counts:
    """Judge each distinct record that the journal does not hold yet, and journal each judgement when it is complete.

    window: how many programs are alive at once. limit: only the first so many distinct records, those the journal
    holds included. watch: called after each turn. shielded: a context in which a signal must wait.
    """
    counts = counts if counts is not None else Counts()

    def finish(record: Record, judgement: Judgement) -> None:
        row, good = row_for(record, judgement), readable(judgement)
        journal.write(row, readable=good)
        counts.add_row(row, readable=good)

    live = _LivePrograms(engines, counts, finish)
    once = islice(distinct(records, counts), limit)
    waiting = (record for content_id, record in once if content_id not in journal.done)
    while True:
        with shielded():
            while len(live) < window and (record := next(waiting, None)) is not None:
                live.start(record, program_for(record))
        if not live:
            return counts
        for judge, engine in enumerate(engines):
            if live.open[judge]:
                finished = engine.step()
                with shielded():
                    live.take(judge, finished)
        journal.sync()
        watch(counts)


class _Live:
    """A program between two turns: the completions of its batch that are back, and how many are missing.

    ticket: of its next request.
    """

    __slots__ = ("back", "missing", "program", "record", "ticket")

    def __init__(self, record: Record, program: Program[Judgement], ticket: int) -> None:
        self.record = record
        self.program = program
        self.ticket = ticket
        self.back: list[Completion] = []
        self.missing = 0


class _LivePrograms:
    """The programs that are alive, and where the completion of each ticket belongs.

    open: how many requests each engine has not answered yet.
    """

    def __init__(self, engines: Sequence[Engine], counts: Counts, finish: Callable[[Record, Judgement], None]) -> None:
        self.open = [0] * len(engines)
        self._engines = engines
        self._counts = counts
        self._finish = finish
        self._alive = 0
        self._tickets: dict[int, tuple[_Live, int]] = {}
        self._started = 0

    def __len__(self) -> int:
        return self._alive

    def start(self, record: Record, program: Program[Judgement]) -> None:
        self._alive += 1
        self._started += 1
        self._advance(_Live(record, program, self._started * _REQUESTS), None)

    def take(self, judge: int, finished: Sequence[tuple[int, Completion]]) -> None:
        """Give completions to their programs; each program whose batch is whole takes its next turn."""
        if not finished:
            raise EngineError(f"judge {judge} holds {self.open[judge]} requests and finished none of them")
        for ticket, completion in finished:
            self.open[judge] -= 1
            self._counts.add_completion(completion)
            live, place = self._tickets.pop(ticket)
            live.back[place] = completion
            live.missing -= 1
            if not live.missing:
                self._advance(live, live.back)

    def _advance(self, live: _Live, back: list[Completion] | None) -> None:
        try:
            batch = next(live.program) if back is None else live.program.send(back)
            while not batch:
                batch = live.program.send([])
        except StopIteration as stop:
            self._alive -= 1
            self._finish(live.record, stop.value)
            return
        live.back, live.missing = [_MISSING] * len(batch), len(batch)
        for place, request in enumerate(batch):
            self._submit(live, place, request)

    def _submit(self, live: _Live, place: int, request: Request) -> None:
        if not 0 <= request.judge < len(self._engines):
            raise ConfigError(f"a task asked judge {request.judge}; the run has {len(self._engines)}")
        ticket, live.ticket = live.ticket, live.ticket + 1
        self._tickets[ticket] = (live, place)
        self.open[request.judge] += 1
        self._engines[request.judge].submit(ticket, request)


_MISSING = Completion(text="", finish="error")
_REQUESTS = 1 << 24  # tickets set aside for each program, more than it will ever ask
