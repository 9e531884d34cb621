"""Judgements as rows, there and back without loss: what a row holds follows from the fields of the judgement's class.

A field with its default value is left out of a row, the verdict never. Tuples are lists; tuples of dataclasses (the
readings, the rounds of a revision) are lists of rows made by the same rule.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from judge.errors import InputError
from judge.formats.base import Row
from judge.formats.fields import need, wrong
from judge.judgements import Judgement, shape_of, shapes
from judge.registry import task_table


class _Field(NamedTuple):
    """A field of a class: its default, whether it holds a mapping or a tuple, the dataclass of that tuple's entries."""

    name: str
    default: Any
    mapped: bool
    listed: bool
    nested: type | None


def judgement_to_row(judgement: Judgement) -> dict[str, Any]:
    """The row of a judgement, `task` first."""
    return {"task": judgement.task} | _to_row(judgement)


def judgement_from_row(row: Row) -> Judgement:
    """The judgement of a row; raises InputError without a place."""
    task = need(row, "task")
    if not isinstance(task, str) or task not in task_table():
        raise wrong("judgement.task", task, ", ".join(shapes()))
    values = {name: value for name, value in row.items() if name != "task"}
    shape = shape_of(task)
    judgement: Judgement = _from_row(values, shape.judgement, "judgement")
    shape.p(judgement)  # raises for what is no probability
    return judgement


def _to_row(value: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, default, mapped, listed, nested in _fields(value.__class__):
        entry = getattr(value, name)
        if entry == default and name != "verdict":
            continue
        if nested is not None:
            entry = [_to_row(part) for part in entry]
        elif entry is not None and (listed or mapped):
            entry = list(entry) if listed else dict(entry)
        row[name] = entry
    return row


def _from_row(row: Row, kind: type, name: str) -> Any:
    if not isinstance(row, Mapping):
        raise wrong(name, row, "an object")
    accepted = {field.name: field for field in _fields(kind)}
    values: dict[str, Any] = {}
    for key, value in row.items():
        if key not in accepted:
            raise InputError(f"field '{name}.{key}': unknown (accepted: {', '.join(accepted)})")
        values[key] = _value(value, accepted[key], name)
    need(row, "verdict")
    for field in accepted.values():
        if field.default is MISSING and field.name not in values:
            raise InputError(f"no field '{name}.{field.name}'")
    return kind(**values)


def _value(value: Any, field: _Field, name: str) -> Any:
    if not field.listed or (value is None and field.nested is None):
        return value
    if not isinstance(value, list | tuple):
        raise wrong(f"{name}.{field.name}", value, "a list")
    if field.nested is None:
        return tuple(value)
    return tuple(_from_row(part, field.nested, field.nested.__name__.lower()) for part in value)


@cache
def _fields(kind: type) -> tuple[_Field, ...]:
    hints = get_type_hints(kind)
    return tuple(
        _Field(
            item.name,
            item.default_factory() if item.default_factory is not MISSING else item.default,
            _is_mapping(hints[item.name]),
            *_tuple_of(hints[item.name]),
        )
        for item in fields(kind)
    )


def _is_mapping(hint: Any) -> bool:
    """Whether a type is a mapping (or None)."""
    origins = (get_origin(option) or option for option in (hint, *get_args(hint)))
    return any(isinstance(origin, type) and issubclass(origin, Mapping) for origin in origins)


def _tuple_of(hint: Any) -> tuple[bool, type | None]:
    """Whether a type is a tuple (or None), and the dataclass of its entries."""
    for option in (hint, *get_args(hint)):
        if get_origin(option) is tuple:
            entries = get_args(option)[0]
            return True, entries if isinstance(entries, type) and is_dataclass(entries) else None
    return False, None
