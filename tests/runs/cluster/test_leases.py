"""A cost limit on many machines: what a lease lets through, who is leased how much, and that the limit holds."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from judge.engines import ENGINES, load_engine
from judge.engines.base import Completion, Request
from judge.engines.prices import Price
from judge.errors import EngineError
from judge.records import Message, Pair
from judge.runs.cluster.dispatcher import Dispatcher, Item
from judge.runs.cluster.leases import Ledger, Usage
from judge.runs.cluster.worker import Worker
from judge.runs.labelling import LabelJob
from judge.runs.plan import Plan
from judge.runs.runner import Answer
from judge.tasks import Options

DOLLAR_A_WORD = Price(prompt=0.0, completion=1_000_000.0)
HARD = Options(soft=False, one_order=True, max_tokens=3)
"""One call a pair, answered by one word: it costs a dollar, and three at most."""


def item(number: int) -> Item:
    turns = (Message("user", f"{number}?"),), (Message("assistant", "Yes."),), (Message("assistant", "No."),)
    record = Pair(prompt=turns[0], first=turns[1], second=turns[2])
    return Item(record.id, record)


def test_requests_go_as_far_as_the_lease_reaches_and_it_shrinks_to_what_is_used(rules: str) -> None:
    model = load_engine(rules).describe()["model"]
    plan = Plan(
        data=(), task="preference", judges=(rules,), prices={model: DOLLAR_A_WORD}, max_cost=100, options=HARD, window=4
    )
    recipe = LabelJob(plan).recipe()
    assert recipe.limit == 100
    worker = Worker(recipe)

    def until(lease: float, expected: Usage) -> list[Answer]:
        answers: list[Answer] = []
        for _ in range(100):
            handover = worker.exchange([], 0.1, lease)
            answers += handover.answers
            if handover.usage == expected:
                return answers
        raise AssertionError(handover.usage)

    worker.exchange([item(number) for number in range(4)], 0.0, 0.0)
    assert until(0.0, Usage(lease=0, spent=0, wanted=12, next=3)) == []
    # Three dollars fit 3.5; then one is spent, and one and three do not.
    assert len(until(3.5, Usage(lease=3.5, spent=1, wanted=9, next=3))) == 1
    assert until(0.0, Usage(lease=1, spent=1, wanted=9, next=3)) == []
    # 1 + 3 + 3 fit in 7; when these have cost a dollar each, 3 + 3 do too.
    assert len(until(7.0, Usage(lease=7, spent=4))) == 3
    assert until(0.0, Usage(lease=4, spent=4)) == []


def test_a_lease_that_grows_no_more_ends_the_work_with_what_was_said(rules: str) -> None:
    """Of the two orders of a pair one is asked: its reply comes back, and what it cost."""
    model = load_engine(rules).describe()["model"]
    both = Options(soft=False, max_tokens=3)
    plan = Plan(data=(), task="preference", judges=(rules,), prices={model: DOLLAR_A_WORD}, max_cost=3, options=both)
    worker = Worker(LabelJob(plan).recipe())
    usage = worker.exchange([item(0), item(1)], 0.0, 3.0).usage
    while usage != Usage(lease=3, spent=1, wanted=9, next=3):
        usage = worker.exchange([], 0.1, 3.0).usage
    (answer,) = worker.suspend()  # nothing was said of the other pair
    assert (answer.id, answer.row, answer.spent.cost) == (item(0).id, None, 1.0)
    assert [reply and reply.text for reply in answer.kept] == ["[[A]]", None]
    with pytest.raises(EngineError, match="cost limit"):
        worker.exchange([], 0.0, 3.0)


def test_a_worker_alone_is_leased_what_it_needs_and_as_much_again() -> None:
    ledger = Ledger(limit=20, spent=2)
    assert (ledger.free, ledger.offer(0)) == (18, 0)
    ledger.report(0, Usage(wanted=4, next=1))
    assert (ledger.offer(0), ledger.free) == (8, 10)
    ledger.report(0, Usage(lease=8, spent=1, reserved=4, wanted=2, next=1))
    assert (ledger.offer(0), ledger.free) == (13, 5)  # 1 + 2 x (4 + 2)
    assert ledger.short
    ledger.report(0, Usage(lease=13, spent=9, reserved=2))
    assert not ledger.short
    assert (ledger.offer(0), ledger.free) == (13, 5)
    ledger.report(0, Usage(lease=13, spent=10, reserved=8))
    assert (ledger.offer(0), ledger.free) == (18, 0)  # there is no more


def test_where_money_is_short_it_is_shared() -> None:
    ledger = Ledger(limit=8)
    ledger.report(0, Usage(wanted=6, next=1))
    assert (ledger.offer(0), ledger.free) == (8, 0)
    ledger.report(1, Usage(wanted=6, next=1))
    assert ledger.offer(1) == 0  # the first one holds all
    ledger.report(0, Usage(lease=8, reserved=6))
    assert ledger.offer(0) == 6  # what it cannot give back
    assert ledger.free == 0  # before it has said so
    ledger.report(0, Usage(lease=6, reserved=6))
    assert ledger.free == 2
    ledger.report(1, Usage(wanted=6, next=1))
    assert ledger.offer(1) == 2
    ledger.report(0, Usage(lease=6, spent=2, reserved=1, wanted=5, next=1))
    ledger.report(1, Usage(lease=2, reserved=2, wanted=4, next=1))
    # Six dollars are left, three for each: the first one may have spent 2 + 3.
    assert ledger.offer(0) == 5
    ledger.report(0, Usage(lease=5, spent=2, reserved=3, wanted=3, next=1))
    assert ledger.offer(1) == 3


def test_too_little_for_one_request_is_given_back() -> None:
    ledger = Ledger(limit=5)
    for worker in (0, 1):
        ledger.report(worker, Usage(wanted=9, next=3))
    assert (ledger.offer(0), ledger.free) == (3, 2)  # its share is 2.5, and no request costs less than 3
    assert (ledger.offer(1), ledger.free) == (0, 2)


def test_the_limit_is_reached_when_no_worker_can_ask_for_anything() -> None:
    ledger = Ledger(limit=10)
    ledger.report(0, Usage(lease=4, spent=4, wanted=6, next=3))
    ledger.report(1, Usage(lease=4, spent=4, wanted=5, next=2.5))
    assert ledger.exhausted([0, 1])
    assert not ledger.exhausted([])
    assert not ledger.exhausted([0, 1, 2])  # the third has not said what it wants
    ledger.report(1, Usage(lease=4, spent=4, wanted=2, next=2))
    assert not ledger.exhausted([0, 1])
    ledger.report(1, Usage(lease=5, spent=4, wanted=5, next=2.5))
    assert not ledger.exhausted([0, 1])


def test_the_lease_of_a_worker_that_died_counts_as_spent() -> None:
    ledger = Ledger(limit=10)
    ledger.report(0, Usage(lease=4, spent=1, reserved=2))
    ledger.lose(0)
    assert (ledger.free, ledger.forfeited) == (6, 3)
    ledger.lose(7)  # one that never said anything
    assert (ledger.free, ledger.forfeited) == (6, 3)


def test_what_was_used_holds_the_leases_of_the_dead_and_what_the_living_spent() -> None:
    ledger = Ledger(limit=10, spent=2)
    ledger.report(0, Usage(lease=4, spent=1, reserved=2))
    ledger.report(1, Usage(lease=3, spent=0.5))
    assert ledger.used == 3.5
    ledger.lose(0)
    assert ledger.used == 6.5


def test_a_worker_that_says_nothing_for_a_minute_holds_up_nobody() -> None:
    seconds = 0.0
    ledger = Ledger(limit=10, clock=lambda: seconds)
    ledger.report(0, Usage(lease=4, spent=1, reserved=3, wanted=3, next=3))
    ledger.report(1, Usage(lease=6, spent=6, wanted=3, next=3))
    assert ledger.short
    assert not ledger.exhausted([0, 1])
    seconds = 61.0
    ledger.report(1, Usage(lease=6, spent=6))
    assert not ledger.short
    ledger.report(1, Usage(lease=6, spent=6, wanted=3, next=3))
    assert ledger.exhausted([1])  # what the silent one holds stays counted


class Meter:
    """What is spent, and may yet be spent on what is under way, over all engines of this process."""

    def __init__(self) -> None:
        self.lock, self.spent, self.open, self.peak = threading.Lock(), 0, 0, 0

    def change(self, *, opened: int = 0, answered: int = 0) -> None:
        with self.lock:
            self.open += opened - answered
            self.spent += answered
            self.peak = max(self.peak, self.spent + 3 * self.open)


class MeteredEngine:
    """Answers one request a step, with one word."""

    def __init__(self, meter: Meter) -> None:
        self._meter, self._tickets = meter, list[int]()

    def submit(self, ticket: int, request: Request) -> None:
        self._meter.change(opened=1)
        self._tickets.append(ticket)

    def step(self) -> list[tuple[int, Completion]]:
        self._meter.change(answered=1)
        return [(self._tickets.pop(0), Completion(text="[[A]]", output_tokens=1))]

    def count_tokens(self, request: Request) -> int:
        return 0

    def describe(self) -> dict[str, Any]:
        return {"engine": "metered", "model": "m"}

    def close(self) -> None:
        pass


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter()
    ENGINES.register("metered", lambda _: MeteredEngine(meter))
    yield meter
    ENGINES.unregister("metered")


@pytest.mark.parametrize(("workers", "judges"), [(1, 1), (3, 1), (3, 2)])
def test_the_limit_holds_and_is_used_up(meter: Meter, workers: int, judges: int) -> None:
    """A call is asked while three more dollars fit in 40: the 38th when 37 are spent, and no 39th, whoever asks."""
    names = tuple(f"metered:{number}" for number in range(judges))
    options = Options(soft=False, one_order=True, max_tokens=3, judges=judges)
    plan = Plan(
        data=(), task="preference", judges=names, prices={"m": DOLLAR_A_WORD}, max_cost=40, options=options, window=8
    )
    pool = [Worker(LabelJob(plan).recipe()) for _ in range(workers)]
    dispatcher, ledger = Dispatcher((item(number) for number in range(60)), window=8, workers=workers), Ledger(40)
    answers: list[Answer] = []
    while not ledger.exhausted(number for number in range(workers) if dispatcher.held_by(number)):
        for number, worker in enumerate(pool):
            handover = worker.exchange(dispatcher.take(number), 0.02, ledger.offer(number))
            for answer in handover.answers:
                dispatcher.finish(number, answer.id)
            answers += handover.answers
            ledger.report(number, handover.usage)
    for worker in pool:
        answers += worker.suspend()
    assert meter.spent == 38
    assert meter.peak <= 40
    assert sum(answer.spent.cost for answer in answers) == 38  # nothing that was paid for is lost
