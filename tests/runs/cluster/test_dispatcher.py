"""Who is handed which records, by a clock that the test turns."""

from collections.abc import Iterator

import pytest

from judge.errors import ConfigError
from judge.records import Message, Response
from judge.runs.cluster.dispatcher import BLOCK, Dispatcher, Item
from judge.runs.cluster.workers import Workers

RECORD = Response(prompt=(Message("user", "?"),), response=(Message("assistant", "!"),))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def items(count: int) -> Iterator[Item]:
    return (Item(str(number), RECORD) for number in range(count))


def ids(given: list[Item]) -> list[str]:
    return [item.id for item in given]


def numbers(start: int, end: int) -> list[str]:
    return [str(number) for number in range(start, end)]


def test_blocks_go_to_whoever_has_room_in_the_order_of_the_data() -> None:
    dispatcher = Dispatcher(items(30), window=10, workers=2)
    assert ids(dispatcher.take(0)) == numbers(0, 10)
    assert ids(dispatcher.take(1)) == numbers(10, 20)
    assert dispatcher.take(0) == []
    for number in range(4):
        assert dispatcher.finish(0, str(number))
    assert dispatcher.take(0) == []  # room for four, and a block of a window of ten is five
    assert dispatcher.finish(0, "4")
    assert ids(dispatcher.take(0)) == numbers(20, 25)
    assert dispatcher.waiting and not dispatcher.done


def test_a_block_is_never_larger_than_its_limit() -> None:
    dispatcher = Dispatcher(items(1000), window=1024, workers=1)
    assert len(dispatcher.take(0)) == BLOCK
    assert len(dispatcher.take(0)) == BLOCK


def test_near_the_end_nobody_is_given_more_than_a_fair_share() -> None:
    dispatcher = Dispatcher(items(10), window=8, workers=4, total=10)
    assert ids(dispatcher.take(0)) == numbers(0, 3)  # ten by four workers, rounded up
    assert ids(dispatcher.take(1)) == numbers(3, 6)
    assert ids(dispatcher.take(2)) == numbers(6, 9)
    assert ids(dispatcher.take(3)) == ["9"]
    assert not dispatcher.waiting


def test_what_a_dead_worker_held_waits_again() -> None:
    dispatcher = Dispatcher(items(6), window=4, workers=1)
    assert ids(dispatcher.take(0)) == numbers(0, 4)
    dispatcher.finish(0, "1")
    assert dispatcher.lose(0) == 3
    assert not dispatcher.finish(0, "2")  # an answer that came too late
    assert ids(dispatcher.take(1)) == ["0", "2", "3", "4"]


def test_replies_to_an_unfinished_record_go_along_with_it() -> None:
    dispatcher = Dispatcher(items(1), window=4, workers=1)
    dispatcher.take(0)
    dispatcher.give_back(0, "0", [None])
    dispatcher.lose(0)
    (item,) = dispatcher.take(1)
    assert item.kept == [None]


def test_an_idle_worker_judges_again_what_is_overdue_and_the_first_answer_counts() -> None:
    clock = Clock()
    dispatcher = Dispatcher(items(8), window=4, workers=2, clock=clock)
    assert len(dispatcher.take(0)) == len(dispatcher.take(1)) == 4
    clock.now = 3.0
    for number in range(4):
        dispatcher.finish(0, str(number))  # 3 s each
    assert dispatcher.take(0) == []
    clock.now = 6.0
    assert dispatcher.take(0) == []  # twice the mean, and not more
    clock.now = 6.5
    assert dispatcher.take(0, again=False) == []
    assert ids(dispatcher.take(0)) == ["4", "5"]  # a block is half a window
    assert dispatcher.finish(1, "4")  # the slow one after all
    assert not dispatcher.finish(0, "4")
    assert dispatcher.finish(0, "5")
    assert not dispatcher.finish(1, "5")
    assert dispatcher.lose(1) == 2
    assert ids(dispatcher.take(0)) == ["6", "7"]
    assert dispatcher.finish(0, "6") and dispatcher.finish(0, "7") and dispatcher.done


def test_a_record_that_two_hold_is_lost_with_neither_alone() -> None:
    clock = Clock()
    dispatcher = Dispatcher(items(2), window=1, workers=2, clock=clock)
    dispatcher.take(0), dispatcher.take(1)
    clock.now = 1.0
    dispatcher.finish(0, "0")
    clock.now = 2.5
    assert ids(dispatcher.take(0)) == ["1"]
    assert dispatcher.lose(1) == 0
    assert dispatcher.lose(0) == 1
    assert dispatcher.waiting


def test_nothing_to_do_is_done() -> None:
    assert Dispatcher(items(0), window=4, workers=2, total=1).done


@pytest.mark.parametrize(
    ("value", "least", "most"), [(3, 3, 3), ("3", 3, 3), ("2:8", 2, 8), ((2, 8), 2, 8), (Workers(1, 4), 1, 4)]
)
def test_a_number_of_workers_or_a_range(value: int | str | tuple[int, int], least: int, most: int) -> None:
    assert Workers.of(value) == (least, most)


@pytest.mark.parametrize("value", [0, "0:3", "4:2", "a", "", "1:2:3"])
def test_what_is_no_number_of_workers(value: int | str) -> None:
    with pytest.raises(ConfigError, match="accepted: a number from 1 on, or MIN:MAX"):
        Workers.of(value)
