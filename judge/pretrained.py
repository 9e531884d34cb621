"""Directories of models that other people made: looked at before anything of them is loaded.

Weights are read from safetensors alone: a pickle can run any code when it is opened. Code that lies in a directory is
run only where it is asked for. Every `from_pretrained` of the project goes through `pretrained`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from judge.errors import InputError, RmjudgeError
from judge.json_input import load_json

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")
_MAX_HEADER = 100 * 2**20
_MAX_COUNT = 100_000  # of labels: transformers writes a dict of them all before it looks at a weight
_MAX_LAYERS = 1_000
_MOST = {
    "hidden_size": 10**6,
    "intermediate_size": 10**7,
    "max_position_embeddings": 10**8,
    "num_attention_heads": 10**5,
    "num_hidden_layers": 10**5,
    "vocab_size": 10**7,
}


def pretrained(auto: Any, location: str | Path, *, weights: bool = False, **options: Any) -> Any:
    """What a class of transformers or peft loads from a directory or the hub.

    Args:
        auto: the class.
        location: a directory, which is checked first, or a name on the hub.
        weights: whether it has weights to load; a config and a tokenizer have none.
        options: of `from_pretrained`; without `trust_remote_code=True` no code of the directory is run, nor asked for.

    Raises:
        InputError: for a directory whose config or weights cannot be what they should be.
        OSError, ValueError, RuntimeError: as the class raises them.
        OSError: in place of whatever else it raises; broken files end in KeyErrors, bare Exceptions and panics.
    """
    folder = Path(location)
    if folder.is_dir():
        check_directory(folder, weights=weights)
        _check_tokenizer(folder)
    # None, the default, would ask on the terminal whether to run the directory's code.
    given: dict[str, Any] = {"trust_remote_code": False, **({"use_safetensors": True} if weights else {}), **options}
    try:
        return auto.from_pretrained(location, **given)
    except (RmjudgeError, KeyboardInterrupt, SystemExit, MemoryError, OSError, ValueError):
        raise
    except BaseException as error:
        if weights and isinstance(error, RuntimeError) and not isinstance(error, RecursionError):
            raise  # out of memory, weights of another shape
        lines = str(error).strip().splitlines() or [""]
        raise OSError(f"{location}: {type(error).__name__}: {lines[0]}".rstrip(": ")) from None


def check_directory(folder: Path, *, weights: bool) -> None:
    """Raise InputError for a config that is none or asks for the impossible, and for weights that are no safetensors
    or are cut off. A directory without a config or without weights is left to whoever loads it."""
    tensors = tensor_shapes(folder, str(folder)) if weights and weight_files(folder, str(folder)) else {}
    path = folder / CONFIG
    if not path.is_file():
        return
    try:
        config = load_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type", ""), str):
        raise InputError(f"{path}: no model's config (accepted: an object with a 'model_type')")
    for name, most in _MOST.items():
        value = config.get(name)
        if value is not None and (type(value) is not int or not 0 < value <= most):
            raise InputError(f"{path}: '{name}' is {str(value)[:40]} (accepted: a whole number from 1 to {most:,})")
    for name, value in _numbers(config):
        layers = "layers" in name or name == "n_layer"
        if (layers and value > _MAX_LAYERS + len(tensors)) or (name == "num_labels" and value > _MAX_COUNT):
            raise InputError(f"{path}: '{name}' is {str(value)[:40]}, more than a model has")
        if abs(value) > 2**63:
            raise InputError(f"{path}: '{name}' has {len(str(value)):,} digits, more than a model needs")


def _check_tokenizer(folder: Path) -> None:
    """Raise InputError for a longest text that is no number, on which transformers stumbles at the first text."""
    path = folder / "tokenizer_config.json"
    try:
        config = load_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        return  # whoever loads it says what is wrong
    longest = config.get("model_max_length") if isinstance(config, dict) else None
    if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int | float)):
        raise InputError(f"{path}: 'model_max_length' is {str(longest)[:40]!r} (accepted: a number)")


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, int):
            yield name, value


def weight_files(folder: Path, name: str) -> list[Path]:
    """The files of a directory's weights, none where it has none; InputError where they are pickles alone."""
    index = folder / INDEX
    if index.is_file():
        try:
            shards = sorted(set(load_json(index.read_text("utf-8"))["weight_map"].values()))
            strange = [shard for shard in shards if Path(shard).name != shard]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{index}: cannot be read: {error}") from None
        if strange:
            raise InputError(f"{index}: names '{strange[0]}', which is no file of the directory")
        for shard in shards:
            if not (folder / shard).is_file():
                raise InputError(f"{name}: the weights {shard} are missing ({INDEX} names them)")
        return [folder / shard for shard in shards]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        names = sorted({path.name for pattern in PICKLES for path in folder.glob(pattern)})
        pickles = [file for file in names if not file.startswith(_NO_WEIGHTS)]
        if pickles:
            raise InputError(
                f"{name}: its weights are a pickle ({pickles[0]}), which can run any code when it is opened; "
                "save it as safetensors first (docs/rewards-at-work.md)"
            )
    return files


def tensor_shapes(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, from the headers; InputError for a file that is shorter than its header says."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(folder, name):
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            try:
                header = load_json(file.read(length)) if 8 + length <= size and length < _MAX_HEADER else None
                entries = {} if header is None else {key: header[key] for key in header.keys() - {"__metadata__"}}
                end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
                shapes |= {key: tuple(entry["shape"]) for key, entry in entries.items()}
                short = header is None or 8 + length + end > size
            except (ValueError, KeyError, TypeError, AttributeError, IndexError):
                raise InputError(f"{path}: no safetensors file (its header cannot be read)") from None
        if short:
            wanted = 8 + length + end
            raise InputError(f"{path}: cut off: it has {size:,} bytes, its header speaks of {wanted:,} at least")
    return shapes
