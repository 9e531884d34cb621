"""The worker's side: a thread judges what the feed gives, and the driver fetches the answers.

One call goes back and forth, `exchange`: new records in, finished rows out. So a worker always has work while the
driver writes, writes nothing itself, and holds no lock that could outlive the driver.
"""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from judge.engines.base import Completion
from judge.engines.prices import Budget
from judge.judgements import Judgement
from judge.records import Record
from judge.runs.cluster.dispatcher import Item
from judge.runs.cluster.leases import Lease, Usage
from judge.runs.counts import Counts
from judge.runs.runner import Answer
from judge.tasks.base import Program

_LINGER_SECONDS = 0.02
_SUSPEND_SECONDS = 5.0


class Work(Protocol):
    """What a worker does with the records that it is handed."""

    def work(self, feed: "Feed") -> None:
        """Judge what the feed gives until it ends, and hand each answer to it."""

    def close(self) -> None:
        """Let go of the models."""


class Recipe(NamedTuple):
    """How a worker is made; it travels to the worker's process.

    Attributes:
        build: makes the work.
        window: records in work at once.
        gpus: that a worker takes where the cluster has any.
        spread: whether these may lie on several machines, as vLLM's own Ray executor allows.
        limit: the most that the run may cost, in dollars; infinite where there is no limit.
        computes: whether it runs a model itself, with all the cores that it can have where it has no GPU.
    """

    build: Callable[[], Work]
    window: int
    gpus: int = 0
    spread: bool = False
    limit: float = math.inf
    computes: bool = False


class Handover(NamedTuple):
    """What a worker hands to the driver: answers since the last time, and what became of its lease."""

    answers: list[Answer]
    usage: Usage = Usage()


class Feed:
    """Records in, answers out, between the thread that judges and the one that talks to the driver.

    lease: what the requests of this worker may cost.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.lease = Lease(self._changed)
        self._queue: deque[Item] = deque()
        self._in_work: dict[str, Item] = {}
        self._answers: list[Answer] = []
        self._closed = False

    # -- the thread that judges ---------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[tuple[str, Record]]:
        return self

    def __next__(self) -> tuple[str, Record]:
        """The next record with its id. Ends while there is none to add to those in work, and can go on later; waits
        while nothing is in work, so that an end then is the last one."""
        with self._changed:
            while not (self._queue or self._in_work or self._closed):
                self._changed.wait()
            if self._closed or not self._queue:
                raise StopIteration
            item = self._queue.popleft()
            self._in_work[item.id] = item
            return item.id, item.record

    def chunk(self, most: int) -> list[Item]:
        """Up to so many records, at least one; none when there will be no more."""
        with self._changed:
            while not (self._queue or self._closed):
                self._changed.wait()
            items = [self._queue.popleft() for _ in range(min(most, len(self._queue)))] if not self._closed else []
            self._in_work |= {item.id: item for item in items}
            return items

    def item(self, content_id: str) -> Item:
        """A record in work."""
        return self._in_work[content_id]

    def answer(self, answer: Answer) -> None:
        """What became of a record in work."""
        with self._changed:
            self._in_work.pop(answer.id, None)
            self._answers.append(answer)
            self._changed.notify_all()

    # -- the thread that talks to the driver --------------------------------------------------------------------------

    def give(self, items: Sequence[Item]) -> None:
        """Take records in; those that are here already are not judged twice."""
        with self._changed:
            queued = {item.id for item in self._queue}
            self._queue.extend(item for item in items if item.id not in self._in_work and item.id not in queued)
            self._changed.notify_all()

    def collect(self, seconds: float) -> list[Answer]:
        """The answers since the last time; waits so long for the first one or until the lease is too small, and a
        little for more."""
        with self._changed:
            self._changed.wait_for(lambda: self._answers or self._closed or self.lease.asks, seconds)
            waited = bool(self._answers or self.lease.asks) and not self._closed and seconds > 0
        if waited:
            time.sleep(_LINGER_SECONDS)
        with self._changed:
            answers, self._answers = self._answers, []
        return answers

    @property
    def busy(self) -> bool:
        """Whether a record is in work."""
        return bool(self._in_work)

    def close(self) -> None:
        """No further record is taken into work."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Worker:
    """One worker; a Ray actor where it runs on a cluster."""

    def __init__(self, recipe: Recipe, directory: str = "") -> None:
        """directory: the driver's; paths are meant from there, where this machine has it."""
        if directory and Path(directory).is_dir():
            os.chdir(directory)
        self._feed, self._error = Feed(), None
        self._thread = threading.Thread(target=self._judge, args=(recipe,), daemon=True)
        self._thread.start()

    def exchange(self, items: Sequence[Item], seconds: float, lease: float = math.inf) -> Handover:
        """Take new records and a lease, and hand back what was finished; raises what ended the work once all answers
        are out."""
        self._feed.lease.offer(lease)
        self._feed.give(items)
        answers = self._feed.collect(seconds)
        if not answers and self._error is not None:
            raise self._error
        return Handover(answers, self._feed.lease.usage())

    def suspend(self) -> list[Answer]:
        """End work that waits for a larger lease, and hand back what was said of its records."""
        self._feed.lease.close()
        self._feed.close()
        self._thread.join(_SUSPEND_SECONDS)
        return self._feed.collect(0.0)

    def close(self) -> None:
        """Let go of the models; a worker that is still at something does not wait for it."""
        if not self._feed.busy:
            self._feed.close()
            self._thread.join()

    _error: BaseException | None

    def _judge(self, recipe: Recipe) -> None:
        try:
            with closing(recipe.build()) as work:
                work.work(self._feed)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the driver hears it
            self._error = error
        finally:
            self._feed.close()


class Answers:
    """Where the scheduler of a worker writes: each row goes to the feed with what its own requests cost.

    A row's cost travels with it, so that a record that two workers judge is counted once. It is a sink of rows and a
    keeper of replies (see scheduler.py).
    """

    def __init__(self, feed: Feed, budget: Budget) -> None:
        self.done: frozenset[str] = frozenset()
        self._feed, self._budget = feed, budget
        self._asked: dict[str, list[int]] = {}  # of each record the judges of its requests, in the order asked
        self._said: dict[str, list[Completion | None]] = {}  # and their completions

    def program(self, content_id: str, program: Program[Judgement]) -> Program[Judgement]:
        """The same program, whose requests and completions are noted."""
        asked, said = self._asked.setdefault(content_id, []), self._said.setdefault(content_id, [])
        try:
            batch = next(program)
            while True:
                asked.extend(request.judge for request in batch)
                completions = yield batch
                said.extend(completions)
                batch = program.send(completions)
        except StopIteration as stop:
            judgement: Judgement = stop.value
            return judgement
        finally:
            program.close()

    def write(self, row: Mapping[str, Any], *, readable: bool) -> None:
        spent = self._spent(row["id"], self._said[row["id"]])
        self._feed.answer(Answer(id=row["id"], row=row, readable=readable, spent=spent))

    def sync(self) -> None:
        """Nothing lies on a disk here."""

    def keep(self, content_id: str, replies: Sequence[Completion | None]) -> None:
        self._feed.answer(Answer(id=content_id, kept=tuple(replies), spent=self._spent(content_id, replies)))
        self._feed.close()  # a judge gave out: other workers have theirs still

    def take(self, content_id: str) -> list[Completion | None]:
        return list(self._feed.item(content_id).kept)

    def _spent(self, content_id: str, replies: Sequence[Completion | None]) -> Counts:
        """What the replies to a record cost; those that an earlier attempt kept cost nothing."""
        spent, kept = Counts(), self._feed.item(content_id).kept
        self._said.pop(content_id)
        for number, (judge, reply) in enumerate(zip(self._asked.pop(content_id), replies, strict=True)):
            if reply is not None and (number >= len(kept) or kept[number] is None):
                spent.add_completion(reply, self._budget.cost(judge, reply))
        return spent
