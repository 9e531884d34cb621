"""Reading one field of a source row: the checks that every family shares, and the words in which they complain.

Every function raises InputError without a place; `read_records` puts `file:line` before it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from math import isfinite
from typing import Any, TypeVar, cast

from judge.errors import InputError
from judge.json_input import load_json
from judge.records import Conversation, HumanLabel, Message, Role

Row = Mapping[str, Any]
T = TypeVar("T")
ROLES: Mapping[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "developer": "system",
    "human": "user",
    "gpt": "assistant",
    "model": "assistant",
    "function": "tool",
    "ipython": "tool",
}


def need(row: Row, name: str) -> Any:
    """The value of a field that has to be there."""
    if name in row:
        return row[name]
    names = [str(key) for key in row]
    near = get_close_matches(name, names, n=1)
    hint = f"; is '{near[0]}' meant?" if near else ""
    raise InputError(f"no field '{name}'{hint} (found: {', '.join(names) or 'nothing'})")


def wrong(name: str, value: Any, accepted: str) -> InputError:
    """The error for a field that holds something else than it should."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return InputError(f"field '{name}': found {shown} (accepted: {accepted})")


def text(row: Row, name: str, *, empty: bool = False) -> str:
    """A text; `empty` lets one through that has nothing but blanks."""
    return _text(need(row, name), name, empty=empty)


def _text(value: Any, name: str, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise wrong(name, value, "a text")
    if not empty and not value.strip():
        raise InputError(f"field '{name}': found an empty text (accepted: a text with something in it)")
    return value


def texts(row: Row, name: str, *, least: int = 1, empty: bool = False) -> tuple[str, ...]:
    """A list of texts (or a JSON list in a text, as CSV holds it) with at least `least` of them."""
    values = _list(need(row, name), name, "a list of texts")
    if len(values) < least:
        raise wrong(name, values, f"a list of at least {least}")
    return tuple(_text(value, f"{name}[{index}]", empty=empty) for index, value in enumerate(values))


def inner(row: Row, name: str) -> Mapping[str, Any]:
    """An object inside the row."""
    value = need(row, name)
    if not isinstance(value, Mapping):
        raise wrong(name, value, "an object")
    return value


def items(row: Row, name: str, accepted: str = "a list of objects") -> list[Mapping[str, Any]]:
    """A list of objects."""
    values = _list(need(row, name), name, accepted)
    for index, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise wrong(f"{name}[{index}]", value, "an object")
    return values


def values(row: Row, name: str, accepted: str = "a list") -> list[Any]:
    """A list of anything."""
    return _list(need(row, name), name, accepted)


def _list(value: Any, name: str, accepted: str) -> list[Any]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = load_json(value)
        except (ValueError, RecursionError):
            raise wrong(name, value, accepted) from None
    if not isinstance(value, list | tuple):
        raise wrong(name, value, accepted)
    return list(value)


def finite(value: Any) -> bool:
    """Whether it is a number that a float can hold."""
    try:
        return isinstance(value, int | float) and isfinite(value)
    except OverflowError:
        return False


def number(row: Row, name: str) -> float:
    """A finite number, or a text that is one (CSV)."""
    return _number(need(row, name), name)


def _number(value: Any, name: str) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise wrong(name, value, "a number") from None
    if isinstance(value, bool) or not finite(value):
        raise wrong(name, value, "a number")
    return float(value)


def integer(row: Row, name: str) -> int:
    """A whole number, or a text that is one."""
    value = number(row, name)
    if value != int(value):
        raise wrong(name, row[name], "a whole number")
    return int(value)


def truth(row: Row, name: str) -> bool:
    """true or false; also 1, 0 and their names, as CSV holds them."""
    return _truth(need(row, name), name)


def _truth(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).strip().lower() in ("true", "1", "1.0", "false", "0", "0.0"):
        return str(value).strip().lower() in ("true", "1", "1.0")
    raise wrong(name, value, "true or false")


def one_of(row: Row, name: str, accepted: Mapping[str, T]) -> T:
    """What the value of a field stands for; a number is looked up by its digits."""
    value = need(row, name)
    key = str(int(value)) if isinstance(value, float) and finite(value) and value == int(value) else str(value)
    if isinstance(value, bool) or key not in accepted:
        near = get_close_matches(key, accepted, n=1)
        raise wrong(name, value, ", ".join(accepted) + (f"; did you mean {near[0]}?" if near else ""))
    return accepted[key]


def said(role: Role, content: str) -> Conversation:
    """A conversation of one turn."""
    return (Message(role, content),)


def user(row: Row, name: str) -> Conversation:
    """A prompt: a text (one user turn) or a list of messages."""
    return conversation(need(row, name), "user", name)


def assistant(row: Row, name: str, *, empty: bool = False) -> Conversation:
    """A response: a text (one assistant turn, which may be empty) or a list of messages."""
    return conversation(need(row, name), "assistant", name, empty=empty)


def conversation(value: Any, role: Role, name: str, *, empty: bool = False) -> Conversation:
    """A text as one turn of `role`, or a list of messages (or one message) as it stands.

    Only a user's turn has to hold a text: an empty answer is an answer. `empty` lets that through as well, and an
    empty list.
    """
    if isinstance(value, str):
        if value.startswith("[{") and (messages := _messages_in(value)) is not None:
            value = messages
        else:
            return (Message(role, _text(value, name, empty=empty or role == "assistant")),)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple) or not (value or empty):
        raise wrong(name, value, "a text or a list of messages")
    return tuple(message(item, f"{name}[{index}]", empty=empty) for index, item in enumerate(value))


def _messages_in(value: str) -> list[Any] | None:
    """The messages that a CSV cell holds as JSON; None when it is just a text."""
    try:
        parsed = load_json(value)
    except (ValueError, RecursionError):
        return None
    fits = all(isinstance(item, dict) and {"role", "content"} <= item.keys() for item in parsed)
    return cast(list[Any], parsed) if fits else None


_WRITTEN = ("role", "from", "content", "value", "tool_calls", "function_call", "tool_call_id", "name", "tools", "extra")
_THOUGHT = ("reasoning_content", "reasoning", "thinking")


def message(value: Any, name: str, *, empty: bool = False) -> Message:
    """One turn, in OpenAI's fields (role, content, tool_calls …) or ShareGPT's (from, value).

    The content may be null or absent beside tool calls or reasoning. A user's turn has a text, unless `empty`.
    """
    if not isinstance(value, Mapping):
        raise wrong(name, value, "a message with role and content")
    if "role" not in value and "from" in value:
        return _sharegpt(value, name, empty=empty)
    role = one_of(value, "role", ROLES)
    calls = _calls(value, name)
    thought = next((key for key in _THOUGHT if isinstance(value.get(key), str) and value[key].strip()), "")
    content, extra = _content(value, name, may_lack=bool(calls or thought))
    extra |= {
        key: item for key, item in value.items() if key not in (*_WRITTEN, thought) and item not in (None, "", [])
    }
    if isinstance(value.get("extra"), Mapping):  # our own rows keep what was said of a turn here
        extra |= value["extra"]
    return Message(
        role,
        _text(content, f"{name}.content", empty=empty or role != "user"),
        tool_calls=calls,
        tool_call_id=_short(value, "tool_call_id", name),
        name=_short(value, "name", name),
        reasoning_content=str(value[thought]) if thought else "",
        tools=tools(value["tools"], f"{name}.tools") if value.get("tools") else (),
        extra=extra,
    )


def _content(value: Row, name: str, *, may_lack: bool) -> tuple[Any, dict[str, Any]]:
    """The text of a message, and its content as written where that is no text."""
    content = value.get("content") if may_lack else need(value, "content")
    if content is None and may_lack:
        return "", {"content": None}
    if not isinstance(content, list):
        return content, {}
    for part in content:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "no object"
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str) or kind not in _TEXT_PARTS:
            raise InputError(f"field '{name}.content': found a part '{kind}' (accepted: parts of text)")
    if not content and not may_lack:
        raise wrong(f"{name}.content", content, "a text or a list of parts of text")
    return "\n".join(part["text"] for part in content), {"content": content}


_TEXT_PARTS = ("text", "input_text", "output_text")


def _calls(value: Row, name: str) -> tuple[Mapping[str, Any], ...]:
    calls = value.get("tool_calls")
    if not calls and isinstance(value.get("function_call"), Mapping):  # OpenAI's older way
        calls = [{"type": "function", "function": value["function_call"]}]
    if not calls:
        return ()
    accepted = "a list of {id, type, function: {name, arguments}}"
    for call in (calls := _list(calls, f"{name}.tool_calls", accepted)):
        body = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(body, Mapping) or not isinstance(body.get("name"), str):
            raise wrong(f"{name}.tool_calls", call, accepted)
    return tuple(calls)


def _short(value: Row, field: str, name: str) -> str:
    content = value.get(field)
    if content is not None and not isinstance(content, str | int):
        raise wrong(f"{name}.{field}", content, "a text")
    return "" if content is None else str(content)


_SHAREGPT_CALLS, _SHAREGPT_RESULTS = ("function_call", "tool_call"), ("observation", "tool", "function_response")


def _sharegpt(value: Row, name: str, *, empty: bool) -> Message:
    """A turn of ShareGPT: a function_call's value is JSON {name, arguments}, an observation is a tool's answer."""
    speaker = value.get("from")
    extra = {key: item for key, item in value.items() if key not in ("from", "value") and item is not None}
    if speaker in _SHAREGPT_CALLS:
        written = need(value, "value")
        try:
            parsed = load_json(written) if isinstance(written, str) else written
        except (ValueError, RecursionError):
            parsed = None
        listed = parsed if isinstance(parsed, list) else [parsed]
        if not listed or not all(isinstance(call, Mapping) and isinstance(call.get("name"), str) for call in listed):
            raise wrong(f"{name}.value", written, "JSON {name, arguments}, or a list of these")
        return Message("assistant", "", tool_calls=tuple(listed), extra=extra)
    role = "tool" if speaker in _SHAREGPT_RESULTS else one_of(value, "from", ROLES)
    return Message(role, _text(need(value, "value"), f"{name}.value", empty=empty or role != "user"), extra=extra)


def tools(value: Any, name: str = "tools") -> tuple[Mapping[str, Any], ...]:
    """The tools on offer: a list of objects, or JSON of it in a text."""
    listed = _list(value, name, "a list of tools, each an object")
    for index, tool in enumerate(listed):
        if isinstance(tool, str):
            with suppress(ValueError, RecursionError):
                listed[index] = tool = load_json(tool)
        if not isinstance(tool, Mapping):
            raise wrong(f"{name}[{index}]", tool, "a tool, an object with its name and parameters")
    return tuple(listed)


def offered(prompt: Conversation, row: Row) -> Conversation:
    """The prompt with the tools of its row on its first turn."""
    if not prompt or prompt[0].tools or row.get("tools") in (None, "", []):
        return prompt
    return (replace(prompt[0], tools=tools(row["tools"])), *prompt[1:])


def shared(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many leading elements two texts or lists have in common."""
    for index, (left, right) in enumerate(zip(first, second, strict=False)):
        if left != right:
            return index
    return min(len(first), len(second))


MISSING = ("", "-", "n/a", "na", "nan", "none", "null", "unsure", "unknown", "skip", "not sure", "can't tell")
"""Cells of a label column that say that there is no label."""
_SIDES = {"first": "first", "second": "second", "tie": "tie", "a": "first", "b": "second", "1": "first", "2": "second"}
_SIDES |= {"0": "tie", "both": "tie", "equal": "tie", "neither": "tie", "model_a": "first", "model_b": "second"}
_SIDES |= {"response_a": "first", "response_b": "second", "tie (bothbad)": "tie", "tie (inconsistent)": "tie"}
_YES_NO = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def cell(annotator: str, value: Any, kind: str) -> list[dict[str, Any]]:
    """The label that a cell of a table holds, as in our own rows; none for an empty cell or an undecided person.

    Of a pair it names the better side. Of a response it is a number, yes or no (criterion "correct"), or the name of a
    category; of a solution the first wrong step.
    """
    word = str(value).strip().lower()
    if value is None or word in MISSING:
        return []
    human_label: dict[str, Any] = {"annotator": annotator}
    if kind == "pair":
        side = word.removesuffix(".0")
        if side not in _SIDES:
            raise wrong(annotator, value, "first, second or tie (also A, B; 1, 2, 0; model_a, model_b)")
        return [human_label | {"verdict": _SIDES[side]}]
    if kind == "response" and word in _YES_NO:
        return [human_label | {"verdict": _YES_NO[word], "criterion": "correct"}]
    if kind == "ranking":
        return [human_label | {"verdict": value}]
    try:
        return [human_label | {"verdict": _number(value, annotator)}]
    except InputError:
        if kind == "response" and isinstance(value, str):
            return [human_label | {"verdict": value.strip()}]
        raise


def rest(row: Row, used: Iterable[str]) -> dict[str, Any]:
    """What a family does not read, kept beside the record."""
    names = set(used)
    return {key: value for key, value in row.items() if key not in names and value is not None}


def label(annotator: str, verdict: str | float | tuple[int, ...], criterion: str = "") -> tuple[HumanLabel, ...]:
    """One human label, as the tuple that a record holds."""
    return (HumanLabel(annotator=annotator, verdict=verdict, criterion=criterion),)
