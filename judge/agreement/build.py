"""A whole report from columns: each part asked for in turn, and nothing computed here."""

from collections.abc import Sequence
from dataclasses import dataclass

from judge.agreement import scores, solutions, verdicts
from judge.agreement.columns import KINDS, Columns
from judge.agreement.measure import Measure, coverage
from judge.agreement.report import Confusion, Figure, Headline, JudgeReport, Report
from judge.agreement.resample import Resampler
from judge.agreement.table import Table, build


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to report. resamples: 0 gives figures alone. epsilon: of the alternative-annotator test; margin: of
    equivalence. shown: rows of disagreement that the report carries. whole: every part, not the figures alone."""

    resamples: int = 1_000
    seed: int = 0
    confidence: float = 0.95
    epsilon: float = 0.1
    margin: float = 0.05
    shown: int = 500
    slices: tuple[str, ...] = ()
    title: str = ""
    whole: bool = True


def report(columns: Columns, settings: Settings, sources: Sequence[str] = ()) -> Report:
    """Every part of a report on the judges and people in `columns`."""
    table = build(columns)
    draw = Resampler(table.group, resamples=settings.resamples, seed=settings.seed, confidence=settings.confidence)
    judges = tuple(_judge(Measure(table, judge, draw)) for judge in table.judges)
    return Report(
        title=settings.title or " · ".join(judge.name for judge in judges),
        kind=KINDS[table.task][0],
        headline=Headline(level="unknown", sentence=""),
        flags=(),
        judges=judges,
        rows_total=int(table.labelled.sum()),
        sources=tuple(sources),
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def agreement(measure: Measure) -> tuple[Figure, ...]:
    """The figures of agreement that the task has; the first is the main one."""
    match measure.table.task:
        case "preference" | "outcome":
            return verdicts.agreement(measure)
        case "score":
            return scores.agreement(measure)
        case "steps":
            return solutions.steps(measure)
        case _:
            return solutions.rankings(measure)


def _confusion(measure: Measure) -> tuple[Confusion, ...]:
    match measure.table.task:
        case "preference" | "outcome":
            return (verdicts.confusion(measure),)
        case "score":
            return scores.confusion(measure)
        case "steps":
            return (solutions.mistakes(measure),)
        case _:
            return ()


def _judge(measure: Measure) -> JudgeReport:
    table: Table = measure.table
    return JudgeReport(
        name=measure.judge.name,
        task=table.task,
        coverage=coverage(table, measure.judge, measure.draw),
        agreement=agreement(measure),
        confusion=_confusion(measure),
    )
