"""`judge.RewardTrainer`: a training that a caller takes part in, with data, loss, callbacks and evaluation of his own.

It is the one loop of judge/rewards/training/loop.py; `judge.distill` is a call of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from judge.engines.spec import read_settings
from judge.errors import ConfigError, InputError
from judge.formats import BadRow
from judge.jobs.label import need
from judge.jobs.reward_model import RewardModel
from judge.jobs.training.label_source import LabelSource, label_source
from judge.locations.remote_files import target_path
from judge.records import content_id
from judge.rewards.config import RewardConfig
from judge.rewards.settings import RewardSettings
from judge.runs.data import Data, open_data

if TYPE_CHECKING:
    from judge.jobs.training.evaluation import EvalData
    from judge.rewards.preparation import PreparedTraining
    from judge.rewards.training.loop import TrainingJob
    from judge.rewards.training.training_log import TrainingCallback


class RewardTrainer:
    """A training of a reward model. What can be refused is refused when it is made, before any weight is loaded.

    trainer = judge.RewardTrainer(dataset, kind="scalar", backbone="Qwen/Qwen3-0.6B", out="models/own", loss=my_loss)
    model = trainer.train()
    trainer.evaluate(other)

    Attributes:
        out: the model directory; None for a training that is only prepared.
        prepared: what is learnt from: the configuration, examples, the validation part, counts.
        model: the trained model; None before `train`.
    """

    def __init__(
        self,
        data: Data,
        *,
        out: str | Path | None = None,
        callbacks: "Sequence[TrainingCallback]" = (),
        validation_data: Data | None = None,
        eval: "EvalData | None" = None,
        labels: str | None = None,
        format: str | None = None,
        skip_bad: bool = False,
        settings: Mapping[str, Any] | Iterable[str] | None = None,
        progress: bool = True,
        dry_run: bool = False,
        **named: Unpack[RewardSettings],
    ) -> None:
        """Read, drop with counts, split and tokenize.

        Args:
            data: as of `judge.distill`; or a torch `Dataset`, map-style or iterable (read once, to its end), whose rows
                are dicts of any format, records, or (record, judgement).
            out: the model directory; the same training again takes up an interrupted one that lies in it.
            callbacks: objects with `on_step(row)` and `on_evaluate(row)`, told of each row of the history.
            validation_data: labelled data to validate on, instead of a part of `data`.
            eval: further data to evaluate on, see `judge.distill`.
            labels: "judge" or "human"; by default what the data has.
            format: force a family of formats instead of recognising it.
            skip_bad: rows that cannot be read are dropped and counted; else they end it.
            settings: further settings by name; a mapping, or texts NAME=VALUE.
            progress: whether a bar is shown.
            dry_run: nothing will be trained, so `out` may be missing.
            named: kind, backbone, loss, learning_rate, … as `RewardSettings` lists them. The loss is a name of the
                registry, or a function of rewards (N, C) and `Targets` to one number; its name goes on the card.

        Raises:
            ConfigError: for settings that are wrong or do not fit together.
            InputError: for data that cannot be read or holds nothing to learn.
            RunError: where `out` holds something else.
        """
        from judge.rewards.preparation import prepare
        from judge.rewards.training.selection import check_best_by

        config, loss = config_of(settings, named)
        kind = named.get("kind") or read_settings(settings).get("kind") or config.preset
        need("distill", kind=kind, backbone=config.model.backbone, out=out or dry_run)
        self.out = None if out is None else target_path(out, "directory")
        bad: list[BadRow] = []
        source = label_source(open_data(data), labels, format, bad.append if skip_bad else None)
        held_out = None if validation_data is None else _labelled(validation_data, None, format)
        self.model: RewardModel | None = None
        self.prepared: PreparedTraining = prepare(
            source.labelled,
            config,
            labels=source.labels,
            parents=source.parents,
            out=self.out,
            skipped=bad,
            validation=None if held_out is None else held_out.labelled,
            validation_labels="human" if held_out is None else held_out.labels,
            loss=loss,
            source="" if dry_run else _source_key(source, held_out, format, skip_bad),
        )
        self._callbacks, self._progress = callbacks, progress
        self._evaluators = {}
        try:
            if eval is not None:
                from judge.jobs.training.evaluation import evaluators

                self._evaluators = evaluators(eval, self.prepared)
            check_best_by(config, validation=bool(self.prepared.validation), data=self._evaluators)
        except BaseException:
            self.prepared.discard()
            raise

    def train(self) -> RewardModel:
        """Train, calibrate, look for what is wrong, and write the model directory.

        Returns:
            The model, its `training` the figures of this training (None in every process but the first).

        Raises:
            RunChangedError: where `out` holds an interrupted training of other settings or data.
            EngineError: where the loss is not a number.
        """
        from judge.jobs.training.progress import training_progress
        from judge.rewards.distill import distill
        from judge.rewards.training.training_log import Callbacks

        if self.out is None:
            raise ConfigError("this training has no directory: RewardTrainer(…, out=…)")
        with training_progress(shown=self._progress) as shown:
            told = Callbacks((shown, *self._callbacks))
            distilled = distill(self.prepared, self.out, told, self._evaluators)
        self.model = RewardModel(self.out, training=None if distilled is None else distilled.to_dict())
        return self.model

    def evaluate(
        self, data: Data | None = None, *, labels: str | None = None, format: str | None = None
    ) -> dict[str, float]:
        """The figures that a validation has: loss (plain, of this training), accuracy or correlation, margin.

        Args:
            data: labelled data, as for training; None takes the validation part.
            labels: "judge" or "human"; by default what the data has.
            format: force a family of formats instead of recognising it.

        Returns:
            The figures with the bounds of their 95 % interval (`_low`, `_high`, prompts drawn whole), `examples` and
            `prompts`; of the trained model, before `train` of the one that training begins with.

        Raises:
            InputError: for data that cannot be read or holds nothing to compare with.
        """
        from judge.jobs.training.evaluation import evaluate

        if data is None:
            return evaluate(self._job(), self.prepared.validation)
        return evaluate(self._job(), _labelled(data, labels, format))

    def _job(self) -> "TrainingJob":
        """The trained model, or a new one, with this training's loss."""
        from judge.jobs.training.evaluation import evaluation_job
        from judge.rewards.distill import training_job

        if self.model is None:
            return training_job(self.prepared)
        job = evaluation_job(self.model.loaded)
        return job if self.prepared.loss is None else replace(job, loss=self.prepared.loss)


def _labelled(data: Data, labels: str | None, format: str | None) -> LabelSource:
    return label_source(open_data(data), labels, format)


def _source_key(source: LabelSource, held_out: LabelSource | None, format: str | None, skip_bad: bool) -> str:
    """Names the records of a training by their content."""
    keys = [part.key() for part in (source, held_out) if part is not None]
    return content_id(keys, format, skip_bad)


def config_of(
    settings: Mapping[str, Any] | Iterable[str] | None, named: Mapping[str, Any]
) -> tuple[RewardConfig, Callable[[Any, Any], Any] | None]:
    """The configuration of keywords and of further settings, and the loss where it is a function.

    Raises:
        ConfigError: for a setting that is given twice.
    """
    chosen = {name: value for name, value in named.items() if value is not None}
    for name, value in read_settings(settings).items():
        if name in chosen:
            raise ConfigError(f"setting '{name}' is given twice")
        chosen[name] = value
    loss = chosen.pop("loss") if callable(chosen.get("loss")) else None
    arguments = {name.partition(".")[2]: chosen.pop(name) for name in list(chosen) if name.startswith("loss.")}
    if arguments:
        chosen["loss_arguments"] = {**chosen.get("loss_arguments", {}), **arguments}
    if loss is not None and chosen.get("loss_arguments"):
        raise ConfigError("loss arguments are for losses by name; a function has its own")
    config = RewardConfig.of(**chosen)
    return config.updated(backbone=_backbone(config.model.backbone)), loss


def _backbone(name: str) -> str:
    """`tiny` is the embedded judge's reader; all else stays as it is. A path that is not there is named at once."""
    if name == "tiny":
        from judge.tiny import READER

        return str(READER)
    if name.startswith(("/", "./", "../", "~")) and not Path(name).expanduser().is_dir():
        raise InputError(f"backbone {name}: no such directory")
    return str(Path(name).expanduser()) if name.startswith("~") else name
