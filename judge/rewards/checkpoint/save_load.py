"""A reward model's directory: written whole or not at all, and read back as it was.

    config.json, model.safetensors, tokenizer files   as transformers' own classes load them (hf_format.py)
    adapter_config.json, adapter_model.safetensors    instead of the weights, for a model that keeps its adapter
    head.safetensors                                  what those classes cannot hold
    reward.json                                       what it is: config, calibration, parents, versions

`reward.json` is written last: a directory without it is not a model.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from judge.errors import EngineError, RunError
from judge.files import staged_directory
from judge.json_input import load_json
from judge.pretrained import pretrained
from judge.rewards.checkpoint.hf_format import (
    ADAPTER,
    HeadWeights,
    as_classifier,
    auto_class,
    is_adapted,
    labels_of,
    load_adapter,
    merged,
    name_shards,
    on_disk,
    quiet,
    read_head,
    readable_by_transformers_4,
    save_adapter,
)
from judge.rewards.checkpoint.metadata import OURS, REWARD_FILE, read_metadata, refuse_finished, write_metadata
from judge.rewards.checkpoint.padding import padding_conflict, set_padding
from judge.rewards.config import RewardConfig
from judge.rewards.data.chat_template import pin_date
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.evaluation.curves import CURVES
from judge.rewards.evaluation.model_card import CARD, merged_card
from judge.rewards.modeling.reward_model import LORA_MARK, PROMPTS, RewardModule, build_reward_model
from judge.rewards.modeling.uncertainty import from_state

HEAD_FILE, SCORE_WEIGHT = "head.safetensors", "head.score.weight"
UNCERTAINTY = "uncertainty."
_ADDED_LATER = ("member_levels", "score_mean", "score_scale")  # earlier versions saved models without them


class LoadedModel(NamedTuple):
    """A reward model ready to score.

    Attributes:
        model: in evaluation, on its device.
        tokenizer: its tokenizer.
        config: as it was trained.
        calibration: None where none was fitted.
        metadata: all that its reward.json says.
        unread: a token that is taken away from the ends of texts, as transformers' classifiers pass over padding; None
            for a model of ours, whose texts never end in it.
    """

    model: RewardModule
    tokenizer: Any
    config: RewardConfig
    calibration: Calibration | None
    metadata: Mapping[str, Any]
    unread: int | None = None


def save(
    model: RewardModule,
    tokenizer: Any,
    config: RewardConfig,
    calibration: Calibration | None,
    history: Sequence[Mapping[str, Any]],
    out: Path,
    *,
    parents: Sequence[Mapping[str, Any]] = (),
    figures: Mapping[str, Any] | None = None,
    merge: bool = False,
    files: Mapping[str, str | bytes] | None = None,
) -> None:
    """Write a model directory, whole or not at all.

    Args:
        model: on any device.
        tokenizer: its tokenizer; its padding token becomes one that no text ends in (padding.py).
        config: as the model was trained.
        calibration: None where none was fitted.
        history: of the training.
        out: the directory; one that holds training states alone is filled in.
        parents: what it was made from, such as {"kind": "run", "path", "hash"} for labels.
        figures: counts of the training and figures of the validation.
        merge: add a low-rank adapter to the weights instead of keeping it apart.
        files: further ones by name (a card, curves).

    Raises:
        RunError: where a finished model stands already, or the directory cannot be written.
    """
    refuse_finished(out)
    with staged_directory(out, fill=True, last=("config.json", REWARD_FILE)) as folder, quiet():
        pad = set_padding(tokenizer, model.backbone, merge=merge)
        if model.prompt_backbone is not None:
            set_padding(tokenizer, model.prompt_backbone, merge=merge)  # the same token, and a row for it
        loads_as = _write_weights(model, folder, pad, merge=merge)
        tokenizer.save_pretrained(folder)
        readable_by_transformers_4(folder, tokenizer)
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        write_metadata(
            folder,
            config,
            loads_as=loads_as,
            outputs=labels_of(config),
            calibration=None if calibration is None else calibration.to_dict(),
            figures=figures or {},
            parents=parents,
            history=history,
        )


def load(path: str | Path, *, dtype: str = "", device: str = "") -> LoadedModel:
    """Read a model directory.

    Args:
        path: the directory.
        dtype: of the weights, other than it was saved in.
        device: "" takes a GPU where there is one.

    Raises:
        InputError: for a directory that is no model.
        EngineError: for weights that do not fit.
    """
    folder = Path(path)
    metadata = read_metadata(folder)
    config = RewardConfig.from_dict(metadata["config"])
    tokenizer = _tokenizer(folder)
    # Adapters lie over the base they were trained on; all else has its backbone's weights in the directory.
    source = str(folder) if (folder / "config.json").is_file() else config.model.backbone
    wanted = config.updated(
        backbone=source,
        dtype=dtype or _saved_dtype(folder, config),
        freeze_backbone=not config.model.lora_rank,  # nothing learns, so weights need not be held in fp32
        quantization="",  # as other loaders read it, whatever the base was held in for training
        dropout=0.0,
        lora_dropout=0.0,
        gradient_checkpointing=False,
        l2_sp=0.0,
    )
    try:
        with quiet():
            model = build_reward_model(wanted, tokenizer)
        _read_weights(model, folder, metadata["loads_as"])
    except (OSError, RuntimeError, KeyError, SafetensorError) as error:
        if isinstance(error, RunError | EngineError):
            raise
        raise EngineError(f"{folder}: cannot be loaded as a reward model: {_first_line(error)}") from error
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model.eval()
    calibration = Calibration.from_dict(metadata["calibration"]) if metadata.get("calibration") else None
    return LoadedModel(model, tokenizer, config, calibration, metadata)


def export_merged(folder: str | Path, out: str | Path) -> None:
    """Write a model directory anew with its low-rank adapter added to its weights in fp32; card and curves go along.

    Raises:
        InputError: for a directory that is no model.
        RunError: where a model stands already.
    """
    folder, out = Path(folder), Path(out)
    refuse_finished(out)
    loaded = load(folder, device="cpu")
    if loaded.config.model.lora_rank:
        loaded.model.float()  # half precision would round the sum
    files: dict[str, str | bytes] = {}
    if (folder / CARD).is_file():
        files[CARD] = merged_card((folder / CARD).read_text("utf-8"), folder.name, out.name)
    if (folder / CURVES).is_file():
        files[CURVES] = (folder / CURVES).read_bytes()
    merge(loaded, out, files)


def merge(loaded: LoadedModel, out: Path, files: Mapping[str, str | bytes] | None = None) -> None:
    """Write a loaded model again with its low-rank adapter added to its weights; its history goes with it."""
    metadata = loaded.metadata
    save(
        loaded.model,
        deepcopy(loaded.tokenizer),  # a whole model may get another padding token
        loaded.config.updated(lora_rank=0),
        loaded.calibration,
        metadata.get("history", ()),
        out,
        parents=[*metadata.get("parents", ()), {"kind": "model", "weights": metadata.get("weights", {})}],
        figures=metadata.get("figures", {}),
        merge=True,
        files=files,
    )


# -- weights ----------------------------------------------------------------------------------------------------------


def head_weights(model: RewardModule) -> HeadWeights | None:
    """The head, where it is one linear layer that reads single states: what transformers' classes have."""
    alone = (
        model.config.model.encoder == "joint" and model.pooling == "last" and model.config.model.member_kind == "heads"
    )
    weight = model.own_state().get(SCORE_WEIGHT)
    return HeadWeights(weight, None) if alone and weight is not None else None


def loading_conflict(model: RewardModule, tokenizer: Any) -> str:
    """What other tools get wrong in the directory of a model that keeps its adapter, "" for nothing.

    Steps are read wherever they end, so a process model has no conflict, nor has one that only rmjudge loads.
    """
    if model.config.model.kind == "process" or head_weights(model) is None:
        return ""
    return padding_conflict(tokenizer, model.backbone)


def _write_weights(model: RewardModule, folder: Path, pad: int, *, merge: bool) -> str:
    """Write the weights; the name of what loads them."""
    config, head = model.config, head_weights(model)
    backbone: Any = model.backbone
    if is_adapted(backbone) and not merge:
        if head is not None and save_adapter(backbone, head, config, folder):
            _write_own(model, folder, without=SCORE_WEIGHT)
            return auto_class(config)
        _write_own(model, folder, adapters=True)
        return OURS
    backbone = merged(backbone)
    classifier = as_classifier(backbone, head, config, pad) if head is not None else None
    if classifier is not None:
        classifier.save_pretrained(folder)
        _write_own(model, folder, without=SCORE_WEIGHT)
        if (folder / HEAD_FILE).is_file():
            name_shards(folder)
        return auto_class(config)
    backbone.config.get_text_config().pad_token_id = backbone.config.pad_token_id = pad
    backbone.save_pretrained(folder)
    _write_own(model, folder)
    return OURS


def _write_own(model: RewardModule, folder: Path, *, without: str = "", adapters: bool = False) -> None:
    """Write what is not the backbone's, if there is any, with its low-rank adapters or without."""
    from safetensors.torch import save_file

    weights = {name: value for name, value in model.own_state().items() if name != without}
    if model.prompt_backbone is not None and is_adapted(model.prompt_backbone) and not adapters:
        weights = {name: value for name, value in weights.items() if not name.startswith(PROMPTS)}
        weights |= {PROMPTS + name: value for name, value in merged(model.prompt_backbone).state_dict().items()}
    if adapters:
        weights |= {name: value for name, value in model.state_dict().items() if LORA_MARK in name}
    if weights:
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
        save_file(tensors, folder / HEAD_FILE)


def _read_weights(model: RewardModule, folder: Path, loads_as: str) -> None:
    """Put what lies beside the backbone into a model whose backbone was loaded."""
    from safetensors.torch import load_file

    state = load_file(folder / HEAD_FILE) if (folder / HEAD_FILE).is_file() else {}
    if loads_as != OURS:
        head = load_adapter(model.backbone, folder) if (folder / ADAPTER).is_file() else read_head(folder)
        state[SCORE_WEIGHT] = on_disk(head, model.config).weight
    _read_uncertainty(model, state)
    unmatched = model.load_state_dict(state, strict=False)
    missing = [
        name
        for name in unmatched.missing_keys
        if (name in model.own_state() and name not in _ADDED_LATER) or (loads_as == OURS and LORA_MARK in name)
    ]
    if missing or unmatched.unexpected_keys:
        name = [*missing, *unmatched.unexpected_keys][0]
        raise EngineError(f"{folder}: its weights do not fit its config ({name})")


def _read_uncertainty(model: RewardModule, state: Mapping[str, Tensor]) -> None:
    """Give a model the method of uncertainty that it was saved with."""
    method = model.config.model.saved_uncertainty
    saved = {name.removeprefix(UNCERTAINTY): value for name, value in state.items() if name.startswith(UNCERTAINTY)}
    model.uncertainty = None if method == "none" else from_state(method, saved)


# -- the rest ---------------------------------------------------------------------------------------------------------


def _saved_dtype(folder: Path, config: RewardConfig) -> str:
    """What the weights were saved in; an adapter's base is loaded as it was for training."""
    path = folder / "config.json"
    if not path.is_file():
        return config.model.dtype if config.model.lora_rank else "float32"
    hf_config = load_json(path.read_text("utf-8"))
    return str(hf_config.get("dtype") or hf_config.get("torch_dtype") or "float32")


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return pin_date(pretrained(AutoTokenizer, folder))
    except (OSError, ValueError) as error:
        raise EngineError(f"{folder}: its tokenizer cannot be loaded: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
