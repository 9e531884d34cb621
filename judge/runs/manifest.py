"""manifest.json: what a run directory was made with, and how far it has come.

Its `config` decides every row, so a run is resumed only under an equal one; a different one is refused with the
difference shown. What only decides how far or how fast a run goes (limit, window, progress) is not in it. Counts,
tokens and times beside it grow from attempt to attempt.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from judge.errors import RunChangedError, RunError
from judge.files import write_atomic
from judge.json_input import load_json
from judge.run_files import LABELS, MANIFEST
from judge.runs.counts import Counts
from judge.secrets import masked

_ABSENT = "(absent)"


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """The manifest of a run directory, None when it has none; RunError when it has rows without one."""
    path = directory / MANIFEST
    try:
        manifest = load_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        rows = directory / LABELS
        if rows.is_file() and rows.stat().st_size:
            raise RunError(f"{directory}: holds {LABELS} but no {MANIFEST}; name another run directory") from None
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as a run's manifest: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("config"), dict):
        raise RunError(f"{path}: not a run's manifest: it has no 'config'")
    manifest["attempts"] = manifest["attempts"] if type(manifest.get("attempts")) is int else 0
    manifest["seconds"] = manifest["seconds"] if type(manifest.get("seconds")) in (int, float) else 0.0
    if "goes" in manifest:  # what versions up to 0.1 called the attempts
        manifest["attempts"] = manifest.pop("goes")
    return manifest


def _numbers(value: Any) -> dict[str, Any]:
    """The whole numbers of an object; what else a hand wrote there counts as absent."""
    return {name: entry for name, entry in value.items() if type(entry) is int} if isinstance(value, dict) else {}


def _spent(cost: Any) -> tuple[dict[str, float], float]:
    """The dollars by model, and those that were saved."""
    try:
        return {str(entry["model"]): float(entry["dollars"]) for entry in cost["models"]}, float(cost["saved"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}, 0.0


def counts_of(manifest: Mapping[str, Any]) -> Counts:
    """The counts that a manifest holds."""
    counts, tokens = (_numbers(manifest.get(name)) for name in ("counts", "tokens"))
    verdicts = manifest["counts"].get("verdicts") if counts else None
    costs, saved = _spent(manifest.get("cost"))
    return Counts(
        labelled=counts.get("labelled", 0),
        unreadable=counts.get("unreadable", 0),
        duplicates=counts.get("duplicates", 0),
        skipped=counts.get("skipped", 0),
        shortened=counts.get("shortened", 0),
        both_orders=counts.get("both_orders", 0),
        flips=counts.get("flips", 0),
        verdicts=Counter(_numbers(verdicts)),
        calls=tokens.get("calls", 0),
        prompt_tokens=tokens.get("prompt", 0),
        cached_tokens=tokens.get("cached", 0),
        output_tokens=tokens.get("output", 0),
        costs=costs,
        saved=saved,
    )


def entries_of(counts: Counts) -> dict[str, Any]:
    """How a manifest holds counts: its entries `counts`, `tokens` and, where something has a price, `cost`."""
    return _cost_entry(counts) | {
        "counts": {
            "rows": counts.rows,
            "labelled": counts.labelled,
            "unreadable": counts.unreadable,
            "duplicates": counts.duplicates,
            "skipped": counts.skipped,
            **({"shortened": counts.shortened} if counts.shortened else {}),
            "both_orders": counts.both_orders,
            "flips": counts.flips,
            "verdicts": dict(sorted(counts.verdicts.items())),
        },
        "tokens": {
            "calls": counts.calls,
            "prompt": counts.prompt_tokens,
            "cached": counts.cached_tokens,
            "computed": counts.prompt_tokens - counts.cached_tokens,
            "output": counts.output_tokens,
        },
    }


def _cost_entry(counts: Counts) -> dict[str, Any]:
    if not counts.costs:
        return {}
    models = [{"model": model, "dollars": round(dollars, 9)} for model, dollars in sorted(counts.costs.items())]
    return {"cost": {"dollars": round(counts.cost, 9), "saved": round(counts.saved, 9), "models": models}}


def write_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest whole or not at all, without keys and passwords; RunError when the disk does not take it."""
    text = json.dumps(masked(manifest), indent=2, ensure_ascii=False, default=str) + "\n"
    write_atomic(directory / MANIFEST, text)


def clear_torn(directory: Path) -> None:
    """Remove what a kill in the middle of writing a manifest left behind; for the one process that holds the run."""
    for path in directory.glob(f".{MANIFEST}.*.part"):
        path.unlink(missing_ok=True)


def new_manifest(config: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of a run that begins now."""
    return {
        "rmjudge": package_version("rmjudge"),
        "config": dict(config),
        "started": now(),
        "finished": None,
        "attempts": 0,
        "seconds": 0.0,
        "counts": {},
        "tokens": {},
    }


def check_same(directory: Path, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse a configuration other than the one a run was made with.

    Only the entries that `config` has are compared, so the cheap ones can be checked before a model is loaded.
    Raises RunChangedError that names each difference: `prompt: a1b2 → c3d4`.
    """
    before = {name: manifest["config"].get(name, _ABSENT) for name in config}
    if changes := differences(before, masked(config)):
        raise RunChangedError(
            f"{directory}: made by another configuration: {'; '.join(changes)}. "
            "Repeat the first command to go on, or name another --out"
        )


def differences(before: Any, after: Any) -> list[str]:
    """What differs between two plain values, each as `prompt: a1b2 → c3d4`."""
    return list(_differences("", _plain(before), _plain(after)))


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def package_version(name: str) -> str:
    """The version of an installed package, "" when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _plain(value: Any) -> Any:
    """A value as JSON gives it back, so that a tuple equals the list it was stored as."""
    return json.loads(json.dumps(value, default=str))


def _differences(name: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(f"{name}.{key}" if name else key, before.get(key, _ABSENT), after.get(key, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differences(f"{name}[{index}]", old, new)
    elif before != after:
        yield f"{name}: {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) == 32 and all(digit in "0123456789abcdef" for digit in text):
        return text[:8]
    return text if len(text) <= 60 else f"{text[:57]}..."
