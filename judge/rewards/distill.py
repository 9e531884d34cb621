"""The whole way from labelled records to a model directory: examples, split, training, calibration, card.

Everything that can be refused is refused in `prepare`, before any weight is loaded or any file written. This module
refuses to know where labelled records come from.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judge.errors import ConfigError, EngineError, InputError, RunChangedError, RunError, unknown
from judge.files import file_hash, write_atomic
from judge.records import content_id
from judge.rewards.checkpoint.metadata import REWARD, read_about, refuse_finished
from judge.rewards.checkpoint.save_load import save
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator, Layout
from judge.rewards.data.examples import Example, Labelled, check, examples, objectives_of, split
from judge.rewards.data.tokenize import CUT
from judge.rewards.evaluation.calibration import Calibration, calibrate
from judge.rewards.evaluation.curves import CURVES, curves
from judge.rewards.evaluation.metrics import figures
from judge.rewards.evaluation.model_card import CARD, card
from judge.rewards.evaluation.red_flags import FEW, Diagnosis, Evidence, diagnose, reversed_order
from judge.rewards.data.targets import Targets
from judge.rewards.losses.registry import default_loss, training_loss
from judge.rewards.modeling.backbone import longest
from judge.rewards.modeling.reward_model import build_reward_model
from judge.rewards.training.loop import LOGS, Job, Trained, accelerator_for, plan, predict, train
from judge.rewards.training.resume import STATE
from judge.rewards.training.training_log import Watch, memory

PLAN = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a training will learn from. cut: prompts that were too long; dropped: rows that were left out, by reason.

    tokens: of all training examples, a prompt counted once for all its responses; steps: on one device.
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

    def account(self) -> dict[str, Any]:
        """Counts as plain values."""
        both = [*self.examples, *self.validation]
        return {
            "kind": self.config.model.kind,
            "backbone": self.config.model.backbone,
            "loss": self.config.loss_name,
            "labels": self.labels,
            "examples": len(self.examples),
            "validation examples": len(self.validation),
            "prompts": len({one.group for one in both}),
            CUT: self.cut,
            "tokens an epoch": self.tokens,
            "steps": self.steps,
            "dropped": dict(sorted(self.dropped.items())),
        }

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a training to go on."""
        ids = [[one.id, content_id(repr(one))] for one in (*self.examples, *self.validation)]
        config = {name: value for name, value in self.config.to_dict().items() if name not in _MAY_CHANGE}
        return {"settings": config, "labels": self.labels, "data": content_id(ids)}


_MAY_CHANGE = {"trackers", "save_every"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """A finished model's figures. validation: on examples that training never saw; flags: what is wrong, in words."""

    prepared: Prepared
    trained: Trained
    validation: Mapping[str, Any]
    flags: Sequence[str]

    def account(self) -> dict[str, Any]:
        """Everything as plain values."""
        trained = self.trained
        return {
            **self.prepared.account(),
            "steps": trained.steps,
            "best step": trained.best_step,
            "seconds": round(trained.seconds, 1),
            "tokens/s": round(trained.tokens / max(trained.seconds, 1e-9)),
            "memory, GiB": round(memory(), 2),
            "validation": dict(self.validation),
            "flags": list(self.flags),
        }


def prepare(
    labelled: Iterable[Labelled],
    config: RewardConfig,
    *,
    labels: str = "judge",
    parents: Sequence[Mapping[str, Any]] = (),
    out: Path | None = None,
) -> Prepared:
    """Read, drop with counts, split and tokenise; raises for anything that would go wrong later.

    out: the model directory, which must not be there, unless an interrupted training of the same kind lies in it.
    """
    if out is not None:
        refuse(out)
    if not config.model.backbone:
        raise ConfigError("a reward model needs a backbone (accepted: a model directory, a name on the hub, tiny)")
    training_loss(config)
    made, dropped = examples(labelled, config.model.kind, labels)
    config = replace(_with_objectives(config, made), loss=default_loss(config, made))
    tokenizer = tokenizer_of(config.model.backbone)
    layout: Layout = "packed" if config.model.encoder == "joint" else "apart"
    collate = Collator(
        tokenizer,
        config.model.kind,
        room(config),
        layout,
        shared_prefix=config.data.shared_prefix,
        keep=10**9,
        every=config.model.head == "likelihood",
    )
    fitted = collate.fit(made)
    dropped += Counter({reason: count for reason, count in fitted.counts.items() if reason != CUT})
    if not fitted.examples:
        raise InputError(f"no example is left: {_words(dropped)} (max_length is {collate.tokenizer.max_length} tokens)")
    check(fitted.examples, config.model.kind)
    training, validation = split(fitted.examples, config.data.validation_fraction, config.training.seed)
    lengths = collate.lengths(training)
    return Prepared(
        config=config,
        labels=labels,
        parents=parents,
        tokenizer=tokenizer,
        collate=collate,
        examples=training,
        validation=validation,
        dropped=dropped,
        cut=fitted.counts[CUT],
        tokens=sum(lengths),
        steps=plan(training, config, lengths),
    )


def refuse(out: Path) -> None:
    """RunError for a place that holds anything but the states of an interrupted training."""
    refuse_finished(out)
    if out.is_dir():
        found = sorted(path.name for path in out.iterdir() if path.name not in (STATE, LOGS))
        if found:
            raise RunError(f"{out}: is not empty ({', '.join(found[:3])}); name a directory that is not there yet")


def tokenizer_of(backbone: str) -> Any:
    """The tokenizer that lies with a backbone; EngineError where there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(backbone)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(f"the tokenizer of '{backbone}' cannot be loaded: {reason}") from None
    return tokenizer


def room(config: RewardConfig) -> int:
    """max_length, or the positions that the backbone has learnt where those are fewer; its config alone is read."""
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        with torch.device("meta"):
            empty = AutoModel.from_config(AutoConfig.from_pretrained(config.model.backbone))
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, NotImplementedError):
        return config.data.max_length  # whatever is wrong is said when the weights are loaded
    return longest(empty, config.data.max_length)


def _with_objectives(config: RewardConfig, made: Sequence[Example]) -> RewardConfig:
    """A multi-objective model has the objectives that were scored, unless some of them were named."""
    if config.model.kind != "multi":
        return config
    found = objectives_of(made)
    for name in config.model.objectives:
        if name not in found:
            raise unknown("objective", name, found)
    return config if config.model.objectives else replace(config, objectives=found)


def distill(prepared: Prepared, out: Path, watch: Watch | None = None) -> Distilled | None:
    """Train, calibrate, look for what is wrong, and write the model directory.

    None in every process but the first of `accelerate launch`. An interrupted training goes on from its last state.
    """
    from accelerate.utils import set_seed

    config = prepared.config
    accelerator = accelerator_for(config, out)
    if accelerator.is_main_process:
        _claim(prepared, out)
    accelerator.wait_for_everyone()
    set_seed(config.training.seed)
    job = job_of(prepared)
    trained = train(job, out, accelerator, watch)
    if not accelerator.is_main_process:
        return None
    if trained.state is not None:  # sharded: the pieces were gathered, and make a model of their own again
        job = job_of(prepared)
        job.model.load_state_dict(trained.state)
    return _finish(prepared, job, trained, out, accelerator.device)


def job_of(prepared: Prepared) -> Job:
    """A new model, and all that its training needs."""
    config = prepared.config
    model = build_reward_model(config, prepared.tokenizer)
    collate = prepared.collate
    collate.layout = model.layout

    members = config.model.members if config.model.kind == "ensemble" and config.data.bootstrap else 0

    def targets(some: Sequence[Example]) -> Targets:
        return Targets.of(some, config.model.kind, config.model.objectives, members=members, seed=config.training.seed)

    return Job(
        model=model,
        collate=collate,
        loss=training_loss(config),
        examples=prepared.examples,
        validation=prepared.validation,
        config=config,
        targets=targets,
    )


def _finish(prepared: Prepared, job: Job, trained: Trained, out: Path, device: Any) -> Distilled:
    """Calibrate on what training never saw, look for what is wrong, and write it all."""
    config = prepared.config
    model: Any = job.model.to(device)
    calibration, validation, diagnosis = None, dict[str, Any](), Diagnosis()
    if prepared.validation:
        rewards, targets = predict(job, model, prepared.validation, device)
        validation = {"loss": float(job.loss(rewards, targets)), **figures(rewards, targets, config)}
        calibration = calibrate(rewards, targets, prepared.validation, config)
        seen = prepared.examples[: max(len(prepared.validation), FEW)]
        turned = reversed_order(prepared.validation)
        diagnosis = diagnose(
            Evidence(
                rewards=rewards,
                targets=targets,
                examples=prepared.validation,
                config=config,
                turned=predict(job, model, turned, device)[0],
                training=figures(*predict(job, model, seen, device), config),
                validation=validation,
                history=trained.history,
                calibration=calibration,
            )
        )
    found = validation | (_calibrated(calibration) if calibration else {}) | dict(diagnosis.figures)
    done = Distilled(prepared=prepared, trained=trained, validation=found, flags=diagnosis.flags)
    parents = [*prepared.parents, backbone_parent(config.model.backbone)]
    picture = curves(trained.history)
    written = card(
        config,
        done.account(),
        parents=parents,
        validation=validation,
        calibration=calibration,
        figures=diagnosis.figures,
        flags=diagnosis.flags,
        name=out.name,
        curves=CURVES if picture else "",
    )
    model.cpu()
    save(
        model,
        prepared.tokenizer,
        config,
        calibration,
        trained.history,
        out,
        parents=parents,
        figures=done.account(),
        files={CARD: written} | ({CURVES: picture} if picture else {}),
    )
    shutil.rmtree(out / STATE, ignore_errors=True)
    return done


def _calibrated(calibration: Calibration) -> dict[str, Any]:
    """The errors of the probabilities before and after calibration, as figures."""
    found: dict[str, Any] = {}
    for name, error in (("before", calibration.before), ("after", calibration.after)):
        if error is not None:
            found[f"ECE {name} calibration"] = error.value
    return found


def backbone_parent(backbone: str) -> dict[str, Any]:
    """What a model began as: a name on the hub, or a directory with its weights' hashes and, of a reward model, where
    that one came from."""
    found: dict[str, Any] = {"kind": "backbone", "path": backbone}
    folder = Path(backbone)
    if folder.is_dir():
        found["weights"] = {path.name: file_hash(path) for path in sorted(folder.glob("*.safetensors"))}
        if (folder / REWARD).is_file():
            about = read_about(folder)
            found |= {"kind": about["kind"], "parents": about.get("parents", [])}
    return found


def _claim(prepared: Prepared, out: Path) -> None:
    """Make the directory, or see that the training that lies in it is this one."""
    wanted = prepared.fingerprint()
    path = out / STATE / PLAN
    if path.is_file():
        earlier = json.loads(path.read_text("utf-8"))
        if earlier != wanted:
            raise RunChangedError(
                f"{out}: holds a training that was interrupted, and not this one: {_change(earlier, wanted)}"
            )
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}") from None


def _change(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first differences, in words."""
    before, after = earlier.get("settings", {}), now["settings"]
    changed = [f"{name} was {before.get(name)}, is {after[name]}" for name in after if before.get(name) != after[name]]
    if earlier.get("data") != now["data"]:
        changed.append("the data is another")
    return "; ".join(changed[:4]) or "its labels are others"


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "there are none"
