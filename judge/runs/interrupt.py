"""Ctrl-C and SIGTERM, turned into a KeyboardInterrupt that never falls between two halves of one act.

Waiting for a model may be broken off at once; taking a completion up and writing its judgement may not. A second
signal breaks off everything.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Raises KeyboardInterrupt at once outside `shielded()`, and at its end inside."""

    def __init__(self) -> None:
        self.asked = False
        self._shielded = False

    @contextmanager
    def listening(self) -> Iterator["Interrupt"]:
        """Take SIGINT and SIGTERM while the block runs; outside the main thread signals are left as they are."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """A block that a first signal does not break off."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        if self.asked:
            raise KeyboardInterrupt

    def _take(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again or not self._shielded:
            raise KeyboardInterrupt
