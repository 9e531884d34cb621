"""`judge.load_reward_model`: a reward model's directory as an object that scores, ranks and exports."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.jobs.scoring.calibration_file import read_calibration
from judge.jobs.scoring.scoring_model import BATCH_TOKENS, WINDOW, ScoringModel, check_engine
from judge.records import Record, content_id
from judge.rewards.checkpoint.metadata import read_metadata
from judge.rewards.config import RewardConfig
from judge.rewards.inference.judgements import Rule
from judge.runs.data import Data, open_data

if TYPE_CHECKING:
    from judge.exports.push import Pushed
    from judge.rewards.checkpoint.save_load import LoadedModel
    from judge.rewards.evaluation.calibration import Calibration
    from judge.rewards.external.pooled import Pooled
    from judge.rewards.inference.loader_parity import LoaderDifference
    from judge.rewards.inference.scoring import Scored

CARD = "README.md"


class RewardModel(ScoringModel):
    """A reward model's directory. Its weights are loaded when the first text is scored.

    Attributes:
        path: the directory; the object itself may stand where a path is wanted.
        training: figures of the training that this object is the result of; None for a model that was opened.
        normalize: whether rewards have mean 0 and deviation 1 over the calibration data.
    """

    _loaded_parts = ("loaded", "_pooled")

    def __init__(
        self,
        path: str | Path,
        *,
        dtype: str = "",
        device: str = "",
        normalize: bool = False,
        calibration: "Calibration | None" = None,
        engine: str = "transformers",
        training: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.training, self.normalize = Path(path), training, normalize
        self._dtype, self.device, self._calibration = dtype, device, calibration
        self._engine = check_engine(engine)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """All that reward.json says; InputError where the directory is no reward model."""
        return read_metadata(self.path)

    @cached_property
    def config(self) -> RewardConfig:
        """What the model is and how it was trained."""
        return RewardConfig.from_dict(self.metadata["config"])

    @property
    def name(self) -> str:
        """What the model is called where several give rewards: its directory's name."""
        return self.path.resolve().name

    @cached_property
    def version(self) -> str:
        """A hash of its weights and settings: the same version gives the same rewards."""
        weights = self.metadata.get("weights", {})
        return content_id([weights, self.metadata["config"], self.calibration_row(), self.normalize, self._dtype])

    @property
    def figures(self) -> Mapping[str, Any]:
        """Figures on examples that training never saw."""
        figures: Mapping[str, Any] = self.metadata.get("figures", {}).get("validation", {})
        return figures

    @property
    def flags(self) -> Sequence[str]:
        """What is wrong with the model, a sentence each."""
        flags: Sequence[str] = self.metadata.get("figures", {}).get("flags", ())
        return flags

    @property
    def card(self) -> str:
        """The model card, README.md; "" where there is none."""
        path = self.path / CARD
        return path.read_text("utf-8") if path.is_file() else ""

    def evaluate(self, data: Data, *, labels: str | None = None, format: str | None = None) -> dict[str, float]:
        """The figures that a validation has, on labelled data.

        Args:
            data: labelled data or runs, as `judge.distill` takes them.
            labels: "judge" or "human"; by default what the data has.
            format: force a family of formats instead of recognising it.

        Returns:
            loss, accuracy or correlation with the bounds of its 95 % interval (`_low`, `_high`; prompts are drawn
            whole), margin; `examples` and `prompts`.

        Raises:
            InputError: for data that cannot be read or holds nothing to compare with.
        """
        from judge.jobs.training.evaluation import evaluate, evaluation_job
        from judge.jobs.training.label_source import label_source

        return evaluate(evaluation_job(self.loaded), label_source(open_data(data), labels, format))

    def export(self, out: str | Path) -> "RewardModel":
        """The model written anew with its low-rank adapter added to its weights in fp32; its card goes along.

        Raises:
            RunError: where a model stands already.
        """
        from judge.rewards.checkpoint.save_load import export_merged

        export_merged(self.path, out)
        return RewardModel(out, dtype=self._dtype, device=self.device, normalize=self.normalize)

    def push(self, target: str, *, licence: str = "", private: bool = False, dry_run: bool = False) -> "Pushed":
        """Send the model with its card and licence to the Hugging Face hub; states and logs of its training stay.

        Args:
            target: hf://OWNER/NAME, or hf://NAME of the token's owner.
            licence: as the hub names it; by default that of the card, else of the backbone.
            private: a model that the hub makes now is seen by its owner only.
            dry_run: send nothing, and say what would be sent.

        Raises:
            ConfigError: for a wrong name, no token, or a licence that is not known.
            RunError: where the hub refuses or cannot be reached.
        """
        from judge.exports.push import push_model

        backbone = self.config.model.backbone
        return push_model(self.path, target, backbone=backbone, licence=licence, private=private, dry_run=dry_run)

    def check_loaders(
        self, data: Data | None = None, *, vllm: bool = True, progress: bool = True
    ) -> "list[LoaderDifference]":
        """How far the scores of other loaders (transformers, TRL, RewardBench, vLLM) lie from this one's.

        Args:
            data: the texts to score; some of our own where none are given.
            vllm: whether vLLM is among the loaders.
            progress: name each loader on stderr while it is checked.
        """
        from judge.jobs.check_progress import check_progress
        from judge.rewards.inference.loader_parity import check_loaders

        records = [] if data is None else [record for source in open_data(data) for _, record in source.records()]
        with check_progress(shown=progress) as watch:
            return check_loaders(self.path, records, vllm=vllm, watch=watch)

    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind, "weights": self.metadata.get("weights", {}), "dtype": self._dtype}

    def calibration_row(self) -> Mapping[str, Any] | None:
        if self._calibration is not None:
            return self._calibration.to_dict()
        saved: Mapping[str, Any] | None = self.metadata.get("calibration")
        return saved

    def with_calibration(self, calibration: "Calibration") -> "RewardModel":
        """The same model under another calibration."""
        return RewardModel(
            self.path,
            dtype=self._dtype,
            device=self.device,
            normalize=self.normalize,
            calibration=calibration,
            engine=self._engine,
        )

    def score_records(
        self, records: Iterable[Record], *, rule: Rule, batch_tokens: int = BATCH_TOKENS, window: int = WINDOW
    ) -> "Iterator[list[Scored]]":
        if self._engine == "vllm":
            return self._pooled.score(records, rule=rule, batch_tokens=batch_tokens, window=window)
        from judge.rewards.inference.scoring import score

        return score(self.loaded, records, rule=rule, batch_tokens=batch_tokens, window=window)

    @cached_property
    def _pooled(self) -> "Pooled":
        """The model in vLLM."""
        from judge.rewards.external.pooled import pool_own

        row = self.calibration_row()
        return pool_own(self.path, self.metadata, self.config, calibration=row, dtype=self._dtype)

    @cached_property
    def loaded(self) -> "LoadedModel":
        """The model itself with its tokenizer and calibration, its weights loaded."""
        from judge.rewards.checkpoint.save_load import load

        loaded = load(self.path, dtype=self._dtype, device=self.device)
        return loaded if self._calibration is None else loaded._replace(calibration=self._calibration)

    def __repr__(self) -> str:
        shown = "".join(f", {name}={_figure(value)}" for name, value in self.figures.items() if name in _SHOWN)
        return f"RewardModel('{self.path}', kind='{self.kind}'{shown})"

    def _repr_html_(self) -> str:
        rows = [
            ("kind", self.kind),
            ("backbone", Path(self.config.model.backbone).name),
            ("loss", self.config.loss_name),
        ]
        rows += [(name, _figure(value)) for name, value in self.figures.items()]
        rows += [("red flag", flag) for flag in self.flags]
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
        return f"<table><caption>Reward model: {escape(str(self.path))}</caption>{cells}</table>"


_SHOWN = ("accuracy", "correlation", "ece_after_calibration")


def load_reward_model(
    path: str | Path,
    *,
    dtype: str = "",
    device: str = "",
    normalize: bool = False,
    calibration: str | Path | None = None,
    engine: str = "transformers",
) -> RewardModel:
    """Open a reward model's directory.

    Args:
        path: the directory.
        dtype: of the weights, other than they were saved in: float32, bfloat16 or float16.
        device: "" takes a GPU where there is one.
        normalize: whether rewards have mean 0 and deviation 1 over the calibration data.
        calibration: a file of `judge.calibrate`, instead of the model's own calibration.
        engine: transformers, or vllm for a model of one linear head (docs/rewards-at-work.md).

    Raises:
        InputError: for a directory that is no reward model.
        ConfigError: to normalize a model that has no calibration, or whose scores are no rewards.
    """
    model = RewardModel(path, dtype=dtype, device=device, normalize=normalize, engine=engine)
    if calibration is not None:
        model = model.with_calibration(read_calibration(calibration, model))
    Rule(normalize=normalize).check(model.config, calibrated=model.calibration_row() is not None)
    return model


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
