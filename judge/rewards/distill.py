"""The whole way from labelled records to a model directory: examples, split, training, calibration, card.

Everything that can be refused is refused in `prepare`, before any weight is loaded or any file written.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from judge.errors import ConfigError, EngineError, InputError, RunError, unknown
from judge.pretrained import pretrained
from judge.records import content_id
from judge.rewards.checkpoint.metadata import backbone_parent, refuse_finished
from judge.rewards.checkpoint.save_load import loading_conflict, save
from judge.rewards.config import RewardConfig
from judge.rewards.data.chat_template import pin_date
from judge.rewards.data.collate import Collator, Layout
from judge.rewards.data.examples import Example, Labelled, check, examples, objectives_of, split
from judge.rewards.data.gate_pairs import apart, gate_pairs
from judge.rewards.data.held_out import held_out_of
from judge.rewards.data.targets import Targets
from judge.rewards.data.tokenize import CUT
from judge.rewards.data.weights import weighted
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.evaluation.curves import CURVES, curves
from judge.rewards.evaluation.model_card import CARD, model_card
from judge.rewards.losses.pairwise import Loss
from judge.rewards.losses.registry import default_loss, loss_name_of, plain_loss, training_loss
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model
from judge.rewards.modeling.states import longest_text
from judge.rewards.training.after_training import complete_model, evaluate_model, set_score_scale, standardize
from judge.rewards.training.claim import (
    backbone_fingerprint,
    begin_saving,
    claim,
    refuse_other,
    was_saving,
)
from judge.rewards.training.frozen_features import FrozenFeatures, can_be_cached, frozen_features
from judge.rewards.training.loop import (
    LOGS,
    Evaluator,
    Trained,
    TrainingJob,
    count_steps,
    make_accelerator,
    train,
)
from judge.rewards.training.preflight import empty_backbone, preflight
from judge.rewards.training.resume import STATE
from judge.rewards.training.selection import EVAL, check_best_by
from judge.rewards.training.shards import is_sharded
from judge.rewards.training.training_log import TrainingCallback, peak_memory

SKIPPED = "could not be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTraining:
    """What a training will learn from.

    Attributes:
        config: with its loss and objectives filled in.
        labels: "judge" or "human".
        parents: what the labels were made from.
        tokenizer: of the backbone.
        collate: makes batches.
        examples: to train on.
        validation: held out, whole prompts at a time.
        dropped: rows that were left out, by reason.
        cut: examples whose prompt was too long.
        tokens: of all training examples, a prompt counted once for all its responses.
        steps: of the optimizer, on one device.
        gate_pairs: what the gate of a gated model is fitted to, of prompts that are not held out.
        loss: the caller's own, instead of the configuration's.
    """

    config: RewardConfig
    labels: str
    parents: Sequence[Mapping[str, Any]]
    tokenizer: Any
    collate: Collator
    examples: list[Example]
    validation: list[Example]
    dropped: "Counter[str]"
    cut: int
    tokens: int
    steps: int
    gate_pairs: Sequence[Example] = ()
    loss: Loss | None = None

    @property
    def loss_name(self) -> str:
        """The configuration's loss, or where the caller's own stands: `module.function`."""
        return self.config.loss_name if self.loss is None else loss_name_of(self.loss)

    def to_dict(self) -> dict[str, Any]:
        """Counts as plain values."""
        prompts = {example.group for example in (*self.examples, *self.validation)}
        left_out = sorted(self.collate.tokenizer.template.leaves_out)
        return {
            "kind": self.config.model.kind,
            "backbone": self.config.model.backbone,
            "loss": self.loss_name,
            "labels": self.labels,
            "examples": len(self.examples),
            "validation_examples": len(self.validation),
            "prompts": len(prompts),
            "prompts_cut": self.cut,
            "tokens_per_epoch": self.tokens,
            "steps": self.steps,
            "dropped": [{"reason": reason, "count": count} for reason, count in sorted(self.dropped.items())],
            **({"template_leaves_out": left_out} if left_out else {}),
        }

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for an interrupted training to go on."""
        every = (*self.examples, *self.validation, *self.gate_pairs)
        ids = [[example.id, content_id(repr(example))] for example in every]
        told = {} if self.loss is None else {"loss": self.loss_name}
        return {
            "config": self.config.to_dict(),
            "labels": self.labels,
            "data": content_id(ids),
            "tokens": self.collate.fingerprint((*self.examples, *self.validation)),
            "backbone": backbone_fingerprint(self.config.model.backbone),
            **told,
        }


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


def prepare(
    labelled: Iterable[Labelled],
    config: RewardConfig,
    *,
    labels: str = "judge",
    parents: Sequence[Mapping[str, Any]] = (),
    out: Path | None = None,
    skipped: Sequence[object] = (),
    validation: Iterable[Labelled] | None = None,
    validation_labels: str = "human",
    loss: Loss | None = None,
) -> PreparedTraining:
    """Read, drop with counts, split and tokenize.

    Args:
        labelled: records with their judgements.
        config: of the reward model.
        labels: "judge" takes the judgements, "human" the people's labels.
        parents: what the labels were made from, for the model's metadata.
        out: the model directory, which must not be there, unless an interrupted training of the same kind lies in it.
        skipped: the rows that could not be read, complete once `labelled` is read to its end; they count as dropped.
        validation: records to hold out instead of a part of `labelled`.
        validation_labels: whose labels of those are taken.
        loss: the caller's own, instead of the configuration's.

    Raises:
        RmjudgeError: for anything that would go wrong later.
    """
    if out is not None:
        refuse(out)
    if not config.model.backbone:
        raise ConfigError("a reward model needs a backbone (accepted: a model directory, a name on the hub, tiny)")
    if loss is None:
        training_loss(config)
    scored, pairs = apart(labelled) if config.model.has_gate else (labelled, [])
    made, dropped = examples(scored, config.model.kind, labels)
    dropped += Counter({SKIPPED: len(skipped)})
    config = _with_loss(_with_objectives(config, made), made, loss)
    tokenizer = load_tokenizer(config.model.backbone)
    collate = _collator(config, tokenizer)
    fitted = collate.fit(made)
    dropped += Counter({reason: count for reason, count in fitted.counts.items() if reason != CUT})
    if not fitted.examples:
        raise InputError(
            f"no example is left: {_reasons(dropped)} (max_length is {collate.tokenizer.max_length} tokens)"
        )
    check(fitted.examples, config.model.kind)
    if validation is None:
        training, held_out = split(fitted.examples, config.data.validation_fraction, config.split_seed)
    else:
        training, held_out = fitted.examples, held_out_of(validation, validation_labels, collate, fitted.examples)
    training = weighted(training, config)
    lengths = collate.lengths(training)
    prepared = PreparedTraining(
        config=config,
        labels=labels,
        parents=parents,
        tokenizer=tokenizer,
        collate=collate,
        examples=training,
        validation=held_out,
        dropped=dropped,
        cut=fitted.counts[CUT],
        tokens=sum(lengths),
        steps=count_steps(training, config, lengths),
        gate_pairs=gate_pairs(pairs, training, held_out, config, labels, collate) if config.model.has_gate else (),
        loss=loss,
    )
    if out is not None:
        refuse_other(prepared.fingerprint(), out)
    return prepared


def _collator(config: RewardConfig, tokenizer: Any) -> Collator:
    """What makes the batches; RmjudgeError for a training that could not begin."""
    layout: Layout = "packed" if config.model.encoder == "joint" else "apart"
    preflight(config)
    return Collator(
        tokenizer,
        config.model.kind,
        max_tokens(config),
        layout,
        shared_prefix=config.data.shared_prefix,
        cache_size=10**9,
        every_token=config.model.head == "likelihood",
    )


def refuse(out: Path) -> None:
    """RunError for a directory that holds anything but the states of an interrupted training."""
    refuse_finished(out)
    if out.is_dir():
        names = sorted(path.name for path in out.iterdir() if path.name not in (STATE, LOGS))
        if names and not was_saving(out):
            raise RunError(f"{out}: is not empty ({', '.join(names[:3])}); name a directory that is not there yet")


def load_tokenizer(backbone: str) -> Any:
    """The tokenizer that lies with a backbone, its template's date pinned; EngineError where there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer = pretrained(AutoTokenizer, backbone)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(f"the tokenizer of '{backbone}' cannot be loaded: {reason}") from None
    return pin_date(tokenizer)


def max_tokens(config: RewardConfig) -> int:
    """max_length, or the positions that the backbone reads where those are fewer; its config alone is read."""
    empty = empty_backbone(config)
    if empty is None:
        return config.data.max_length  # whatever is wrong is said when the weights are loaded
    return longest_text(empty, config.data.max_length)


def _with_objectives(config: RewardConfig, made: Sequence[Example]) -> RewardConfig:
    """A multi-objective model has the objectives that were scored, unless some of them were named."""
    if config.model.kind != "multi":
        return config
    scored = objectives_of(made)
    for name in config.model.objectives:
        if name not in scored:
            raise unknown("objective", name, scored)
    return config if config.model.objectives else config.updated(objectives=scored)


def _with_loss(config: RewardConfig, made: Sequence[Example], loss: Loss | None) -> RewardConfig:
    """A loss that fits the examples, where none was named; ConfigError where it does not go with the other settings."""
    config = config.updated(loss=default_loss(config, made))
    if loss is None:
        training_loss(config)
    return config


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
    key = content_id([prepared.fingerprint()["data"], settings["model"], settings["data"], backbone])
    every, model = [*job.examples, *job.validation], cast(RewardModule, job.model)
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
    shutil.rmtree(out / STATE, ignore_errors=True)
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


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "there are none"
