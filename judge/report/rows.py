"""The disagreements that a page carries: the most telling ones within a budget, as JSON that is safe inside HTML.

A report may hold 100,000 of them; a page that a browser opens at once holds a few thousand. What is cut is said.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from judge.agreement.schema import Disagreement
from judge.files import to_json

ROWS = 2000
BYTES = 8_000_000
TEXT = 6000  # signs of one text; a whole conversation of 100 pages helps nobody to decide


class Carried(NamedTuple):
    """The rows of a page as a JSON list, and how many they are."""

    json: str
    rows: int


def carry(disagreements: Iterable[Disagreement], *, rows: int = ROWS, size: int = BYTES) -> Carried:
    """The first rows, in the report's order of telling, that fit into `rows` rows and `size` bytes; at least one."""
    kept: list[str] = []
    room = size
    for disagreement in disagreements:
        line = to_json(_row(disagreement))
        room -= len(line.encode())
        if len(kept) >= rows or (kept and room < 0):
            break
        kept.append(line)
    return Carried(inert("[" + ",\n".join(kept) + "]"), len(kept))


def inert(json: str) -> str:
    """JSON of the same value that cannot end its script element or open a comment in it."""
    return re.sub(r"[<>&\u2028\u2029\x7f]", lambda match: f"\\u{ord(match[0]):04x}", json)


def _row(row: Disagreement) -> dict[str, Any]:
    """The names that browse.js reads."""
    return {
        "id": row.id,
        "by": row.judge_name,
        "human": row.human,
        "judge": row.judge,
        "confidence": None if row.confidence is None else round(row.confidence, 4),
        "votes": [[vote.annotator, vote.verdict] for vote in row.votes],
        "answers": [
            {"asked": answer.asked, "verdict": answer.verdict, "text": _cut(answer.text), "p": answer.probability}
            for answer in row.answers
        ],
        "prompt": _cut(row.prompt),
        "texts": [[name, _cut(text)] for name, text in row.texts.items()],
        "fields": _fields(row.fields),
        "consistent": row.consistent,
        "length": None if row.length is None else round(row.length, 3),
        "split": row.split,
    }


def _fields(fields: Mapping[str, str]) -> dict[str, str]:
    return {str(name): _cut(str(value), 200) for name, value in fields.items()}


def _cut(text: str, length: int = TEXT) -> str:
    if len(text) <= length:
        return text
    return f"{text[:length]}\n[… {len(text) - length:,} more characters are in the data]"
