"""The engine `openai:URL#MODEL?batch=true`: requests go by files to a batch endpoint, at half the price and in hours.

What is asked waits until `step` is called with nothing else to hand back; then it is cut into parts, and each is
uploaded, submitted, polled and fetched. All of it is written down beside the run (see batch_parts), so the same command
goes on after any kill: with batches that are under way, and with answers that are there already. Requests that a batch
did not answer are asked again in another.
"""

import logging
import queue
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from judge.engines.base import Completion, Request
from judge.engines.openai.answers import Failure, parse, read_reply
from judge.engines.openai.batch_parts import Part, PartStore
from judge.engines.openai.batch_server import BatchServer
from judge.engines.openai.engine import NOT_GOING_ON, OpenAIEngine, read_choice, seconds_of
from judge.errors import ConfigError, EngineError, RmjudgeError

MOST_REQUESTS = 50_000  # of a file, as OpenAI documents it
MOST_BYTES = 200_000_000
LINGER_SECONDS = 2.0  # beside other judges, requests are gathered until none has come for so long

Answers = list[tuple[int, Completion]]

log = logging.getLogger(__name__)


class _Known(NamedTuple):
    line: Mapping[str, Any]
    counted: bool


class BatchEngine(OpenAIEngine):
    """`openai:URL#MODEL?batch=true`; see Durable and Background for what it can do beside the verbs of an engine."""

    batch = True

    def __init__(
        self,
        url: str,
        model: str,
        *,
        poll: float | str = "30s",
        batch_requests: int = MOST_REQUESTS,
        batch_bytes: int = MOST_BYTES,
        attempts: int = 3,
        **settings: Any,
    ) -> None:
        """poll: the longest time between two looks at a batch. batch_requests, batch_bytes: the most that one file
        holds. attempts: how often a request that a batch leaves unanswered is asked. The rest is as OpenAIEngine takes
        it. Raises ConfigError as OpenAIEngine does."""
        if settings.setdefault("server", "plain") not in ("plain", "auto"):
            raise ConfigError("a batch endpoint does not go on from begun replies: leave out server, or server=plain")
        for name, number in {"batch_requests": batch_requests, "batch_bytes": batch_bytes}.items():
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise ConfigError(f"{name} must be a whole number above 0, not {number!r}")
        super().__init__(url, model, **{**settings, "server": "plain"}, attempts=attempts)
        self.window = batch_requests
        self._poll = seconds_of("poll", poll)
        self._most_bytes, self._tries = batch_bytes, attempts
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._store: PartStore | None = None
        self._server_calls: BatchServer | None = None
        self._answers: queue.SimpleQueue[Answers | Exception] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of the four below: parts are settled on the event loop
        self._ordinals: dict[str, tuple[int, int]] = {}  # custom id without ordinal -> asked and unanswered so often
        self._asked: dict[str, tuple[int, Request]] = {}  # custom id -> its ticket and request, until answered
        self._unsent: list[str] = []  # custom ids that no part holds yet
        self._held_by: dict[str, Part] = {}  # custom id -> the part under way that holds it
        self._known: dict[str, _Known] = {}  # custom id -> what a part answered before it was asked here
        self._shapes: set[frozenset[str]] = set()  # fields of bodies that the server is known to take
        self._submitted = 0.0

    def keep_in(self, directory: Path) -> None:
        """See Durable."""
        self._store = store = PartStore(directory)
        for part in store.parts:
            if part.ended:
                good = ((name, line) for name, line in store.lines(part) if _status(line) == 200)
                self._known.update((name, _Known(line, counted=True)) for name, line in good)
            else:
                self._held_by.update(dict.fromkeys(store.custom_ids(part), part))

    def forget(self) -> None:
        """See Durable."""
        if self._store is not None:
            self._store.forget()
        self._known.clear()

    def submit(self, ticket: int, request: Request) -> None:
        """See Engine."""
        self._pending += 1
        self._submitted = time.monotonic()
        if request.prefill:
            self._answers.put([(ticket, Completion(text=NOT_GOING_ON, finish="error"))])
            return
        with self._lock:
            custom_id = self._name(request)
            self._asked[custom_id] = (ticket, request)
            known = self._known.pop(custom_id, None)
            if custom_id in self._held_by:
                return
            if known is not None and self._failure(custom_id, known.line) is None:
                self._answers.put([self._completion(custom_id, known.line, counted=known.counted)])
            else:
                self._unsent.append(custom_id)

    def step(self) -> Answers:
        """See Engine."""
        if not self._pending:
            return []
        if self._answers.empty():
            self._flush()
        done: Answers = []
        while not done or not self._answers.empty():
            answers = self._answers.get()
            if isinstance(answers, Exception):
                raise answers
            done += answers
        self._pending -= len(done)
        return done

    def ready(self) -> bool:
        """Whether `step` would return at once; what has waited long enough is submitted."""
        if self._answers.empty() and time.monotonic() - self._submitted > LINGER_SECONDS:
            try:
                self._flush()
            except RmjudgeError as error:
                self._answers.put(error)
        return not self._answers.empty()

    def close(self) -> None:
        """See Engine. Batches that are under way go on at the server."""
        super().close()
        self._answers = queue.SimpleQueue()
        self._server_calls = None
        if self._temporary is not None:
            self._temporary.cleanup()

    def _name(self, request: Request) -> str:
        """A request's custom id: of its content and key, and of how many of the same are unanswered."""
        content = orjson.dumps(
            [self._model, {**asdict(request), "judge": 0}], option=orjson.OPT_SORT_KEYS, default=dict
        )
        digest = blake2b(content, digest_size=14).hexdigest()
        asked, unanswered = self._ordinals.get(digest, (0, 0))
        self._ordinals[digest] = asked + 1, unanswered + 1
        return f"{digest}{asked:04x}"

    def _take(self, custom_id: str) -> tuple[int, Request]:
        """The ticket and the request of a custom id, which is answered with that."""
        digest = custom_id[:-4]
        asked, unanswered = self._ordinals.pop(digest)
        if unanswered > 1:
            self._ordinals[digest] = asked, unanswered - 1
        return self._asked.pop(custom_id)

    # -- parts --------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Take up the parts that are under way, and make parts of what waits."""
        loop = self._open()
        if self._store is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="rmjudge-batches-")
            self._store = PartStore(Path(self._temporary.name))
        if self._server_calls is None:
            self._server_calls = BatchServer(self._connection, self._store, poll=self._poll)
            for part in {part.id: part for part in self._held_by.values()}.values():
                loop.call(loop.start, self._drive(part))
        with self._lock:
            waiting = sorted(self._unsent, key=lambda custom_id: self._asked[custom_id][0])
            self._unsent = []
        if not waiting:
            return
        self._learn([self._asked[custom_id][1] for custom_id in waiting])
        for names in self._cut(waiting):
            loop.call(loop.start, self._drive(self._begin(names, tries=1)))

    def _learn(self, requests: Iterable[Request]) -> None:
        """Ask one request of each kind at once, so that a wrong key, model or field is known now and not in hours."""
        for request in requests:
            shape = frozenset(self._body(self._dialect, request))
            if shape not in self._shapes:
                assert self._loop is not None
                self._loop.wait_for(self._ask(request, parse_nothing))
                self._shapes |= {shape, frozenset(self._body(self._dialect, request))}

    def _cut(self, custom_ids: Sequence[str]) -> Iterable[list[str]]:
        """The requests in files that are not too long."""
        names: list[str] = []
        size = 0
        for custom_id in custom_ids:
            length = len(self._line(custom_id))
            if names and (len(names) == self.window or size + length > self._most_bytes):
                yield names
                names, size = [], 0
            names.append(custom_id)
            size += length
        yield names

    def _line(self, custom_id: str) -> bytes:
        body = self._body(self._dialect, self._asked[custom_id][1])
        line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return orjson.dumps(line) + b"\n"

    def _begin(self, custom_ids: Sequence[str], *, tries: int) -> Part:
        assert self._store is not None
        part = self._store.add([self._line(custom_id) for custom_id in custom_ids], tries=tries)
        self._held_by.update(dict.fromkeys(custom_ids, part))
        return part

    async def _drive(self, part: Part) -> None:
        """Bring a part to its end, and what it left unanswered to the end of another part."""
        assert self._server_calls is not None
        try:
            following: Part | None = part
            while following is not None:
                reason = await self._server_calls.run(following)
                following = await self._settle(following, reason)
        except Exception as error:  # noqa: BLE001 (the worker's edge: step() raises it in the caller's thread)
            self._answers.put(error)

    async def _settle(self, part: Part, reason: str) -> Part | None:
        """Hand on what an ended part answers; the part that asks the rest again, None where nothing is left."""
        assert self._store is not None
        answers: Answers = []
        with self._lock:
            rest = {name for name in self._store.custom_ids(part) if self._held_by.pop(name, None)}
            failures: dict[str, str] = {}
            for custom_id, line in self._store.lines(part):
                if custom_id not in rest:
                    continue
                failure = self._failure(custom_id, line)
                if failure is None and custom_id not in self._asked:
                    self._known[custom_id] = _Known(line, counted=False)  # it will be asked for later
                elif failure is None or (failure.kind == "refused" and custom_id in self._asked):
                    answers.append(self._completion(custom_id, line))
                else:
                    failures[custom_id] = failure.reason
                    continue
                rest.discard(custom_id)
            rest &= self._asked.keys()
            if part.status == "cancelled" and rest:
                self._hand_on(answers)
                raise EngineError(
                    f"batch {part.batch_id} was cancelled at the server; the same command asks the rest again"
                )
            if part.tries >= self._tries:
                for custom_id in rest:
                    ticket, _ = self._take(custom_id)
                    answers.append((ticket, Completion(text=failures.get(custom_id, reason), finish="error")))
                rest = set()
            ordered = sorted(rest, key=lambda custom_id: self._asked[custom_id][0])
            following = self._begin(ordered, tries=part.tries + 1) if ordered else None
        if following is not None:
            words = next(iter(failures.values()), reason)
            log.warning("%s: %d requests are asked again: %s", self._address.shown, following.requests, words)
        self._hand_on(answers)
        return following

    def _hand_on(self, answers: Answers) -> None:
        if answers:
            self._answers.put(sorted(answers, key=lambda answer: answer[0]))

    def _failure(self, custom_id: str, line: Mapping[str, Any]) -> Failure | None:
        """Why a line is no answer, None where it is one."""
        result = _content(line)
        if not isinstance(result, Failure) and custom_id in self._asked:
            result = _read(result, self._asked[custom_id][1])
        return result if isinstance(result, Failure) else None

    def _completion(self, custom_id: str, line: Mapping[str, Any], *, counted: bool = False) -> tuple[int, Completion]:
        """The completion of a request, which is done with that. counted: an earlier attempt has counted its tokens."""
        ticket, request = self._take(custom_id)
        content = _content(line)
        result = content if isinstance(content, Failure) else _read(content, request)
        if isinstance(result, Failure):
            return ticket, Completion(text=result.reason, finish="error")
        return ticket, replace(result, prompt_tokens=0, cached_tokens=0, output_tokens=0) if counted else result


def parse_nothing(content: Any) -> Any:
    """An answer as it is."""
    return content


def _read(content: Any, request: Request) -> Completion | Failure:
    return read_choice(content, request.choices) if request.choices else read_reply(content, request)


def _status(line: Mapping[str, Any]) -> int:
    response = line.get("response")
    status = response.get("status_code") if isinstance(response, dict) else None
    return status if isinstance(status, int) else 0


def _content(line: Mapping[str, Any]) -> Any | Failure:
    """The answer in a line of a batch's output, or why there is none."""
    response, error = line.get("response"), line.get("error")
    status = _status(line)
    if isinstance(response, dict) and status:
        return parse(status, {}, orjson.dumps(response.get("body"), option=orjson.OPT_NON_STR_KEYS))
    words = error.get("message") or error.get("code") if isinstance(error, dict) else None
    return Failure("sick", " ".join(str(words or "a line without an answer").split()))
