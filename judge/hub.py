"""The Hugging Face hub: rows streamed by `datasets` (from a local data-set directory, too), and models' snapshots.

Rows are named `hf://NAME[:CONFIG][:SPLIT]`; nobody guesses between several configurations or splits. A model is named
`OWNER/NAME[@REVISION]`, also with `hf://` before it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from judge.errors import InputError, MissingExtraError, RmjudgeError, unknown


def hub_rows(name: str) -> Iterator[tuple[str, Any]]:
    """The rows of one split with their places `hf://NAME:CONFIG:SPLIT:ROW`, row 1 first."""
    try:
        import datasets
    except ImportError:
        raise MissingExtraError(f"{name} needs the package datasets: pip install datasets") from None
    path, *rest = name.removeprefix("hf://").split(":")
    if not path or len(rest) > 2:
        raise InputError(f"{name}: not a hub name (accepted: hf://NAME[:CONFIG][:SPLIT])")
    try:
        config, split = _choose(datasets, path, rest)
        rows = datasets.load_dataset(path, config, split=split, streaming=True)
        for number, row in enumerate(rows, 1):
            yield f"hf://{path}:{config}:{split}:{number}", row
    except RmjudgeError:
        raise
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name}: cannot be loaded: {reason}") from None


def _choose(datasets: Any, path: str, rest: list[str]) -> tuple[str, str]:
    """The configuration and the split that a name means; one word alone may be either."""
    configs = datasets.get_dataset_config_names(path)
    config = rest[0] if rest and (len(rest) == 2 or rest[0] in configs) else ""
    if not config:
        if len(configs) > 1:
            raise InputError(
                f"hf://{path} has several configurations; name one, hf://{path}:NAME ({', '.join(configs)})"
            )
        config = configs[0]
    elif config not in configs:
        raise unknown(f"configuration of hf://{path}", config, configs)
    splits = datasets.get_dataset_split_names(path, config)
    words = rest[1:] if rest and rest[0] == config else rest
    if words and words[0] not in splits:
        raise unknown(f"split of hf://{path}:{config}", words[0], splits)
    if not words and len(splits) > 1:
        raise InputError(f"hf://{path} has several splits; name one, hf://{path}:{config}:NAME ({', '.join(splits)})")
    return config, words[0] if words else splits[0]


# -- models -----------------------------------------------------------------------------------------------------------

_MODEL = re.compile(r"(?:hf://)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_MODEL_FILES = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt", "*.py"]  # no pickles


def model_directory(name: str | Path) -> Path:
    """The directory of a model: a path that is one, else the snapshot of a name on the hub, from its cache or loaded.

    Args:
        name: a path, or OWNER/NAME[@REVISION].

    Returns:
        The directory. A path that is no name on the hub is given back as it is, whether it is there or not.

    Raises:
        InputError: for a name that is neither here nor, as far as it can be reached, on the hub.
    """
    named = _MODEL.fullmatch(str(name))
    if named is None or Path(name).exists():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(named[1], revision=named[2], allow_patterns=_MODEL_FILES))
    except LocalEntryNotFoundError:
        where = "no such directory, nor is it in the hub's cache on this machine, and the hub was not reached"
        raise InputError(f"{name}: {where}") from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name}: no such directory, and the hub does not give it: {reason}") from None
