"""A server in OpenRLHF's protocol as a source of rewards, over real HTTP."""

import json
import runpy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.errors import ConfigError, EngineError


@contextmanager
def server(answers: list[tuple[int, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """A server that gives the answers in turn, the last for ever, and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({**body, "key": self.headers.get("Authorization"), "path": self.path})
            status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer == "lengths":
                rewards = [len(q) - len(p) for q, p in zip(body["query"], body["prompts"], strict=True)]
                answer = {"rewards": rewards, "scores": rewards, "extra_logs": {}}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """No lines on stderr."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}/get_reward", asked
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def test_a_row_of_each_kind_in_one_request() -> None:
    with server([(200, "lengths")]) as (url, asked):
        source = judge.hooks.remote_reward(url, api_key="secret")
        rows = [("p", "abc"), {"prompt": "q", "first": "a", "second": "bb"}]
        rewards = source.score_batch(rows)
    assert [[reward.value for reward in row] for row in rewards] == [[3.0], [1.0, 2.0]]
    assert asked == [
        {
            "query": ["pabc", "qa", "qbb"],
            "prompts": ["p", "q", "q"],
            "labels": [None, None, None],
            "key": "Bearer secret",
            "path": "/get_reward",
        }
    ]


def test_every_hook_takes_it() -> None:
    with server([(200, "lengths")]) as (url, _):
        reward = judge.hooks.trl_reward(judge.hooks.remote_reward(url))
        assert reward(prompts=["p", "p"], completions=["a", "aaa"]) == [1.0, 3.0]


def test_a_busy_server_is_asked_again() -> None:
    with server([(429, {"detail": "queue full"}), (503, {}), (200, "lengths")]) as (url, asked):
        assert judge.hooks.remote_reward(url).score_batch([("p", "a")])[0][0].value == 1.0
    assert len(asked) == 3


def test_a_reward_that_the_server_cannot_say_is_none() -> None:
    with server([(200, {"rewards": [None]})]) as (url, _):
        (reward,) = judge.hooks.remote_reward(url).score_batch([("p", "a")])[0]
    assert reward.value is None and reward.reason.endswith("has none")


def test_a_text_that_the_server_cannot_read_takes_no_others_with_it() -> None:
    answers = [(422, {"detail": "query.1: empty"}), (200, "lengths"), (422, {"detail": "query.0: empty"})]
    with server(answers) as (url, asked):
        (first, second) = judge.hooks.remote_reward(url).score_batch([("p", "a"), ("q", "b")])
    assert first[0].value == 1.0
    assert second[0].value is None and "422" in second[0].reason and "query.0: empty" in second[0].reason
    assert [len(body["query"]) for body in asked] == [2, 1, 1]


def test_the_example_file_of_openrlhf_asks_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "openrlhf_reward.py"
    with server([(200, "lengths")]) as (url, _):
        monkeypatch.setenv("RMJUDGE_REWARD", url)
        reward_func = runpy.run_path(str(path))["reward_func"]
        answer = reward_func(["1 + 1? It is 2", "1 + 1? It is 3"], ["1 + 1? "] * 2, ["2", "2"])
    assert answer["rewards"].tolist() == [7.0, 7.0]  # the characters of "It is 2"
    assert answer["scores"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, {"detail": "wrong key"}), "401 .*wrong key"),
        ((200, {"rewards": [1.0, 2.0]}), "answered 2 rewards for 1 texts"),
        ((200, {"scores": [1.0]}), "answered fields scores for 1 texts"),
        ((429, {"detail": "queue full"}), "429 .*queue full"),
    ],
)
def test_a_refusal_is_one_line(answer: tuple[int, Any], message: str) -> None:
    with server([answer]) as (url, _):
        with pytest.raises(EngineError, match=message) as raised:
            judge.hooks.remote_reward(url, patience=0.05).score_batch([("p", "a")])
    assert "\n" not in str(raised.value)


def test_addresses_that_are_none_and_servers_that_are_away() -> None:
    with pytest.raises(ConfigError, match=r"no address .accepted: http://HOST:PORT/get_reward"):
        judge.hooks.remote_reward("localhost:8000")
    with pytest.raises(EngineError, match=r"http://127.0.0.1:9/get_reward: "):
        judge.hooks.remote_reward("http://127.0.0.1:9/get_reward", patience=0.0).score_batch([("p", "a")])
