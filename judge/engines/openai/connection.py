"""One server's connection: a pool of keep-alive connections on an event loop, deadlines, and patience with failures.

aiohttp, because a post costs it 0.08 ms of CPU where httpx2 takes 0.53, because its timeout holds for the whole answer,
and because `datasets` brings it along anyway.
"""

import asyncio
import contextlib
import logging
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult

from judge.engines.openai.address import Address
from judge.engines.openai.answers import Failure, parse
from judge.engines.openai.throttle import Throttle
from judge.errors import EngineError
from judge.secrets import mask_secrets

T = TypeVar("T")

CONNECT_SECONDS = 15.0
START_SECONDS = 30.0  # patience with an address where nothing has ever answered
START_TRIES = 3
START_PAUSE = 0.3
ODD_TRIES = 3  # an unreadable answer is one request's fault, so it is asked for again at once and not for long
LONGEST_PAUSE = 15.0
LONGEST_ANSWER = 64 << 20  # bytes
LONGEST_FILE = 4 << 30
_LOG_SECONDS = 60.0

log = logging.getLogger(__name__)


class Call(NamedTuple):
    """A call to a server: its method and URL, its body, and the file that takes the answer, None where it is JSON."""

    method: str
    url: str
    data: bytes = b""
    content_type: str = "application/json"
    into: Path | None = None


class Connection:
    """Posts JSON to one server until an answer can be read or patience is over.

    A fault of the server (no connection, 5xx, too late, too many requests) is waited out for `patience` seconds since
    the last good answer. A wrong key, model or path is refused at once, but only as long as the server has not answered
    well: later it is a fault like others. Where the server answers other requests, a request that failed `attempts`
    times has itself to blame and is handed back as a Failure. How many posts are under way at once follows from how the
    server takes them, up to `concurrency`.
    """

    def __init__(
        self, address: Address, model: str, *, concurrency: int, timeout: float, patience: float, attempts: int
    ) -> None:
        self.address = address
        self._model = model
        self._concurrency, self._timeout, self._patience, self._attempts = concurrency, timeout, patience, attempts
        self._throttle = Throttle(concurrency)
        self._session: aiohttp.ClientSession | None = None
        self._answered = False  # whether any answer ever came
        self._asking = 0  # how many requests are under way or wait to be asked again
        self._good = -1.0  # when the last good answer came; -1 before the first
        self._logged = -_LOG_SECONDS

    async def open(self) -> None:
        """Make the pool; to be called in its event loop."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.address.authorization:
            headers["Authorization"] = self.address.authorization
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency + 2, resolver=_Resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            trust_env=True,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, url: str, body: Mapping[str, Any], read: Callable[[Any], T | Failure]) -> T | Failure:
        """What `read` makes of the server's JSON; a Failure that is this request's own.

        Raises EngineError when the server cannot be used: refused at the very start, or patience is over.
        """
        return await self._patiently(lambda: self.ask_once(url, body, read), self._alive)

    async def call(self, call: "Call") -> Any | Failure:
        """The server's JSON for a call other than a question; a Failure when the server refuses it or knows no such
        thing. Raises EngineError as `ask` does."""
        return await self._patiently(lambda: self.call_once(call), None)

    async def call_once(self, call: "Call") -> Any | Failure:
        """One try of a call."""
        content = await self._send(call, self._timeout)
        self._answered = self._answered or not isinstance(content, Failure) or content.reached
        if not isinstance(content, Failure) or content.kind == "refused":
            self._good = time.monotonic()
        return content

    async def _patiently(
        self, attempt: Callable[[], Awaitable[T | Failure]], alive: Callable[[], Awaitable[bool]] | None
    ) -> T | Failure:
        """Try again as long as patience lasts. alive: whether the server answers another request well; None for calls,
        of which nothing but the server can be at fault."""
        self._asking += 1
        try:
            return await self._try_again(attempt, alive)
        finally:
            self._asking -= 1

    async def _try_again(
        self, attempt: Callable[[], Awaitable[T | Failure]], alive: Callable[[], Awaitable[bool]] | None
    ) -> T | Failure:
        since = time.monotonic()
        failures = odd = to_blame = unclear = 0  # unclear: of those to blame, while nobody else was answered either
        pardoned = False
        while True:
            began = time.monotonic()
            result = await attempt()
            if not isinstance(result, Failure) or result.kind == "refused":
                return result
            blamed = result.kind in ("sick", "misaddressed") and result.connected
            failures, to_blame, odd = failures + 1, to_blame + blamed, odd + (result.kind == "odd")
            if result.kind == "odd" and odd >= min(ODD_TRIES, self._attempts):
                return result
            if result.kind == "misaddressed" and failures >= START_TRIES:
                if self._good < 0:
                    raise EngineError(f"{self.address.shown} (model '{self._model}') {result.reason}")
                if alive is None:
                    return result
            if to_blame >= self._attempts and alive is not None:
                up = self._good > began or await alive()
                if up and (pardoned or not unclear):
                    return result
                # Down for all, or it was so a while ago: what failed then says nothing about this request.
                to_blame, unclear, pardoned = (to_blame - unclear if up else 0), 0, up
            await self.pause(result, failures, since)
            unclear += blamed and self._asking > 1 and self._good < began

    async def ask_once(
        self, url: str, body: Mapping[str, Any], read: Callable[[Any], T | Failure], *, timeout: float | None = None
    ) -> T | Failure:
        """One try."""
        content = await self._post_in_turn(url, body, timeout)
        self._answered = self._answered or not isinstance(content, Failure) or content.reached
        result = content if isinstance(content, Failure) else read(content)
        if not isinstance(result, Failure) or result.kind == "refused":
            self._good = time.monotonic()
        return result

    async def pause(self, failure: Failure, tries: int, since: float) -> None:
        """Wait before the next try of what was begun at `since`; EngineError when patience is over."""
        patience = self._patience
        if not self._answered:
            patience = min(patience, START_SECONDS)
        left = max(since, self._good) + patience - time.monotonic()
        if left <= 0:
            raise EngineError(
                f"no good answer from {self.address.shown} (model '{self._model}') for {_duration(patience)}, "
                f"as long as patience lasts: {failure.reason}"
            )
        passing = failure.kind in ("busy", "sick")
        if passing and tries > 1 and time.monotonic() - self._logged >= _LOG_SECONDS:
            self._logged = time.monotonic()
            words = f"{failure.reason}; asking again for up to {_duration(left)}, {int(self._throttle.limit)} at once"
            log.warning("%s: %s", self.address.shown, words)
        longest = START_PAUSE if failure.kind == "misaddressed" and self._good < 0 else LONGEST_PAUSE
        backoff = random.uniform(0.5, 1.0) * min(0.25 * 2 ** min(tries, 10), longest)
        await asyncio.sleep(min(max(backoff, failure.wait), left))

    async def _alive(self) -> bool:
        """Whether the server answers the shortest of requests well: then it is not down, a request is at fault."""
        body = {"model": self._model, "messages": [{"role": "user", "content": "Hi"}]}
        url = self.address.url("/chat/completions")
        result: Any = await self.ask_once(url, body, lambda content: content, timeout=min(self._timeout, START_SECONDS))
        return not isinstance(result, Failure) or result.kind == "refused"

    async def _post_in_turn(self, url: str, body: Mapping[str, Any], timeout: float | None) -> Any | Failure:
        """Post when the server has room for it, and learn from the answer how much room there is."""
        throttle = self._throttle
        began = await throttle.enter()
        try:
            content = await self._post(url, body, timeout)
        finally:
            throttle.leave()
        if not isinstance(content, Failure):
            throttle.answered(began, (url, body.get("max_tokens", body.get("max_completion_tokens"))))
        elif content.kind == "busy" or content.wait:
            throttle.busy(began, min(content.wait, self._patience))
        elif content.late:
            throttle.late(began)
        return content

    async def _post(self, url: str, body: Mapping[str, Any], timeout: float | None) -> Any | Failure:
        return await self._send(Call("POST", url, orjson.dumps(body)), timeout or self._timeout)

    async def _send(self, call: "Call", timeout: float) -> Any | Failure:
        assert self._session is not None
        limit = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.request(
                call.method,
                call.url,
                data=call.data or None,
                headers={"Content-Type": call.content_type},
                allow_redirects=False,
                timeout=limit,
            ) as response:
                if call.into is not None and response.status == 200:
                    await _write_into(response, call.into)
                    return {}
                length = response.content_length
                if length is None or length > LONGEST_ANSWER:
                    data = await _read_some(response)
                else:
                    data = await response.read()
                return parse(response.status, response.headers, data)
        except aiohttp.ConnectionTimeoutError:
            words = f"no connection within {_duration(CONNECT_SECONDS)}"
            return Failure("sick", words, reached=False, late=True, connected=False)
        except TimeoutError:
            words = f"no whole answer within {_duration(timeout)}"
            return Failure("sick", words, reached=self._answered, late=True)
        except aiohttp.ClientConnectorDNSError as error:
            reason = f"cannot be found: {mask_secrets(str(error))}"
            return Failure("misaddressed", reason, reached=False, connected=False)
        except (ssl.SSLError, aiohttp.ClientSSLError, aiohttp.InvalidURL) as error:
            reason = f"cannot be connected to: {mask_secrets(str(error))}"
            return Failure("misaddressed", reason, reached=False, connected=False)
        except (aiohttp.ClientConnectionError, OSError) as error:
            reached = isinstance(error, aiohttp.ServerDisconnectedError)
            number = getattr(error, "errno", None)
            words = f"no connection: {os.strerror(number)}" if number and number > 0 else mask_secrets(str(error))
            connected = not isinstance(error, aiohttp.ClientConnectorError)
            return Failure("sick", words or type(error).__name__, reached=reached, connected=connected)
        except (aiohttp.ClientError, ValueError) as error:  # an answer that is no HTTP, or torn
            return Failure("sick", f"a broken answer: {' '.join(mask_secrets(str(error)).split())[:200]}")


async def _write_into(response: aiohttp.ClientResponse, path: Path) -> None:
    """Write an answer's bytes to a file, whole or not at all."""
    part, size = path.with_name(f".{path.name}.part"), 0
    with part.open("wb") as file:
        async for chunk in response.content.iter_chunked(1 << 20):
            size += len(chunk)
            if size > LONGEST_FILE:
                raise EngineError(f"the server's file for {path.name} is longer than {LONGEST_FILE >> 30} GiB")
            _write(file, chunk)
        _write(file, b"", sync=True)
    part.replace(path)


def _write(file: IO[bytes], chunk: bytes, *, sync: bool = False) -> None:
    try:
        file.write(chunk)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # told from an OSError of the connection, which is waited out
        raise EngineError(f"{file.name}: cannot be written: {error.strerror}") from error


async def _read_some(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(1 << 16):
        chunks.append(chunk)
        size += len(chunk)
        if size > LONGEST_ANSWER:
            raise ValueError(f"longer than {LONGEST_ANSWER >> 20} MiB")
    return b"".join(chunks)


def _duration(seconds: float) -> str:
    """Seconds as a person says them: "30m", "45s"."""
    if seconds >= 120 and round(seconds) % 60 == 0:
        return f"{round(seconds) // 60}m"
    return f"{seconds:.0f}s" if seconds >= 1 else f"{seconds:.1f}s"


class _Resolver(AbstractResolver):
    """Looks names up in daemon threads: the event loop's own pool would hold up the end of the process."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any]] = loop.create_future()

        def deliver(infos: list[Any] | OSError) -> None:
            if answer.done():
                return
            if isinstance(infos, OSError):
                answer.set_exception(infos)
            else:
                answer.set_result(infos)

        def look_up() -> None:
            infos: list[Any] | OSError
            try:
                infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
            except OSError as error:
                infos = error
            except UnicodeError as error:
                infos = OSError(str(error))
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(deliver, infos)

        threading.Thread(target=look_up, name="resolver", daemon=True).start()
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=place[0], port=place[1], family=kind, proto=protocol, flags=flags)
            for kind, _, protocol, _, place in await answer
        ]

    async def close(self) -> None:
        pass
