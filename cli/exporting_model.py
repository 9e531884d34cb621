"""`rmjudge export MODEL`: a reward model's directory checked by every loader, or written with its adapter merged.

Nothing here computes a score.
"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from judge.errors import ConfigError

if TYPE_CHECKING:
    from judge.rewards.inference.loader_parity import LoaderDifference

ALLOWED = 1e-3
TEXTS = 64


def is_model(path: Path) -> bool:
    """Whether a directory holds a reward model."""
    return (path / "reward.json").is_file()


def run(model: Path, *, check: bool, out: Path | None, data: str, vllm: bool, as_json: bool) -> int:
    """Check the model, and write it merged where `out` says; 1 when a loader's scores differ by more than 1e-3."""
    if not check and out is None:
        raise ConfigError(
            f"{model} is a reward model: --check compares its loaders, --out writes it with adapters merged"
        )
    if out is not None:
        from judge.rewards.checkpoint.save_load import load, merge

        merge(load(model, device="cpu"), out)
        model = out
    found = _checked(model, data, vllm=vllm) if check else []
    over = [one for one in found if one.largest is not None and not one.largest <= ALLOWED]
    if as_json:
        rows = [{"loader": one.loader, "largest": _finite(one.largest), "note": one.note} for one in found]
        print(json.dumps({"model": str(model), "allowed": ALLOWED, "loaders": rows, "passed": not over}, indent=2))
    else:
        if out is not None:
            print(f"written: {out}")
        if check:
            _show(model, found)
    return 1 if over else 0


def _checked(model: Path, data: str, *, vllm: bool) -> "list[LoaderDifference]":
    from itertools import islice

    from judge.rewards.inference.loader_parity import check_loaders

    if not data:
        return check_loaders(model, vllm=vllm)
    from judge.formats import read_records

    return check_loaders(model, [record for _, record in islice(read_records(data), TEXTS)], vllm=vllm)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _show(model: Path, found: "list[LoaderDifference]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("loader", "largest difference", "")
    for one in found:
        shown = "not run" if one.largest is None else f"{one.largest:.1e}"
        verdict = "" if one.largest is None else "same" if one.largest <= ALLOWED else "[bold]DIFFERENT[/bold]"
        table.add_row(one.loader, shown, one.note or verdict)
    print(f"{model}: scores in fp32, at most {ALLOWED:g} apart")
    Console(highlight=False).print(table)
