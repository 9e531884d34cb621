"""What stands before every route: the key, the body within its bounds and in time, the log and the figures."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from judge.serving.keys import Key
from judge.serving.limits import Limits
from judge.serving.metrics import Metrics
from judge.serving.refusals import RefusedError, body_of
from judge.serving.request_log import log_request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/health", "/ready"})
ADMIN = "/admin"
NOTES = "rmjudge"  # where in a scope a route notes what its line in the log shall say
_DISCARDED = 2**28  # bytes of a refused body that are read and dropped, so that its sender can read the answer
_DISCARD_SECONDS = 5.0


@dataclass(slots=True)
class Phase:
    """Where a server's life stands. draining: it has been told to end, and finishes what waits."""

    draining: bool = False


class ClientGoneError(Exception):
    """The client closed its connection before its request was whole."""


class Gate:
    """An ASGI app around another.

    Args:
        app: what a request comes to that passes.
        limits: of the server.
        api_key: asked for by every route but /health and /ready.
        admin_key: asked for by what is under /admin.
        metrics: of the server.
        phase: of the server; while it drains, answers close their connections.
        paths: the server's routes; other paths are counted as one.
    """

    def __init__(
        self,
        app: App,
        *,
        limits: Limits,
        api_key: Key,
        admin_key: Key,
        metrics: Metrics,
        phase: Phase,
        paths: frozenset[str],
    ) -> None:
        self.app, self.limits, self.metrics, self.phase, self.paths = app, limits, metrics, phase, paths
        self.api_key, self.admin_key = api_key, admin_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, send)
        try:
            self._check_key(scope)
            body = await read_body(scope, receive, self.limits)
            await self.app(scope, _replay(body, receive), exchange.send)
        except RefusedError as error:
            await exchange.refuse(error, receive)
        except ClientGoneError:
            exchange.status = 499  # as nginx writes it; nobody reads it
        finally:
            exchange.finish()

    def _check_key(self, scope: Scope) -> None:
        path = scope["path"]
        if path in OPEN_PATHS:
            return
        key = self.admin_key if path.startswith(ADMIN) else self.api_key
        if not key.accepts(scope["headers"]):
            raise RefusedError(401, "no key or a wrong one", headers={"WWW-Authenticate": "Bearer"})


class _Exchange:
    """A request and its response, for the log and the figures."""

    def __init__(self, gate: Gate, scope: Scope, send: Send) -> None:
        self._gate, self._scope, self._send = gate, scope, send
        self._started = time.monotonic()
        self._notes: dict[str, Any] = {}
        scope[NOTES] = self._notes
        self._id = uuid.uuid4().hex[:16]
        self.status = 500

    async def send(self, message: Message) -> None:
        """Pass a part of the response on, with the request's id in its head."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._id.encode())]
            if self._gate.phase.draining:
                message["headers"].append((b"connection", b"close"))
        await self._send(message)

    async def refuse(self, error: RefusedError, receive: Receive) -> None:
        """Answer with a refusal; the rest of a body is dropped first, for whoever sends before reading."""
        self._notes["reason"] = str(error)
        content = orjson.dumps(body_of(error))
        headers = {"content-type": "application/json", "content-length": str(len(content)), **error.headers}
        unread = error.status in (401, 408, 413) and self._scope["method"] not in ("GET", "HEAD")
        if unread:
            headers["connection"] = "close"
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": raw})
        await self._send({"type": "http.response.body", "body": content, "more_body": unread})
        if unread:
            if error.status != 408:
                await _discard(receive)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def finish(self) -> None:
        """Count the request and write its line."""
        seconds = time.monotonic() - self._started
        path = self._scope["path"]
        self._gate.metrics.observe_request(path if path in self._gate.paths else "other", self.status, seconds)
        log_request(
            id=self._id,
            method=self._scope["method"],
            path=path if path in self._gate.paths else "other",
            status=self.status,
            ms=round(1000 * seconds, 2),
            **self._notes,
        )


async def read_body(scope: Scope, receive: Receive, limits: Limits) -> bytes:
    """A request's whole body.

    Raises:
        RefusedError: 413 for a body that is, or says it is, too large; 408 for one that comes too slowly.
        ClientGoneError: where it never comes.
    """
    if scope["method"] in ("GET", "HEAD"):
        return b""
    too_large = RefusedError(413, f"the body is too large (accepted: at most {limits.max_body:,} bytes)")
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limits.max_body:
            raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.slow_client):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                body += message.get("body", b"")
                if len(body) > limits.max_body:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {limits.slow_client:g} s") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body first, and then what else comes."""
    parts = [body]

    async def replayed() -> Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        return await receive()

    return replayed


async def _discard(receive: Receive) -> None:
    """Read and drop the rest of a body for a while: a connection closed on unread bytes is reset, and a reset takes the
    answer away from a client that has not read it yet."""
    dropped = 0
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while dropped < _DISCARDED:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                dropped += len(message.get("body", b""))
    except TimeoutError:
        return
