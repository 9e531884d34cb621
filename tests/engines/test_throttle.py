"""How many requests are under way: the rule by hand, and a real server that asks for silence."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from judge.engines.base import Request
from judge.engines.openai import OpenAIEngine
from judge.engines.openai.throttle import Throttle
from judge.records import Message
from tests.engines.openai_server import Server, answer


class Clock:
    """A time that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_half_as_many_after_a_refusal_and_one_more_after_a_round() -> None:
    clock = Clock()
    throttle = Throttle(8, clock)
    throttle.busy(clock.now, 0.0)
    assert throttle.limit == 4
    for _ in range(4):  # 4 + 1/4 + 1/4.25 + 1/4.485 + 1/4.708 = 4.92
        throttle.answered(clock.now, "a")
    assert throttle.limit == pytest.approx(4.9207, abs=1e-4)
    for _ in range(100):
        throttle.answered(clock.now, "a")
    assert throttle.limit == 8  # what the user set


def test_a_round_allows_a_sixteenth_of_many_more() -> None:
    clock = Clock()
    throttle = Throttle(64, clock)
    throttle.busy(clock.now, 0.0)
    throttle.answered(clock.now, "a")
    assert throttle.limit == 32 + 4 / 32


def test_a_round_is_cut_once_and_never_below_one() -> None:
    clock = Clock()
    throttle = Throttle(8, clock)
    began = clock.now
    clock.now = 101.0
    throttle.busy(began, 0.0)
    throttle.busy(began, 0.0)  # began before the limit was lowered
    assert throttle.limit == 4
    for _ in range(5):
        clock.now += 1
        throttle.busy(clock.now, 0.0)
    assert throttle.limit == 1


def test_late_answers_lower_it_to_a_quarter_and_kinds_are_not_mixed() -> None:
    clock = Clock()
    throttle = Throttle(10, clock)
    for kind, seconds in (("short", 1.0), ("long", 50.0)) * 20:
        began, clock.now = clock.now, clock.now + seconds
        throttle.answered(began, kind)
    assert throttle.limit == 10
    # smoothed after n answers of 10 s where 1 s is usual: 10 - 9 * 0.95^n, above 3 from the fifth on (10 - 6.96).
    for number in range(1, 6):
        began, clock.now = clock.now, clock.now + 10
        throttle.answered(began, "short")
        assert (throttle.limit == 10) == (number < 5)
    assert throttle.limit == 8
    for _ in range(40):
        clock.now += 1
        throttle.late(clock.now)
    assert throttle.limit == 2.5


def test_places_are_handed_on_and_silence_is_kept() -> None:
    async def play() -> tuple[int, float]:
        throttle, most, under_way = Throttle(3), 0, 0

        async def post() -> None:
            nonlocal most, under_way
            await throttle.enter()
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.001)
            under_way -= 1
            throttle.leave()

        await asyncio.gather(*(post() for _ in range(20)))
        throttle.busy(time.monotonic(), 0.2)
        began = time.monotonic()
        await throttle.enter()
        return most, time.monotonic() - began

    most, waited = asyncio.run(play())
    assert most == 3
    assert waited >= 0.19


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def test_a_server_that_asks_for_silence_gets_it_from_all(server: Server) -> None:
    """The fortieth request is refused for half a second: of the others, those that were under way come in, no more."""
    asked: list[float] = []
    refused = 0.0

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        nonlocal refused
        asked.append(time.monotonic())
        if len(asked) == 40:
            refused = time.monotonic()
            server.headers = {"Retry-After": "0.5"}
            return 429, {"error": {"message": "slow down"}}
        server.headers = {}
        time.sleep(0.01)
        return 200, answer("fine")

    server.reply = reply
    engine = OpenAIEngine(server.url, "m", concurrency=8, server="plain")
    for ticket in range(120):
        engine.submit(ticket, Request(messages=(Message("user", f"{ticket}?"),)))
    done: dict[int, str] = {}
    while len(done) < 120:
        done |= {ticket: completion.text for ticket, completion in engine.step()}
    engine.close()
    assert set(done.values()) == {"fine"}
    assert len(asked) == 121
    assert [moment for moment in asked if refused + 0.2 < moment < refused + 0.45] == []
