"""Whatever stands in a field, a reader answers with records or with one InputError, never with another exception."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge.errors import InputError
from judge.files import to_json
from judge.formats import FORMATS, from_row, recognise, to_row
from tests.formats.cases import CASES

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["[", "[{", "ки", "1"])
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "text", "rating", "steps", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ROWS = [(name, row) for name, row, _ in CASES] + [
    ("rmjudge", {"prompt": "p", "first": "a", "second": "b", "human": [{"verdict": "tie"}], "meta": {}}),
    ("rmjudge", {"prompt": "p", "responses": ["a", "b"], "human": [{"verdict": [1, 0]}]}),
    ("mt-bench", {"question_id": 1, "turn": 1, "model_a": "a", "model_b": "b", "judge": "j", "winner": "tie"}),
]


def changed(data: st.DataObject, value: Any) -> Any:
    """The value with one thing in it, at any depth, replaced or taken away."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(value)))
        if not data.draw(st.integers(0, 5)):
            return {name: item for name, item in value.items() if name != key}
        return value | {key: changed(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 2)):
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], changed(data, value[index]), *value[index + 1 :]]
    return data.draw(anything)


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{i}-{name}" for i, (name, _) in enumerate(ROWS)])
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_row_with_something_else_in_it(name: str, row: dict[str, Any], data: st.DataObject) -> None:
    name_of = data.draw(st.sampled_from(sorted(row)))
    broken = row | {name_of: changed(data, row[name_of])}
    if data.draw(st.booleans()):
        other = data.draw(st.sampled_from(sorted(row)))
        broken = {key: value for key, value in broken.items() if key != other}
    recognise(broken)
    try:
        records = FORMATS[name].read(broken)
    except InputError:
        return
    for record in records:
        assert to_json(to_row(record))
        assert len(record.id) == 32
        assert from_row(to_row(record)).id == record.id
