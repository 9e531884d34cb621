"""Whole conversations: OpenAI's `messages`, ShareGPT's `conversations` (as LLaMA-Factory reads them), both with tools.

What follows the last user turn is the response: an answer, or a trajectory of tool calls, results and an answer.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import (
    assistant,
    conversation,
    inner,
    items,
    label,
    message,
    need,
    offered,
    rest,
    truth,
    wrong,
)
from judge.formats.trl import split_messages
from judge.json_input import load_json
from judge.records import Conversation, Message, Pair, Response, Solution

_OTHERS = ("prompt", "completion", "completions", "response", "responses", "first", "second", "steps")
_SIDES = ("chosen", "rejected")


def openai(row: Row) -> list[Response]:
    """One response: what follows the last user turn of `messages`."""
    prompt, response = _apart(conversation(need(row, "messages"), "user", "messages"), "messages")
    human = label("label", float(truth(row, "label"))) if row.get("label") is not None else ()
    meta = rest(row, ("messages", "tools", "parallel_tool_calls", "label"))
    return [Response(prompt=offered(prompt, row), response=response, human=human, meta=meta)]


def agentprocessbench(row: Row) -> list[Solution]:
    """One trajectory from the agent's first turn on. `step_labels` holds a label a turn of the agent, by the turn's
    place among the messages: 1 right, 0 neutral, -1 wrong; `final_label` the same of the whole, 0 where unknown."""
    turns = conversation(need(row, "messages"), "user", "messages")
    start = next((index for index, turn in enumerate(turns) if turn.role == "assistant"), len(turns))
    if start == len(turns):
        raise InputError("field 'messages': found no turn of the assistant (accepted: an agent's trajectory)")
    ratings = _ratings(row, [index for index, turn in enumerate(turns) if turn.role == "assistant"])
    first = next((index for index, rating in enumerate(ratings) if rating in (-1, None)), -1)
    human = () if first >= 0 and ratings[first] is None else label("agentprocessbench", first)
    if row.get("final_label") in (1, -1):
        human += label("agentprocessbench", float(row["final_label"] == 1), "correct")
    meta = rest(row, ("messages", "tools", "step_labels", "final_label")) | {"ratings": ratings}
    prompt = offered(turns[:start], row)
    return [Solution(prompt=prompt, turns=turns[start:], reference=_target(row), human=human, meta=meta)]


def _ratings(row: Row, places: list[int]) -> list[int | None]:
    """The label of each turn of the agent, None where a turn has none."""
    given = need(row, "step_labels")
    if isinstance(given, list):  # one a turn of the agent, in their order
        given = dict(zip(map(str, places), given, strict=False)) if len(given) == len(places) else None
    accepted = "{place of a message: 1, 0 or -1}, or a list of one a turn of the assistant"
    if not isinstance(given, Mapping):
        raise wrong("step_labels", row["step_labels"], accepted)
    for place, value in given.items():
        if isinstance(value, bool) or value not in (1, 0, -1, None):
            raise wrong(f"step_labels.{place}", value, "1, 0 or -1")
        if str(place) not in map(str, places):
            turns = ", ".join(map(str, places))
            raise InputError(f"field 'step_labels': message {place} is no turn of the assistant (accepted: {turns})")
    return [given.get(str(place)) for place in places]


def _target(row: Row) -> str:
    """The true answer, where the row has one in words."""
    truth = row.get("ground_truth")
    target = truth.get("target") if isinstance(truth, Mapping) else truth
    if isinstance(target, list) and target and all(isinstance(answer, str) for answer in target):
        target = " / ".join(target)
    return target if isinstance(target, str) else ""


def openai_preference(row: Row) -> list[Pair]:
    """One pair: `input` holds the messages and tools, `preferred_output` and `non_preferred_output` an answer each."""
    source = inner(row, "input")
    prompt = offered(conversation(need(source, "messages"), "user", "input.messages"), source)
    first, second = (assistant(row, name) for name in ("preferred_output", "non_preferred_output"))
    meta = rest(row, ("input", "preferred_output", "non_preferred_output"))
    return [Pair(prompt=prompt, first=first, second=second, human=label("preferred_output", "first"), meta=meta)]


def sharegpt(row: Row) -> list[Pair] | list[Response]:
    """One pair where the row has `chosen` and `rejected`, else one response with a label where it has a `kto_tag`."""
    turns = tuple(message(turn, f"conversations[{index}]") for index, turn in enumerate(items(row, "conversations")))
    if isinstance(row.get("system"), str) and row["system"].strip():
        turns = (Message("system", row["system"]), *turns)
    meta = rest(row, ("conversations", "system", "tools", "kto_tag", *_SIDES))
    if row.get("chosen") is not None:
        first, second = (_answer(row, name) for name in _SIDES)
        if not turns:
            turns, first, second = split_messages(first, second)
        return [Pair(prompt=offered(turns, row), first=first, second=second, human=label("chosen", "first"), meta=meta)]
    prompt, response = _apart(turns, "conversations")
    human = label("kto_tag", float(truth(row, "kto_tag"))) if row.get("kto_tag") is not None else ()
    return [Response(prompt=offered(prompt, row), response=response, human=human, meta=meta)]


def _answer(row: Row, name: str) -> Conversation:
    value: Any = row.get(name)
    if not isinstance(value, dict | list | str):
        raise wrong(name, value, "a turn {from, value}")
    return assistant(row, name)


def _apart(turns: Conversation, name: str) -> tuple[Conversation, Conversation]:
    """The prompt, through the last user turn, and the response after it."""
    last_user = max((index for index, turn in enumerate(turns) if turn.role == "user"), default=-1)
    if last_user < 0 or last_user + 1 == len(turns):
        what = "no user turn" if last_user < 0 else "nothing after the last user turn"
        raise InputError(f"field '{name}': found {what} (accepted: a conversation that ends with an answer)")
    return turns[: last_user + 1], turns[last_user + 1 :]


def _fits_messages(row: Row) -> bool:
    return isinstance(row["messages"], list) and not any(name in row for name in (*_OTHERS, *_SIDES))


def openai_messages(turns: Conversation) -> list[dict[str, Any]]:
    """Messages in OpenAI's fields, as their data wrote them; the tools on offer belong to the row (`tools_of`)."""
    return [
        {"role": turn.role, "content": turn.content}
        | {name: value for name, value in turn.more.items() if name != "tools"}
        | dict(turn.extra)
        for turn in turns
    ]


def tools_of(turns: Conversation) -> list[Any]:
    """The tools that a prompt offers."""
    return [tool for turn in turns for tool in turn.tools]


_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}


def sharegpt_turns(turns: Conversation) -> list[dict[str, Any]]:
    """Turns in ShareGPT's fields. A turn that calls tools is a function_call; text beside the call a turn before it."""
    written: list[dict[str, Any]] = []
    for turn in turns:
        extra = {name: value for name, value in turn.extra.items() if name != "content"}
        if turn.content or not turn.tool_calls:
            written.append({"from": _SPEAKERS[turn.role], "value": turn.content} | ({} if turn.tool_calls else extra))
        if turn.tool_calls:
            calls = [sharegpt_call(call) for call in turn.tool_calls]
            value = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)
            written.append({"from": "function_call", "value": value} | extra)
    return written


def sharegpt_call(call: Row) -> dict[str, Any]:
    """A call as {name, arguments}: OpenAI's wraps it, with the arguments as JSON inside a text."""
    if not isinstance(call.get("function"), Mapping):
        return dict(call)
    body = call["function"]
    arguments = body.get("arguments")
    with suppress(ValueError, RecursionError, TypeError):
        arguments = load_json(arguments) if isinstance(arguments, str) else arguments
    return {"name": body["name"], "arguments": arguments}


FORMATS = (
    Format(
        name="openai",
        about="OpenAI messages: messages, tools; what follows the last user turn is the response",
        fields=("messages",),
        read=openai,
        fits=_fits_messages,
    ),
    Format(
        name="agentprocessbench",
        about="AgentProcessBench: messages, tools, step_labels {place of a turn: 1, 0 or -1}, final_label",
        fields=("messages", "step_labels"),
        read=agentprocessbench,
        fits=lambda row: isinstance(row["messages"], list),
        over=("openai",),
    ),
    Format(
        name="openai-preference",
        about="OpenAI preference: input {messages, tools}, preferred_output, non_preferred_output",
        fields=("input", "preferred_output", "non_preferred_output"),
        read=openai_preference,
        fits=lambda row: isinstance(row["input"], dict) and "messages" in row["input"],
    ),
    Format(
        name="sharegpt",
        about="ShareGPT: conversations [{from, value}], system, tools; with chosen and rejected, or kto_tag",
        fields=("conversations",),
        read=sharegpt,
        fits=lambda row: isinstance(row["conversations"], list) and not any(name in row for name in _OTHERS),
        over=("trl-preference", "openrlhf"),
    ),
)
