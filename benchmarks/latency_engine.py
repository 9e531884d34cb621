"""An engine that takes its time, as a plugin: `latency:FOLDER?latency=0.05&slots=8`.

It answers every request alike, so many at once, each after so many seconds, and 25 times as slowly where it is asked
to "take your time". Files in FOLDER are orders to one process each, whoever takes them first: `slow` (five times the
latency), `hang` (never answers) and `die` (ends like a process that ran out of memory, at its 20th answer). Each
process leaves a file with its number in FOLDER/workers, where that folder is there.
"""

import heapq
import os
import signal
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from judge.engines.base import Completion, Request
from judge.engines.scripted import Rule, complete, count_words

DIES_AT = 20
SLOWER = 5
AT_LEISURE = 25
ANSWER = Rule(match="", text="Yes. [[A]]")


class LatencyEngine:
    """See the module.

    tell: answer with the process and the GPUs that it sees instead. dies: every process dies at its first answer.
    together: no answer before so many processes are at work. tensor_parallel_size: taken, and nothing more.
    """

    def __init__(
        self,
        folder: str,
        *,
        latency: float = 0.05,
        slots: int = 8,
        tell: bool = False,
        dies: bool = False,
        together: int = 1,
        tensor_parallel_size: int = 1,
    ) -> None:
        self._dies_at = 1 if dies else DIES_AT
        self._dies, self._together = dies, together
        self._folder, self._latency, self._slots, self._tell = Path(folder), latency, slots, tell
        self._waiting: deque[tuple[int, Request]] = deque()
        self._running: list[tuple[float, int, Request]] = []  # a heap by the time at which each is due
        self._answered = 0
        self._order: str | None = None

    def submit(self, ticket: int, request: Request) -> None:
        if self._order is None:
            self._order = self._take_order()
            with suppress(OSError):
                (self._folder / "workers" / str(os.getpid())).touch()
        self._waiting.append((ticket, request))

    def step(self) -> list[tuple[int, Completion]]:
        while self._together > 1 and len(list((self._folder / "workers").iterdir())) < self._together:
            time.sleep(0.01)
        if self._order == "hang":
            time.sleep(10_000)
        latency = self._latency * (SLOWER if self._order == "slow" else 1)
        while self._waiting and len(self._running) < self._slots:
            ticket, request = self._waiting.popleft()
            leisure = AT_LEISURE if any("take your time" in turn.content for turn in request.messages) else 1
            heapq.heappush(self._running, (time.monotonic() + latency * leisure, ticket, request))
        if not self._running:
            return []
        time.sleep(max(0.0, self._running[0][0] - time.monotonic()))
        finished = []
        while self._running and self._running[0][0] <= time.monotonic():
            _, ticket, request = heapq.heappop(self._running)
            finished.append((ticket, self._answer(request)))
        return finished

    def _answer(self, request: Request) -> Completion:
        self._answered += 1
        if (self._dies or self._order == "die") and self._answered == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._tell:
            return Completion(text=f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}")
        return complete(ANSWER, request)

    def _take_order(self) -> str:
        for order in ("slow", "hang", "die"):
            try:
                (self._folder / order).rename(self._folder / f"{order}.{os.getpid()}")
            except OSError:
                continue
            return order
        return ""

    def count_tokens(self, request: Request) -> int:
        return count_words(request)

    def describe(self) -> dict[str, Any]:
        return {"engine": "latency"}

    def close(self) -> None:
        """Nothing is held."""


def install(site: Path) -> None:
    """Make this file a plugin of rmjudge in a folder that is to stand in PYTHONPATH."""
    info = site / "latency_engine-1.dist-info"
    info.mkdir(parents=True)
    (site / "latency_engine.py").write_text(Path(__file__).read_text("utf-8"), "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: latency-engine\nVersion: 1\n", "utf-8")
    (info / "entry_points.txt").write_text("[rmjudge.engines]\nlatency = latency_engine:LatencyEngine\n", "utf-8")
