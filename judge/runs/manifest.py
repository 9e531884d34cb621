"""manifest.json: what a run directory was made with, and how far it has come.

Its `config` decides every row, so a run goes on only under an equal one; a different one is refused with the difference
shown. What only decides how far or how fast a run goes (limit, window, progress) is not in it. Counts, tokens and times
beside it grow from go to go. Nothing here knows what the entries of a configuration mean.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from judge.errors import RunChangedError, RunError
from judge.files import write_atomic

MANIFEST = "manifest.json"
_ABSENT = "(absent)"
_CHUNK = 1 << 20


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """The manifest of a run directory, None when it has none; RunError when it has rows without one."""
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        rows = directory / "labels.jsonl"
        if rows.is_file() and rows.stat().st_size:
            raise RunError(f"{directory}: holds labels.jsonl but no {MANIFEST}; name another run directory") from None
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as a run's manifest: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("config"), dict):
        raise RunError(f"{path}: not a run's manifest: it has no 'config'")
    return manifest


def write_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest whole or not at all; RunError when the disk does not take it."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, default=str) + "\n"
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
        "goes": 0,
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
    changes = list(_differences("", _plain(before), _plain(config)))
    if changes:
        raise RunChangedError(
            f"{directory}: made by another configuration: {'; '.join(changes)}. "
            "Repeat the first command to go on, or name another --out"
        )


def data_entry(path: str) -> dict[str, Any]:
    """How a manifest names the data: size and hash of a file's bytes, or the name of a data set on the hub."""
    if path.startswith("hf://"):
        return {"name": path}
    size, digest = _hash(Path(path), None)
    return {"bytes": size, "hash": digest}


def same_data(entry: Mapping[str, Any], path: str) -> bool:
    """Whether a file still begins with the bytes that a manifest names: rows that were added at its end are welcome."""
    size = entry.get("bytes")
    return isinstance(size, int) and not path.startswith("hf://") and _hash(Path(path), size) == (size, entry["hash"])


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def package_version(name: str) -> str:
    """The version of an installed package, "" when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _hash(path: Path, limit: int | None) -> tuple[int, str]:
    if path.is_dir():  # a run given as data is read from its labels
        path = path / "labels.jsonl"
    digest, size = blake2b(digest_size=16), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK if limit is None else min(_CHUNK, limit - size)):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


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
