"""Reports and audits as JSON, there and back. Refuses to know what their fields mean."""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from judge.agreement.schema import VERSION, AgreementReport, Audit
from judge.errors import InputError
from judge.files import to_json as encode

T = TypeVar("T")


def to_row(report: AgreementReport) -> dict[str, Any]:
    """The report as JSON values."""
    return asdict(report)


def to_json(report: AgreementReport) -> str:
    """The report as one line of JSON."""
    return encode(to_row(report))


def from_row(row: Mapping[str, Any]) -> AgreementReport:
    """The report of a row; raises InputError without a place when it is none or another version's."""
    if row.get("version") != VERSION:
        raise InputError(f"field 'version': found {row.get('version')!r} (accepted: '{VERSION}')")
    return _whole(row, AgreementReport, "report")


def audit_from_row(row: Mapping[str, Any]) -> Audit:
    """The audit of a row, as `rmjudge audit` saves it; raises InputError without a place when it is none."""
    return _whole(row, Audit, "audit")


def _whole(row: Any, kind: type[T], what: str) -> T:
    try:
        found = _read(row, kind)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a whole {what}: {error}") from None
    assert isinstance(found, kind)
    return found


def _read(value: Any, kind: Any) -> Any:
    """A value of JSON as the type that a dataclass's field names."""
    if value is None:
        return None
    if get_origin(kind) is UnionType:
        (kind,) = (member for member in get_args(kind) if member is not NoneType)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        hints = get_type_hints(kind)
        return kind(**{item.name: _read(value[item.name], hints[item.name]) for item in fields(kind)})
    if get_origin(kind) is tuple:
        return tuple(_read(item, get_args(kind)[0]) for item in value)
    return value
