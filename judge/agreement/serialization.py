"""Reports, audits and robustness as JSON, there and back, also those that an earlier version saved."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from judge.agreement.best_of.schema import VERSION as BEST_OF_VERSION
from judge.agreement.best_of.schema import BestOf
from judge.agreement.robustness.schema import VERSION as ROBUSTNESS_VERSION
from judge.agreement.robustness.schema import Robustness
from judge.agreement.schema import VERSION, AgreementReport, Audit
from judge.errors import InputError

T = TypeVar("T")

AUDIT_FILE = "audit.json"
"""The file in the run of `rmjudge audit` that holds what came out."""

EARLIER = "rmjudge-report/1"
RENAMED = {
    "as stated": "as_stated",
    "all agree": "all_agree",
    "model alone": "model_alone",
    "judge alone": "judge_alone",
    "human alone": "human_alone",
    "all differ": "all_differ",
}
"""Names in a report of the version before -> names now. Names of flags had hyphens for underscores, and `copies-NAME`
was one for each annotator."""


def to_row(report: AgreementReport) -> dict[str, Any]:
    """The report as JSON values; what is not finite is null, for JSON has no word for it."""
    row: dict[str, Any] = _finite(asdict(report))
    return row


def audit_to_row(audit: Audit) -> dict[str, Any]:
    """The audit as JSON values."""
    row: dict[str, Any] = _finite(asdict(audit))
    return row


def from_row(row: Mapping[str, Any]) -> AgreementReport:
    """The report of a row; raises InputError without a place when it is none or of an unknown version."""
    version = row.get("version")
    if version not in (VERSION, EARLIER):
        raise InputError(f"field 'version': found {version!r} (accepted: '{VERSION}', '{EARLIER}')")
    return _whole(_upgraded(row) if version == EARLIER else row, AgreementReport, "report")


def audit_from_row(row: Mapping[str, Any]) -> Audit:
    """The audit of a row, as `rmjudge audit` saves it; raises InputError without a place when it is none."""
    return _whole(row, Audit, "audit")


def robustness_to_row(robustness: Robustness) -> dict[str, Any]:
    """The robustness report as JSON values."""
    row: dict[str, Any] = _finite(asdict(robustness))
    return row


def robustness_from_row(row: Mapping[str, Any]) -> Robustness:
    """The robustness report of a row; raises InputError without a place when it is none or of an unknown version."""
    if row.get("version") != ROBUSTNESS_VERSION:
        raise InputError(f"field 'version': found {row.get('version')!r} (accepted: '{ROBUSTNESS_VERSION}')")
    return _whole(row, Robustness, "robustness report")


def best_of_to_row(report: BestOf) -> dict[str, Any]:
    """The best-of-n report as JSON values."""
    row: dict[str, Any] = _finite(asdict(report))
    return row


def best_of_from_row(row: Mapping[str, Any]) -> BestOf:
    """The best-of-n report of a row; raises InputError without a place when it is none or of an unknown version."""
    if row.get("version") != BEST_OF_VERSION:
        raise InputError(f"field 'version': found {row.get('version')!r} (accepted: '{BEST_OF_VERSION}')")
    return _whole(row, BestOf, "best-of-n report")


def _upgraded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the version before with the names of this one."""
    new = {**row, "version": VERSION, "flags": [_upgraded_flag(flag) for flag in row["flags"]]}
    if row.get("triangle"):
        parts = {RENAMED.get(name, name): count for name, count in row["triangle"]["parts"].items()}
        new["triangle"] = {**row["triangle"], "parts": parts}
    new["judges"] = [_upgraded_judge(judge) for judge in row["judges"]]
    return new


def _upgraded_flag(flag: Mapping[str, Any]) -> dict[str, Any]:
    name = "copies_annotator" if flag["name"].startswith("copies-") else flag["name"].replace("-", "_")
    return {**flag, "name": name}


def _upgraded_judge(judge: Mapping[str, Any]) -> Mapping[str, Any]:
    calibration = judge.get("calibration")
    if not calibration:
        return judge
    curves = [{**curve, "name": RENAMED.get(curve["name"], curve["name"])} for curve in calibration["curves"]]
    return {**judge, "calibration": {**calibration, "curves": curves}}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _whole(row: Any, kind: type[T], what: str) -> T:
    try:
        value = _read(row, kind)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a whole {what}: {error}") from None
    assert isinstance(value, kind)
    return value


def _read(value: Any, kind: Any) -> Any:
    """A value of JSON as the type that a dataclass's field names."""
    if value is None:
        return None
    if get_origin(kind) is UnionType:
        (kind,) = (member for member in get_args(kind) if member is not NoneType)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        hints = get_type_hints(kind)
        optional = {item.name for item in fields(kind) if (item.default, item.default_factory) != (MISSING, MISSING)}
        lately = optional - value.keys()  # fields that an earlier version did not save
        known = [item.name for item in fields(kind) if item.name not in lately]
        return kind(**{name: _read(value[name], hints[name]) for name in known})
    if get_origin(kind) is tuple:
        return tuple(_read(item, get_args(kind)[0]) for item in value)
    return value
