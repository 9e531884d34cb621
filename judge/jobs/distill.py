"""`judge.distill`: train a reward model on labels, of judges or of people."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Unpack, overload

from judge.engines.spec import read_settings
from judge.errors import ConfigError, InputError, unknown
from judge.files import file_hash
from judge.formats import BadRow, OnBad, from_row, judgement_from_row
from judge.jobs.label import need
from judge.jobs.reward_model import RewardModel
from judge.judgements import Judgement
from judge.records import Record
from judge.rewards.config import RewardConfig
from judge.rewards.settings import RewardSettings
from judge.run_files import LABELS
from judge.runs.data import Data, DataSource, RowSource, open_data, reject
from judge.runs.reader import holds_judgements, judged_in, open_run

if TYPE_CHECKING:
    from judge.rewards.distill import PreparedTraining

LABELLED_BY = ("judge", "human")
Labelled = tuple[Record, Judgement | None]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training would do: a dry run of `judge.distill`.

    Attributes:
        counts: examples, tokens, steps, and what was dropped, as plain values.
    """

    counts: Mapping[str, Any]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.counts.items())
        return f"TrainingPlan({shown})"


class LabelSource(NamedTuple):
    """Labelled records, whose labels are taken, and where they came from, for the model's metadata."""

    labelled: Iterator[Labelled]
    labels: str
    parents: list[dict[str, Any]]


@overload
def distill(
    data: Data,
    *,
    out: str | Path | None = ...,
    labels: str | None = ...,
    format: str | None = ...,
    skip_bad: bool = ...,
    settings: Mapping[str, Any] | Iterable[str] | None = ...,
    progress: bool = ...,
    dry_run: Literal[False] = ...,
    **named: Unpack[RewardSettings],
) -> RewardModel: ...


@overload
def distill(
    data: Data,
    *,
    out: str | Path | None = ...,
    labels: str | None = ...,
    format: str | None = ...,
    skip_bad: bool = ...,
    settings: Mapping[str, Any] | Iterable[str] | None = ...,
    progress: bool = ...,
    dry_run: bool,
    **named: Unpack[RewardSettings],
) -> RewardModel | TrainingPlan: ...


def distill(
    data: Data,
    *,
    out: str | Path | None = None,
    labels: str | None = None,
    format: str | None = None,
    skip_bad: bool = False,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    progress: bool = True,
    dry_run: bool = False,
    **named: Unpack[RewardSettings],
) -> RewardModel | TrainingPlan:
    """Train a reward model on labels. The same call again takes up an interrupted training.

    judge.distill("runs/pairs", kind="ensemble", backbone="Qwen/Qwen3-0.6B", out="models/pairs", learning_rate=1e-5)

    Args:
        data: runs of `judge.label`, or labelled data: paths, globs, a hub name, runs, rows as dicts, a Dataset.
        out: the model directory.
        labels: "judge" takes the verdicts of runs, "human" people's labels; by default what the data has.
        format: force a family of formats instead of recognising it.
        skip_bad: rows that cannot be read are dropped and counted with the others that are; else they end it.
        settings: further settings by name; a mapping, or texts NAME=VALUE (`loss.NAME` is an argument of the loss).
        progress: whether a bar is shown.
        dry_run: read, drop, split and tokenize, and train nothing.
        named: kind, backbone, loss, learning_rate, batch_size, epochs, … as `RewardSettings` lists them. The
            backbone "tiny" is the embedded judge's reader.

    Returns:
        The model, its `training` the figures of this training; a `TrainingPlan` of a dry run. Under `accelerate launch`
        the model directory is written by the first process, and `training` is None in the others.

    Raises:
        ConfigError: for settings that are wrong or do not fit together, before anything is trained.
        InputError: for data that cannot be read or holds nothing to learn.
        RunError: where `out` holds something else.
    """
    config = _config(settings, named)
    kind = named.get("kind") or read_settings(settings).get("kind") or config.preset
    need("distill", kind=kind, backbone=config.model.backbone, out=out or dry_run)
    bad: list[BadRow] = []
    source = _label_source(data, labels, format, bad.append if skip_bad else None)
    from judge.rewards.distill import prepare

    prepared = prepare(
        source.labelled,
        config,
        labels=source.labels,
        parents=source.parents,
        out=None if out is None else Path(out),
        skipped=bad,
    )
    return TrainingPlan(prepared.to_dict()) if dry_run or out is None else _train(prepared, Path(out), progress)


def _train(prepared: "PreparedTraining", out: Path, progress: bool) -> RewardModel:
    from judge.jobs.training_progress import training_progress
    from judge.rewards.distill import distill as train

    with training_progress(shown=progress) as callback:
        distilled = train(prepared, out, callback)
    return RewardModel(out, training=None if distilled is None else distilled.to_dict())


def _config(settings: Mapping[str, Any] | Iterable[str] | None, named: Mapping[str, Any]) -> RewardConfig:
    """The configuration of keywords and of further settings; ConfigError for one that is given twice."""
    chosen = {name: value for name, value in named.items() if value is not None}
    for name, value in read_settings(settings).items():
        if name in chosen:
            raise ConfigError(f"setting '{name}' is given twice")
        chosen[name] = value
    arguments = {name.partition(".")[2]: chosen.pop(name) for name in list(chosen) if name.startswith("loss.")}
    if arguments:
        chosen["loss_arguments"] = {**chosen.get("loss_arguments", {}), **arguments}
    config = RewardConfig.of(**chosen)
    return config.updated(backbone=_backbone(config.model.backbone))


def _backbone(name: str) -> str:
    """`tiny` is the embedded judge's reader; all else stays as it is. A path that is not there is named at once."""
    if name == "tiny":
        from judge.tiny import READER

        return str(READER)
    if name.startswith(("/", "./", "../", "~")) and not Path(name).expanduser().is_dir():
        raise InputError(f"backbone {name}: no such directory")
    return str(Path(name).expanduser()) if name.startswith("~") else name


# ---- labels ----------------------------------------------------------------------------------------------------------


def _label_source(data: Data, labels: str | None, format: str | None, on_bad: OnBad | None) -> LabelSource:
    """Records with their judgements (of runs) or labels (of data), read when they are asked for."""
    if labels and labels not in LABELLED_BY:
        raise unknown("value of labels", labels, LABELLED_BY)
    sources = open_data(data)
    judged = [_is_judged(source) for source in sources]
    if not labels:
        if len(set(judged)) == 2:
            raise ConfigError('some sources are runs and some are data; say labels "judge" or "human"')
        labels = "judge" if judged and judged[0] else "human"

    def read() -> Iterator[Labelled]:
        for source, is_run in zip(sources, judged, strict=True):
            if is_run:
                yield from _judgements(source, on_bad)
            else:
                yield from ((record, None) for _, record in source.records(format, on_bad))

    parents = [_parent(source, is_run) for source, is_run in zip(sources, judged, strict=True)]
    return LabelSource(read(), labels, parents)


def _is_judged(source: DataSource) -> bool:
    """Whether a source is a run directory, a file of a run's rows, or such rows in memory."""
    if isinstance(source, RowSource):
        return len(source.table) > 0 and isinstance(source.table[0].get("judgement"), Mapping)
    if source.streamed:
        return False
    path = Path(source.name)
    if not path.exists():
        raise InputError(f"{path}: no such file or run directory")
    return holds_judgements(path)


def _judgements(source: DataSource, on_bad: OnBad | None) -> Iterator[Labelled]:
    """Of a run all judgements, those that could not be read too: they are counted with the rest."""
    if isinstance(source, RowSource):
        for number, row in enumerate(source.table, start=1):
            try:
                fields = dict(row)
                judgement = judgement_from_row(fields.pop("judgement"))
                labelled = from_row(fields), judgement
            except (InputError, TypeError, KeyError) as error:
                reject(f"row {number}", f"no row of a run: {error}", on_bad)
            else:
                yield labelled
        return
    path = Path(source.name)
    if not path.is_dir():
        yield from ((judged.record, judged.judgement) for judged in judged_in(path))
        return
    run = open_run(path, needs_manifest=False)
    yield from ((judged.record, judged.judgement) for judged in run)
    yield from ((judged.record, judged.judgement) for judged in run.failures())


def _parent(source: DataSource, is_run: bool) -> dict[str, Any]:
    """What traces a model back to its labels: where they lay, their hash, and who gave them."""
    parent: dict[str, Any] = {"kind": "run" if is_run else "data", "path": source.name}
    if isinstance(source, RowSource):
        return parent | {"hash": source.entry()["hash"]}
    path = Path(source.name)
    file = path / LABELS if path.is_dir() else path
    if file.is_file():
        parent["hash"] = file_hash(file)
    if is_run and path.is_dir():
        run = open_run(path, needs_manifest=False)
        parent |= {name: run.config[name] for name in ("task", "judges", "engines", "prompt") if name in run.config}
        parent["counts"] = run.manifest.get("counts", {})
    return parent
