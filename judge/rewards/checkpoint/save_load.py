"""A reward model's directory: written whole or not at all, and read back as it was.

    config.json, model.safetensors, tokenizer files   as transformers' own classes load them (plain.py)
    adapter_config.json, adapter_model.safetensors    instead of the weights, for a model that keeps its adapter
    head.safetensors                                  what those classes cannot hold, over a plain AutoModel
    reward.json                                       what it is: settings, calibration, parents, versions

`reward.json` is written last: a directory without it is not a model. This module refuses to know how a model is
trained and how texts are scored.
"""

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from judge.errors import EngineError, RunError
from judge.rewards.checkpoint.hf_format import (
    ADAPTER,
    Linear,
    auto_class,
    is_adapted,
    labels_of,
    load_adapter,
    merged,
    on_disk,
    quiet,
    read_by_4,
    read_head,
    save_adapter,
    shell,
)
from judge.rewards.checkpoint.metadata import OURS, REWARD, read_about, refuse_finished, write_about
from judge.rewards.config import Settings
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.modeling.backbone import longest
from judge.rewards.modeling.reward_model import RewardModel, build

HEAD, SCORE, LORA = "head.safetensors", "head.score.weight", ".lora_"


class Loaded(NamedTuple):
    """A reward model ready to score. about: all that its reward.json says."""

    model: RewardModel
    tokenizer: Any
    settings: Settings
    calibration: Calibration | None
    about: Mapping[str, Any]


def save(
    model: RewardModel,
    tokenizer: Any,
    settings: Settings,
    calibration: Calibration | None,
    history: Sequence[Mapping[str, Any]],
    out: Path,
    *,
    parents: Sequence[Mapping[str, Any]] = (),
    figures: Mapping[str, Any] | None = None,
    merge: bool = False,
    files: Mapping[str, str | bytes] | None = None,
) -> None:
    """Write a model directory; RunError where a finished model stands already, or the disk says no.

    parents: what it was made from, such as {"kind": "run", "path", "hash"} for labels. history, figures: of training
    and of validation, for reward.json. merge: add a low-rank adapter to the weights instead of keeping it apart.
    files: further ones by name (a card, curves). A directory of training states without a model in it is filled in.
    """
    refuse_finished(out)
    with staged(out) as folder, quiet():
        pad = set_padding(tokenizer, model.backbone)
        loads_as = _write_weights(model, folder, pad, merge=merge)
        tokenizer.save_pretrained(folder)
        read_by_4(folder, tokenizer)
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        write_about(
            folder,
            settings,
            loads_as=loads_as,
            outputs=labels_of(settings),
            calibration=None if calibration is None else calibration.to_dict(),
            figures=figures or {},
            parents=parents,
            history=history,
        )


def load(path: str | Path, *, dtype: str = "", device: str = "") -> Loaded:
    """Read a model directory. dtype: other than it was saved in; device: "" takes a GPU where there is one.

    Raises InputError for a directory that is no model, EngineError for weights that do not fit.
    """
    folder = Path(path)
    about = read_about(folder)
    settings = Settings.from_dict(about["settings"])
    tokenizer = _tokenizer(folder)
    # Adapters lie over the base they were trained on; all else has its backbone's weights in the directory.
    source = str(folder) if (folder / "config.json").is_file() else settings.backbone
    wanted = replace(
        settings,
        backbone=source,
        dtype=dtype or _saved_dtype(folder, settings),
        freeze=not settings.lora_rank,  # nothing learns, so weights need not be held in fp32
        dropout=0.0,
        lora_dropout=0.0,
        checkpointing=False,
    )
    try:
        with quiet():
            model = build(wanted, tokenizer)
        _read_weights(model, folder, about["loads_as"])
    except (OSError, RuntimeError, KeyError, SafetensorError) as error:
        if isinstance(error, RunError | EngineError):
            raise
        raise EngineError(f"{folder}: cannot be loaded as a reward model: {_first_line(error)}") from error
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model.eval()
    calibration = Calibration.from_dict(about["calibration"]) if about.get("calibration") else None
    return Loaded(model, tokenizer, settings, calibration, about)


def merge(loaded: Loaded, out: Path) -> None:
    """Write a loaded model again with its low-rank adapter added to its weights; its history goes with it."""
    about = loaded.about
    save(
        loaded.model,
        loaded.tokenizer,
        replace(loaded.settings, lora_rank=0),
        loaded.calibration,
        about.get("history", ()),
        out,
        parents=[*about.get("parents", ()), {"kind": "model", "weights": about.get("weights", {})}],
        figures=about.get("figures", {}),
        merge=True,
    )


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A temporary directory that becomes `out` when the block ends well, and vanishes when it does not.

    Where `out` is there (states of the training), the files are moved into it one by one, reward.json last.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for stale in out.parent.glob(f".{glob.escape(out.name)}.*.part"):
            shutil.rmtree(stale, ignore_errors=True)  # of a process that was killed
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
        try:
            yield folder
            _synced(folder)
            os.chmod(folder, 0o755)
            if not out.exists():
                os.replace(folder, out)
                return
            for file in sorted(folder.iterdir(), key=lambda file: (file.name == REWARD, file.name == "config.json")):
                os.replace(file, out / file.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from None


def set_padding(tokenizer: Any, backbone: Any) -> int:
    """The id of a padding token that is no other: classes that look for the last token which is not padding would
    otherwise pass over the text's own end, and give every text the same score.

    Keeps the tokenizer's own where it is not the end of text, else takes a spare token, else adds one. A backbone that
    counts positions from the first token on, padding or not, has its texts padded on the right.
    """
    if counts_positions(backbone):
        tokenizer.padding_side = "right"
    eos = {tokenizer.eos_token_id} | _ids(getattr(backbone.config.get_text_config(), "eos_token_id", None))
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in eos:
        known, taken = tokenizer.get_vocab(), {tokenizer.bos_token_id, tokenizer.unk_token_id, *eos}
        spare = [name for name in _SPARE if name in known and known[name] not in taken]
        tokenizer.add_special_tokens({"pad_token": spare[0] if spare else _SPARE[0]})
    rows = backbone.get_input_embeddings().num_embeddings
    if tokenizer.pad_token_id >= rows:
        backbone.resize_token_embeddings(tokenizer.pad_token_id + 1, mean_resizing=False)
    return int(tokenizer.pad_token_id)


def counts_positions(backbone: Any) -> bool:
    """Whether positions are learnt ones, one a place in the row: GPT-2's, BERT's."""
    return longest(backbone, 10**9) < 10**9


_SPARE = ("<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>", "<|fim_pad|>", "<|reserved_special_token_0|>")


def _ids(value: Any) -> set[int]:
    if value is None:
        return set()
    return set(value) if isinstance(value, list | tuple) else {int(value)}


# -- weights ----------------------------------------------------------------------------------------------------------


def head_of(model: RewardModel) -> Linear | None:
    """The head, where it is one linear layer that reads single states: what transformers' classes have."""
    alone = model.settings.encoder == "joint" and model.pooling == "last" and model.settings.member_kind == "heads"
    weight = model.own_state().get(SCORE)
    return Linear(weight, None) if alone and weight is not None else None


def _write_weights(model: RewardModel, folder: Path, pad: int, *, merge: bool) -> str:
    """Write the weights; the name of what loads them."""
    settings, head = model.settings, head_of(model)
    backbone: Any = model.backbone
    if is_adapted(backbone) and not merge:
        if head is not None and save_adapter(backbone, head, settings, folder):
            _write_own(model, folder, without=SCORE)
            return auto_class(settings)
        _write_own(model, folder, adapters=True)
        return OURS
    backbone = merged(backbone)
    made = shell(backbone, head, settings, pad) if head is not None else None
    if made is not None:
        made.save_pretrained(folder)
        _write_own(model, folder, without=SCORE)
        return auto_class(settings)
    backbone.config.get_text_config().pad_token_id = backbone.config.pad_token_id = pad
    backbone.save_pretrained(folder)
    _write_own(model, folder)
    return OURS


def _write_own(model: RewardModel, folder: Path, *, without: str = "", adapters: bool = False) -> None:
    """Write what is not the backbone's, if there is any, with its low-rank adapters or without."""
    from safetensors.torch import save_file

    own = {name: value for name, value in model.own_state().items() if name != without}
    if adapters:
        own |= {name: value for name, value in model.state_dict().items() if LORA in name}
    if own:
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in own.items()}, folder / HEAD)


def _read_weights(model: RewardModel, folder: Path, loads_as: str) -> None:
    """Put what lies beside the backbone into a model whose backbone was loaded."""
    from safetensors.torch import load_file

    state = load_file(folder / HEAD) if (folder / HEAD).is_file() else {}
    if loads_as != OURS:
        head = load_adapter(model.backbone, folder) if (folder / ADAPTER).is_file() else read_head(folder)
        state[SCORE] = on_disk(head, model.settings).weight
    found = model.load_state_dict(state, strict=False)
    missing = [name for name in found.missing_keys if name in model.own_state() or (loads_as == OURS and LORA in name)]
    if missing or found.unexpected_keys:
        raise EngineError(f"{folder}: its weights do not fit its settings ({[*missing, *found.unexpected_keys][0]})")


# -- the rest ---------------------------------------------------------------------------------------------------------


def _saved_dtype(folder: Path, settings: Settings) -> str:
    """What the weights were saved in; an adapter's base is loaded as it was for training."""
    path = folder / "config.json"
    if not path.is_file():
        return settings.dtype if settings.lora_rank else "float32"
    config = json.loads(path.read_text("utf-8"))
    return str(config.get("dtype") or config.get("torch_dtype") or "float32")


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise EngineError(f"{folder}: its tokenizer cannot be loaded: {_first_line(error)}") from error


def _synced(folder: Path) -> None:
    """Force every file to the disk, so that the new name never stands before its content."""
    for file in (*folder.iterdir(), folder):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
