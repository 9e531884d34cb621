"""A whole report from columns: each part asked for in turn, and nothing computed here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from judge.agreement.analyses import league as leagues
from judge.agreement.analyses import scores, solutions, verdicts
from judge.agreement.analyses.bias import bias
from judge.agreement.analyses.calibration import calibration
from judge.agreement.analyses.human_ceiling import ceiling
from judge.agreement.analyses.judge_metrics import Measure, Sample, coverage
from judge.agreement.analyses.main_figure import MainFigure, main_figure
from judge.agreement.analyses.people import people
from judge.agreement.analyses.slices import slices
from judge.agreement.analyses.win_rates import estimates, label_next
from judge.agreement.benchmarks.protocols import run as run_benchmark
from judge.agreement.data.columns import Columns
from judge.agreement.data.sources import Source
from judge.agreement.data.table import Mask, build
from judge.agreement.findings.disagreements import differing, disagreements
from judge.agreement.findings.headline import changes, headline
from judge.agreement.findings.people import people_flags, people_headline
from judge.agreement.findings.red_flags import flags, moved, skipped_rows
from judge.agreement.schema import AgreementReport, Audit, Confusion, Disagreement, Figure, JudgeReport, Triangle
from judge.agreement.statistics.bootstrap import Resampler


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementConfig:
    """How to report. resamples: 0 gives figures without intervals. epsilon: of the alternative-annotator test; margin:
    of equivalence. shown: rows of disagreement that the report carries. triangle: the first judge is the teacher of the
    second. benchmarks: published protocols to count by. confidence: of every interval."""

    resamples: int = 1_000
    seed: int = 0
    confidence: float = 0.95
    epsilon: float = 0.1
    margin: float = 0.05
    shown: int = 500
    slices: tuple[str, ...] = ()
    title: str = ""
    triangle: bool = False
    benchmarks: tuple[str, ...] = ()


@dataclass(slots=True)
class Inputs:
    """What was read: columns, the sources behind them, which of those are whose run, and the places of rows that could
    not be read."""

    columns: Columns
    sources: Sequence[Source] = ()
    runs: Sequence[Sequence[int]] = ()
    skipped: Sequence[str] = ()


def report(
    inputs: Inputs, settings: AgreementConfig, before: AgreementReport | None = None, audits: Sequence[Audit] = ()
) -> AgreementReport:
    """Every part of a report. before: a saved one to compare with; audits: of the same judges, shown beside."""
    table = build(inputs.columns)
    draw = Resampler(table.group, resamples=settings.resamples, seed=settings.seed, confidence=settings.confidence)
    if not table.judges:
        alone = _people_alone(inputs, Sample(table, None, draw), settings)
        return alone if before is None else replace(alone, changes=changes(alone, before))
    measures = [Measure(table, judge, draw) for judge in table.judges]
    by = [main_figure(measure) for measure in measures]
    masks = [measure.rows & ~np.isnan(main.hit) for measure, main in zip(measures, by, strict=True)]
    judges = tuple(
        _judge(measure, main, mask, settings) for measure, main, mask in zip(measures, by, masks, strict=True)
    )
    picked = [differing(measure, main.hit) for measure, main in zip(measures, by, strict=True)]
    several = len(measures) > 1
    flagged = tuple(flag for judge in judges for flag in flags(judge))
    flagged += tuple(flag for audit in audits for flag in moved(audit, audit.name if several else judges[0].name))
    flagged += skipped_rows(inputs.skipped)
    finished = AgreementReport(
        title=settings.title or " · ".join(judge.name for judge in judges),
        kind=table.shape.records[0],
        headline=headline(judges, flagged),
        flags=_once(flagged),
        judges=judges,
        disagreements=_disagreements(inputs, measures, picked, settings),
        disagreements_total=sum(len(rows) for rows in picked),
        rows_total=int(table.labelled.sum()),
        league=leagues.league(measures, by, masks) if several else None,
        triangle=_triangle(measures) if settings.triangle else None,
        benchmarks=tuple(run_benchmark(name, measure) for name in settings.benchmarks for measure in measures),
        audits=tuple(audits),
        sources=tuple(source.name for source in inputs.sources),
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return finished if before is None else replace(finished, changes=changes(finished, before))


def _people_alone(inputs: Inputs, sample: Sample, settings: AgreementConfig) -> AgreementReport:
    """The report of people among themselves."""
    alone = replace(people(sample), other_labels=sum(inputs.columns.misfits.values()))
    return AgreementReport(
        title=settings.title or "people among themselves",
        kind=sample.table.shape.records[0],
        headline=people_headline(alone),
        flags=(*people_flags(alone, inputs.columns.misfits), *skipped_rows(inputs.skipped)),
        judges=(),
        people=alone,
        rows_total=alone.labelled,
        sources=tuple(source.name for source in inputs.sources),
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def agreement(measure: Measure) -> tuple[Figure, ...]:
    """The figures of agreement that the form of the verdicts has; the first is the main one."""
    match measure.table.form:
        case "label":
            return verdicts.agreement(measure)
        case "scores":
            return scores.agreement(measure)
        case "steps":
            return solutions.steps(measure)
        case "order":
            return solutions.rankings(measure)
        case "text":
            raise AssertionError("words have no verdict that people could share; Columns.judge refuses them")
        case _:
            assert_never(measure.table.form)


def _once(flagged: Sequence[object]) -> tuple:  # type: ignore[type-arg]
    """Flags that speak of the data alone are the same for every judge: each is kept once."""
    return tuple(dict.fromkeys(flagged))


def _confusion(measure: Measure) -> tuple[Confusion, ...]:
    match measure.table.form:
        case "label":
            return (verdicts.confusion(measure),)
        case "scores":
            return scores.confusion(measure)
        case "steps":
            return (solutions.mistakes(measure),)
        case "order" | "text":
            return ()
        case _:
            assert_never(measure.table.form)


def _judge(measure: Measure, by: MainFigure, mask: Mask, settings: AgreementConfig) -> JudgeReport:
    table = measure.table
    reached = ceiling(measure, epsilon=settings.epsilon, margin=settings.margin) if table.form != "order" else None
    return JudgeReport(
        name=measure.judge.name,
        task=table.task,
        coverage=coverage(table, measure.judge, measure.draw),
        agreement=agreement(measure),
        confusion=_confusion(measure),
        ceiling=reached,
        calibration=calibration(measure),
        bias=bias(measure),
        slices=slices(measure, by, mask),
        estimates=estimates(measure),
        label_next=tuple(row for _, row in label_next(measure)),
    )


def _disagreements(
    inputs: Inputs, measures: Sequence[Measure], picked: Sequence[object], settings: AgreementConfig
) -> tuple[Disagreement, ...]:
    if not settings.shown or not inputs.sources:
        return ()
    return disagreements(measures, picked, settings.shown, inputs.sources, inputs.runs)  # type: ignore[arg-type]


def _triangle(measures: Sequence[Measure]) -> Triangle | None:
    return leagues.triangle(measures[0], measures[1]) if len(measures) > 1 else None
