"""A rubric tried on answers: what is decided of each criterion, and which scores come of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from judge.judgements import Checklist
from judge.records import RubricItem, spoken
from judge.rubric.criterion_votes import JudgedAnswer
from judge.tasks.checklist import WHOLE

Decided = Literal["met", "unmet", "abstained", "unreadable"]
DECIDED: tuple[Decided, ...] = ("met", "unmet", "abstained", "unreadable")


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionSummary:
    """How one criterion fared over a sample, in numbers of answers. p_met: the mean P(met) where it is decided."""

    name: str
    text: str
    points: float
    gate: bool
    met: int
    unmet: int
    abstained: int
    unreadable: int
    p_met: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSummary:
    """One answer. score: of the verdicts; expected: of their probabilities; None with a reason. criteria: label ->
    what was decided. p_met: label -> P(met), of the decided ones."""

    id: str
    prompt: str
    response: str
    score: float | None
    expected: float | None
    reason: str
    criteria: Mapping[str, Decided]
    p_met: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricTrial:
    """What a trial came to.

    Attributes:
        rubric: its name, "" where the rows have rubrics of their own.
        hash: see `RubricFile.hash`, "" likewise.
        score: the mean expected score of the answers that have one.
        scored: how many have one.
        criteria: by name; those of the same name in several rows are counted together.
        answers: each answer that was judged.
        skipped: rows of the data that could not be read.
    """

    rubric: str
    hash: str
    score: float | None
    scored: int
    criteria: tuple[CriterionSummary, ...]
    answers: tuple[AnswerSummary, ...]
    skipped: int = 0

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def summarize(judged: Sequence[JudgedAnswer], *, rubric: str = "", hash: str = "", skipped: int = 0) -> RubricTrial:
    """Everything that is shown of a trial."""
    by_label: dict[str, list[tuple[RubricItem, Checklist]]] = {}
    for answer in judged:
        for item in answer.record.rubric:
            by_label.setdefault(item.label, []).append((item, answer.judgement))
    answers = tuple(_answer(answer) for answer in judged)
    scores = [answer.expected for answer in answers if answer.expected is not None]
    return RubricTrial(
        rubric=rubric,
        hash=hash,
        score=sum(scores) / len(scores) if scores else None,
        scored=len(scores),
        criteria=tuple(_criterion(label, entries) for label, entries in by_label.items()),
        answers=answers,
        skipped=skipped,
    )


def decided(judgement: Checklist, label: str) -> Decided:
    """What was decided of a criterion."""
    if label in judgement.abstained:
        return "abstained"
    verdict = judgement.verdict.get(label)
    if verdict is None:
        return "unreadable"
    return "met" if verdict else "unmet"


def _criterion(label: str, entries: Sequence[tuple[RubricItem, Checklist]]) -> CriterionSummary:
    item = entries[0][0]
    outcomes = [decided(judgement, label) for _, judgement in entries]
    shares = [share for _, judgement in entries if (share := judgement.expected.get(label)) is not None]
    return CriterionSummary(
        name=label,
        text=item.text,
        points=item.points,
        gate=item.gate,
        met=outcomes.count("met"),
        unmet=outcomes.count("unmet"),
        abstained=outcomes.count("abstained"),
        unreadable=outcomes.count("unreadable"),
        p_met=sum(shares) / len(shares) if shares else None,
    )


def _answer(answer: JudgedAnswer) -> AnswerSummary:
    record, judgement = answer
    labels = [item.label for item in record.rubric]
    return AnswerSummary(
        id=record.id,
        prompt=spoken(record.prompt),
        response=spoken(record.response),
        score=judgement.verdict.get(WHOLE),
        expected=judgement.expected.get(WHOLE),
        reason=judgement.reason,
        criteria={label: decided(judgement, label) for label in labels},
        p_met={label: share for label in labels if (share := judgement.expected.get(label)) is not None},
    )
