"""The types of an agreement report: everything that a page, a table or a later comparison needs, and nothing to draw.

A report is immutable and comes back from JSON (serialization.py), so a saved one is the baseline of the next.
Shares and probabilities lie in 0…1; higher is better unless a figure's docstring says otherwise.
Rows of a confusion matrix are the people's verdicts, columns the judge's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

VERSION = "rmjudge-report/2"
Level = Literal["good", "fair", "poor", "unknown"]
Severity = Literal["stop", "warn", "note"]
Unit = Literal["share", "coefficient", "number", "loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, what it was made from, and what was left out of it.

    name: stable key ("accuracy"); title: for people ("Accuracy, ties count as a verdict"). of: the criterion or step
    kind it speaks of, "" for the whole. value: None when it cannot be said; `note` then says why.
    low, high: the 95 % interval, None when none was asked for or too few rows allow none. n: rows in it; clusters:
    different prompts among them. unreadable, missing: rows left out because the judge's verdict could not be read, or
    because the judge has no row for them. unit: "share" is shown in per cent, "loss" is better when smaller."""

    name: str
    title: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    clusters: int = 0
    unreadable: int = 0
    missing: int = 0
    unit: Unit = "share"
    of: str = ""
    note: str = ""


def by_name(figures: Iterable[Figure]) -> dict[str, Figure]:
    """Figures by name; one that speaks of a part (a criterion, an author) as "name/part"."""
    named: dict[str, Figure] = {}
    for figure in figures:
        named.setdefault(f"{figure.name}/{figure.of}" if figure.of else figure.name, figure)
    return named


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The answer in one sentence. level: good: can stand in for one person; fair: with the care that the flags name;
    poor: cannot; unknown: too few rows, or no second annotator to measure against. why: the sentences behind it."""

    level: Level
    sentence: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something wrong, in words. name: stable key ("coin", "always_first", "likes_length", "copies_annotator", …).

    what: what is wrong; evidence: the figures behind it; sure: how sure, in words ("p < 0.001", "95 % interval …");
    advice: what to do about it. judge: whom it speaks of, "" for the data."""

    name: str
    severity: Severity
    what: str
    evidence: str
    sure: str
    advice: str
    judge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Every row accounted for: labelled = readable + unreadable + missing. unlabelled: judged rows without a human
    label; duplicates: rows with an id that was there before; repeated_votes: further labels of a person on a row."""

    labelled: int
    readable: int
    unreadable: int
    missing: int
    unlabelled: int = 0
    duplicates: int = 0
    repeated_votes: int = 0
    prompts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of the humans' verdict (rows) against the judge's (columns), by label."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    unreadable: tuple[int, ...] = ()
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Rows whose stated confidence lies in [low, high): their mean confidence and how often the judge was right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationCurve:
    """name: "as_stated", "temperature" or "isotonic" (both out of fold); ece, brier, log_loss: smaller is better."""

    name: str
    bins: tuple[ReliabilityBin, ...]
    ece: Figure
    brier: Figure
    log_loss: Figure
    parameter: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectivePoint:
    """Judging only the most confident `coverage` of the rows (those at or above `confidence`) gives `accuracy`."""

    coverage: float
    accuracy: float
    confidence: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far stated probabilities can be believed. Every curve is on the same rows; ties are left out of them."""

    curves: tuple[CalibrationCurve, ...]
    selective: tuple[SelectivePoint, ...]
    selective_area: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorRow:
    """One person, beside the judge where there is one. agreement: with the votes of the other people on the same rows;
    judge: the judge with those same votes (the two numbers are comparable); judge_with: the judge with this person.
    p_value, wins: the alternative-annotator test for this person. accuracy: by Dawid-Skene.
    off: agrees less with the others than they do among themselves, beyond chance (corrected).
    drift: agreement in the last third of the rows minus in the first; seconds: median time a label, where known."""

    name: str
    n: int
    agreement: Figure
    judge: Figure | None = None
    judge_with: Figure | None = None
    advantage: float | None = None
    p_value: float | None = None
    wins: bool | None = None
    accuracy: Figure | None = None
    off: bool = False
    drift: Figure | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AltTest:
    """The alternative-annotator test (Calderon et al. 2025): the judge may replace people when winning_rate >= 0.5.

    epsilon: the cost-benefit allowance; tested: annotators with enough rows (30); advantage: mean probability that the
    judge is as close to the others as the annotator left out."""

    epsilon: float
    winning_rate: float | None
    advantage: float | None
    tested: int
    passed: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Two one-sided tests: is judge-human agreement within `margin` of human-human agreement? low, high: the 90 %
    interval of the difference (judge minus people), which lies within ±margin when equivalent."""

    margin: float
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    equivalent: bool | None
    not_worse: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What people reach among themselves, and the judge beside it. human: leave-one-annotator-out agreement; judge: the
    judge measured the same way. among: κ, α, Fleiss, AC1 among the people. aggregation: the judge against the majority
    and against Dawid-Skene. annotators: those with most labels, of annotators_total (0 in earlier reports)."""

    human: Figure
    judge: Figure
    annotators: tuple[AnnotatorRow, ...]
    alt_test: AltTest
    equivalence: Equivalence
    among: tuple[Figure, ...] = ()
    aggregation: tuple[Figure, ...] = ()
    annotators_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorPair:
    """Two people on the n rows that both labelled. figures: how often they agree, Cohen's κ; of scores Pearson's r."""

    first: str
    second: str
    n: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """People among themselves, without a judge. labelled: rows with a label; shared: with labels of two people or
    more; split: where these differ. human: leave-one-annotator-out agreement over all annotators, the ceiling of any
    judge. among: κ, α, Fleiss, AC1, for each criterion. pairs, annotators: those with most labels, of pairs_total and
    annotators_total. other_labels: how many are of another kind, and count nowhere."""

    task: str
    labelled: int
    shared: int
    split: int
    votes: int
    human: Figure
    among: tuple[Figure, ...]
    pairs: tuple[AnnotatorPair, ...]
    pairs_total: int
    annotators: tuple[AnnotatorRow, ...]
    annotators_total: int
    prompts: int = 0
    repeated_votes: int = 0
    other_labels: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthBin:
    """Pairs whose first response is longer by a factor in [low, high) (natural log of the ratio of characters): how
    often people and the judge prefer the first, and how often the two agree."""

    low: float
    high: float
    n: int
    human_first: float
    judge_first: float
    agreement: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """position: flips, share of first under each order; length: coefficient, length-controlled win rate; style:
    markdown and lists; self_preference: where the authors are known; consistency: repeats, transitivity."""

    position: tuple[Figure, ...] = ()
    length: tuple[Figure, ...] = ()
    length_bins: tuple[LengthBin, ...] = ()
    style: tuple[Figure, ...] = ()
    self_preference: tuple[Figure, ...] = ()
    consistency: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of the rows. difference: its figure minus that of all other rows; p_value is corrected for all the slices
    of the report (Benjamini-Hochberg); small: under 30 rows, so nothing is said; worse: significantly below."""

    field: str
    value: str
    figure: Figure
    difference: float | None
    p_value: float | None
    small: bool
    worse: bool = False
    better: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One person's verdict on a row, as a word."""

    annotator: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReading:
    """One reading of the judge on a row: what was asked ("forward", "swapped", "step 3"), the verdict in the record's
    own terms ("" when unreadable), and its critique."""

    asked: str
    verdict: str
    text: str = ""
    probability: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A row to look at. human, judge: the verdicts as words ("first", "4", "step 3", "unreadable"). confidence: of the
    judge in its verdict, None when not stated. texts: the parts shown side by side, by name ("first", "second";
    "response", "reference"; "steps" joined). split: people differ. length: log ratio of characters of a pair."""

    id: str
    judge_name: str
    human: str
    judge: str
    confidence: float | None
    votes: tuple[Vote, ...]
    answers: tuple[JudgeReading, ...]
    prompt: str
    texts: Mapping[str, str]
    fields: Mapping[str, str] = field(default_factory=dict)
    consistent: bool | None = None
    length: float | None = None
    split: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """The win rate of one system over another, three ways. judge: by all judged rows; human: by the labelled rows;
    combined: prediction-powered inference from both. saved: human labels that would be needed beyond the present ones
    for the same interval without the judge."""

    system: str
    over: str
    judge: Figure
    human: Figure
    combined: Figure
    saved: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLabel:
    """A row worth a human label: information in bits, and why in words."""

    id: str
    information: float
    why: str
    prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReport:
    """Everything about one judge or reward model. agreement[0] is the main figure, the one of the league table."""

    name: str
    task: str
    coverage: Coverage
    agreement: tuple[Figure, ...]
    confusion: tuple[Confusion, ...] = ()
    ceiling: Ceiling | None = None
    calibration: Calibration | None = None
    bias: Bias | None = None
    slices: tuple[Slice, ...] = ()
    estimates: tuple[WinRate, ...] = ()
    label_next: tuple[NextLabel, ...] = ()

    @property
    def figures(self) -> dict[str, Figure]:
        """Its figures, see `by_name`."""
        figures = list(self.agreement)
        if self.ceiling:
            figures += [self.ceiling.human, self.ceiling.judge, *self.ceiling.aggregation]
        if self.calibration:
            figures += [self.calibration.curves[0].ece, self.calibration.selective_area]
        if self.bias:
            bias = self.bias
            figures += [*bias.position, *bias.length, *bias.style, *bias.self_preference, *bias.consistency]
        return by_name(figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeagueRow:
    """A judge's place on the rows that all of them judged. tied: with the one above, by the paired test."""

    rank: int
    name: str
    figure: Figure
    tied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A paired test of two judges on the same rows: difference of the main figure (first minus second), its interval,
    p by the cluster bootstrap, corrected over all pairs (Holm)."""

    first: str
    second: str
    difference: Figure
    p_value: float | None
    only_first_right: int
    only_second_right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class League:
    """All judges on the same rows."""

    rows: tuple[LeagueRow, ...]
    comparisons: tuple[Comparison, ...]
    common: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangle:
    """A distilled model beside its teacher and the people, on the same rows. parts: how many rows each way of
    agreeing has: all_agree, model_alone, judge_alone, human_alone, all_differ. inherited: of the judge's mistakes, the
    share that the model repeats."""

    judge: str
    model: str
    human_judge: Figure
    judge_model: Figure
    human_model: Figure
    parts: Mapping[str, int]
    inherited: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A published benchmark by its own protocol. protocol: how it counts; source: the file that defines it."""

    name: str
    judge: str
    protocol: str
    source: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineChange:
    """A figure beside the same one of a saved report. worse: the change is bad and lies outside the interval."""

    judge: str
    name: str
    title: str
    before: float | None
    now: float | None
    low: float | None
    high: float | None
    worse: bool
    better: bool = False
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One probe of an audit. about: what it changed; moved: the share of verdicts that changed; toward: those that
    changed in favour of what was changed; lost: rows without two readable verdicts."""

    probe: str
    about: str
    moved: Figure
    toward: Figure
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a judge did when something changed that should not matter. name: of its run."""

    name: str
    probes: tuple[ProbeResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """A whole report. judges: in the order given; none in a report of people among themselves, which has `people`.
    disagreements: the most telling of disagreements_total, most confident mistakes first. sources: of the rows."""

    title: str
    kind: str
    headline: Headline
    flags: tuple[Flag, ...]
    judges: tuple[JudgeReport, ...]
    disagreements: tuple[Disagreement, ...] = ()
    disagreements_total: int = 0
    rows_total: int = 0
    league: League | None = None
    triangle: Triangle | None = None
    benchmarks: tuple[Benchmark, ...] = ()
    audits: tuple[Audit, ...] = ()
    changes: tuple[BaselineChange, ...] = ()
    sources: tuple[str, ...] = ()
    confidence: float = 0.95
    resamples: int = 0
    seed: int = 0
    people: People | None = None
    version: str = VERSION
