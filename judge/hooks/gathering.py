"""Single calls from many threads, scored together: trainers that ask for one reward at a time lose nothing by it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from judge.hooks.scorer import Completion, Rewarded

Score = Callable[[Sequence[Completion]], list[Rewarded]]


@dataclass(slots=True, eq=False)
class _Call:
    """A call, and what became of it."""

    completions: Sequence[Completion]
    key: Hashable
    rewarded: list[Rewarded] | None = None
    error: Exception | None = None

    @property
    def is_answered(self) -> bool:
        return self.rewarded is not None or self.error is not None


class Gatherer:
    """Calls that arrive within a moment of each other become one.

    Args:
        score: what scores completions.
        wait: seconds that the first call waits for others.
        group_size: completions of one prompt that are scored together; the first of them waits until all have come, or
            `patience` seconds. 1 waits for nobody.
        patience: see `group_size`.
    """

    def __init__(self, score: Score, *, wait: float = 0.01, group_size: int = 1, patience: float = 60.0) -> None:
        self._score, self._wait, self._group_size, self._patience = score, wait, group_size, patience
        self._waiting: list[_Call] = []
        self._arrival = threading.Condition()
        self._leading = False

    def __call__(self, completions: Sequence[Completion], key: Hashable = None) -> list[Rewarded]:
        """The rewards of some completions. key: the prompt that they belong to."""
        call = _Call(completions, key)
        with self._arrival:
            self._waiting.append(call)
            self._arrival.notify_all()
            while not call.is_answered:
                if self._leading:  # another thread gathers, and wakes this one when it has scored
                    self._arrival.wait()
                    continue
                self._leading = True
                try:
                    self._answer(self._gathered())
                finally:
                    self._leading = False
                    self._arrival.notify_all()
        if call.error is not None:
            raise call.error
        return call.rewarded or []

    def _gathered(self) -> list[_Call]:
        """The calls of the next batch: those of whole groups, or all once the patience is over."""
        deadline = time.monotonic() + (self._patience if self._group_size > 1 else self._wait)
        while True:
            left = deadline - time.monotonic()
            whole = self._whole() if self._group_size > 1 else []
            if whole or left <= 0:
                batch = whole or self._waiting
                self._waiting = [call for call in self._waiting if call not in batch]
                return batch
            self._arrival.wait(left)

    def _whole(self) -> list[_Call]:
        counts: Counter[Hashable] = Counter()
        for call in self._waiting:
            counts[call.key] += len(call.completions)
        return [call for call in self._waiting if counts[call.key] >= self._group_size]

    def _answer(self, batch: Sequence[_Call]) -> None:
        """Score a batch; others may arrive meanwhile."""
        self._arrival.release()
        try:
            rewarded = iter(self._score([completion for call in batch for completion in call.completions]))
            for call in batch:
                call.rewarded = [next(rewarded) for _ in call.completions]
        except Exception as error:  # noqa: BLE001 - raised again in every thread that waits for it
            for call in batch:
                call.error = error
        finally:
            self._arrival.acquire()
