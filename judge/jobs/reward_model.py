"""`judge.load_reward_model`: a reward model's directory as an object that scores, ranks and exports."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.jobs.reward_rows import conversation, records_of
from judge.judgements import Outcome, Steps
from judge.records import Pair, Record, content_id
from judge.rewards.checkpoint.metadata import read_metadata
from judge.rewards.config import RewardConfig
from judge.rewards.inference.judgements import Rule
from judge.rewards.reward import Reward, Scorable, Text
from judge.runs.data import Data, open_data

if TYPE_CHECKING:
    from judge.exports.push import Pushed
    from judge.rewards.checkpoint.save_load import LoadedModel
    from judge.rewards.inference.loader_parity import LoaderDifference
    from judge.rewards.inference.scoring import Scored

CARD = "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a reward model says of two responses to one prompt.

    Attributes:
        difference: the first's reward minus the second's.
        std: σ of the difference: what both texts have in common cancels. None for a model without an uncertainty.
        p_first: P(the first is better), calibrated.
        reason: why there is nothing to say, "" where there is.
    """

    difference: float | None
    std: float | None = None
    p_first: float | None = None
    reason: str = ""


class RewardModel:
    """A reward model's directory. Its weights are loaded when the first text is scored.

    Attributes:
        path: the directory; the object itself may stand where a path is wanted.
        training: figures of the training that this object is the result of; None for a model that was opened.
        normalize: whether rewards have mean 0 and deviation 1 over the calibration data.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        dtype: str = "",
        device: str = "",
        normalize: bool = False,
        training: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.training, self.normalize = Path(path), training, normalize
        self._dtype, self._device = dtype, device

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
        return content_id(
            [weights, self.metadata["config"], self.metadata.get("calibration"), self.normalize, self._dtype]
        )

    @property
    def reward_moments(self) -> tuple[float, float] | None:
        """Mean and deviation of its rewards over its calibration data; None without one, and of probabilities."""
        calibration = self.metadata.get("calibration")
        if calibration is None or self.kind == "process":
            return None
        return (0.0, 1.0) if self.normalize else (calibration["mean"], calibration["scale"])

    @property
    def kind(self) -> str:
        """scalar, multi, outcome, process, ensemble or hierarchical."""
        return self.config.model.kind

    @property
    def figures(self) -> Mapping[str, Any]:
        """Figures on examples that training never saw."""
        figures: Mapping[str, Any] = self.metadata.get("figures", {}).get("validation", {})
        return figures

    @property
    def deciles(self) -> Sequence[float]:
        """The nine deciles of its rewards on the calibration data, as it gives them; empty where they were not kept."""
        calibration = self.metadata.get("calibration") or {}
        mean, scale = (calibration["mean"], calibration["scale"]) if self.normalize else (0.0, 1.0)
        return [(decile - mean) / scale for decile in calibration.get("deciles", ())]

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

    def score(self, prompt: Text, response: Text) -> Reward:
        """The reward of one response.

        Args:
            prompt: a text, or messages {role, content}.
            response: a text, or messages; of a process model each line is a step.

        Returns:
            The reward; its value is None with a reason where the text cannot be read.
        """
        return self.score_batch([(prompt, response)])[0][0]

    def rank(self, prompt: Text, responses: Sequence[Text]) -> list[int]:
        """The indices of responses to one prompt, best first; equal rewards stay in their order.

        Raises:
            InputError: for a response that cannot be read.
        """
        rewards = chain.from_iterable(self.score_batch([(prompt, response) for response in responses]))
        values = [float(reward) for reward in rewards]
        return sorted(range(len(values)), key=lambda index: -values[index])

    def compare(self, prompt: Text, first: Text, second: Text) -> Comparison:
        """How much better the first of two responses to one prompt is, and how sure that is."""
        turns = conversation(prompt, "user")
        sides = conversation(first, "assistant"), conversation(second, "assistant")
        (scored,) = self._scored([Pair(prompt=turns, first=sides[0], second=sides[1])])
        if not scored.numbers:
            return Comparison(difference=None, reason=str(getattr(scored.judgement, "reason", "")))
        scores = scored.numbers.get("mean", scored.numbers["scores"])
        return Comparison(
            difference=scores[0] - scores[1],
            std=scored.numbers.get("difference_std"),
            p_first=getattr(scored.judgement, "p_first", None),
        )

    def score_batch(self, rows: Sequence[Scorable]) -> list[list[Reward]]:
        """The rewards of many rows: without padding, a prompt computed once for all its responses.

        Args:
            rows: (prompt, response) pairs, records, or rows as dicts of any format that `rmjudge data formats` lists.

        Returns:
            Of each row, in its order, a reward a response: two of a pair, K of a ranking, one of the others.
        """
        return [_rewards(scored) for scored in self._scored(records_of(rows, process=self.kind == "process"))]

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
        return RewardModel(out, dtype=self._dtype, device=self._device, normalize=self.normalize)

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

    def _scored(self, records: Sequence[Record]) -> "list[Scored]":
        from judge.rewards.inference.scoring import score

        rule = Rule(normalize=self.normalize)
        return [scored for batch in score(self.loaded, records, rule=rule) for scored in batch]

    @cached_property
    def loaded(self) -> "LoadedModel":
        """The model itself with its tokenizer and calibration, its weights loaded."""
        from judge.rewards.checkpoint.save_load import load

        return load(self.path, dtype=self._dtype, device=self._device)

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


def load_reward_model(path: str | Path, *, dtype: str = "", device: str = "", normalize: bool = False) -> RewardModel:
    """Open a reward model's directory.

    Args:
        path: the directory.
        dtype: of the weights, other than they were saved in: float32, bfloat16 or float16.
        device: "" takes a GPU where there is one.
        normalize: whether rewards have mean 0 and deviation 1 over the calibration data.

    Raises:
        InputError: for a directory that is no reward model.
        ConfigError: to normalize a model that has no calibration, or whose scores are no rewards.
    """
    model = RewardModel(path, dtype=dtype, device=device, normalize=normalize)
    calibrated = model.metadata.get("calibration") is not None
    Rule(normalize=normalize).check(model.config, calibrated=calibrated)
    return model


def _rewards(scored: "Scored") -> list[Reward]:
    """A record's rewards, one a response."""
    numbers, judgement = scored.numbers, scored.judgement
    if not numbers:
        count = {"pair": 2, "ranking": len(getattr(scored.record, "responses", ()))}.get(scored.record.kind, 1)
        return [Reward(value=None, reason=str(getattr(judgement, "reason", ""))) for _ in range(count)]
    rewards = []
    for place in range(len(numbers["scores"])):
        value = numbers["mean"][place] if "mean" in numbers else numbers["scores"][place]
        std = numbers["std"][place] if "std" in numbers else None
        rewards.append(
            Reward(
                value=value,
                std=std,
                lower=None if std is None else value - std,
                probability=judgement.p_correct if isinstance(judgement, Outcome) else None,
                members=tuple(numbers["members"][place]) if "members" in numbers else (),
                objectives=numbers["objectives"][place] if "objectives" in numbers else None,
                steps=tuple(p for p in judgement.p_right if p is not None) if isinstance(judgement, Steps) else (),
                novelty=numbers["novelty"][place] if "novelty" in numbers else None,
            )
        )
    return rewards


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
