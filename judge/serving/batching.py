"""Dynamic batching: a thread a model takes all that waits, up to a budget of tokens, and scores it at once.

No timer holds a request back: while a batch is computed the next one gathers. Rows of one prompt meet in a batch, and
the source computes their prompt once. Each request's row stays a row of its own: were strangers' responses joined in
one ranking, a response too long for the model would cut or refuse the others, and a judge would compare them.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from judge.errors import EngineError, RmjudgeError
from judge.rewards.reward import Reward, RewardSource, Scorable
from judge.serving.refusals import RefusedError, busy, invalid
from judge.serving.request_log import log

Rewards = tuple[Reward, ...]
_TIMES_AWAY = 2


@dataclass(frozen=True, slots=True)
class Row:
    """What is scored together.

    Attributes:
        content: the hash of prompt and responses.
        field: the part of the request that holds the response.
        scorable: what the source is given.
        count: how many rewards it has.
        tokens: about how many it holds.
    """

    content: str
    field: str
    scorable: Scorable
    count: int
    tokens: int


@dataclass(slots=True, eq=False)
class _Request:
    """Rows that one request waits for. missing: how many have no rewards yet."""

    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[list[Rewards]]"
    rewards: list[Rewards]
    missing: int
    error: Exception | None = None


@dataclass(slots=True)
class _Waiting:
    """A row in the queue. place: its index in the request."""

    row: Row
    request: _Request
    place: int


class Batch(NamedTuple):
    """What was scored at once. responses, tokens: of it; seconds: that the source took."""

    responses: int
    tokens: int
    seconds: float


class Worker:
    """A thread that scores what waits for one source.

    The thread also loads the source: what has a `loaded`, such as a reward model's weights, is asked for it at once,
    not in somebody's request.

    Args:
        source: what gives the rewards; called by this thread alone.
        batch_tokens: about how many tokens are scored at once; a row alone may have more.
        max_queue: responses that may wait.
        on_batch: is told of each batch, in the thread.
        close_source: let go of the source when the thread ends.
    """

    def __init__(
        self,
        source: RewardSource,
        *,
        batch_tokens: int,
        max_queue: int,
        on_batch: Callable[[Batch], None] = lambda batch: None,
        close_source: bool = False,
    ) -> None:
        self.source, self.batch_tokens, self.max_queue = source, batch_tokens, max_queue
        self.waiting = 0  # responses that have no rewards yet
        self._on_batch, self._close_source = on_batch, close_source
        self._waiting_tokens = 0
        self._rate = 0.0  # tokens a second, a moving average
        self._queue: deque[_Waiting] = deque()
        self._condition = threading.Condition()
        self._closed = False
        self._load_error: Exception | None = None
        self._loaded = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"score {source.name}", daemon=True)
        self._thread.start()

    def wait_loaded(self) -> None:
        """Wait until the source is loaded; raises what its loading raised."""
        self._loaded.wait()
        if self._load_error is not None:
            raise self._load_error

    def submit(self, rows: Sequence[Row]) -> "asyncio.Future[list[Rewards]]":
        """Queue rows, all or none; call it in the event loop.

        Returns:
            A future of the rewards of each row, in their order.

        Raises:
            RefusedError: 429 where the queue is full, 503 where the worker was closed.
        """
        loop = asyncio.get_running_loop()
        request = _Request(loop, loop.create_future(), [()] * len(rows), len(rows))
        count = sum(row.count for row in rows)
        with self._condition:
            if self._closed:
                raise RefusedError(503, f"{self.source.name} is being unloaded")
            if self.waiting + count > self.max_queue:
                raise busy(self.waiting, self._waiting_tokens / self._rate if self._rate else 1.0)
            self.waiting += count
            self._waiting_tokens += sum(row.tokens for row in rows)
            self._queue.extend(_Waiting(row, request, place) for place, row in enumerate(rows))
            self._condition.notify()
        return request.future

    def close(self) -> None:
        """Take no more in; the thread ends when what waits has its rewards."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end after `close`; whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            _ = getattr(self.source, "loaded", None)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._load_error = error
            return
        finally:
            self._loaded.set()
        while batch := self._take():
            started = time.monotonic()
            outcomes = self._scored(batch)
            self._note(batch, time.monotonic() - started)
            self._deliver(batch, outcomes)
        if self._close_source and (close := getattr(self.source, "close", None)) is not None:
            close()

    def _take(self) -> list[_Waiting]:
        """The rows at the head of the queue within the budget; none when the worker is closed and nothing waits."""
        with self._condition:
            while not self._queue and not self._closed:
                self._condition.wait()
            batch: list[_Waiting] = []
            tokens = 0
            while self._queue and (not batch or tokens + self._queue[0].row.tokens <= self.batch_tokens):
                batch.append(self._queue.popleft())
                tokens += batch[-1].row.tokens
            return batch

    def _scored(self, batch: Sequence[_Waiting]) -> list[Rewards | Exception]:
        """Of each row its rewards; equal rows are scored once. One row's error stays its own."""
        rows = list({waiting.row.content: waiting.row for waiting in batch}.values())
        outcomes = dict(zip((row.content for row in rows), self._outcomes(rows), strict=True))
        return [outcomes[waiting.row.content] for waiting in batch]

    def _outcomes(self, rows: Sequence[Row]) -> list[Rewards | Exception]:
        try:
            scored = [tuple(rewards) for rewards in self.source.score_batch([row.scorable for row in rows])]
            if [len(rewards) for rewards in scored] != [row.count for row in rows]:
                raise RuntimeError(f"{self.source.name} gave another number of rewards than there are responses")
            return [*scored]
        except Exception as error:  # noqa: BLE001 - the worker's edge: a request is told, the thread lives on
            if len(rows) == 1:
                return [error]
            return self._one_by_one(rows)

    def _one_by_one(self, rows: Sequence[Row]) -> list[Rewards | Exception]:
        """Each row alone, so that the one that fails fails alone; an engine that is away twice in a row is not asked
        for the others."""
        outcomes: list[Rewards | Exception] = []
        away = 0
        for row in rows:
            outcomes += self._outcomes([row]) if away < _TIMES_AWAY else outcomes[-1:]
            away = away + 1 if isinstance(outcomes[-1], EngineError) else 0
        return outcomes

    def _told(self, error: Exception, field: str) -> RefusedError:
        """An error as the request is told of it: what a text caused is 422, an engine that is away 503."""
        if isinstance(error, EngineError):
            return RefusedError(503, str(error), headers={"Retry-After": "5"})
        if isinstance(error, RmjudgeError):
            return invalid(str(error), field)
        log("scoring failed", level=logging.ERROR, exception=error, model=self.source.name)
        return RefusedError(500, f"{self.source.name} could not score this; the server's log has the reason")

    def _note(self, batch: Sequence[_Waiting], seconds: float) -> None:
        count = sum(waiting.row.count for waiting in batch)
        tokens = sum(waiting.row.tokens for waiting in batch)
        rate = tokens / max(seconds, 1e-6)
        self._on_batch(Batch(count, tokens, seconds))
        with self._condition:
            self._rate = rate if not self._rate else 0.8 * self._rate + 0.2 * rate
            self.waiting -= count
            self._waiting_tokens -= tokens

    def _deliver(self, batch: Sequence[_Waiting], outcomes: Sequence[Rewards | Exception]) -> None:
        """Hand finished requests to their event loop, all of a batch in one call."""
        finished: dict[asyncio.AbstractEventLoop, list[_Request]] = {}
        for waiting, outcome in zip(batch, outcomes, strict=True):
            request = waiting.request
            request.missing -= 1
            if isinstance(outcome, Exception):
                request.error = request.error or self._told(outcome, waiting.row.field)
            else:
                request.rewards[waiting.place] = outcome
            if not request.missing:
                finished.setdefault(request.loop, []).append(request)
        for loop, requests in finished.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, requests)


def _resolve(requests: Sequence[_Request]) -> None:
    for request in requests:
        if request.future.done():  # its client went away
            continue
        if request.error is not None:
            request.future.set_exception(request.error)
        else:
            request.future.set_result(request.rewards)
