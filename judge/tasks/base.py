"""What a task is: a program without I/O.

A program is a generator that yields a batch of requests and receives their completions in the same order, as often as
it likes, and returns one judgement. It knows nothing of engines, threads or files, so a list of strings tests it.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from judge.engines.base import Completion, Request

T = TypeVar("T")
Program = Generator[Sequence[Request], list[Completion], T]


def play(program: Program[T], answer: Callable[[Request], Completion]) -> T:
    """Run one program against a function that answers a request at once: for tests and notebooks."""
    try:
        requests = next(program)
        while True:
            requests = program.send([answer(request) for request in requests])
    except StopIteration as stop:
        result: T = stop.value
        return result
