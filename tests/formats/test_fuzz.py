"""Generated rows of all families: every row becomes a record or a counted reason, and none an exception."""

import json
from random import Random
from typing import Any

import pytest

from judge.files import to_json
from judge.formats import FORMATS, BadRow, records_from, to_row
from judge.prompting.template import variables
from tests.formats.cases import CASES
from tests.formats.test_tools import PREFERENCE, SHAREGPT, TRAJECTORY

ROWS = [(name, row) for name, row, _ in CASES]
ROWS += [("trl-preference", PREFERENCE), ("openai", TRAJECTORY), ("sharegpt", SHAREGPT)]
ROWS += [
    ("rmjudge", {"prompt": "p", "responses": ["a", "b"], "human": [{"verdict": [1, 0]}], "tools": [{"name": "t"}]})
]
OTHER: list[Any] = [None, True, 0, -1, 2.5, float("nan"), float("inf"), 10**400, "", " ", "[", "[{", "{}", "ки", "N/A"]
OTHER += ["\ud800", [], {}, [None], [[]], [{}], {"role": "user"}, {"role": "assistant", "content": None}, "a" * 3000]
OTHER += [{"from": "function_call", "value": "{"}, [{"type": "image"}], [{"function": {"name": 1}}], "x" * 3, "first"]


def changed(value: Any, draw: Random) -> Any:
    """The value with one thing in it, at any depth, replaced, doubled or taken away."""
    if isinstance(value, dict) and value and draw.random() < 0.8:
        name = draw.choice(sorted(value))
        if draw.random() < 0.2:
            return {other: item for other, item in value.items() if other != name}
        return value | {name: changed(value[name], draw)}
    if isinstance(value, list) and value and draw.random() < 0.7:
        at = draw.randrange(len(value))
        if draw.random() < 0.2:
            return value * 2
        return [*value[:at], changed(value[at], draw), *value[at + 1 :]]
    return draw.choice(OTHER)


def fuzz(count: int, seed: int) -> tuple[int, int]:
    """How many rows were read and how many were refused with a reason."""
    draw, read, refused = Random(seed), 0, 0
    for _ in range(count):
        name, row = draw.choice(ROWS)
        for _ in range(draw.choice((0, 1, 1, 2, 3))):
            row = changed(row, draw)
            row = row if isinstance(row, dict) else {"prompt": row}
        name = draw.choice((name, name, draw.choice(sorted(FORMATS))))
        bad: list[BadRow] = []
        rows = records_from([("f:1", row)], name="f", format=draw.choice((name, None)), on_bad=bad.append)
        for placed in rows:
            line = json.loads(to_json(to_row(placed.record)))
            assert line["id"] == placed.record.id
            assert variables(placed.record)
        assert all(one.place == "f:1" and one.reason for one in bad)
        read, refused = read + (not bad), refused + bool(bad)
    return read, refused


def test_generated_rows() -> None:
    read, refused = fuzz(20_000, seed=1)
    assert read + refused == 20_000
    assert read > 4_000 and refused > 4_000


@pytest.mark.soak
def test_many_generated_rows() -> None:
    assert sum(fuzz(200_000, seed=2)) == 200_000
