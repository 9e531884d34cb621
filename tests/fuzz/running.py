"""Runs inputs through the targets: no traceback, no input longer than two seconds, no growing memory.

    python -m tests.fuzz.running 1000000      # many inputs, other ones each time; what fails is kept in build/fuzz
    python -m tests.fuzz.running 20000 7      # the inputs of seed 7

An input follows from the seed, its number and its target, so a failure can be had again.
"""

import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

from judge.errors import RmjudgeError
from tests.fuzz.mutation import mutate
from tests.fuzz.targets import TARGETS

SECONDS = 2.0 if sys.gettrace() is None else 10.0  # what counts lines for the coverage takes its time, too
KEPT = Path("build/fuzz")


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that was not read as it should be. place: where the traceback ends."""

    target: str
    number: int
    content: bytes
    what: str
    place: str


class Slow(BaseException):
    """An input that took too long; no target may catch it."""


def fuzz(count: int, seed: int) -> Iterator[Failure]:
    """Read so many inputs, each target its share; the failures as they come."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Slow(f"more than {SECONDS:g} s of one core")

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            for name, target in TARGETS.items():
                for number in range(round(count * target.share)):
                    draw = Random(f"{seed} {name} {number}")
                    content = mutate(draw.choice(target.seeds), draw, target.seeds)
                    failure = _read(name, number, content, Path(folder))
                    if failure is not None:
                        yield failure
    finally:
        signal.signal(signal.SIGVTALRM, before)


def _read(name: str, number: int, content: bytes, folder: Path) -> Failure | None:
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        TARGETS[name].read(content, folder)
    except RmjudgeError as error:
        if not str(error).strip():
            return Failure(name, number, content, "an error without words", type(error).__name__)
    except (Exception, Slow) as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {str(error)[:120]}"
        return Failure(name, number, content, what, f"{Path(frame.filename).name}:{frame.lineno}")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None


def memory() -> float:
    """MiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(words: list[str]) -> int:
    """Fuzz in rounds of 20,000 and write down what fails; 1 if anything did, or if memory grew by half."""
    count = int(words[0]) if words else 1_000_000
    seed = int(words[1]) if len(words) > 1 else int(time.time())
    places: dict[tuple[str, str], int] = {}
    KEPT.mkdir(parents=True, exist_ok=True)
    first_round = 0.0
    for start in range(0, count, 20_000):
        for failure in fuzz(min(20_000, count - start), seed + start):
            key = (failure.target, failure.place)
            places[key] = places.get(key, 0) + 1
            if places[key] == 1:
                path = KEPT / f"{failure.target.replace(' ', '-')}-{seed + start}-{failure.number}"
                path.write_bytes(failure.content)
                print(f"{failure.target}: {failure.what} ({failure.place}), kept as {path}", flush=True)
        first_round = first_round or memory()
        print(f"{min(start + 20_000, count):,} inputs, seed {seed}, {memory():.0f} MiB", flush=True)
    grown = memory() > 1.5 * first_round
    if grown:
        print(f"memory grew from {first_round:.0f} to {memory():.0f} MiB")
    return 1 if places or grown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
