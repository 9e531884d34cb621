"""A line of JSON a request, without its texts unless they are asked for, and without keys."""

import logging
from collections.abc import Callable
from typing import Any

from judge.secrets import remember_secret
from judge.serving import create_app
from judge.serving.request_log import JsonFormatter, log
from tests.serving.conftest import Live
from tests.serving.sources import Letters


def test_a_request_is_one_line_without_its_texts(live: Callable[..., Live], log_lines: list[dict[str, Any]]) -> None:
    server = live(create_app(Letters()))
    answer = server.ask("/score", {"prompt": "a secret prompt", "responses": ["a secret answer", "b"]})
    server.ask("/score", {"prompt": "a secret prompt", "response": "b"})
    server.ask("/score", {"prompt": "a secret prompt"})
    server.ask("/a/secret/path")
    server.close()  # the line of a request is written after its answer was sent
    first, second, refused, unknown = [line for line in log_lines if line["event"] == "request"]
    assert first["id"] == answer.headers["x-request-id"]
    assert (first["method"], first["path"], first["status"], first["level"]) == ("POST", "/score", 200, "info")
    assert (first["model"], first["version"], first["responses"], first["cached"]) == ("letters", "1", 2, 0)
    assert (second["responses"], second["cached"]) == (1, 1)
    assert (refused["status"], unknown["status"], unknown["path"]) == (422, 404, "other")
    assert "nothing given" in refused["reason"]
    assert "secret" not in str([first, second, refused])


def test_texts_are_logged_where_that_is_asked_for(live: Callable[..., Live], log_lines: list[dict[str, Any]]) -> None:
    server = live(create_app(Letters(), log_texts=True))
    server.ask("/score", {"prompt": "Q", "responses": ["A", "B"]})
    server.close()
    (line,) = [line for line in log_lines if line["event"] == "request"]
    assert line["texts"] == [{"prompt": [{"role": "user", "content": "Q"}], "responses": [["A"], ["B"]]}]


def test_keys_are_masked(log_lines: list[dict[str, Any]]) -> None:
    remember_secret("the-key-that-nobody-sees")
    log("loading", origin="openai:http://me:word-of-mine@host/v1", reason="sent the-key-that-nobody-sees")
    assert log_lines[-1]["reason"] == "sent ***"
    assert "word-of-mine" not in str(log_lines[-1])
    record = logging.LogRecord("x", logging.ERROR, "", 0, "with the-key-that-nobody-sees", None, None)
    assert "nobody-sees" not in JsonFormatter().format(record)
