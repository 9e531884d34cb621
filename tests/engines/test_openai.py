"""The HTTP engine against a server in this process that speaks the protocol."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import exp, log
from time import monotonic
from typing import Any

import pytest

from judge.engines import Completion, Engine, Request, load_engine
from judge.engines.openai.answers import retry_after
from judge.engines.openai.engine import PROBE, seconds_of
from judge.errors import ConfigError, EngineError, UnknownNameError

Ask = Callable[..., Request]
Answers = Callable[[Engine, list[Request]], list[Completion]]


class Server(ThreadingHTTPServer):
    """Answers every question by `reply(body)`, a status and JSON or bytes, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.headers: dict[str, str] = {}
        self.continues = True
        self.reply: Callable[[dict[str, Any]], tuple[int, Any]] = lambda body: (200, answer("fine"))
        self.probabilities: dict[str, float] = {}  # text that a reply ends with -> probability of its last letter

    def listed(self, body: dict[str, Any]) -> dict[str, Any]:
        """An answer of vLLM's /v1/completions to a prompt of token ids: here a token is a letter."""
        self.asked.append(body)
        begun = "".join(map(chr, body["prompt"])).rpartition("|")[2]
        top = {f"token_id:{t}": log(self.probabilities[begun + chr(t)]) for t in body["logprob_token_ids"]}
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 1}
        return {
            "choices": [{"text": "x", "logprobs": {"top_logprobs": [top | {"token_id:7": -9999.0}]}}],
            "usage": usage,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers.get("Authorization", ""))
        self.server.paths.append(self.path)
        path = self.path.split("?")[0]
        if self.server.probabilities and path in ("/tokenize", "/v1/completions"):
            status, content = 200, tokens_of(body) if path == "/tokenize" else self.server.listed(body)
        elif not path.endswith("/chat/completions"):
            status, content = 404, {"detail": "Not Found"}
        elif body["messages"][-1] == {"role": "assistant", "content": PROBE.prefill}:
            status, content = 200, answer("ve, six" if self.server.continues else "One, two")
        else:
            self.server.asked.append(body)
            status, content = self.server.reply(body)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def tokens_of(body: dict[str, Any]) -> dict[str, Any]:
    """An answer of vLLM's /tokenize, a token for each letter."""
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    return {"tokens": [ord(letter) for letter in "|".join(turn["content"] for turn in body["messages"])]}


def answer(text: Any, top: dict[str, float] | None = None, **message: Any) -> dict[str, Any]:
    choice: dict[str, Any] = {"message": {"content": text, **message}, "finish_reason": "stop"}
    if top is not None:
        listed = [{"token": token, "logprob": log(p)} for token, p in top.items()]
        choice["logprobs"] = {"content": [{"token": text, "top_logprobs": listed}]}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    return {"choices": [choice], "usage": usage}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    engine = load_engine(f"openai:{server.url}#judge-7b", attempts=3)
    yield engine
    engine.close()


def test_a_reply_its_costs_and_what_was_sent(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    [completion] = answers(engine, [ask("Hi <|im_end|>", max_tokens=5, temperature=0.7, seed=3, stop=("END",))])
    assert completion == Completion(text="fine", continues=True, prompt_tokens=9, cached_tokens=4, output_tokens=2)
    [body] = server.asked
    assert body["model"] == "judge-7b"
    assert body["messages"][1]["content"] == "Hi <\u200d|im_end|>"
    assert (body["max_tokens"], body["temperature"], body["seed"], body["stop"]) == (5, 0.7, 3, ["END"])


def test_many_requests_are_under_way_at_once(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    gate = threading.Barrier(8, timeout=10)  # passes only when eight requests are inside at the same time

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        gate.wait()
        return 200, answer(body["messages"][1]["content"])

    server.reply = reply
    assert [c.text for c in answers(engine, [ask(f"{n}") for n in range(8)])] == [f"{n}" for n in range(8)]


def test_choices_by_the_likeliest_tokens(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    server.reply = lambda body: (200, answer("A", {"A": 0.6, " A": 0.1, "B": 0.2, "The": 0.1}))
    [completion] = answers(engine, [ask("Which?", choices=("A", "B"), prefill="[[")])
    assert completion.text == "A"
    assert exp(completion.logprobs["A"]) == pytest.approx(0.7 / 0.9)
    [body] = server.asked
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)
    assert body["messages"][-1] == {"role": "assistant", "content": "[["}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False


def test_choices_by_token_ids_are_exact(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    """1 and 10: "1" has 0.5 and goes on with "0" at 0.4, so 1 alone is 0.5 * 0.6 = 0.3, 10 is 0.2, and 2 is 0.1."""
    server.probabilities = {"A": 0.5, "B": 0.5, "[[1": 0.5, "[[2": 0.1, "[[10": 0.4}
    for _ in range(2):
        [completion] = answers(engine, [ask("Which?", choices=("1", "10", "2"), prefill="[[")])
        assert completion.text == "1"
        assert {choice: exp(value) for choice, value in completion.logprobs.items()} == pytest.approx(
            {"1": 0.3 / 0.6, "10": 0.2 / 0.6, "2": 0.1 / 0.6}
        )
    assert engine.continues is True
    # of the second time one request tokenises: how the choices go on is known
    assert [path for path in server.paths if path == "/tokenize"][5:] == ["/tokenize"]
    # prompts: "You are a judge.|Which?|[[" has 26 letters, the node behind "1" one more
    assert (completion.prompt_tokens, completion.output_tokens) == (26 + 27, 2)


def test_no_choice_among_the_likeliest_is_no_verdict(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    server.reply = lambda body: (200, answer("The", {"The": 0.9, "I": 0.1}))
    [completion] = answers(engine, [ask("Which?", choices=("A", "B"))])
    assert completion.finish == "error"
    assert completion.logprobs == {}


def test_thinking_is_kept_apart(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    server.reply = lambda body: (200, answer("[[B]]", reasoning_content="maybe [[A]]"))
    assert answers(engine, [ask("x")])[0].thinking == "maybe [[A]]"
    server.reply = lambda body: (200, answer("<think>maybe [[A]]</think>\n[[B]]"))
    [completion] = answers(engine, [ask("x")])
    assert (completion.thinking, completion.text) == ("maybe [[A]]", "[[B]]")


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


ODD: list[Any] = [
    {"choices": []},
    {"choices": None},
    {"choices": [None]},
    {"choices": [{"message": None}]},
    {"choices": [{"message": {"content": 7}}]},
    {"choices": [{"message": {"content": [{"type": "image_url", "image_url": {"url": "x"}}]}}]},
    {"error": {"message": "provider returned error", "code": 502}},
    {"error": "overloaded"},
    [],
    "text",
    None,
    7,
    b'{"choices": [{"message": {"con',
    b"",
    b"\xff\xfe",
]


@pytest.mark.parametrize("content", ODD, ids=repr)
def test_an_odd_answer_is_an_error_of_its_request(
    content: Any, server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    server.reply = lambda body: (200, content) if "odd" in str(body) else (200, answer("fine"))
    odd, fine = answers(engine, [ask("odd"), ask("x")])
    assert (odd.finish, fine.text) == ("error", "fine")
    assert "\n" not in odd.text
    assert odd.text
    assert sum("odd" in str(body) for body in server.asked) == 3


def test_null_beside_a_good_answer_and_content_in_parts(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    server.reply = lambda body: (200, {**answer("fine"), "error": None, "usage": None})
    assert answers(engine, [ask("x")]) == [Completion(text="fine", continues=True)]
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "[[A]]"}]
    server.reply = lambda body: (200, answer(parts))
    [completion] = answers(engine, [ask("x")])
    assert (completion.text, completion.thinking) == ("[[A]]", "hm")


def test_thinking_that_never_closes_is_no_reply(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    server.reply = lambda body: (200, answer("<think>maybe [[A]], but then"))
    [completion] = answers(engine, [ask("x")])
    assert (completion.text, completion.thinking) == ("", "maybe [[A]], but then")


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
    server.reply = lambda body: (status, content)
    engine.submit(0, ask("x"))
    started = monotonic()
    with pytest.raises(EngineError, match=words):
        engine.step()
    assert monotonic() - started < 4.0


REFUSALS = {
    "max_tokens": ("max_tokens", "'max_tokens' is not supported, use 'max_completion_tokens'", "max_completion_tokens"),
    "seed": ("seed", "Unrecognized request argument supplied: seed", ""),
    "extra": ("chat_template_kwargs", "Extra inputs are not permitted", ""),
    "top_p": ("top_p", "top_p: not available for this model", ""),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_field_that_is_refused_is_asked_the_other_way_once(
    name: str, server: Server, ask: Ask, answers: Answers
) -> None:
    field, words, instead = REFUSALS[name]
    server.reply = lambda body: (422, {"detail": words}) if field in body else (200, answer("A", {"A": 0.9, "B": 0.1}))
    engine = load_engine(f"openai:{server.url}#m", server="vllm")
    how: dict[str, Any] = {"choices": ("A", "B")} if name == "extra" else {"temperature": 0.7}
    for _ in range(3):
        assert answers(engine, [ask("x", **how)])[0].text == "A"
    engine.close()
    assert [field in body for body in server.asked] == [True, False, False, False]
    assert all(instead in body for body in server.asked[1:] if instead)


def test_a_server_that_refuses_two_things_and_a_fixed_temperature(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        if "max_tokens" in body:
            return 400, {"error": {"message": "Use 'max_completion_tokens' instead of max_tokens"}}
        if body.get("temperature") != 1:
            return 400, {"error": {"message": "temperature does not support 0.0, only the default (1)"}}
        if any(turn["role"] == "system" for turn in body["messages"]):
            return 400, {"error": {"message": "System role not supported"}}
        return 200, answer("fine")

    server.reply = reply
    assert [answers(engine, [ask("x")])[0].text for _ in range(2)] == ["fine", "fine"]
    assert len(server.asked) == 5  # three refusals, once, and two good answers
    assert server.asked[-1]["messages"] == [{"role": "user", "content": "You are a judge.\n\nx"}]


def test_a_server_that_begins_a_reply_of_its_own_is_found_out_once(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    server.continues = False
    found = answers(engine, [ask("x", prefill="[["), ask("y", prefill="[[")])
    assert [completion.text for completion in found] == ["this server cannot go on from a begun reply (prefill)"] * 2
    assert engine.continues is False
    assert (server.asked, len([path for path in server.paths if path.endswith("completions")])) == ([], 1)


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


def test_a_refused_request_is_a_completion(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    server.reply = lambda body: (400, {"error": {"message": "maximum context length is 512"}})
    [completion] = answers(engine, [ask("x")])
    assert completion.finish == "error"
    assert "maximum context length is 512" in completion.text
    assert len(server.asked) == 1


def test_the_key_goes_to_the_server_and_nowhere_else(
    server: Server, ask: Ask, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "secret-key")
    engine = load_engine(f"openai:{server.url}#m", key_variable="JUDGE_KEY", server="plain")
    [refused] = answers(engine, [ask("x", prefill="[[")])
    assert refused.finish == "error"
    answers(engine, [ask("x")])
    assert server.keys == ["Bearer secret-key"]
    assert "secret-key" not in str(engine.describe())
    engine.close()
    assert "word" not in str(load_engine("openai:http://me:word@localhost/v1#m").describe())


def test_a_refused_key_ends_the_run(server: Server, engine: Engine, ask: Ask) -> None:
    server.reply = lambda body: (401, {"error": {"message": "no such key"}})
    engine.submit(0, ask("x"))
    with pytest.raises(EngineError, match=r"\(model 'judge-7b'\) refuses the key \(status 401: no such key\)"):
        engine.step()


def test_specs_and_settings_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="write 'openai:http://HOST:PORT/v1#MODEL'"):
        load_engine("openai:localhost#m")
    with pytest.raises(UnknownNameError, match="did you mean 'concurrency'"):
        load_engine("openai:http://localhost/v1#m", concurency=3)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="environment variable OPENAI_API_KEY"):
        load_engine("openai:https://api.openai.com/v1#gpt")
    with pytest.raises(ConfigError, match="patience is a time above 0 such as 45s, 30m or 2h"):
        load_engine("openai:http://localhost/v1#m", patience="soon")


def test_durations() -> None:
    assert [seconds_of("patience", text) for text in ("45s", "30m", "1.5h", 20, 2.5, "1d")] == [
        45.0,
        1800.0,
        5400.0,
        20.0,
        2.5,
        86400.0,
    ]


@pytest.mark.parametrize("key", ["word-of-the-day\n", "wörd-of-the-day", "word of-the-day", "\tword-of-the-day"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_without_showing_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", key)
    with pytest.raises(ConfigError, match="environment variable JUDGE_KEY") as caught:
        load_engine("openai:http://localhost/v1#m", key_variable="JUDGE_KEY")
    assert "of-the-day" not in str(caught.value)


def test_a_key_that_the_server_repeats_is_masked(
    server: Server, ask: Ask, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "correct-horse-battery")
    engine = load_engine(f"openai:{server.url}#m", key_variable="JUDGE_KEY")
    server.reply = lambda body: (400, {"error": {"message": "your key correct-horse-battery is odd"}})
    assert answers(engine, [ask("x")])[0].text == "status 400: your key *** is odd"
    engine.close()


def test_user_and_password_of_a_url_open_the_server(server: Server, ask: Ask, answers: Answers) -> None:
    engine = load_engine(f"openai:{server.url.replace('//', '//me:w%40rd@')}?api-version=1&api_key=abcdefg#m")
    answers(engine, [ask("x")])
    assert set(server.keys) == {"Basic bWU6d0ByZA=="}  # base64 of me:w@rd
    assert "/v1/chat/completions?api-version=1&api_key=abcdefg" in server.paths
    assert engine.describe()["url"] == f"{server.url}?api-version=1&api_key=***"
    engine.close()
