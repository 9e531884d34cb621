"""The engine `openai:URL#MODEL`: requests go to a server, as many at once as it is told.

All HTTP happens on one event loop in a daemon thread, so that the end of the process waits for no server.
"""

import asyncio
import contextlib
import logging
import queue
import re
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

from judge.engines.base import Completion, Request
from judge.engines.choices import likeliest, listed_logprobs
from judge.engines.openai.address import parse_address
from judge.engines.openai.answers import (
    Failure,
    choice_completion,
    choice_error,
    listed_tokens,
    read_reply,
    reply_text,
)
from judge.engines.openai.connection import Connection
from judge.engines.openai.dialect import CONTINUING, LIMITS, Dialect
from judge.engines.openai.token_ids import TokenIds
from judge.errors import ConfigError, unknown
from judge.records import Message
from judge.secrets import split_userinfo

SERVERS = ("vllm", "plain", "auto")
NOT_GOING_ON = "this server cannot go on from a begun reply (prefill)"
CLOSE_SECONDS = 1.0
PROBE = Request(
    messages=(Message("user", "Write the numbers from one to six in words, with a comma between them."),),
    prefill="one, two, three, four, fi",
    max_tokens=4,
)
PROBE_GOES_ON = "ve"
THINKING_PROBE_TOKENS = 32

T = TypeVar("T")

log = logging.getLogger(__name__)


class OpenAIEngine:
    """`openai:URL#MODEL`."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        server: str = "auto",
        key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 64,
        timeout: float | str = 600.0,
        patience: float | str = "30m",
        attempts: int = 6,
        thinking_tokens: int = 0,
    ) -> None:
        """server: "vllm" for one that goes on from a begun reply (vLLM, SGLang), "plain" for one that does not; by
        default the server is tried once. timeout: until when an answer has to be there whole. patience: how long a
        server may be away before the run ends, "45s", "30m", "2h". attempts: how often one request is asked for while
        the server answers others. Raises ConfigError for a broken URL or key."""
        if server not in SERVERS:
            raise unknown("server", server, SERVERS)
        for name, number in {"concurrency": concurrency, "attempts": attempts}.items():
            if not isinstance(number, int) or number < 1:
                raise ConfigError(f"{name} must be a whole number above 0, not {number!r}")
        self._address = parse_address(url, key_variable)
        if self._address.official and not self._address.authorization:
            raise ConfigError(f"engine 'openai:{url}' needs an API key in the environment variable {key_variable}")
        self._model, self.thinking_tokens, self._concurrency = model, thinking_tokens, concurrency
        self._server = "plain" if server == "auto" and self._address.official else server
        self._dialect = Dialect(limit=LIMITS[self._address.official])
        self._hopeless: set[Dialect] = set()  # dialects that were tried and did not help
        self._connection = Connection(
            self._address,
            model,
            concurrency=self._concurrency,
            timeout=seconds_of("timeout", timeout),
            patience=seconds_of("patience", patience),
            attempts=attempts,
        )
        self._loop: _Loop | None = None
        self._waiting: asyncio.PriorityQueue[tuple[int, int, Request]] | None = None
        self._finished: queue.SimpleQueue[tuple[int, Completion | Exception]] = queue.SimpleQueue()
        self._order = count()
        self._pending = 0
        self._token_ids = TokenIds(self._connection, model)
        self._continues: asyncio.Future[bool] | None = None
        self._takes_ids: asyncio.Future[bool] | None = None
        self._thinking: asyncio.Future[bool] | None = None

    @classmethod
    def from_spec(
        cls,
        address: str,
        *,
        batch: bool = False,
        poll: float | str | None = None,
        batch_requests: int | None = None,
        batch_bytes: int | None = None,
        **settings: Any,
    ) -> "OpenAIEngine":
        """The engine of an address `http://HOST:PORT/v1#MODEL`; with `batch`, the one that asks by files."""
        userinfo, opened = split_userinfo(address)  # a password may hold a "#"
        url, _, model = opened.partition("#")
        if not url.startswith(("http://", "https://")) or not model:
            raise ConfigError(f"engine 'openai:{address}': write 'openai:http://HOST:PORT/v1#MODEL'")
        files = {"poll": poll, "batch_requests": batch_requests, "batch_bytes": batch_bytes}
        named: dict[str, Any] = {name: value for name, value in files.items() if value is not None}
        if named and not batch:
            raise ConfigError(f"{', '.join(named)}: of a batch endpoint (accepted: together with batch=true)")
        url = url.replace("://", f"://{userinfo}@", 1) if userinfo else url
        if not batch:
            return cls(url, model, **settings)
        from judge.engines.openai.batch import BatchEngine

        return BatchEngine(url, model, **named, **settings)

    def submit(self, ticket: int, request: Request) -> None:
        """See Engine."""
        loop = self._open()
        assert self._waiting is not None
        self._pending += 1
        loop.call(self._waiting.put_nowait, (ticket, next(self._order), request))

    def step(self) -> list[tuple[int, Completion]]:
        """See Engine. Whatever the server says to one request is that request's completion, with "error" where it is
        none; a server that cannot be used raises EngineError."""
        if not self._pending:
            return []
        done = []
        item: tuple[int, Completion | Exception] | None = self._finished.get()
        while item is not None:
            ticket, result = item
            self._pending -= 1
            if isinstance(result, Exception):
                raise result
            done.append((ticket, result))
            try:
                item = self._finished.get_nowait()
            except queue.Empty:
                item = None
        return done

    def ready(self) -> bool:
        """Whether `step` would return at once."""
        return not self._finished.empty()

    def count_tokens(self, request: Request) -> int:
        """A guess, for the tokenizer is the server's: a token for every four characters, four for every turn."""
        characters = sum(len(message.content) for message in request.messages) + len(request.prefill)
        return characters // 4 + 4 * (len(request.messages) + 1)

    def describe(self) -> dict[str, Any]:
        """See Engine. What the server runs is known by its name alone."""
        described = {"engine": "openai", "model": self._model, "url": self._address.shown, "server": self._server}
        return described | ({"thinking_tokens": self.thinking_tokens} if self.thinking_tokens else {})

    def close(self) -> None:
        """See Engine. What is under way is dropped."""
        loop, self._loop = self._loop, None
        self._pending = 0
        self._finished = queue.SimpleQueue()
        if loop is not None:
            loop.close(self._connection.close)

    # -- on the event loop --------------------------------------------------------------------------------------------

    def _open(self) -> "_Loop":
        if self._loop is None:
            self._loop = _Loop()
            self._continues = self._takes_ids = self._thinking = None
            self._loop.wait_for(self._start())
        return self._loop

    async def _start(self) -> None:
        await self._connection.open()
        self._waiting = asyncio.PriorityQueue()
        assert self._loop is not None
        for _ in range(self._concurrency):
            self._loop.start(self._work(self._waiting, self._finished))

    async def _work(
        self,
        waiting: "asyncio.PriorityQueue[tuple[int, int, Request]]",
        finished: "queue.SimpleQueue[tuple[int, Completion | Exception]]",
    ) -> None:
        while True:
            ticket, _, request = await waiting.get()
            try:
                finished.put((ticket, await self._answer(request)))
            except Exception as error:  # noqa: BLE001 (the worker's edge: step() raises it in the caller's thread)
                finished.put((ticket, error))

    async def _answer(self, request: Request) -> Completion:
        continues = await self._goes_on()
        if request.prefill and not continues:
            return Completion(text=NOT_GOING_ON, finish="error")
        begun = ""
        if request.opening and not (request.prefill or request.choices) and continues and not await self._thinks():
            begun = request.opening
            request = replace(request, prefill=begun, opening="")
        if request.choices and await self._exact():
            result = await self._token_ids.choose(request, self._dialect)
        elif request.choices:
            result = await self._ask(request, lambda content: read_choice(content, request.choices))
        else:
            result = await self._ask(request, lambda content: read_reply(content, request))
        if isinstance(result, Failure):
            return Completion(text=result.reason, finish="error")
        if request.choices or result.finish == "error":
            return result
        return replace(result, text=begun + result.text, continues=continues)

    async def _ask(self, request: Request, read: Callable[[Any], T | Failure]) -> T | Failure:
        """Ask in the words that the server takes; a refusal that names a field is answered in other words once."""
        url = self._address.url("/chat/completions")
        dialect = begun = self._dialect
        body = self._body(dialect, request)
        result = await self._connection.ask(url, body, read)
        first = result
        for _ in range(_CHANGES):
            if not isinstance(result, Failure) or result.kind != "refused":
                break
            if self._dialect != begun:  # another request has found out meanwhile
                other: Dialect | None = self._dialect
                begun = self._dialect
            else:
                others = dialect.others(body, result.reason)
                other = next((other for other in others if other not in self._hopeless), None)
            if other is None:
                break
            changed = self._body(other, request)
            if request.prefill and not all(name in changed for name in CONTINUING):
                return first  # asked without these fields, the server would begin a reply of its own
            answer = await self._connection.ask(url, changed, read)
            if isinstance(answer, Failure) and answer.kind == "refused" and answer.reason == result.reason:
                self._hopeless.add(other)
                continue
            dialect, body, result = other, changed, answer
        if isinstance(result, Failure) and result.kind == "refused":
            return first
        if result is not first and dialect != self._dialect:
            self._dialect = dialect
            log.warning("%s: %s; asking otherwise from now on", self._address.shown, getattr(first, "reason", ""))
        return result

    def _body(self, dialect: Dialect, request: Request) -> dict[str, Any]:
        quiet = self._server != "plain"
        return dialect.body(self._model, request, quiet=quiet, thinking_tokens=self.thinking_tokens)

    async def _exact(self) -> bool:
        """Whether choices can be asked by token ids, found out once."""
        if self._server == "plain":
            return False
        await self._find_out()  # with patience, so that the server is there
        if self._takes_ids is None:
            self._takes_ids = asyncio.ensure_future(self._token_ids.available())
        return await asyncio.shield(self._takes_ids)

    async def _thinks(self) -> bool:
        """Whether the model thinks before it replies, asked once: then no reply is begun for it."""
        if self._thinking is None:
            self._thinking = asyncio.ensure_future(self._probe_thinking())
        return await asyncio.shield(self._thinking)

    async def _probe_thinking(self) -> bool:
        question = replace(PROBE, prefill="", max_tokens=THINKING_PROBE_TOKENS)
        result = await self._ask(question, lambda content: read_reply(content, question))
        if isinstance(result, Failure):
            return True  # not known: the model is left to begin as it likes
        return bool(result.thinking) or not result.text or await self._token_ids.opens_thinking()

    async def _goes_on(self) -> bool:
        return self._server == "vllm" or (self._server == "auto" and await self._find_out())

    async def _find_out(self) -> bool:
        """Whether the server continues a begun word, asked once however many want to know."""
        if self._continues is None:
            self._continues = asyncio.ensure_future(self._probe())
        return await asyncio.shield(self._continues)

    async def _probe(self) -> bool:
        result = await self._ask(PROBE, lambda content: read_reply(content, PROBE))
        if not isinstance(result, Failure) and result.text.startswith(PROBE_GOES_ON):
            return True
        return await self._token_ids.available()  # by construction, where the model does not take the hint


_CHANGES = 6  # a server that refuses more fields than this one after another is no server for us


_AROUND = "[]()*`\"'. \n"  # signs around a choice that was written where a bare one was asked for


def read_choice(content: Any, choices: tuple[str, ...]) -> Completion | Failure:
    """The choice that an answer supports, with what its listed tokens say of all of them."""
    listed = listed_tokens(content)
    if isinstance(listed, Failure):
        return listed
    if not listed:
        text = reply_text(content).strip().strip(_AROUND)
        longer = [choice for choice in choices if choice != text and choice.startswith(text)]
        if text in choices and not longer:
            return choice_completion(content, text)
        return choice_error(content, f"the server gave no log-probabilities and answered {text[:100]!r}")
    support = listed_logprobs(listed, choices)
    if not support.logprobs:
        return choice_error(content, support.reason)
    return choice_completion(content, likeliest(support.logprobs), support.logprobs)


_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds_of(setting: str, duration: float | str) -> float:
    """Seconds of "45s", "30m", "2h", "1.5h" or a number of seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?\s*", str(duration))
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if not seconds:
        raise ConfigError(f"{setting} is a time above 0 such as 45s, 30m or 2h, not {duration!r}")
    return seconds


class _Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="openai", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have the loop call a function soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task; to be called on the loop."""
        self._tasks.add(asyncio.ensure_future(work))

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work comes to, waited for in the caller's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel everything, run the last words and end the thread; a second at most."""

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await last()
            self._loop.stop()

        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: self._tasks.add(asyncio.ensure_future(end())))
        self._thread.join(CLOSE_SECONDS)
