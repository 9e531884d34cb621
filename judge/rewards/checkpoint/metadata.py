"""reward.json: what a model directory says of itself. It is written last, so a directory without it is no model.

Refuses to know torch and weights, so that a model can be described, and a wrong one refused, at once.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from judge.errors import InputError, RunError
from judge.files import file_hash, write_atomic
from judge.rewards.config import Settings

REWARD = "reward.json"
FORMAT = 1
OURS = "rmjudge"  # what loads a model that no class of transformers holds


def write_about(
    folder: Path,
    settings: Settings,
    *,
    loads_as: str,
    outputs: Sequence[str],
    calibration: Mapping[str, Any] | None,
    figures: Mapping[str, Any],
    parents: Sequence[Mapping[str, Any]],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Describe the model whose weights lie in `folder`."""
    about = {
        "rmjudge": version("rmjudge"),
        "format": FORMAT,
        "kind": settings.kind,
        "loads_as": loads_as,
        "outputs": list(outputs),
        "reads": _reads(settings),
        "settings": settings.to_dict(),
        "calibration": calibration,
        "figures": dict(figures),
        "parents": [dict(parent) for parent in parents],
        "weights": {path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))},
        "versions": _versions(),
        "history": [dict(row) for row in history],
    }
    write_atomic(folder / REWARD, json.dumps(about, indent=2, ensure_ascii=False, allow_nan=True) + "\n")


def read_about(folder: Path) -> dict[str, Any]:
    """What reward.json says; InputError when the directory is no reward model of ours."""
    path = folder / REWARD
    try:
        about = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        found = f"not a reward model (it has no {REWARD})" if folder.is_dir() else "no such directory"
        raise InputError(f"{folder}: {found}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(about, dict) or not isinstance(about.get("settings"), dict):
        raise InputError(f"{path}: not a reward model's description (it has no 'settings')")
    if about.get("format", 0) > FORMAT:
        raise InputError(f"{path}: format {about['format']} is newer than this rmjudge reads ({FORMAT}); update it")
    return about


def refuse_finished(out: Path) -> None:
    """RunError when `out` holds a finished model, or is a file."""
    if (out / REWARD).is_file():
        raise RunError(f"{out}: holds a reward model already; name another --out")
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; name a directory that is not there yet")


def _reads(settings: Settings) -> dict[str, str]:
    if settings.kind == "process":
        return {"at": "the last token of the separator after each step", "separator": "\n"}
    return {"at": "the last token of prompt and response in the chat template, or joined by an empty line"}


def _versions() -> dict[str, str]:
    found = {}
    for name in ("torch", "transformers", "accelerate", "peft"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
