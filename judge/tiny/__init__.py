"""The embedded judge: what it is made of, read off its own files.

`model/` holds the judge's weights, `reader/` the same trained on to be a reward model's backbone; MODEL_CARD.md says
what they are for. The generator of its field (problems, solutions, samples), its lessons and its training loop are the
modules beside this one.
"""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

from judge.errors import EngineError

MODEL = Path(__file__).parent / "model"
READER = Path(__file__).parent / "reader"
CARD = Path(__file__).parent / "MODEL_CARD.md"
_HEADER_BYTES = 8  # a safetensors file begins with the length of its header, little-endian


def facts() -> dict[str, Any]:
    """What the files of the model say of themselves: size, shape, number type, vocabulary, context."""
    try:
        config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
        shapes, kinds = _weights(MODEL / "model.safetensors")
        size = (MODEL / "model.safetensors").stat().st_size
    except FileNotFoundError as error:
        raise EngineError(f"{error.filename}: the embedded judge is not there; is this a whole copy?") from error
    return {
        "architecture": config["architectures"][0],
        "parameters": sum(map(prod, shapes)),
        "layers": config["num_hidden_layers"],
        "width": config["hidden_size"],
        "heads": config["num_attention_heads"],
        "head_width": config["head_dim"],
        "mlp_width": config["intermediate_size"],
        "vocabulary": config["vocab_size"],
        "context": config["max_position_embeddings"],
        "weights": ", ".join(sorted(kinds)),
        "bytes": size,
    }


def _weights(path: Path) -> tuple[list[list[int]], set[str]]:
    """The shape of every tensor in a safetensors file, and the number types, from its header alone."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(_HEADER_BYTES))
        header = json.loads(stream.read(length))
    tensors = [entry for name, entry in header.items() if name != "__metadata__"]
    return [tensor["shape"] for tensor in tensors], {tensor["dtype"] for tensor in tensors}
