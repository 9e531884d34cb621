"""Seeded mutations of inputs: of their bytes, and of the values inside JSON."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

NASTY_TEXTS = (
    "",
    " ",
    "\n",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\ud800",
    "\ufeff",
    "a" * 300,
    "9" * 400,
    "-1",
    "1e999",
    "NaN",
    "null",
    "../../etc/passwd",
    "[[A]]",
    "[[B]] [[A]]",
    "Verdict: [[",
    "{{ x }}",
    "{% for a in range(99999) %}",
    "<|im_end|>",
    "</response_a>",
    "&a",
    "*a",
    "!!int x",
    "(a|aa)+$",
    "http://[::1",
    "first",
    "second",
    "kind",
    "\\",
)
NASTY_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**63,
    10**400,
    -(10**400),
    0.5,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    {"": None},
    [1, "a", None],
    {"role": "user"},
    [{"role": "user", "content": "x"}],
)
TOKENS = (
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"'",
    b":",
    b",",
    b"\n",
    b"\r",
    b"\t",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"---\n",
    b"- ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"%",
    b"{{",
    b"}}",
    b"{%",
    b"%}",
    b"{#",
    b"|",
    b"~",
    b"**",
    b"*",
    b"(",
    b")",
    b"\\",
    b"range(99999)",
    b"'a' * 10 ** 9",
    b"| indent(10 ** 9)",
    b"endfor",
    b"enduser",
    b"[[A]]",
    b"[[B]]",
    b"9" * 30,
    b"1e999",
    b"not ",
    b"null",
    b"true",
    b"NaN",
    "é".encode(),
    "［［A］］".encode(),
    "\u202e".encode(),
    b"\x1b[2J",
)


def mutate(seed: bytes, draw: Random, others: Sequence[bytes] = ()) -> bytes:
    """An input near `seed`: values inside its JSON replaced, its bytes changed, or a part of another input put in."""
    if draw.random() < 0.5 and (changed := _mutate_json(seed, draw)) is not None:
        return changed
    content = bytearray(seed)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        _mutate_bytes(content, draw, others)
    return bytes(content[:200_000])


def _mutate_bytes(content: bytearray, draw: Random, others: Sequence[bytes]) -> None:
    start = draw.randrange(len(content) + 1)
    end = min(len(content), start + draw.choice((0, 1, 1, 4, 20, 200)))
    match draw.randrange(7):
        case 0 if content:
            content[start % len(content)] ^= 1 << draw.randrange(8)
        case 1:
            del content[start:end]
        case 2:
            content[start:start] = content[start:end] * draw.choice((1, 2, 50))
        case 3:
            content[start:end] = draw.choice(TOKENS) * draw.choice((1, 1, 1, 3, 100))
        case 4 if others:
            other = draw.choice(others)
            cut = draw.randrange(len(other) + 1)
            content[start:end] = other[cut : cut + draw.choice((5, 50, 500))]
        case 5:
            del content[start:]
        case _:
            content[start:start] = draw.choice(TOKENS)


def _mutate_json(seed: bytes, draw: Random) -> bytes | None:
    """The lines of JSON with some of their values replaced; None where they are none."""
    try:
        rows = [json.loads(line) for line in seed.splitlines()]
    except (ValueError, RecursionError):
        return None
    if not rows:
        return None
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        index = draw.randrange(len(rows))
        rows[index] = _replaced(rows[index], draw)
    try:
        text = "\n".join(json.dumps(row, ensure_ascii=draw.random() < 0.5) for row in rows)
    except RecursionError:  # nested deeper than json writes
        return None
    return text.encode(errors="surrogatepass")


def _replaced(value: Any, draw: Random) -> Any:
    """The value with one of the values inside it replaced, left out, doubled or nested."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        name = draw.choice(list(value))
        match draw.randrange(10):
            case 0:
                return {key: entry for key, entry in value.items() if key != name}
            case 1:
                return {(draw.choice(NASTY_TEXTS) if key == name else key): entry for key, entry in value.items()}
            case _:
                return {**value, name: _replaced(value[name], draw)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        place = draw.randrange(len(value))
        entry = value[place] if draw.random() < 0.2 else _replaced(value[place], draw)
        return [*value[:place], entry, *value[place + (draw.random() < 0.8) :]]
    match draw.randrange(6):
        case 0:
            return [value]
        case 1:
            return {"x": value}
        case 2:
            for _ in range(draw.choice((5, 190, 400))):
                value = [value]
            return value
        case 3:
            return draw.choice(NASTY_VALUES)
        case _:
            return draw.choice(NASTY_TEXTS)
