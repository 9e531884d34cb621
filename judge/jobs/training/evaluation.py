"""Evaluation data beside the validation part of a training: benchmarks by their protocols, and labelled data.

The training loop is handed functions; what a benchmark's protocol is, `judge.agreement` knows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.errors import ConfigError, InputError
from judge.files import scan_rows
from judge.formats import choose, judgement_to_row, named, to_row
from judge.jobs.agree import agree
from judge.jobs.training.label_source import LabelSource, label_source
from judge.locations.remote_files import is_remote
from judge.records import Pair, Ranking, Record, Response, Solution
from judge.rewards.config import RewardConfig
from judge.rewards.inference.judgements import Rule, task_of
from judge.runs.data import Data, DataSource, FileSource, RowSource, open_data

if TYPE_CHECKING:
    from torch import Tensor, nn

    from judge.rewards.checkpoint.save_load import LoadedModel
    from judge.rewards.data.examples import Example
    from judge.rewards.data.targets import Targets
    from judge.rewards.evaluation.noise import PromptSums
    from judge.rewards.preparation import PreparedTraining
    from judge.rewards.training.loop import Evaluator, TrainingJob

EvalData = Mapping[str, Data] | Sequence[Data] | Data
_PROTOCOLS_BY_FORMAT = {"prm800k-samples": "prm800k", "prm800k": ""}
"""Families of formats whose protocol has another name, or none; of all others the protocol has the family's name."""


@dataclass(frozen=True, slots=True)
class _EvalSource:
    """Evaluation data: its name in the figures, where it lies, and the protocol that counts it, "" for none."""

    name: str
    source: DataSource
    protocol: str


def evaluators(
    data: EvalData | None, prepared: "PreparedTraining", *, format: str | None = None
) -> "dict[str, Evaluator]":
    """What gives the figures on evaluation data while a model is trained.

    Args:
        data: one source of rows or several, or a mapping of names to them. A path may be `NAME=PATH`. Data of a
            benchmark's family, or under a benchmark's name, is counted by that benchmark's protocol; other data needs
            labels, and has the figures that the validation part has.
        prepared: the training.
        format: the family of formats of the data, where it is not to be recognised.

    Returns:
        Functions of the job, its model and a device, by the data's name.

    Raises:
        ConfigError: for two sources of one name, and a benchmark that the kind of model has no verdicts for.
        InputError: for data that cannot be read, or holds nothing that the model could be measured by.
    """
    made: dict[str, Evaluator] = {}
    for part in _parts(data, format):
        if part.name in made:
            raise ConfigError(f"eval: two sources have the name '{part.name}' (accepted: NAME=PATH names them apart)")
        if part.protocol:
            made[part.name] = _benchmark(part, prepared, format)
        else:
            made[part.name] = _labelled(part, prepared, format)
    return made


def _parts(data: EvalData | None, format: str | None) -> Iterator[_EvalSource]:
    if data is None:
        return
    if isinstance(data, Mapping):
        named_parts: list[tuple[str, Any]] = list(data.items())
    elif isinstance(data, Sequence) and not isinstance(data, str) and not _are_rows(data):
        named_parts = [_named(part) for part in data]
    else:
        named_parts = [_named(data)]
    for name, part in named_parts:
        sources = open_data(part)
        for source in sources:
            called = name or (Path(source.name).name.split(".")[0] if not isinstance(source, RowSource) else "rows")
            yield _EvalSource(called, source, _protocol(name, source, format))


def _are_rows(data: Sequence[Any]) -> bool:
    """Whether a sequence is one source, of dicts or records, and not several."""
    return bool(data) and isinstance(data[0], Mapping | Pair | Ranking | Response | Solution | tuple)


def _named(part: Any) -> tuple[str, Any]:
    """The name and the data of `NAME=PATH`; all else has no name of its own."""
    if isinstance(part, str) and "=" in part and not is_remote(part) and not Path(part).exists():
        name, _, path = part.partition("=")
        return name, path
    return "", part


def _protocol(name: str, source: DataSource, format: str | None) -> str:
    """The benchmark that counts a source: the one it is called by, else the one of its family of formats."""
    from judge.agreement.benchmarks.protocols import PROTOCOLS

    if name in PROTOCOLS:
        return name
    family = named(format).name if format else _family(source)
    protocol = _PROTOCOLS_BY_FORMAT.get(family, family)
    return protocol if protocol in PROTOCOLS else ""


def _family(source: DataSource) -> str:
    """The family of formats of a source's first row that can be read; "" where there is none."""
    if isinstance(source, RowSource):
        rows: Iterator[Any] = iter(source.table)
    elif Path(source.name).is_dir():
        return ""
    else:
        rows = (row for _, row in scan_rows(source.path if isinstance(source, FileSource) else source.name))
    first = next((row for row in rows if isinstance(row, Mapping)), None)
    return "" if first is None else choose(dict(first), source.name).name


def _benchmark(part: _EvalSource, prepared: "PreparedTraining", format: str | None) -> "Evaluator":
    """Figures by a benchmark's protocol: what `rmjudge score` and `rmjudge agree --benchmark` say of the model."""
    from judge.agreement.benchmarks.protocols import PROTOCOLS

    config, protocol = prepared.config, PROTOCOLS[part.protocol]
    rule = Rule(whole=config.model.kind == "process" and protocol.task == "outcome")
    records = [record for _, record in part.source.records(format)]
    _check_task(part, records, config, rule, protocol.task)

    def evaluate_benchmark(job: "TrainingJob", model: "nn.Module", device: Any) -> dict[str, float]:
        from judge.rewards.checkpoint.save_load import LoadedModel
        from judge.rewards.inference.scoring import score

        loaded = LoadedModel(model, prepared.tokenizer, config, None, {})  # type: ignore[arg-type]
        scored = chain.from_iterable(score(loaded, records, rule=rule))
        rows = [to_row(each.record) | {"judgement": judgement_to_row(each.judgement)} for each in scored]
        report = agree(rows, benchmark=part.protocol, resamples=0, shown=0)
        figures = report.data.benchmarks[0].figures
        return {
            f"{figure.name}/{figure.of}" if figure.of else figure.name: figure.value
            for figure in figures
            if figure.value is not None
        }

    return evaluate_benchmark


def _check_task(part: _EvalSource, records: Sequence[Record], config: RewardConfig, rule: Rule, task: str) -> None:
    """Raise ConfigError where a model of this kind gives verdicts of another task than the benchmark counts."""
    tasks = {task_of(record, config, rule) for record in records}
    if tasks != {task}:
        given = ", ".join(sorted(name or "no text" for name in tasks)) or "no rows"
        raise ConfigError(
            f"eval {part.source.name}: {part.protocol} counts verdicts of the task {task}; "
            f"kind {config.model.kind} gives {given}"
        )


def _labelled(part: _EvalSource, prepared: "PreparedTraining", format: str | None) -> "Evaluator":
    """The figures of the validation part on labelled data."""
    from judge.rewards.data.example_store import stored
    from judge.rewards.data.examples import ExampleStream

    source = label_source([part.source], None, format)
    stream = ExampleStream(source.labelled, prepared.config.model.kind, source.labels)
    fitted, _ = stored(stream, prepared.collate.tokenizer)
    if not fitted:
        raise InputError(f"eval {part.source.name}: every row is longer than max_length")

    def evaluate_labelled(job: "TrainingJob", model: "nn.Module", device: Any) -> dict[str, float]:
        return measured(job, model, fitted, device)

    return evaluate_labelled


def measured(job: "TrainingJob", model: "nn.Module", made: "Sequence[Example]", device: Any) -> dict[str, float]:
    """The figures that the validation part has, accuracy or correlation first, its loss last."""
    from judge.rewards.evaluation.metrics import figures
    from judge.rewards.training.loop import predict

    rewards, targets = predict(job, model, made, device)
    return {**figures(rewards, targets, job.config), "loss": job.validation_loss(rewards, targets)}


# ---- after a training ------------------------------------------------------------------------------------------------


def evaluate(job: "TrainingJob", data: "LabelSource | Sequence[Example]") -> dict[str, float]:
    """The figures of a validation with the bounds of the main one's 95 % interval, and how many examples they are of.

    Args:
        job: its model, collator and loss.
        data: labelled records, or examples that fit the collator.

    Raises:
        InputError: for data in which nothing can be compared.
    """
    from judge.rewards.data.grouping import count_groups
    from judge.rewards.evaluation.metrics import figures

    made = _fitting(job, data) if isinstance(data, LabelSource) else data
    if not made:
        raise InputError("no examples to evaluate on: nothing was held out, or nothing fits max_length")
    rewards, targets, sums = rewards_of(job, made)
    metrics: dict[str, float] = {"loss": job.validation_loss(rewards, targets), **figures(rewards, targets, job.config)}
    if sums is not None and (interval := sums.interval()) is not None:
        low, high = interval
        metrics |= {f"{sums.figure}_low": low, f"{sums.figure}_high": high}
    return metrics | {"examples": len(made), "prompts": count_groups(made)}


def rewards_of(job: "TrainingJob", made: "Sequence[Example]") -> "tuple[Tensor, Targets, PromptSums | None]":
    """Rewards and targets of examples, and the sums behind their main figure."""
    import torch

    from judge.rewards.data.grouping import labels_alone
    from judge.rewards.evaluation.noise import prompt_sums
    from judge.rewards.training.loop import predict

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rewards, targets = predict(job, job.model.to(device), made, device)
    return rewards, targets, prompt_sums(rewards, targets, labels_alone(made), job.config)


def _fitting(job: "TrainingJob", source: LabelSource) -> "list[Example]":
    """The examples of labelled records that the model can read."""
    from judge.rewards.data.examples import examples

    made, _ = examples(source.labelled, job.config.model.kind, source.labels)
    return job.collate.fit(made).examples


def evaluation_job(loaded: "LoadedModel") -> "TrainingJob":
    """A loaded model as a job that nothing is trained in: with its collator, and the loss of its configuration."""
    from judge.rewards.data.targets import Targets
    from judge.rewards.losses.registry import plain_loss
    from judge.rewards.training.after_training import standardize
    from judge.rewards.training.loop import TrainingJob

    config = loaded.config

    def targets(batch: "Sequence[Example]") -> Targets:
        return standardize(loaded.model, Targets.of(batch, config.model.kind, config.model.objectives))

    return TrainingJob(
        model=loaded.model,
        collate=loaded.model.collator(loaded.tokenizer),
        loss=plain_loss(config),
        examples=(),
        validation=(),
        config=config,
        targets=targets,
    )
