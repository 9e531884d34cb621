"""reward.json: what a model directory says of itself. It is written last, so a directory without it is no model.

Its keys are described by judge/schemas/reward.json. Reading it needs no torch, so a wrong directory is
refused at once.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from judge.errors import ConfigError, InputError, RunError
from judge.files import file_hash, write_atomic
from judge.json_input import load_json
from judge.rewards.config import RewardConfig

REWARD_FILE = "reward.json"
FORMAT = 2  # 1 had flat `settings` under earlier names instead of `config`
OURS = "rmjudge"  # what loads a model that no class of transformers holds


def write_metadata(
    folder: Path,
    config: RewardConfig,
    *,
    loads_as: str,
    outputs: Sequence[str],
    calibration: Mapping[str, Any] | None,
    figures: Mapping[str, Any],
    parents: Sequence[Mapping[str, Any]],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Describe the model whose weights lie in `folder`.

    Args:
        folder: of the model; its weights are there already.
        config: of the reward model.
        loads_as: the class of transformers that loads it, or `OURS`.
        outputs: what each output is called.
        calibration: as plain values, None where there is none.
        figures: counts of the training and figures of the validation.
        parents: what it was made from.
        history: of the training.
    """
    metadata = {
        "rmjudge": version("rmjudge"),
        "format": FORMAT,
        "kind": config.model.kind,
        "loads_as": loads_as,
        "outputs": list(outputs),
        "reads": _reads(config),
        "config": config.to_dict(),
        "calibration": calibration,
        "figures": dict(figures),
        "parents": [dict(parent) for parent in parents],
        "weights": {path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))},
        "versions": _versions(),
        "history": [dict(row) for row in history],
    }
    write_atomic(folder / REWARD_FILE, json.dumps(metadata, indent=2, ensure_ascii=False, allow_nan=True) + "\n")


def read_metadata(folder: Path) -> dict[str, Any]:
    """What reward.json says, in the form of today whichever version wrote it.

    Raises:
        InputError: when the directory is no reward model of ours, or a newer one.
    """
    path = folder / REWARD_FILE
    try:
        metadata = load_json(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        reason = f"not a reward model (it has no {REWARD_FILE})" if folder.is_dir() else "no such directory"
        raise InputError(f"{folder}: {reason}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: not a reward model's description (it is no object)")
    if not isinstance(metadata.get("format", 0), int | float):
        raise InputError(f"{path}: 'format' is {str(metadata['format'])[:40]!r} (accepted: a whole number)")
    if metadata.get("format", 0) > FORMAT:
        raise InputError(f"{path}: format {metadata['format']} is newer than this rmjudge reads ({FORMAT}); update it")
    config = metadata.get("config", metadata.pop("settings", None))
    if not isinstance(config, dict):
        raise InputError(f"{path}: not a reward model's description (it has no 'config')")
    try:
        metadata["config"] = RewardConfig.from_dict(config).to_dict()
    except ConfigError as error:
        raise InputError(f"{path}: config: {error}") from None
    return metadata


def backbone_parent(backbone: str) -> dict[str, Any]:
    """What a model began as: a name on the hub, or a directory with its weights' hashes and, of a reward model, where
    that one came from."""
    parent: dict[str, Any] = {"kind": "backbone", "path": backbone}
    folder = Path(backbone)
    if folder.is_dir():
        parent["weights"] = {path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))}
        if (folder / REWARD_FILE).is_file():
            metadata = read_metadata(folder)
            parent |= {"kind": metadata["kind"], "parents": metadata.get("parents", [])}
    return parent


def refuse_finished(out: Path) -> None:
    """RunError when `out` holds a finished model, or is a file."""
    if (out / REWARD_FILE).is_file():
        raise RunError(f"{out}: holds a reward model already; name another --out")
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; name a directory that is not there yet")


def _reads(config: RewardConfig) -> dict[str, str]:
    if config.model.kind == "process":
        return {"at": "the last token of the separator after each step", "separator": "\n"}
    return {"at": "the last token of prompt and response in the chat template, or joined by an empty line"}


def _versions() -> dict[str, str]:
    versions = {}
    for name in ("torch", "transformers", "accelerate", "peft"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
