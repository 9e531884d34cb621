"""Answers of any shape: 20,000 generated bodies through the parser, some hundreds through real sockets."""

import contextlib
import json
import math
import random
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from judge.engines import Completion, Request, load_engine
from judge.engines.openai.answers import Failure, parse, read_reply
from judge.engines.openai.dialect import OPTIONAL, Dialect
from judge.engines.openai.engine import read_choice
from judge.engines.openai.token_ids import read_ids, read_scores
from judge.records import Message

BODIES = 20_000
KEYS = (
    "choices message content text type error code detail loc msg logprobs top_logprobs token logprob finish_reason "
    "reasoning_content reasoning thinking refusal usage prompt_tokens completion_tokens prompt_tokens_details "
    "cached_tokens tool_calls tokens object"
).split()
WORDS = [
    "",
    "A",
    "B",
    "[[A]]",
    "<think>",
    "</think>",
    "stop",
    "length",
    "content_filter",
    "1",
    "10",
    "-",
    "é\u2028",
    "\0",
    "[[",
]
GOOD = {
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "[[A]]", "reasoning_content": None},
            "finish_reason": "stop",
            "logprobs": {
                "content": [
                    {
                        "token": "A",
                        "logprob": -0.1,
                        "top_logprobs": [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -2.5}],
                    }
                ]
            },
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
}
FREE = Request(messages=(Message("user", "Which?"),), stop=("END",))
CHOICES = ("A", "B", "10", "1", "-1", "-2")


def value(draw: random.Random, depth: int = 0) -> Any:
    """Any JSON value, with the protocol's own names more often than chance has it."""
    kind = draw.randrange(10 if depth < 5 else 6)
    if kind < 2:
        return draw.choice(WORDS)
    if kind < 6:
        return draw.choice([None, True, False, 0, 1, -1, 429, 2**63, -1e308, 0.5, -9999.0, 1e9, -0.0])
    if kind < 8:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice(KEYS): value(draw, depth + 1) for _ in range(draw.randrange(5))}


def damaged(draw: random.Random, whole: Any) -> Any:
    """A good answer with one place in it replaced, removed or wrapped."""
    copy = json.loads(json.dumps(whole))
    node, parent, place = copy, None, None
    while isinstance(node, dict | list) and node and draw.random() < 0.85:
        parent, place = node, draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node = parent[place]
    if parent is None:
        return value(draw)
    if draw.random() < 0.2:
        del parent[place]
    else:
        parent[place] = draw.choice([value(draw), [node], {"text": node}])
    return copy


def body(draw: random.Random) -> bytes:
    """One answer's bytes: damaged, of any shape, cut, or no JSON at all."""
    kind = draw.randrange(10)
    if kind == 0:
        return draw.randbytes(draw.randrange(60))
    text = json.dumps(damaged(draw, GOOD) if kind < 7 else value(draw), ensure_ascii=draw.random() < 0.5).encode()
    if kind == 9:
        return text[: draw.randrange(len(text) + 1)]
    return b"<html>" + text if kind == 8 and draw.random() < 0.3 else text


def check(result: Completion | Failure) -> None:
    """What holds for every answer that was read."""
    if isinstance(result, Failure):
        assert result.reason
        assert "\n" not in result.reason
        assert len(result.reason) < 500
        assert 0.0 <= result.wait < math.inf
        return
    result.text.encode()
    result.thinking.encode()
    assert result.finish in ("stop", "length", "repetition", "error")
    assert min(result.prompt_tokens, result.cached_tokens, result.output_tokens) >= 0
    if result.logprobs:
        assert sum(map(math.exp, result.logprobs.values())) == pytest.approx(1.0)


def test_twenty_thousand_answers_of_any_shape() -> None:
    draw = random.Random(5)
    readers: tuple[Callable[[Any], Any], ...] = (
        lambda content: read_reply(content, FREE),
        lambda content: read_choice(content, CHOICES),
    )
    seen = {"completion": 0, "failure": 0}
    for _ in range(BODIES):
        headers = {
            "Content-Type": draw.choice(["application/json", "text/html", ""]) if draw.random() < 0.2 else "",
            "Retry-After": draw.choice(["", "1", "x", "1e400", "Thu, 99 Foo 2000"]),
            "Location": draw.choice(WORDS),
        }
        status = draw.choice([200, 200, 200, 200, 201, 204, 301, 400, 401, 404, 422, 429, 500, 503, 999])
        content = parse(status, headers, body(draw))
        if isinstance(content, Failure):
            check(content)
            seen["failure"] += 1
            continue
        for read in readers:
            result = read(content)
            check(result)
            seen["completion"] += isinstance(result, Completion)
        for result in (read_ids(content), read_scores(content, [1, 2])):
            assert isinstance(result, Failure | list | tuple)
    assert seen["completion"] > BODIES / 10
    assert seen["failure"] > BODIES / 10


def test_refusals_in_any_words_leave_a_body_that_can_be_sent() -> None:
    draw = random.Random(6)
    request = Request(messages=FREE.messages, temperature=0.5, stop=("x",), prefill="[[", schema={"type": "object"})
    words = [*KEYS, *OPTIONAL, "max_tokens", "top_logprobs at most 5", "system role", "extra"]
    for _ in range(1000):
        dialect = Dialect()
        for _ in range(12):
            sent = dialect.body("m", request, quiet=True)
            assert len(set(sent) & {"max_tokens", "max_completion_tokens"}) == 1
            assert (sent["model"], len(sent["messages"])) == ("m", 2)
            others = list(dialect.others(sent, " ".join(draw.sample(words, 4))))
            assert dialect not in others
            dialect = draw.choice(others or [dialect])


def raw_answer(draw: random.Random) -> bytes:
    """A whole HTTP answer: a good one, or one whose body or head is wrong."""
    content = body(draw)
    if draw.random() < 0.4:
        content = json.dumps(GOOD).encode()
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    length = draw.choice([len(content)] * 6 + [len(content) + 7, max(len(content) - 3, 0)])
    status = draw.choice([b"200 OK"] * 6 + [b"404 Not Found", b"500 Oh", b"429 Slow", b"302 Found", b"99 Odd", b""])
    more = draw.choice([b""] * 5 + [b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n"])
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\nConnection: close\r\n" % length + more + b"\r\n"
    return draw.choice([head + content] * 8 + [draw.randbytes(40), b"", head, b"HTTP/1.1 200 OK\r\n\r\n" + content])


@pytest.fixture
def raw_server() -> Iterator[str]:
    """A server that reads each request and answers with raw bytes, then closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    draw = random.Random(7)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                head, _, rest = connection.recv(1 << 20).partition(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r")[0])
                while len(rest) < length:
                    rest += connection.recv(1 << 20)
                connection.sendall(raw_answer(draw))

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_hundreds_of_answers_through_real_sockets(raw_server: str, ask: Callable[..., Request]) -> None:
    engine = load_engine(f"openai:{raw_server}#m", server="plain", timeout=2.0, patience="60s", attempts=2)
    for ticket in range(300):
        engine.submit(ticket, ask(f"{ticket}"))
    finished: list[Completion] = []
    while len(finished) < 300:
        finished += [completion for _, completion in engine.step()]
    engine.close()
    errors = [completion.text for completion in finished if completion.finish == "error"]
    assert 10 < len(errors) < 200
    assert all(errors)
    assert sum(completion.text == "[[A]]" for completion in finished) > 100
