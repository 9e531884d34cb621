"""Versions that are loaded, take over and are rolled back while requests wait; a server that ends loses none."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from judge.errors import InputError
from judge.rewards.reward import RewardSource
from judge.serving import Limits, create_app
from tests.serving.conftest import Live, in_thread, wait_for
from tests.serving.sources import Letters

Start = Callable[..., Live]
ADMIN = {"x-api-key": "the-admins-key-of-a-test"}


def sources() -> dict[str, Letters]:
    """Version "N" gives N rewards a letter."""
    return {number: Letters(version=number, scale=float(number)) for number in "1234"}


def opened(by_name: dict[str, Letters]) -> Callable[[str], RewardSource]:
    def open_source(origin: str) -> RewardSource:
        if origin not in by_name:
            raise InputError(f"{origin}: not a reward model")
        return by_name[origin]

    return open_source


def served(live: Start, by_name: dict[str, Letters]) -> Live:
    app = create_app(by_name["1"], admin_key=ADMIN["x-api-key"], opener=opened(by_name))
    return live(app)


def test_a_switch_and_a_roll_back(live: Start) -> None:
    server = served(live, sources())

    def value() -> float:
        return float(server.ask("/score", {"response": "ab"}).body["rewards"][0]["value"])

    assert value() == 2.0
    loaded = server.ask("/admin/load", {"source": "3", "wait": True}, headers=ADMIN)
    assert (loaded.status, loaded.body["current"]["version"], loaded.body["previous"]["version"]) == (200, "3", "1")
    assert value() == 6.0  # not the cached reward of version 1
    assert server.ask("/admin/rollback", {}, headers=ADMIN).body["current"]["version"] == "1"
    assert value() == 2.0
    server.ask("/admin/rollback", {}, headers=ADMIN)  # undoes the first
    assert value() == 6.0
    (model,) = server.ask("/admin/models", headers=ADMIN).body
    assert (model["switches"], model["failure"], model["loading"]) == (3, None, None)


def test_what_waits_for_the_version_before_is_scored_by_it(live: Start) -> None:
    by_name = sources()
    server = served(live, by_name)
    by_name["1"].gate.clear()
    before = in_thread(lambda: server.ask("/score", {"response": "ab"}))
    wait_for(lambda: server.ask("/ready").body["models"][0]["waiting"] == 1)
    server.ask("/admin/load", {"source": "2", "wait": True}, headers=ADMIN)
    server.ask("/admin/load", {"source": "3", "wait": True}, headers=ADMIN)  # version 1 is let go
    assert server.ask("/score", {"response": "ab"}).body["version"] == "3"
    by_name["1"].gate.set()
    assert (before().body["version"], before().body["rewards"][0]["value"]) == ("1", 2.0)


def test_loads_that_fail_leave_the_version_in_place(live: Start) -> None:
    server = served(live, sources())
    failed = server.ask("/admin/load", {"source": "9", "wait": True}, headers=ADMIN)
    assert (failed.status, failed.body["failure"]) == (422, "9: not a reward model")
    assert failed.body["current"]["version"] == "1"
    assert server.ask("/admin/rollback", {}, headers=ADMIN).status == 409
    assert server.ask("/admin/load", {}, headers=ADMIN).body["error"]["param"] == "source"
    assert server.ask("/admin/load", {"source": "2", "model": "x"}, headers=ADMIN).status == 404


def test_one_load_at_a_time(live: Start) -> None:
    by_name = sources()
    holding = threading.Event()

    def slowly(origin: str) -> RewardSource:
        holding.wait(20)
        return by_name[origin]

    server = live(create_app(by_name["1"], admin_key=ADMIN["x-api-key"], opener=slowly))
    begun = server.ask("/admin/load", {"source": "2"}, headers=ADMIN)
    assert (begun.status, begun.body["loading"]) == (202, "2")
    assert server.ask("/score", {"response": "ab"}).body["version"] == "1"  # meanwhile
    assert server.ask("/admin/load", {"source": "3"}, headers=ADMIN).status == 409
    holding.set()
    wait_for(lambda: server.ask("/score", {"response": "ab"}).body["version"] == "2")


def test_no_request_is_lost_or_wrong_while_versions_come_and_go(live: Start) -> None:
    server = served(live, sources())
    ended = threading.Event()

    def client(number: int) -> list[tuple[int, str, float, int]]:
        answers = []
        while not ended.is_set():
            text = "x" * (1 + (number + len(answers)) % 50)
            answer = server.ask("/score", {"response": text})
            answers.append((answer.status, answer.body["version"], answer.body["rewards"][0]["value"], len(text)))
        return answers

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, number) for number in range(8)]
        for origin in "234123":
            server.ask("/admin/load", {"source": origin, "wait": True}, headers=ADMIN)
            server.ask("/admin/rollback", {}, headers=ADMIN)
        ended.set()
    answers = [answer for future in clients for answer in future.result()]
    assert {status for status, *_ in answers} == {200}
    assert all(value == int(version) * letters for _, version, value, letters in answers)
    assert len({version for _, version, *_ in answers}) > 1


def test_a_server_that_ends_answers_what_waits_and_closes_its_connections(live: Start) -> None:
    source = Letters()
    server = live(create_app(source, limits=Limits(drain=20)))
    idle = server.socket()
    idle.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b"connection: close" not in idle.recv(1000)
    source.gate.clear()
    waiting = [in_thread(lambda text="x" * n: server.ask("/score", {"response": text})) for n in range(1, 6)]
    wait_for(lambda: server.ask("/ready").body["models"][0]["waiting"] == 5)
    server.begin_ending()
    wait_for(lambda: server.app.state.phase.draining)
    idle.sendall(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n")  # on its way when the server began to end
    last = idle.recv(1000)
    assert last.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in last
    idle.close()
    source.gate.set()
    assert [answer().body["rewards"][0]["value"] for answer in waiting] == [1.0, 2.0, 3.0, 4.0, 5.0]
    server.close()
