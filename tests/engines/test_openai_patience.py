"""Faults that pass are waited out, others are refused at once, and no answer takes longer than its deadline."""

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from judge.engines import Completion, Engine, Request, load_engine
from judge.engines.openai.answers import retry_after
from judge.errors import EngineError
from tests.engines.openai_server import Server, answer

Ask = Callable[..., Request]
Answers = Callable[[Engine, list[Request]], list[Completion]]


def test_a_busy_server_is_asked_again(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    server.reply = lambda body: (200, answer("fine")) if len(server.asked) > 1 else (503, {"error": "busy"})
    assert answers(engine, [ask("x")])[0].text == "fine"
    assert len(server.asked) == 2


def test_a_server_that_stays_busy_is_an_error(server: Server, ask: Ask) -> None:
    engine = load_engine(f"openai:{server.url}#judge-7b", patience="1s")
    server.reply = lambda body: (429, {"error": {"message": "slow down"}})
    engine.submit(0, ask("x"))
    with pytest.raises(EngineError, match="for 1s, as long as patience lasts: status 429: slow down"):
        engine.step()
    engine.close()


def test_an_endpoint_that_is_away_for_a_while_is_waited_for(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    answers(engine, [ask("first")])
    away = monotonic() + 2.0
    server.reply = lambda body: (200, answer("back")) if monotonic() > away else (502, b"<html>Bad gateway</html>")
    found = answers(engine, [ask(f"{number}") for number in range(5)])
    assert [completion.text for completion in found] == ["back"] * 5


def test_what_failed_in_an_outage_is_not_held_against_a_request(server: Server, ask: Ask, answers: Answers) -> None:
    """Two tries of each request meet the outage, a third of one request its own fault; three would be its end."""
    engine = load_engine(f"openai:{server.url}#judge-7b", server="plain", attempts=3)
    tries: Counter[str] = Counter()

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        text = str(body["messages"])
        tries[text] += 1
        fails = 3 if "unlucky" in text else 2
        return (503, {"error": "down"}) if tries[text] <= fails and "Hi" not in text else (200, answer("fine"))

    server.reply = reply
    found = answers(engine, [ask("unlucky"), *(ask(f"{number}") for number in range(5))])
    assert [completion.text for completion in found] == ["fine"] * 6
    engine.close()


def test_a_single_404_after_a_good_answer_is_a_blip(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    answers(engine, [ask("first")])
    for status in (404, 401):
        server.asked.clear()
        server.reply = lambda body, status=status: (
            (200, answer("fine")) if len(server.asked) > 1 else (status, {"error": {"message": "no such model"}})
        )
        assert answers(engine, [ask("x")])[0].text == "fine"


def test_one_request_that_always_fails_is_an_error_of_its_own(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    server.reply = lambda body: (500, {"detail": "boom"}) if "bad" in str(body) else (200, answer("fine"))
    found = answers(engine, [ask("good"), ask("bad"), ask("good")])
    assert [completion.finish for completion in found] == ["stop", "error", "stop"]
    assert found[1].text == "status 500: boom"


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("20", 20.0, 20.0),
        ("20.25", 20.25, 20.25),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0, 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0, 86400.0),  # a day at most
        ("soon", 0.0, 0.0),
        ("-5", 0.0, 0.0),
        ("nan", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_retry_after_in_all_its_forms(value: str, low: float, high: float) -> None:
    assert low <= retry_after(value) <= high


def test_retry_after_is_waited_for(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    server.headers = {"Retry-After": "1.5"}
    server.reply = lambda body: (200, answer("fine")) if len(server.asked) > 1 else (429, {})
    started = monotonic()
    assert answers(engine, [ask("x")])[0].text == "fine"
    assert 1.5 <= monotonic() - started < 4.0


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (200, b"<!doctype html><p>Welcome", "answers with a web page, not with JSON; is /v1 missing"),
        (404, {"detail": "Not Found"}, "does not know this model or path"),
        (403, {"error": {"message": "no"}}, "refuses the key"),
        (308, b"", "redirects to http://elsewhere/v1 .status 308.; name that address"),
    ],
)
def test_a_wrong_address_is_refused_at_once(
    status: int, content: Any, words: str, server: Server, engine: Engine, ask: Ask
) -> None:
    server.headers = {"Location": "http://elsewhere/v1"} if status == 308 else {}
    server.probed = False
    server.reply = lambda body: (status, content)
    engine.submit(0, ask("x"))
    started = monotonic()
    with pytest.raises(EngineError, match=words):
        engine.step()
    assert monotonic() - started < 4.0


def test_a_deadline_holds_for_the_whole_answer(ask: Ask) -> None:
    """A server that sends a byte each tenth of a second and never ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not stopped.wait(0.1):
                connection.sendall(b" ")
        connection.close()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=drip, args=(listener.accept()[0],)))
                threads[-1].start()

    threads = [threading.Thread(target=serve)]
    threads[0].start()
    engine = load_engine(f"openai:http://127.0.0.1:{listener.getsockname()[1]}/v1#m", timeout=0.5, patience=1.5)
    started = monotonic()
    engine.submit(0, ask("x"))
    with pytest.raises(EngineError, match=r"no whole answer within 0\.5s"):
        engine.step()
    engine.close()
    assert monotonic() - started < 5.0
    stopped.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join()


def test_a_refused_key_ends_the_run(server: Server, engine: Engine, ask: Ask) -> None:
    server.probed = False
    server.reply = lambda body: (401, {"error": {"message": "no such key"}})
    engine.submit(0, ask("x"))
    with pytest.raises(EngineError, match=r"\(model 'judge-7b'\) refuses the key \(status 401: no such key\)"):
        engine.step()
