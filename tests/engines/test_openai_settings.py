"""Addresses, keys and settings of the HTTP engine: what opens a server, and what is never shown."""

from collections.abc import Callable

import pytest

from judge.engines import Completion, Engine, Request, load_engine
from judge.engines.openai.engine import seconds_of
from judge.errors import ConfigError, UnknownNameError
from tests.engines.openai_server import Server

Ask = Callable[..., Request]
Answers = Callable[[Engine, list[Request]], list[Completion]]


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
    engine = load_engine(
        f"openai:{server.url.replace('//', '//me:w%40rd@')}?api-version=1&api_key=abcdefg#m", server="plain"
    )
    answers(engine, [ask("x")])
    assert server.keys == ["Basic bWU6d0ByZA=="]  # base64 of me:w@rd
    assert server.paths == ["/v1/chat/completions?api-version=1&api_key=abcdefg"]
    assert engine.describe()["url"] == f"{server.url}?api-version=1&api_key=***"
    engine.close()
