"""The app over a real socket: every protocol, every refusal, the cache, figures and readiness."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from judge.errors import ConfigError
from judge.rewards.shaping import Shaping
from judge.serving import Limits, create_app
from tests.serving.conftest import Live
from tests.serving.sources import Letters, Places

Start = Callable[..., Live]


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    running = Live(
        create_app([Letters(), Letters("double", scale=2.0)], limits=Limits(max_length=1000, max_responses=4))
    )
    yield running
    running.close()


def test_score_gives_a_reward_to_each_response_in_order(server: Live) -> None:
    answer = server.ask("/score", {"prompt": "count", "responses": ["four", "seventy", "mute", "nan"]})
    assert answer.status == 200
    assert [reward["value"] for reward in answer.body["rewards"]] == [4.0, 7.0, None, None]
    assert [reward["reason"] for reward in answer.body["rewards"]] == ["", "", "not a word", "the model gave nan"]
    assert answer.body["rewards"][0]["std"] == 0.5
    assert (answer.body["model"], answer.body["version"]) == ("letters", "1")


def test_score_takes_one_response_or_messages_or_another_model(server: Live) -> None:
    assert server.ask("/score", {"prompt": "x", "response": "abc"}).body["rewards"][0]["value"] == 3.0
    parts = [{"type": "text", "text": "ab"}, {"type": "text", "text": "cd"}]
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": parts}]
    assert server.ask("/score", {"messages": messages}).body["rewards"][0]["value"] == 4.0
    assert server.ask("/score", {"model": "double", "response": "abc"}).body["rewards"][0]["value"] == 6.0


def test_openrlhf_gets_lists_in_the_order_of_its_queries(server: Live) -> None:
    prompts = [f"<|im_start|>user\n{word}<|im_end|>\n<|im_start|>assistant\n" for word in ("one", "two", "one")]
    answers = ["a<|im_end|>", "bb<|im_end|>\n", "ccc"]
    query = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    answer = server.ask("/get_reward", {"query": query, "prompts": prompts, "labels": ["1", "", "0"]})
    assert answer.body == {"rewards": [1.0, 2.0, 3.0], "scores": [1.0, 2.0, 3.0], "extra_logs": {"std": [0.5] * 3}}
    assert server.ask("/get_reward", {"query": query}).body["rewards"] == [1.0, 2.0, 3.0]
    assert server.ask("/get_reward?model=double", {"query": query}).body["rewards"] == [2.0, 4.0, 6.0]


def test_vllms_shapes(server: Live) -> None:
    answer = server.ask("/classify", {"model": "double", "input": ["a", "bb"], "use_activation": False}).body
    assert (answer["object"], answer["model"]) == ("list", "double")
    assert answer["data"] == [
        {"index": 0, "label": "reward", "probs": [2.0], "num_classes": 1},
        {"index": 1, "label": "reward", "probs": [4.0], "num_classes": 1},
    ]
    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0, "completion_tokens": 0}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "abc"}]
    pooled = server.ask("/pooling", {"messages": messages}).body
    assert pooled["data"] == [{"index": 0, "object": "pooling", "data": [3.0]}]
    assert [model["id"] for model in server.ask("/v1/models").body["data"]] == ["letters", "double"]


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        ("/score", b'{"prompt', "body", "Invalid JSON"),
        ("/score", b"\xff\xfe", "body", "Invalid JSON"),
        ("/score", b"[" * 100_000, "body", "JSON"),
        ("/score", b"[]", "body", "object"),
        ("/score", {"prompt": "x"}, "body", "nothing given (accepted: one of response, responses, messages)"),
        ("/score", {"response": "x", "responses": ["y"]}, "body", "response and responses given"),
        ("/score", {"prompt": 3, "response": "x"}, "prompt", "valid string, or Input should be a valid array"),
        ("/score", {"responses": ["x", {"role": "user"}]}, "responses.1", "valid string"),
        ("/score", {"responses": []}, "responses", "0 responses (accepted: 1 to 4)"),
        ("/score", {"responses": ["x"] * 5}, "responses", "5 responses (accepted: 1 to 4)"),
        ("/score", {"responses": ["x", "y" * 1001]}, "responses.1", "1,001 characters (accepted: at most 1,000)"),
        ("/score", {"prompt": "y" * 1001, "response": "x"}, "prompt", "1,001 characters"),
        ("/score", {"response": "x", "truth": [1, 0]}, "truth", "2 for 1 responses"),
        ("/score", {"response": "x", "respones": "y"}, "respones", "Extra inputs"),
        ("/score", {"messages": [{"role": "user", "content": "x"}]}, "messages", "the last message is not"),
        ("/score", {"messages": [{"role": "boss", "content": "x"}]}, "messages.0.role", "'system', 'user'"),
        ("/score", {"responses": ["x", "bad"]}, "responses.1", "this text is bad"),
        ("/get_reward", {"query": "x"}, "query", "valid array"),
        ("/get_reward", {"query": ["x", "y"], "prompts": ["x"]}, "prompts", "1 for 2 queries"),
        ("/get_reward", {"query": ["x", "mute"]}, "query.1", "no reward: not a word"),
        ("/get_reward", {"query": ["y" * 1001]}, "query.0", "1,001 characters"),
        ("/classify", {"input": [1, 2]}, "input", "valid string"),
        ("/classify", {}, "body", "exactly one of input and messages"),
        ("/classify", {"input": ["x", "mute"]}, "input.1", "no reward"),
        ("/pooling", {"input": "x", "encoding_format": "base64"}, "encoding_format", "'float'"),
    ],
)
def test_wrong_bodies_are_refused_with_their_field(
    server: Live, path: str, body: object, field: str, words: str
) -> None:
    answer = server.ask(path, body)
    assert answer.status == 422
    error = answer.body["error"]
    assert error["param"] == field
    assert words in error["message"]
    assert (error["type"], error["code"]) == ("invalid_request", 422)


def test_unknown_paths_methods_and_models(server: Live) -> None:
    assert server.ask("/nothing").status == 404
    assert server.ask("/score").status == 405
    answer = server.ask("/score", {"model": "leters", "response": "x"})
    assert answer.status == 404
    assert "did you mean 'letters'?" in answer.body["error"]["message"]
    assert server.ask("/admin/models").status == 404  # without an admin's key there is no such place


def test_a_failure_is_the_servers_own_and_takes_no_other_request_along(server: Live) -> None:
    assert server.ask("/score", {"response": "away"}).status == 503
    answer = server.ask("/score", {"responses": ["fine", "stop"]})
    assert answer.status == 500
    assert "a bug" not in answer.body["error"]["message"]
    assert server.ask("/score", {"response": "fine"}).body["rewards"][0]["value"] == 4.0


def test_openapi_describes_every_route(server: Live) -> None:
    paths = server.ask("/openapi.json").body["paths"]
    assert {"/score", "/get_reward", "/classify", "/pooling", "/health", "/ready", "/metrics"} <= paths.keys()
    schema = paths["/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() >= {"prompt", "responses", "messages"}
    assert "$ref" not in str(schema)
    assert server.ask("/docs").status == 200


def test_health_and_metrics(live: Start) -> None:
    server = live(create_app(Letters()))
    assert server.ask("/health").body["status"] == "ok"
    server.ask("/score", {"responses": ["a", "mute"]})
    server.ask("/score", {"response": "a"})
    server.ask("/what/ever")
    page = server.ask("/metrics").body
    assert 'rmjudge_requests_total{path="/score",status="200"} 2.0' in page
    assert 'rmjudge_requests_total{path="other",status="404"} 1.0' in page
    assert 'rmjudge_rewards_total{model="letters"} 2.0' in page
    assert 'rmjudge_unreadable_total{model="letters"} 1.0' in page
    assert 'rmjudge_cached_total{model="letters"} 1.0' in page
    assert 'rmjudge_batch_responses_sum{model="letters"} 2.0' in page
    assert 'rmjudge_version{model="letters",version="1"} 1.0' in page
    assert 'rmjudge_waiting{model="letters"} 0.0' in page
    assert 'rmjudge_drift_alarm{model="letters"} 0.0' in page


def test_what_was_scored_before_is_remembered_and_the_oldest_forgotten(live: Start) -> None:
    source = Letters()
    server = live(create_app(source, cache_size=2))
    assert server.ask("/score", {"responses": ["a", "a", "bb"]}).body["cached"] == 0
    assert source.batches == [2]  # equal texts of a request are scored once
    assert server.ask("/score", {"responses": ["a", "bb"]}).body["cached"] == 2
    server.ask("/score", {"response": "ccc"})  # "a" was used longest ago
    assert server.ask("/score", {"response": "bb"}).body["cached"] == 1
    assert server.ask("/score", {"response": "a"}).body["cached"] == 0
    assert source.batches == [2, 1, 1]
    assert server.ask("/score", {"prompt": "other", "response": "a"}).body["cached"] == 0


def test_rewards_are_shaped_and_the_cache_holds_them_as_they_were(live: Start) -> None:
    shaping = Shaping(lower=2, truth_weight=0.5, length_penalty=0.1, length_target=3)
    server = live(create_app(Letters(), shaping=shaping))
    # five letters, σ 0.5, truth 1: 0.5 (5 - 2 · 0.5) + 0.5 · 1 - 0.1 (5 - 3) = 2.3
    for truth, value in ((1, 2.3), (0, 1.8)):
        rewards = server.ask("/score", {"response": "abcde", "truth": [truth]}).body["rewards"]
        assert rewards[0]["value"] == pytest.approx(value)
    assert server.ask("/get_reward", {"query": ["abcde"], "labels": ["1"]}).body["rewards"] == [pytest.approx(2.3)]
    assert server.ask("/score", {"response": "abcde"}).body["rewards"][0]["reason"] == "truth_weight needs a truth"
    for label in ("14", 10**400):  # an answer, no truth
        refused = server.ask("/get_reward", {"query": ["abcde"], "labels": [label]})
        assert refused.body["error"]["message"] == "query.0: no reward: truth_weight needs a truth"


def test_a_number_for_what_has_no_reward(live: Start) -> None:
    server = live(create_app(Letters(), unreadable=-1.0))
    assert server.ask("/get_reward", {"query": ["abc", "mute"]}).body["rewards"] == [3.0, -1.0]
    assert server.ask("/pooling", {"input": "mute"}).body["data"][0]["data"] == [-1.0]
    assert server.ask("/score", {"response": "mute"}).body["rewards"][0]["value"] is None


def test_a_source_that_compares_gets_a_prompts_responses_together(live: Start) -> None:
    source = Places()
    server = live(create_app(source))
    rewards = server.ask("/score", {"prompt": "x", "responses": ["ccc", "a", "bb"]}).body["rewards"]
    assert [reward["value"] for reward in rewards] == [2.0, 0.0, 1.0]
    query, prompts = ["p1: aaaa", "p2: b", "p1: aa", "p2: bbb"], ["p1: ", "p2: ", "p1: ", "p2: "]
    assert server.ask("/get_reward", {"query": query, "prompts": prompts}).body["rewards"] == [1.0, 0.0, 0.0, 1.0]
    alone = server.ask("/score", {"prompt": "x", "response": "a"})
    assert alone.status == 422
    assert (
        alone.body["error"]["message"] == "response: this model compares responses (accepted: two or more to a prompt)"
    )


def test_sources_are_named_and_never_twice() -> None:
    with pytest.raises(ConfigError, match="two models are called 'letters'"):
        create_app([Letters(), Letters()])
    with pytest.raises(ConfigError, match="no model to serve"):
        create_app([])
    with pytest.raises(ConfigError, match="letters has no calibration data"):
        create_app(Letters(), shaping={"normalize": True})


def test_messages_keep_their_tool_calls(live: Start) -> None:
    """Two answers that differ only in a call's argument are scored each for itself, and remembered apart."""
    server = live(create_app(Letters()))

    def call(city: str) -> list[dict[str, Any]]:
        function = {"name": "weather", "arguments": json.dumps({"city": city})}
        return [{"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": function}]}]

    body = {"prompt": "Is it raining?", "responses": [call("Lyon"), call("Grenoble")]}
    first, second = (reward["value"] for reward in server.ask("/score", body).body["rewards"])
    assert second - first == len("Grenoble") - len("Lyon")
    again = server.ask("/score", {"prompt": "Is it raining?", "responses": [call("Grenoble"), call("Lyon")]})
    assert [reward["value"] for reward in again.body["rewards"]] == [second, first]
    refused = server.ask("/score", {"prompt": "p", "responses": [[{"role": "assistant"}]]})
    assert refused.status == 422 and "content" in json.dumps(refused.body)
