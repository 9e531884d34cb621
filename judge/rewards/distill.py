"""From what was prepared to a model directory: training, calibration, red flags, card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from judge.records import content_id
from judge.rewards.checkpoint.metadata import backbone_parent
from judge.rewards.checkpoint.save_load import loading_conflict, save
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.evaluation.curves import CURVES, curves
from judge.rewards.evaluation.model_card import CARD, model_card
from judge.rewards.losses.registry import plain_loss, training_loss
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model
from judge.rewards.preparation import PreparedTraining
from judge.rewards.training.after_training import complete_model, evaluate_model, set_score_scale, standardize
from judge.rewards.training.claim import begin_saving, claim, refuse_other, remove_state
from judge.rewards.training.frozen_features import FrozenFeatures, Joined, can_be_cached, frozen_features
from judge.rewards.training.loop import Evaluator, Trained, TrainingJob, make_accelerator, train
from judge.rewards.training.resume import STATE
from judge.rewards.training.selection import EVAL, check_best_by
from judge.rewards.training.shards import is_sharded
from judge.rewards.training.training_log import TrainingCallback, peak_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """A finished model's figures.

    Attributes:
        prepared: what it learnt from.
        trained: steps, seconds, history.
        validation: figures on examples that training never saw.
        flags: what is wrong, a sentence each.
    """

    prepared: PreparedTraining
    trained: Trained
    validation: Mapping[str, Any]
    flags: Sequence[str]

    @property
    def evaluations(self) -> dict[str, float]:
        """Figures on evaluation data beside the validation part, of the weights that were kept: `DATA_NAME` each."""
        kept = [row for row in self.trained.history if row["step"] == self.trained.best_step]
        return {name.removeprefix(EVAL): value for row in kept for name, value in row.items() if name.startswith(EVAL)}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        trained = self.trained
        return {
            **self.prepared.to_dict(),
            "steps": trained.steps,
            "best_step": trained.best_step,
            **({"resumed_from_step": trained.resumed_from} if trained.resumed_from else {}),
            "seconds": round(trained.seconds, 1),
            "tokens_per_second": round(trained.tokens / max(trained.seconds, 1e-9)),
            "memory_gib": round(peak_memory(), 2),
            "validation": dict(self.validation),
            **({"evaluations": evaluations} if (evaluations := self.evaluations) else {}),
            "flags": list(self.flags),
        }


def distill(
    prepared: PreparedTraining,
    out: Path,
    callback: TrainingCallback | None = None,
    evaluators: Mapping[str, Evaluator] | None = None,
) -> Distilled | None:
    """Train, calibrate, look for what is wrong, and write the model directory.

    Args:
        prepared: what is learnt from.
        out: the directory; an interrupted training in it goes on from its last state.
        callback: is told of the training while it runs.
        evaluators: further evaluation data by name, beside the validation part.

    Returns:
        The figures; None in every process but the first of `accelerate launch`.

    Raises:
        RunChangedError: when `out` holds an interrupted training of another configuration or of other data.
        EngineError: when the loss is not a number.
        ConfigError: for a `best_by` that no evaluation gives.
    """
    from accelerate.utils import set_seed

    config = prepared.config
    check_best_by(config, validation=bool(prepared.validation), data=evaluators or ())
    accelerator = make_accelerator(config, out)
    fingerprint = prepared.fingerprint()
    refuse_other(fingerprint, out, accelerator.num_processes)  # in every process, so that none waits for another
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        claim(fingerprint, out, accelerator.num_processes)
    accelerator.wait_for_everyone()
    set_seed(config.training.seed)
    job = training_job(prepared, evaluators)
    if can_be_cached(config):
        job = replace(job, collate=_features(prepared, job, out, accelerator))
    trained = train(job, out, accelerator, callback)
    if not accelerator.is_main_process and not is_sharded(job.model):
        return None
    if trained.state is not None:  # the pieces were gathered, and make a model of their own again
        job = training_job(prepared)
        job.model.load_state_dict(trained.state)
    return _finish(prepared, job, trained, out, accelerator)


def training_job(prepared: PreparedTraining, evaluators: Mapping[str, Evaluator] | None = None) -> TrainingJob:
    """A new model, and all that its training needs."""
    config = prepared.config
    model = build_reward_model(config, prepared.tokenizer)
    collate = prepared.collate
    collate.layout = model.layout
    members = config.model.members if config.model.kind == "ensemble" and config.data.bootstrap else 0

    def targets(batch: Sequence[Example]) -> Targets:
        kind, objectives, seed = config.model.kind, config.model.objectives, config.training.seed
        return standardize(model, Targets.of(batch, kind, objectives, members=members, seed=seed))

    if config.model.kind == "multi":
        set_score_scale(model, prepared.examples)
    return TrainingJob(
        model=model,
        collate=collate,
        loss=prepared.loss or training_loss(config),
        examples=prepared.examples,
        validation=prepared.validation,
        config=config,
        targets=targets,
        plain_loss=prepared.loss or plain_loss(config),
        feature_loss=model.contrast if config.loss.contrastive_coefficient else None,
        evaluators=evaluators or {},
    )


def _features(prepared: PreparedTraining, job: TrainingJob, out: Path, accelerator: Any) -> FrozenFeatures:
    """The features of a backbone that stands still, kept in the training's state under its hash."""
    settings, backbone = prepared.config.to_dict(), backbone_parent(prepared.config.model.backbone)
    key = content_id([prepared.fingerprint()["examples"], settings["model"], settings["data"], backbone])
    every, model = Joined((job.examples, job.validation)), cast(RewardModule, job.model)
    return frozen_features(model, prepared.collate, every, out / STATE, key, accelerator)


def _finish(
    prepared: PreparedTraining, job: TrainingJob, trained: Trained, out: Path, accelerator: Any
) -> Distilled | None:
    """Calibrate on what training never saw, look for what is wrong, and write it all; None but in the first process.

    A sharded model is read by all processes, and put together once all is known of it.
    """
    device = accelerator.device
    model: Any = job.model if is_sharded(job.model) else job.model.to(device)
    config = complete_model(job, prepared.gate_pairs, device)
    calibration, validation, red_flags = evaluate_model(job, trained.history, device)
    if is_sharded(model):
        model = _whole_model(prepared, model, accelerator)
        accelerator.end_training()
        if model is None:
            return None
    every_figure = validation | (_calibration_errors(calibration) if calibration else {}) | dict(red_flags.figures)
    distilled = Distilled(prepared=prepared, trained=trained, validation=every_figure, flags=red_flags.flags)
    parents = [*prepared.parents, backbone_parent(config.model.backbone)]
    picture = curves(trained.history)
    card = model_card(
        config,
        distilled.to_dict(),
        parents=parents,
        validation=validation,
        calibration=calibration,
        figures=red_flags.figures,
        flags=red_flags.flags,
        name=out.name,
        curves=CURVES if picture else "",
        loading=loading_conflict(model, prepared.tokenizer),
    )
    model.cpu()
    begin_saving(out)
    save(
        model,
        prepared.tokenizer,
        config,
        calibration,
        trained.history,
        out,
        parents=parents,
        figures=distilled.to_dict(),
        files={CARD: card} | ({CURVES: picture} if picture else {}),
    )
    remove_state(out)
    return distilled


def _whole_model(prepared: PreparedTraining, model: Any, accelerator: Any) -> RewardModule | None:
    """A sharded model's weights in a model of its own, on the CPU of the first process; None in the others."""
    state = accelerator.get_state_dict(model)
    if not accelerator.is_main_process:
        return None
    whole = build_reward_model(prepared.config, prepared.tokenizer)
    whole.uncertainty = model.uncertainty
    whole.load_state_dict(state)
    return whole


def _calibration_errors(calibration: Calibration) -> dict[str, float]:
    """Expected calibration errors before and after calibration, as figures."""
    errors = {"ece_before_calibration": calibration.before, "ece_after_calibration": calibration.after}
    return {name: error.value for name, error in errors.items() if error is not None}
