"""A model directory with its weights rounded to half precision."""

import shutil
from pathlib import Path

import torch


def write_rounded(folder: Path, out: Path, dtype: torch.dtype) -> None:
    """Copy a model's directory, its floating-point weights rounded to `dtype`; folders inside it are left out.

    Args:
        folder: of a reward model.
        out: a directory that is made.
        dtype: torch.bfloat16 or torch.float16.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    out.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            continue
        if path.suffix != ".safetensors":
            shutil.copyfile(path, out / path.name)
            continue
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        rounded = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        save_file(rounded, out / path.name, metadata=metadata)
