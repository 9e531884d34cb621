"""uvicorn as this server needs it: slow heads are cut off, a signal lets everything that waits finish, exit code 0."""

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from judge.errors import RunError
from judge.serving.gate import Phase
from judge.serving.limits import Limits
from judge.serving.request_log import log, set_up_logging
from judge.serving.versions import Models

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LINGER = 2.0  # seconds in which a client may read a refusal while what it sends is dropped
_LAST_CALL = 1.0  # seconds in which a kept-alive connection may still ask once after a signal


def run(app: FastAPI, *, host: str = "127.0.0.1", port: int = 8000, log_level: str = "info") -> None:
    """Serve an app of `create_app` until SIGINT or SIGTERM; returns when what waited then has its answers.

    Args:
        app: of `create_app`.
        host: the address to listen on.
        port: 0 takes a free one; the log's line "serving" names it.
        log_level: debug, info, warning or error.

    Raises:
        RunError: where the address cannot be listened on.
    """
    set_up_logging(log_level)
    listener = _listener(host, port)
    limits: Limits = app.state.limits
    config = uvicorn.Config(
        app,
        http=_protocol(limits),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=ceil(limits.drain),
        proxy_headers=False,
    )
    with listener:
        _Server(config, app).run(sockets=[listener])
    log("ended")


def _listener(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise RunError(f"{host}: no address to listen on: {error.strerror or error}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise RunError(f"{host}:{port}: cannot be listened on: {error.strerror or error}") from None
    return listener


class _Server(uvicorn.Server):
    """A server that ends in the order in which nothing is lost.

    On a signal the listening socket closes. Connections that are kept alive get one more answer, with `Connection:
    close`, for a request that is on its way already; then idle ones are closed, and what waits is finished.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._models: Models = app.state.models
        self._phase: Phase = app.state.phase

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for listener in sockets or ():
            bound = listener.getsockname()
            log("serving", host=bound[0], port=bound[1], models=[model.name for model in self._models])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals, and do not raise them again at the end as uvicorn does: the exit code is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, drain, then let uvicorn end the connections."""
        log("draining", connections=len(self.server_state.connections))
        for server in self.servers:
            server.close()
        self._phase.draining = True
        deadline = asyncio.get_running_loop().time() + _LAST_CALL
        while self.server_state.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def _protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """The HTTP protocol of connections with these limits."""

    class GuardedProtocol(HttpToolsProtocol):
        """A connection whose request heads must come in time, and which does not keep a reader that never reads."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._head_timer: asyncio.TimerHandle | None = None
            self._ended = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                self._end(429, b"retry-after: 1\r\n")
                return
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_came()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._ended:
                return
            idle = self.cycle is None or self.cycle.response_complete
            if idle and self._head_timer is None:
                self._await_head()
            super().data_received(data)

        def on_headers_complete(self) -> None:
            self._head_came()
            super().on_headers_complete()

        def timeout_keep_alive_handler(self) -> None:
            if self.transport.get_write_buffer_size():
                self.transport.abort()  # closing would wait for the client to read the rest; it had its time
            else:
                super().timeout_keep_alive_handler()

        def _await_head(self) -> None:
            self._head_timer = self.loop.call_later(limits.slow_client, self._end, 408, b"")

        def _head_came(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _end(self, status: int, headers: bytes) -> None:
            """Answer without an app, and close; not at once: a close on unread bytes would be a reset."""
            if not self.transport.is_closing():
                self._ended = True
                close = b"connection: close\r\ncontent-length: 0\r\n\r\n"
                self.transport.write(STATUS_LINE[status] + headers + close)
                self.transport.write_eof()
                self.loop.call_later(_LINGER, self.transport.close)

    return GuardedProtocol
