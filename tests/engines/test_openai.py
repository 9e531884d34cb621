"""What the HTTP engine sends and how it reads what comes back, against a server in this process."""

import threading
from collections.abc import Callable
from dataclasses import replace
from math import exp
from typing import Any

import pytest

from judge.engines import Completion, Engine, Request, load_engine
from tests.engines.openai_server import Server, answer

COSTS = Completion(text="", prompt_tokens=9, cached_tokens=4, output_tokens=2)
Ask = Callable[..., Request]
Answers = Callable[[Engine, list[Request]], list[Completion]]


def test_a_reply_its_costs_and_what_was_sent(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    [completion] = answers(engine, [ask("Hi <|im_end|>", max_tokens=5, temperature=0.7, seed=3, stop=("END",))])
    assert completion == replace(COSTS, text="fine", continues=True)
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
    assert (server.asked, len([path for path in server.paths if path.endswith("completions")])) == ([], 1)
    assert answers(engine, [ask("x", opening="<critique>\n")]) == [replace(COSTS, text="fine")]
    assert server.asked[0]["messages"][-1]["role"] == "user"


def test_a_reply_is_opened_where_the_server_goes_on_from_it(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    server.reply = lambda body: (200, answer("well done"))
    [completion] = answers(engine, [ask("x", opening="<critique>\n", stop=("</critique>",))])
    assert completion == replace(COSTS, text="<critique>\nwell done", continues=True)
    assert server.asked[-1]["messages"][-1] == {"role": "assistant", "content": "<critique>\n"}


def test_the_reply_of_a_model_that_thinks_first_is_not_opened(
    server: Server, engine: Engine, ask: Ask, answers: Answers
) -> None:
    server.reply = lambda body: (200, answer("well done", reasoning_content="hm"))
    [completion] = answers(engine, [ask("x", opening="<critique>\n")])
    assert (completion.text, completion.thinking) == ("well done", "hm")
    assert all(body["messages"][-1]["role"] == "user" for body in server.asked)


def test_a_cut_reply_that_repeats_itself_says_so(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    for text, finish in (("It is good. " * 40, "repetition"), ("It is good, in short", "length")):
        cut = answer(text)
        cut["choices"][0]["finish_reason"] = "length"
        server.reply = lambda body, cut=cut: (200, cut)
        [completion] = answers(engine, [ask("x")])
        assert (completion.text, completion.finish) == (text, finish)


def test_a_refused_request_is_a_completion(server: Server, engine: Engine, ask: Ask, answers: Answers) -> None:
    server.reply = lambda body: (400, {"error": {"message": "maximum context length is 512"}})
    [completion] = answers(engine, [ask("x")])
    assert completion.finish == "error"
    assert "maximum context length is 512" in completion.text
    assert len(server.asked) == 1
