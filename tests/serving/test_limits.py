"""Who and what is kept out: keys, large and slow bodies, slow heads, full queues, too many connections."""

import base64
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from judge.errors import ConfigError
from judge.secrets import mask_secrets
from judge.serving import Limits, create_app
from judge.serving.keys import API_KEY, read_key
from tests.serving.conftest import Live, in_thread, wait_for
from tests.serving.sources import Letters

Start = Callable[..., Live]
KEY, ADMIN = "the-key-of-a-test", "the-admins-key-of-a-test"
HEAD = b"POST /score HTTP/1.1\r\nhost: x\r\n"


def test_keys_by_any_of_three_headers(live: Start) -> None:
    server = live(create_app(Letters(), api_key=KEY, admin_key=ADMIN))
    basic = base64.b64encode(f"anyone:{KEY}".encode()).decode()
    for headers in (
        {"authorization": f"Bearer {KEY}"},
        {"x-api-key": KEY},
        {"authorization": f"Basic {basic}"},  # what http://:KEY@host becomes
    ):
        assert server.ask("/score", {"response": "a"}, headers=headers).status == 200
    for headers in ({}, {"authorization": f"Bearer {KEY}x"}, {"x-api-key": ADMIN}, {"authorization": "Basic ?"}):
        answer = server.ask("/score", {"response": "a"}, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert server.ask("/metrics").status == server.ask("/docs").status == 401
    assert server.ask("/health").status == server.ask("/ready").status == 200
    assert server.ask("/admin/models", headers={"x-api-key": KEY}).status == 401
    assert server.ask("/admin/models", headers={"x-api-key": ADMIN}).status == 200


def test_keys_come_from_a_file_or_the_environment_and_are_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from-a-file-of-mine\n")
    monkeypatch.setenv(API_KEY, "from-the-environment")
    assert read_key(tmp_path / "key", API_KEY) == "from-a-file-of-mine"
    assert read_key(None, API_KEY) == "from-the-environment"
    assert mask_secrets("it is from-a-file-of-mine") == "it is ***"
    monkeypatch.setenv(API_KEY, "short")
    with pytest.raises(ConfigError, match="RMJUDGE_API_KEY: a key has at least 8 characters"):
        read_key(None, API_KEY)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="holds no key"):
        read_key(tmp_path / "empty", API_KEY)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "none", API_KEY)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_gets_its_answer_and_not_a_reset(live: Start, chunked: bool) -> None:
    server = live(create_app(Letters(), limits=Limits(max_body=100_000)))
    with server.socket() as connection:
        if chunked:
            connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            for _ in range(100):
                connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        else:
            connection.sendall(HEAD + b"content-length: 6553600\r\n\r\n" + b"x" * 6_553_600)
        reply = connection.recv(65_536)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"at most 100,000 bytes" in reply
    assert server.ask("/score", {"response": "a"}).status == 200


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (HEAD + b"content-length: 1000\r\n\r\n{", b" "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"POST /sco", b"r"),
        (b"", b""),
    ],
)
def test_a_client_that_drips_is_cut_off(live: Start, start: bytes, drop: bytes) -> None:
    server = live(create_app(Letters(), limits=Limits(slow_client=0.5)))
    began = time.monotonic()
    with server.socket() as connection:
        connection.sendall(start)
        connection.settimeout(0.05)
        reply = b""
        while not reply and time.monotonic() < began + 10:
            try:
                connection.sendall(drop)
                reply = connection.recv(1000)
            except TimeoutError:
                continue
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert 0.4 < time.monotonic() - began < 5


def test_a_kept_alive_connection_that_begins_a_second_head_slowly_is_cut_off_too(live: Start) -> None:
    server = live(create_app(Letters(), limits=Limits(slow_client=0.5)))
    with server.socket() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /hea")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_a_full_queue_says_when_to_come_again(live: Start) -> None:
    source = Letters()
    server = live(create_app(source, limits=Limits(max_queue=4, max_responses=4), cache_size=0))
    source.gate.clear()
    first = in_thread(lambda: server.ask("/score", {"responses": ["a", "b", "c"]}))
    wait_for(lambda: server.ask("/ready").body["models"][0]["waiting"] == 3)
    refused = server.ask("/score", {"responses": ["d", "e"]})
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "3 responses wait already" in refused.body["error"]["message"]
    second = in_thread(lambda: server.ask("/score", {"response": "dd"}))  # this one still fits
    wait_for(lambda: server.ask("/ready").body["models"][0]["waiting"] == 4)
    source.gate.set()
    assert [reward["value"] for reward in first().body["rewards"]] == [1.0, 1.0, 1.0]
    assert second().body["rewards"][0]["value"] == 2.0
    assert server.ask("/ready").body["models"][0]["waiting"] == 0


def test_more_connections_than_allowed(live: Start) -> None:
    server = live(create_app(Letters(), limits=Limits(max_connections=2)))
    with server.socket() as first, server.socket() as second, server.socket() as third:
        assert third.recv(1000).startswith(b"HTTP/1.1 429 ")
        for connection in (first, second):
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_body is 0 \(accepted: above 0\)"):
        Limits(max_body=0)
    with pytest.raises(ConfigError, match="the queue must hold a request"):
        Limits(max_queue=10, max_responses=11)
