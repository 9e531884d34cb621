"""A decoder's reward by vLLM's pooling runner: tokens are ours, the rest is vLLM's.

vLLM reads a text at its last token, so what transformers passes over there (unread) is taken away before.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from judge.errors import ConfigError
from judge.pretrained import pretrained
from judge.rewards.checkpoint.hf_format import SEQUENCE
from judge.rewards.checkpoint.save_load import HEAD_FILE
from judge.rewards.config import RewardConfig
from judge.rewards.data.chat_template import pin_date
from judge.rewards.data.tokenize import ExampleTokenizer
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.external.decoder import (
    ReadingSettings,
    load_config,
    load_tokenizer,
    max_length,
    unread_token,
    write_chat,
)
from judge.rewards.external.pairs import Row
from judge.rewards.external.recognition import PublishedModel
from judge.rewards.external.rows import RowReader, chat_writer
from judge.rewards.inference.vllm_pooling import VllmPooling

SEQUENCES = 64  # texts that vLLM may compute at once


class Pooled(RowReader):
    """A model in a process of vLLM, which starts with the first text.

    Args:
        folder: of the model.
        tokenizer: of its texts.
        config: of the model, in our own terms.
        dtype: of the weights; "" for as saved.
        calibration: None for the plain probabilities.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer: ExampleTokenizer,
        config: RewardConfig,
        *,
        dtype: str = "",
        calibration: Calibration | None = None,
    ) -> None:
        self.folder, self.config, self.calibration = folder, config, calibration
        self.write, self._dtype, self._longest = chat_writer(tokenizer), dtype or "auto", tokenizer.max_length

    @cached_property
    def engine(self) -> VllmPooling:
        """The process; it ends when this object does."""
        return VllmPooling(self.folder, max_length=self._longest, dtype=self._dtype, sequences=SEQUENCES)

    def values(self, rows: Sequence[Row], batch_tokens: int) -> dict[int, list[float]]:
        """The outputs of each row, by its identity; vLLM makes its own batches."""
        if not rows:
            return {}
        outputs = self.engine.scores([row.ids for row in rows], "classify")
        return {id(row): output[0] for row, output in zip(rows, outputs, strict=True)}

    def __del__(self) -> None:
        if "engine" in self.__dict__:
            self.engine.close()


def pool(model: PublishedModel, settings: ReadingSettings) -> Pooled:
    """A published classifier in vLLM.

    Raises:
        ConfigError: for a model that vLLM does not read as its makers do.
    """
    if model.form != "classifier" or len(model.tensors.get("score.weight", ())) != 2:
        raise ConfigError(
            f"{model.name}: the engine vllm reads decoders with one linear head, …ForSequenceClassification "
            "(accepted here: transformers)"
        )
    hf_config = load_config(model)
    tokenizer = write_chat(load_tokenizer(model, settings), model, settings)
    longest = max_length(model, hf_config, tokenizer, settings)
    unread = unread_token(model, hf_config, tokenizer)
    written = ExampleTokenizer(tokenizer, "scalar", longest, unread=unread)
    config = model.reward_config(settings.objective_weights)
    return Pooled(model.folder, written, config, dtype=settings.dtype, calibration=settings.calibration)


def pool_own(
    folder: Path,
    metadata: Mapping[str, Any],
    config: RewardConfig,
    *,
    calibration: Mapping[str, Any] | None = None,
    dtype: str = "",
) -> Pooled:
    """A model of ours in vLLM: one that says one reward by one linear head, as transformers' class holds it.

    Args:
        folder: of the model.
        metadata: of its reward.json.
        config: of the model.
        calibration: as plain values.
        dtype: of the weights; "" for as saved.

    Raises:
        ConfigError: for a model that says more than vLLM can compute: members, σ, a feature bank, steps.
    """
    plain = metadata.get("loads_as") == SEQUENCE and (folder / "config.json").is_file()
    if not plain or (folder / HEAD_FILE).is_file() or config.model.kind not in ("scalar", "outcome"):
        raise ConfigError(
            f"{folder}: the engine vllm computes one linear head alone; this model says more (accepted: transformers)"
        )
    tokenizer = pin_date(pretrained(AutoTokenizer, folder))
    written = ExampleTokenizer(tokenizer, "scalar", config.data.max_length)
    fitted = None if calibration is None else Calibration.from_dict(calibration)
    return Pooled(folder, written, config, dtype=dtype, calibration=fitted)
