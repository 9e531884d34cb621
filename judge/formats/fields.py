"""Reading one field of a source row: the checks that every family shares, and the words in which they complain.

Every function raises InputError without a place; `read_records` puts `file:line` before it. This module refuses to know
any family.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from typing import Any, TypeVar, cast

from judge.errors import InputError
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
            value = json.loads(value)
        except ValueError:
            raise wrong(name, value, accepted) from None
    if not isinstance(value, list | tuple):
        raise wrong(name, value, accepted)
    return list(value)


def number(row: Row, name: str) -> float:
    """A finite number, or a text that is one (CSV)."""
    return _number(need(row, name), name)


def _number(value: Any, name: str) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise wrong(name, value, "a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
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


def truths(row: Row, name: str) -> list[bool]:
    """A list of true and false."""
    return [_truth(value, f"{name}[{index}]") for index, value in enumerate(values(row, name))]


def one_of(row: Row, name: str, accepted: Mapping[str, T]) -> T:
    """What the value of a field stands for; a number is looked up by its digits."""
    value = need(row, name)
    key = str(int(value)) if isinstance(value, float) and isfinite(value) and value == int(value) else str(value)
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
    """A response: a text (one assistant turn) or a list of messages."""
    return conversation(need(row, name), "assistant", name, empty=empty)


def conversation(value: Any, role: Role, name: str, *, empty: bool = False) -> Conversation:
    """A text as one turn of `role`, or a list of messages as it stands."""
    if isinstance(value, str):
        if value.startswith("[{") and (messages := _messages_in(value)) is not None:
            value = messages
        else:
            return (Message(role, _text(value, name, empty=empty)),)
    if not isinstance(value, list | tuple) or not (value or empty):
        raise wrong(name, value, "a text or a list of messages")
    return tuple(_message(item, f"{name}[{index}]", empty) for index, item in enumerate(value))


def _messages_in(value: str) -> list[Any] | None:
    """The messages that a CSV cell holds as JSON; None when it is just a text."""
    try:
        found = json.loads(value)
    except ValueError:
        return None
    fits = all(isinstance(item, dict) and {"role", "content"} <= item.keys() for item in found)
    return cast(list[Any], found) if fits else None


def _message(value: Any, name: str, empty: bool) -> Message:
    if not isinstance(value, Mapping):
        raise wrong(name, value, "a message with role and content")
    old = "role" not in value and "from" in value
    role = one_of(value, "from" if old else "role", ROLES)
    content = need(value, "value" if old else "content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if not parts or not all(isinstance(part, str) for part in parts):
            raise wrong(f"{name}.content", content, "a text; pictures and sound are not read")
        content = "\n".join(cast(list[str], parts))
    return Message(role, _text(content, f"{name}.content", empty=empty or role in ("system", "tool")))


def shared(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many leading elements two texts or lists have in common."""
    for index, (left, right) in enumerate(zip(first, second, strict=False)):
        if left != right:
            return index
    return min(len(first), len(second))


def rest(row: Row, used: Iterable[str]) -> dict[str, Any]:
    """What a family does not read, kept beside the record."""
    names = set(used)
    return {key: value for key, value in row.items() if key not in names and value is not None}


def label(annotator: str, verdict: str | float | tuple[int, ...], criterion: str = "") -> tuple[HumanLabel, ...]:
    """One human label, as the tuple that a record holds."""
    return (HumanLabel(annotator=annotator, verdict=verdict, criterion=criterion),)
