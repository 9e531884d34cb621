"""The HTTP engine against a server in this process that speaks the protocol."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import exp, log
from typing import Any

import pytest

from judge.engines import Completion, Engine, Request, load_engine
from judge.engines.openai import choice_logprobs
from judge.errors import ConfigError, EngineError, UnknownNameError

Ask = Callable[..., Request]
Answers = Callable[[Engine, list[Request]], list[Completion]]


class Server(ThreadingHTTPServer):
    """Answers every POST by `reply(body)`, a pair of status and JSON, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.reply: Callable[[dict[str, Any]], tuple[int, Any]] = lambda body: (200, answer("fine"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers.get("Authorization", ""))
        status, content = self.server.reply(body)
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def answer(text: str, top: dict[str, float] | None = None, **message: str) -> dict[str, Any]:
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
    assert completion == Completion(text="fine", prompt_tokens=9, cached_tokens=4, output_tokens=2)
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


def test_no_choice_among_the_likeliest_is_no_verdict(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    server.reply = lambda body: (200, answer("The", {"The": 0.9, "I": 0.1}))
    [completion] = answers(engine, [ask("Which?", choices=("A", "B"))])
    assert completion.finish == "error"
    assert completion.logprobs == {}


def test_choice_logprobs_by_hand() -> None:
    # "wr" begins only "wrong"; "r" begins only "right"; 0.05 is left, below the least listed 0.1.
    found = choice_logprobs(("right", "wrong", "neutral"), {"wr": log(0.6), " r": log(0.25), "x": log(0.1)})
    total = 0.6 + 0.25 + 0.05
    assert {choice: exp(value) for choice, value in found.items()} == pytest.approx(
        {"wrong": 0.6 / total, "right": 0.25 / total, "neutral": 0.05 / total}
    )
    assert choice_logprobs(("1", "10"), {"1": log(0.5), "10": log(0.25)})["10"] == pytest.approx(log(1 / 3))
    assert choice_logprobs(("A", "B"), {"": 0.0}) == {}


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
    engine = load_engine(f"openai:{server.url}#judge-7b", attempts=2)
    server.reply = lambda body: (429, {"error": {"message": "slow down"}})
    engine.submit(0, ask("x"))
    with pytest.raises(EngineError, match="after 2 attempts: status 429: slow down"):
        engine.step()
    engine.close()


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
    with pytest.raises(EngineError, match=r"refused the key \(401, model 'judge-7b'\): no such key"):
        engine.step()


def test_specs_and_settings_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="write 'openai:http://HOST:PORT/v1#MODEL'"):
        load_engine("openai:localhost#m")
    with pytest.raises(UnknownNameError, match="did you mean 'concurrency'"):
        load_engine("openai:http://localhost/v1#m", concurency=3)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="environment variable OPENAI_API_KEY"):
        load_engine("openai:https://api.openai.com/v1#gpt")
