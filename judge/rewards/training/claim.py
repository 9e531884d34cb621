"""Whose training lies in a directory: what must be the same for an interrupted one to go on, and the differences."""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from judge.errors import RunChangedError, RunError
from judge.files import file_hash, write_atomic
from judge.json_input import load_json
from judge.pretrained import pretrained
from judge.rewards.config import RewardConfig
from judge.rewards.training.resume import STATE

FINGERPRINT = "plan.json"
SAVING = "saving"  # stands in the state once the finished model is being written beside it
_MAY_CHANGE = ("report_to", "save_steps", "save_minutes")  # a training may be taken up again with others
_WEIGHTS = ("*.safetensors", "*.bin", "config.json")


def backbone_fingerprint(backbone: str) -> dict[str, str]:
    """What tells that a backbone is the same: hashes of its files, or the commit of a name on the hub."""
    folder = Path(backbone)
    if folder.is_dir():
        files = sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern))
        return {path.name: file_hash(path) for path in files}
    from transformers import AutoConfig

    try:
        commit = getattr(pretrained(AutoConfig, backbone), "_commit_hash", None)
    except (OSError, ValueError, KeyError):
        return {}  # what is wrong is said when it is loaded
    return {"commit": str(commit)} if commit else {}


def refuse_other(fingerprint: Mapping[str, Any], out: Path, processes: int | None = None) -> None:
    """See that an interrupted training in a directory, if there is one, is this one.

    Args:
        fingerprint: what must be the same: "config", "labels", "examples", "tokens", "backbone".
        out: the model directory.
        processes: that share a step; None looks away from their number.

    Raises:
        RunChangedError: for a training with other settings, data, backbone or order of work.
        RunError: for a plan that cannot be read.
    """
    path = out / STATE / FINGERPRINT
    if not path.is_file():
        return
    earlier = _read(path)
    wanted = {**fingerprint, "processes": processes}
    if differences := _differences(earlier, wanted):
        said = "; ".join(differences[:4])
        raise RunChangedError(f"{out}: holds a training that was interrupted, and not this one: {said}")


def claim(fingerprint: Mapping[str, Any], out: Path, processes: int) -> None:
    """Write down whose training begins in `out`, where none does yet; RunError where it cannot be written."""
    path = out / STATE / FINGERPRINT
    if path.is_file():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted = {**fingerprint, "processes": processes}
        write_atomic(path, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}") from None


def begin_saving(out: Path) -> None:
    """Note that training is over and the model is being written into `out`."""
    (out / STATE).mkdir(parents=True, exist_ok=True)
    (out / STATE / SAVING).touch()


def remove_state(out: Path) -> None:
    """Remove what a training kept, once its model is saved; what says that it was saving goes last."""
    state = out / STATE
    with suppress(OSError):  # another process may remove it too
        for path in state.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != SAVING:
                path.unlink(missing_ok=True)
    shutil.rmtree(state, ignore_errors=True)


def was_saving(out: Path) -> bool:
    """Whether a process ended while it wrote the finished model into `out`: what lies there is a part of that."""
    return (out / STATE / SAVING).is_file() and (out / STATE / FINGERPRINT).is_file()


def _read(path: Path) -> dict[str, Any]:
    try:
        earlier = load_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}; remove its folder to begin anew") from None
    return dict(earlier)


def _differences(earlier: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What differs, in words; earlier versions wrote flat `settings`, and nothing of processes, tokens or backbone."""
    first = RewardConfig.from_dict(earlier.get("config", earlier.get("settings", {})))
    second = RewardConfig.from_dict(wanted["config"])
    before, after = first.flat(), second.flat()
    same_work = _same_work(first, second, int(earlier.get("processes", 1)), wanted["processes"])
    may_change = (*_MAY_CHANGE, *(("gradient_accumulation_steps",) if same_work else ()))
    changes = [
        f"{name} was {before[name]}, is {value}"
        for name, value in after.items()
        if before[name] != value and name not in may_change
    ]
    if not same_work and earlier.get("processes", 1) != wanted["processes"]:
        changes.append(_other_processes(first, second, int(earlier.get("processes", 1)), wanted["processes"]))
    if "examples" not in earlier:
        changes.append("an earlier version began it, whose examples cannot be compared with these")
    elif earlier["examples"] != wanted["examples"]:
        changes.append("the data is another")
    elif earlier.get("tokens", wanted["tokens"]) != wanted["tokens"]:
        changes.append("the tokenizer or its chat template makes other tokens of the data")
    if earlier.get("loss") != wanted.get("loss"):
        changes.append("its loss is another")
    if earlier.get("labels") != wanted["labels"]:
        changes.append("its labels are others")
    if earlier.get("backbone", wanted["backbone"]) != wanted["backbone"]:
        changes.append(f"the weights of the backbone '{second.model.backbone}' are others")
    return changes


def _batches_a_step(config: RewardConfig, processes: int) -> int:
    return config.training.gradient_accumulation_steps * processes


def _same_work(before: RewardConfig, after: RewardConfig, processes: int, processes_now: int | None) -> bool:
    """Whether every step takes the batches that it took before; None looks away from processes and accumulation.

    Dropout and the memory of features belong to a process, so with these the number of processes must be the same.
    """
    if processes_now is None:
        return True
    if processes == processes_now:
        return before.training.gradient_accumulation_steps == after.training.gradient_accumulation_steps
    model = after.model
    if model.dropout or model.lora_dropout or model.feature_bank:
        return False
    return _batches_a_step(before, processes) == _batches_a_step(after, processes_now)


def _other_processes(before: RewardConfig, after: RewardConfig, processes: int, processes_now: int) -> str:
    batches, model = _batches_a_step(before, processes), after.model
    change = f"it was begun by {processes} process{'es' * (processes > 1)}, and now there "
    change += f"{'are' if processes_now > 1 else 'is'} {processes_now}"
    accepted = [f"{processes} process{'es' * (processes > 1)}"]
    if batches % processes_now == 0 and not (model.dropout or model.lora_dropout or model.feature_bank):
        accepted.append(f"gradient_accumulation_steps={batches // processes_now}, which takes the same batches a step")
    return f"{change} (accepted: {', or '.join(accepted)})"
