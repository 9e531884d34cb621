"""What a family of data sets is: its name, its fields, and the function that makes records of a row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge.records import Record

Row = Mapping[str, Any]


def always(row: Row) -> bool:
    """The check of a family that its fields alone give away."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A family of data sets.

    fields: all of them in a row make the family a candidate; `fits` then looks at what they hold.
    read: the records of one row, in order; raises InputError without a place. An empty list says that the row holds
        nothing that could be judged, by the family's own rules.
    over: families that fit too but say less; this one is taken.
    """

    name: str
    about: str
    fields: tuple[str, ...]
    read: Callable[[Row], Sequence[Record]]
    fits: Callable[[Row], bool] = always
    over: tuple[str, ...] = ()
