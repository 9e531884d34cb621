"""Which files a path means: itself, what a pattern names, a run's labels, the parts of a saved data set."""

import glob
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from judge.errors import InputError
from judge.json_input import load_json
from judge.locations.remote_files import RemoteFile, is_remote, local_path, remote_files

LABELS = "labels.jsonl"
"""A run directory is read from these."""


def files_of(path: str | Path) -> Sequence[Path | RemoteFile]:
    """The files behind a path: itself, what a glob names, the labels of a run, the parts of a saved data set.

    A saved data set of several splits is named with one: `hf://FOLDER:SPLIT`, or FOLDER/SPLIT.
    """
    if is_remote(path):
        return remote_files(str(path))
    path = name = local_path(str(path))
    if name.startswith("hf://"):
        folder, _, split = name.removeprefix("hf://").partition(":")
        path = Path(folder, split) if split and Path(folder, split).is_dir() else Path(folder)
    file = Path(path)
    if file.exists() or not any(mark in file.name or mark in str(file.parent) for mark in "*?["):
        return saved_files(file) or [_existing(file)]
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 - a path may begin anywhere
    files = [match for match in matches if not match.is_dir()]
    if not files:
        raise InputError(f"{path}: no file fits this pattern")
    return files


def is_saved(folder: Path) -> bool:
    """Whether `datasets` saved a data set to a folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def saved_files(folder: Path) -> list[Path]:
    """The Arrow files of a data set that `datasets` saved to disk; none where the folder is something else."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(part.name for part in folder.iterdir() if (part / "state.json").is_file())
        if len(splits) == 1:
            return saved_files(folder / splits[0])
        raise InputError(f"{folder}: it holds several splits; name one, {folder}/NAME ({', '.join(splits)})")
    if not (folder / "state.json").is_file():
        return []
    try:
        parts = load_json((folder / "state.json").read_text("utf-8"))["_data_files"]
        return [folder / part["filename"] for part in parts]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder}/state.json: not that of a saved data set") from None


def _existing(path: Path) -> Path:
    if path.is_dir():
        if (path / LABELS).is_file():
            return path / LABELS
        raise InputError(
            f"{path}: a directory without {LABELS}, and none that `datasets` saved; name one file or {path}/*.jsonl"
        )
    if path.exists():
        return path
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{path}: no such file (nor a directory {folder})")
    near = get_close_matches(path.name, [file.name for file in folder.iterdir()], n=1)
    raise InputError(f"{path}: no such file" + (f"; did you mean '{folder / near[0]}'?" if near else ""))
