"""Twenty thousand hostile inputs to whatever reads what others wrote: one line each, in time, in little memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from judge.errors import RmjudgeError
from tests.fuzz.mutation import mutate
from tests.fuzz.running import Failure, fuzz, memory
from tests.fuzz.targets import TARGETS

COUNT, SEED = 20_000, 16


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_read(name: str, tmp_path: Path) -> None:
    """What is mutated is mostly good, so mutations reach what lies behind the first check."""
    read = 0
    for number, seed in enumerate(TARGETS[name].seeds):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            TARGETS[name].read(seed, folder)
            read += 1
        except RmjudgeError:
            pass
    assert read > len(TARGETS[name].seeds) / 2


def test_shares_are_of_one_whole() -> None:
    assert sum(target.share for target in TARGETS.values()) == pytest.approx(1.0)


def test_twenty_thousand_inputs_end_in_a_line() -> None:
    for _ in fuzz(1000, SEED):  # what is loaded once
        pass
    before = memory()
    failures = list(fuzz(COUNT, SEED))
    assert [(failure.target, failure.what, failure.place, failure.number) for failure in failures] == []
    assert memory() < 1.3 * before


def test_a_failure_is_found_and_can_be_had_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: a target that fails on one input in many, one that never ends."""

    def breaks(content: bytes, folder: Path) -> None:
        if len(content) % 5 == 0:
            raise KeyError(content[:3])

    def hangs(content: bytes, folder: Path) -> None:
        while True:
            pass

    seeds = TARGETS["specs"].seeds
    monkeypatch.setattr("tests.fuzz.running.SECONDS", 0.05)
    monkeypatch.setattr("tests.fuzz.running.TARGETS", {"a": _target(1.0, seeds, breaks)})
    failures: Iterator[Failure] = fuzz(100, 1)
    found = [(failure.number, failure.content) for failure in failures]
    assert 5 < len(found) < 60
    assert found == [(failure.number, failure.content) for failure in fuzz(100, 1)]
    monkeypatch.setattr("tests.fuzz.running.TARGETS", {"a": _target(1.0, seeds, hangs)})
    assert [failure.what for failure in fuzz(1, 1)] == ["Slow: more than 0.05 s of one core"]


def _target(share: float, seeds: tuple[bytes, ...], read: object) -> object:
    from tests.fuzz.targets import Target

    return Target(share, seeds, read)  # type: ignore[arg-type]


def test_mutations_follow_from_the_seed() -> None:
    from random import Random

    inputs = [mutate(b'{"a": [1, 2]}', Random(seed)) for seed in range(200)]
    assert inputs == [mutate(b'{"a": [1, 2]}', Random(seed)) for seed in range(200)]
    assert len(set(inputs)) > 100
