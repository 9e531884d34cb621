"""JSON that other people wrote: what cannot be read raises ValueError, never RecursionError."""

import json
import re
from typing import Any

MAX_DEPTH = 200
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def load_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is none, not UTF-8, or nested deeper than MAX_DEPTH: what
    Python reads at the edge of its stack it can neither copy nor write again."""
    plain = text if isinstance(text, str) else text.decode()
    if plain.count("[") + plain.count("{") > MAX_DEPTH and _depth(plain) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    try:
        return json.loads(plain)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_TEXT.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
