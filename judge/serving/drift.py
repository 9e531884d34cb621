"""Whether served rewards are spread as they were in training: the population stability index.

    e_i  the share of reference rewards in bin i, by the reference's deciles: 1/10 each
    a_i  the share of the last rewards served

    PSI = Σ_i (a_i - e_i) ln(a_i / e_i)        (Siddiqi 2006, "Credit Risk Scorecards"; below 0.1 no change, above 0.25
                                               a large one)

An empty bin counts as half a reward, so that the logarithm stays finite. Without drift the index is not 0 but about
9 / n after n rewards, so nothing is said before MIN_REWARDS.
"""

import logging
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any, Protocol, runtime_checkable

from judge.serving.request_log import log

WINDOW, MIN_REWARDS, ALARM = 2000, 200, 0.25
DECILES = tuple(place / 10 for place in range(1, 10))


@runtime_checkable
class HasDeciles(Protocol):
    """A source that knows how its rewards were spread on data that its training never saw."""

    @property
    def deciles(self) -> Sequence[float]:
        """The nine deciles, ascending; empty where they were not kept."""


class DriftMonitor:
    """The stability of one version's rewards, over the last WINDOW of them.

    Args:
        deciles: of the reference; without them the first WINDOW rewards served become the reference.
        alarm: the index above which an alarm stands.
    """

    def __init__(self, deciles: Sequence[float] = (), *, alarm: float = ALARM) -> None:
        self.alarm = alarm
        self.reference = "training" if deciles else "first rewards served"
        self._told = False
        self._lock = Lock()
        self._window: deque[int] = deque()
        self._first: list[float] = []
        self._set_reference(deciles)

    def observe(self, rewards: Iterable[float]) -> bool:
        """Count rewards that were served; whether the alarm has changed since it was last told."""
        with self._lock:
            for reward in rewards:
                if not self._edges:
                    self._learn(reward)
                    continue
                place = bisect_left(self._edges, reward)
                self._window.append(place)
                self._counts[place] += 1
                if len(self._window) > WINDOW:
                    self._counts[self._window.popleft()] -= 1
        return self.alarmed != self._told

    def tell(self, model: str, version: str) -> None:
        """Write to the log that the alarm stands, or stands no more."""
        self._told = self.alarmed
        event, level = ("drift", logging.WARNING) if self._told else ("drift is over", logging.INFO)
        log(event, level=level, model=model, version=version, **self.to_dict())

    @property
    def index(self) -> float | None:
        """The population stability index; None before MIN_REWARDS rewards."""
        with self._lock:
            count = len(self._window)
            return psi(self._shares, [value / count for value in self._counts], count) if count >= MIN_REWARDS else None

    @property
    def alarmed(self) -> bool:
        """Whether the index stands above the alarm."""
        index = self.index
        return index is not None and index > self.alarm

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for /ready."""
        index = self.index
        return {
            "psi": None if index is None else round(index, 4),
            "alarm": index is not None and index > self.alarm,
            "threshold": self.alarm,
            "rewards": len(self._window),
            "reference": self.reference,
        }

    def _learn(self, reward: float) -> None:
        self._first.append(reward)
        if len(self._first) == WINDOW:
            ordered = sorted(self._first)
            self._first.clear()
            self._set_reference([ordered[math.ceil(share * WINDOW) - 1] for share in DECILES])

    def _set_reference(self, deciles: Sequence[float]) -> None:
        """Bins between deciles; those that fall together (a judge's few scores) are one bin with the share of all."""
        self._edges = sorted(set(deciles))
        below = [sum(decile <= edge for decile in deciles) / 10 for edge in self._edges]
        self._shares = [high - low for low, high in zip([0.0, *below], [*below, 1.0], strict=True)]
        self._counts = [0] * len(self._shares)


def psi(expected: Sequence[float], actual: Sequence[float], count: int) -> float:
    """Σ (a - e) ln(a / e); an empty bin of `count` rewards has half a one."""
    floor = 0.5 / count
    return sum(
        (max(share, floor) - reference) * math.log(max(share, floor) / reference)
        for reference, share in zip(expected, actual, strict=True)
    )
