"""A server of the real app behind a real socket, in a thread of the test's process."""

import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import uvicorn
from fastapi import FastAPI

from judge.serving.request_log import LOGGER, JsonFormatter
from judge.serving.server import _listener, _protocol, _Server


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


class Live:
    """A running server. `close` ends it as a signal would."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        listener = _listener("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        limits = app.state.limits
        config = uvicorn.Config(
            app,
            http=_protocol(limits),
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(limits.drain),
        )
        self.server = _Server(config, app)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
        self.thread.start()
        deadline = time.monotonic() + 30
        while not self.server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def ask(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None, method: str = "") -> Answer:
        """A request: JSON of a body, or bytes as they are."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data,
            {"content-type": "application/json", **(headers or {})},
            method=method or ("GET" if data is None else "POST"),
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, raw, received = response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                status, raw, received = error.code, error.read(), error.headers
        try:
            parsed = json.loads(raw)
        except ValueError:
            parsed = raw.decode()
        return Answer(status, parsed, {name.lower(): value for name, value in received.items()})

    def socket(self) -> socket.socket:
        """A bare connection, for what a well-behaved client does not do."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def begin_ending(self) -> None:
        self.server.should_exit = True

    def close(self) -> None:
        self.begin_ending()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def live() -> Iterator[Callable[[FastAPI], Live]]:
    """Starts servers, and ends them after the test."""
    servers: list[Live] = []

    def start(app: FastAPI) -> Live:
        servers.append(Live(app))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def log_lines() -> Iterator[list[dict[str, Any]]]:
    """What the server writes to its log while the test runs, each line as JSON."""
    lines: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    handler = Kept()
    LOGGER.addHandler(handler)
    LOGGER.setLevel("INFO")
    yield lines
    LOGGER.removeHandler(handler)
    LOGGER.setLevel("NOTSET")


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds; fail when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Start a call in a thread; the function that is handed back waits for its result."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()

    def result() -> Any:
        thread.join(60)
        return results[0]

    return result
