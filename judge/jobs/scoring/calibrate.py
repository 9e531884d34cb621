"""`judge.calibrate`: fit what a model or a judge says to people's labels, and measure what that changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.errors import ConfigError, InputError, unknown
from judge.formats import BadRow
from judge.jobs.label import need
from judge.jobs.reward_model import RewardModel
from judge.jobs.reward_source import open_scoring_model
from judge.jobs.scoring.calibration_file import write_calibration
from judge.jobs.scoring.scoring_model import ScoringModel
from judge.records import Record
from judge.rewards.config import CALIBRATION_METHODS
from judge.rewards.inference.judgements import Rule
from judge.run_files import MANIFEST
from judge.runs.data import Data, open_data
from judge.runs.reader import Run, open_run

if TYPE_CHECKING:
    from judge.rewards.evaluation.calibration import Calibration
    from judge.rewards.evaluation.human_statements import Said
    from judge.rewards.evaluation.statements import Statements

METHODS = tuple(name for name in CALIBRATION_METHODS if name != "none")
FIGURES = {"ece": "Expected calibration error", "brier": "Brier score", "log_loss": "Log loss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFigure:
    """An error, lower is better, with its 95 % interval by prompt."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationResult:
    """What a calibration on people's labels came to.

    Attributes:
        of: the run or model.
        about: what was fitted: "pair", "outcome" or "step".
        method: temperature or isotonic.
        temperature: the divisor of logits.
        n: statements that were said and labelled; prompts: of how many prompts.
        before: ece, brier and log_loss as it was; after: the same out of fold, each statement by a fit that did not see
            its prompt.
        path: the file that was written; None where none was asked for.
    """

    of: str
    about: str
    method: str
    temperature: float
    n: int
    prompts: int
    before: Mapping[str, CalibrationFigure]
    after: Mapping[str, CalibrationFigure]
    path: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: getattr(self, name) for name in ("of", "about", "method", "temperature", "n", "prompts")}
        return plain | {"path": None if self.path is None else str(self.path)} | self.errors()

    def errors(self) -> dict[str, Any]:
        """The figures as plain values, before and after."""
        return {
            when: {name: [figure.value, figure.low, figure.high] for name, figure in figures.items()}
            for when, figures in (("before", self.before), ("after", self.after))
        }


def calibrate(
    source: "str | Path | Run | ScoringModel",
    *,
    human: Data | None = None,
    out: str | Path | None = None,
    method: str = "auto",
    format: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    **settings: Any,
) -> CalibrationResult:
    """Fit the probabilities of a run or of a model to people's labels.

    Args:
        source: a run of a judge or of `judge.score`; or a reward model, ours or one that others trained, which scores
            the labelled rows.
        human: people's labels, as data in any format, joined by the rows' ids; of a run those in its rows where none is
            given.
        out: the file to write, which `judge.score` and `judge.open_reward` take as `calibration`.
        method: temperature, isotonic, or auto: the temperature, unless an isotonic curve has a lower log loss out of
            fold by more than one standard error.
        format: the family of formats of `human`, where it is not to be recognised.
        limit: only the first so many labelled records.
        skip_bad: rows that cannot be read are left out; else they end it.
        settings: of a model, as `judge.open_reward` takes them.

    Returns:
        The figures before and after, out of fold.

    Raises:
        InputError: for what cannot be read, and where people labelled too little.
        ConfigError: for settings that do not fit.
    """
    need("calibrate", source=source)
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    run = _run(source)
    records = _labelled(human, format, limit, skip_bad)
    if run is not None:
        if settings:
            raise ConfigError(f"{', '.join(settings)}: a run was made already; settings are a model's")
        name, of, said, present = run.directory.name, _identity(run), _of_run(run, records), None
    else:
        need("calibrate", human=human is not None)
        assert not isinstance(source, Run)
        model = source if isinstance(source, ScoringModel) else open_scoring_model(source, **settings)
        name, of, present = model.name, model.identity(), _present(model)
        said = _of_model(model, records.values())
    fitted = _fit(name, said, method, present)
    entries = [] if human is None else [part.entry() for part in open_data(human)]
    if out is None:
        return fitted[0]
    result = replace(fitted[0], path=Path(out))
    write_calibration(Path(out), fitted[1], of=of, figures=result.errors(), human=entries)
    return result


# -- what was said ----------------------------------------------------------------------------------------------------


def _run(source: Any) -> Run | None:
    if isinstance(source, Run):
        return source
    is_run = isinstance(source, str | Path) and (Path(source) / MANIFEST).is_file()
    return open_run(source) if is_run else None


def _labelled(human: Data | None, format: str | None, limit: int | None, skip_bad: bool) -> dict[str, Record]:
    """The records that people labelled, by id."""
    skipped: list[BadRow] = []
    sources = () if human is None else open_data(human)
    rows = (record for part in sources for _, record in part.records(format, skipped.append if skip_bad else None))
    records: dict[str, Record] = {}
    for record in islice((record for record in rows if record.human), limit):
        known = records.get(record.id)
        records[record.id] = record if known is None else replace(known, human=(*known.human, *record.human))
    return records


def _of_run(run: Run, labelled: Mapping[str, Record]) -> "Iterator[Said]":
    """What a run says of the labelled records; of all its rows that hold labels where none were given."""
    from judge.rewards.evaluation.human_statements import Said

    if run.task == "steps" and run.config.get("calibration"):
        raise ConfigError(f"{run.directory}: its probabilities are calibrated already; calibrate the model itself")
    for row in run:
        record = labelled.get(row.record.id, row.record) if labelled else row.record
        scores = ((row.record.meta or {}).get("reward") or {}).get("scores") or ()
        yield Said(record, row.judgement, tuple(scores))


def _of_model(model: ScoringModel, labelled: Any) -> "Iterator[Said]":
    """What a model says of labelled records, by its plain probabilities."""
    from judge.rewards.evaluation.human_statements import Said

    for batch in _uncalibrated(model).score_records(labelled, rule=Rule()):
        yield from (Said(row.record, row.judgement, tuple(row.numbers.get("scores", ()))) for row in batch)


def _uncalibrated(model: ScoringModel) -> ScoringModel:
    """The same model with plain probabilities; of rewards these are known whatever its calibration."""
    if model.calibration_row() is None or (model.kind != "process" and not isinstance(model, RewardModel)):
        return model
    if not isinstance(model, RewardModel):
        raise ConfigError(f"{model.name}: it was opened with a calibration; open it without to fit another")
    from judge.rewards.evaluation.calibration import Calibration

    if model.kind == "process" and model.config.model.step_classes == 3:
        raise ConfigError(f"{model.name}: its steps have three classes; they are calibrated when it is trained")
    return model.with_calibration(Calibration())


def _present(model: ScoringModel) -> "Calibration | None":
    """The calibration that a model has now."""
    from judge.rewards.evaluation.calibration import Calibration

    row = model.calibration_row()
    return None if row is None else Calibration.from_dict(row)


def _identity(run: Run) -> dict[str, Any]:
    """Of whose run a calibration is: the model's identity, or what decides a judge's verdicts."""
    model = run.config.get("model")
    if isinstance(model, dict):
        return model
    return {name: run.config[name] for name in ("task", "judges", "engines", "prompt") if name in run.config}


# -- the fit ----------------------------------------------------------------------------------------------------------


def _fit(
    name: str, said: "Iterator[Said]", method: str, present: "Calibration | None"
) -> "tuple[CalibrationResult, Calibration]":
    import numpy as np

    from judge.rewards.evaluation.calibration import DECILES, FOLDS, MIN_STATEMENTS, Calibration, fitted, probabilities
    from judge.rewards.evaluation.human_statements import human_statements

    rows = list(said)
    statements = human_statements(rows)
    prompts = len(np.unique(statements.prompts))
    if len(statements) < MIN_STATEMENTS or prompts < FOLDS:
        raise InputError(
            f"{name}: people labelled {len(statements)} of what it judged, on {prompts} prompts; a calibration takes "
            f"{MIN_STATEMENTS} on {FOLDS} prompts at least"
        )
    rewards = [score for row in rows for score in row.scores]
    mean, scale = (float(np.mean(rewards)), float(np.std(rewards)) or 1.0) if rewards else (0.0, 1.0)
    deciles = tuple(map(float, np.quantile(rewards, DECILES))) if rewards and statements.about != "step" else ()
    plain = Calibration(about=statements.about, n=len(statements), mean=mean, scale=scale, deciles=deciles)
    calibration, after = fitted(statements, plain, method)
    result = CalibrationResult(
        of=name,
        about=statements.about,
        method=calibration.method,
        temperature=calibration.temperature,
        n=len(statements),
        prompts=prompts,
        before=_figures(probabilities(present or plain, statements), statements),
        after=_figures(after, statements),
    )
    return result, calibration


def _figures(p: Any, statements: "Statements") -> dict[str, CalibrationFigure]:
    from judge.rewards.evaluation.calibration import brier, ece, log_loss, mean_by_prompt

    error = ece(p, statements, statements.prompts)
    means: Sequence[tuple[str, Any]] = (("brier", brier(p, statements)), ("log_loss", log_loss(p, statements)))
    figures = {"ece": CalibrationFigure(value=error.value, low=error.low, high=error.high)}
    for name, values in means:
        value, low, high = mean_by_prompt(values, statements.prompts)
        figures[name] = CalibrationFigure(value=value, low=low, high=high)
    return figures
