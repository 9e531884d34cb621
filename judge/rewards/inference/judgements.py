"""A reward model's numbers as judgements: the rows that a judge would write, and best of n.

    C outputs at a place where the model reads.

A pair's probability is sigmoid(r1 - r2) (Bradley & Terry 1952), after calibration where the model has one. Where the
reward is the logit of P(correct), that is the chance that the first is the right one, given that exactly one of both
is: p1(1-p2) / (p1(1-p2) + p2(1-p1)).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any, NamedTuple, Protocol, cast

from judge.errors import ConfigError, unknown
from judge.judgements import Judgement, Order, Outcome, Preference, Reading, Score, Steps
from judge.records import Pair, PairVerdict, Ranking, Record, Response, Solution, StepVerdict
from judge.rewards.config import RewardConfig
from judge.rewards.registry import AGGREGATIONS

STEP_VERDICTS: tuple[StepVerdict, ...] = ("right", "wrong", "neutral")
LEVELS = ("token", "segment", "response")
_TINY = 1e-12


class RawReward(NamedTuple):
    """What the model gives at one place where it reads.

    Attributes:
        values: (C,) the head's.
        reward: one number of them, see RewardModule.combined.
        levels: (3,) token, segment and response of a hierarchical model.
        novelty: distance to the training features, where the model has a feature bank.
    """

    values: tuple[float, ...]
    reward: float
    levels: tuple[float, ...] = ()
    novelty: float | None = None


RawRewards = Sequence[RawReward]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How numbers become verdicts.

    Attributes:
        aggregation: of a process model's steps, "" the model's own.
        whole: it judges whole solutions, not each step.
        lower: an ensemble's score is its mean minus so many standard deviations of its members.
    """

    aggregation: str = ""
    whole: bool = False
    lower: float = 0.0

    def check(self, config: RewardConfig) -> None:
        """Raise ConfigError for what a model of this kind has not got."""
        if self.aggregation and self.aggregation not in AGGREGATIONS:
            raise unknown("aggregation", self.aggregation, AGGREGATIONS)
        if self.whole and config.model.kind != "process":
            raise ConfigError(f"steps are aggregated of a process model; this one is {config.model.kind}")
        if self.lower and config.model.kind != "ensemble":
            raise ConfigError(f"a lower bound needs the members of an ensemble; this model is {config.model.kind}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return asdict(self)


class Calibrated(Protocol):
    """What calibration does to a model's numbers; see evaluation.calibration.Calibration."""

    def pair(self, difference: float) -> float:
        """P(first is better) of a difference of rewards."""

    def outcome(self, logit: float) -> float:
        """P(correct) of a logit."""

    def step(self, logits: Sequence[float]) -> Sequence[float]:
        """Probabilities of (right, wrong, neutral), as many as there are logits."""


class Uncalibrated:
    """The plain sigmoid and softmax."""

    def pair(self, difference: float) -> float:
        return sigmoid(difference)

    def outcome(self, logit: float) -> float:
        return sigmoid(logit)

    def step(self, logits: Sequence[float]) -> Sequence[float]:
        highest = max(logits)
        shares = [math.exp(value - highest) for value in logits]
        return [share / sum(shares) for share in shares]


class Judged(NamedTuple):
    """A judgement, and the numbers behind it for the row's meta, each a list with an entry a response: `scores`; of an
    ensemble `mean`, `std` and `members`; of several objectives `objectives`; `levels` and `novelty` where there are."""

    judgement: Judgement
    numbers: dict[str, Any]


def task_of(record: Record, config: RewardConfig, rule: Rule) -> str:
    """What a model of this kind says of a record; "" where the record has no text."""
    match record:
        case Pair():
            return "preference" if record.judgeable else ""
        case Ranking():
            return "ranking" if all(record.responses) else ""
        case Response() if not record.response:
            return ""
        case Solution() if not record.steps:
            return ""
        case Solution() if config.model.kind == "process" and not rule.whole:
            return "steps"
        case _:
            return "outcome" if config.model.kind in ("outcome", "process") else "score"


def judged(
    record: Record, rewards: Sequence[RawRewards], config: RewardConfig, rule: Rule, calibration: Calibrated
) -> Judged:
    """A model's rewards of a record as the judgement that a judge would write.

    Args:
        record: what was scored.
        rewards: of each response one, or of each solution one a step.
        config: of the reward model.
        rule: how numbers become verdicts.
        calibration: of the model, or `Uncalibrated`.
    """
    if config.model.kind == "process":
        return _by_steps(record, rewards, config, rule, calibration)
    rows = [response[0] for response in rewards]
    scores, numbers = _scores(rows, config, rule)
    match record:
        case Pair():
            readings = _members(rows, calibration) if config.model.kind == "ensemble" else ()
            return Judged(preference(calibration.pair(scores[0] - scores[1]), readings), numbers)
        case Ranking():
            return Judged(order(scores, calibration), numbers)
        case _ if config.model.kind == "outcome":
            return Judged(outcome(calibration.outcome(scores[0])), numbers)
        case _:
            named = numbers["objectives"][0] if "objectives" in numbers else {}
            # A reward is no whole number; the field's type is a scale's, its meaning (higher is better) is the same.
            verdict = cast("Mapping[str, int | None]", {"": scores[0], **named})
            return Judged(Score(verdict=verdict), numbers)


def unreadable(task: str, reason: str, record: Record) -> Judgement:
    """The judgement on a record that the model could not read."""
    match task:
        case "preference":
            return Preference(verdict=None, reason=reason)
        case "ranking":
            return Order(verdict=None, reason=reason)
        case "outcome":
            return Outcome(verdict=None, reason=reason)
        case "steps" if isinstance(record, Solution):
            nothing = (None,) * len(record.steps)
            return Steps(verdict=nothing, p_right=nothing, reason=reason)
        case _:
            return Score(verdict={"": None}, reason=reason)


def _scores(rows: RawRewards, config: RewardConfig, rule: Rule) -> tuple[list[float], dict[str, Any]]:
    """One score a response, and the numbers behind them."""
    numbers: dict[str, Any] = {"scores": [row.reward for row in rows]}
    if config.model.kind == "ensemble":
        # Of all members, not of a sample of them: the spread of the mixture (Lakshminarayanan et al. 2017).
        means, stds = [fmean(row.values) for row in rows], [pstdev(row.values) for row in rows]
        scores = [mean - rule.lower * std for mean, std in zip(means, stds, strict=True)]
        numbers = {"scores": scores, "mean": means, "std": stds, "members": [list(row.values) for row in rows]}
    if config.model.kind == "multi":
        numbers["objectives"] = [dict(zip(config.model.objectives, row.values, strict=True)) for row in rows]
    if rows[0].levels:
        numbers["levels"] = [dict(zip(LEVELS, row.levels, strict=True)) for row in rows]
    if rows[0].novelty is not None:
        numbers["novelty"] = [row.novelty for row in rows]
    return list(numbers["scores"]), numbers


def preference(p_first: float, readings: tuple[Reading, ...] = ()) -> Preference:
    """The verdict of a probability; a tie only where it is exactly one half (two equal texts)."""
    return Preference(verdict=_side(p_first), p_first=p_first, readings=readings)


def _side(p_first: float) -> PairVerdict:
    if p_first == 0.5:
        return "tie"
    return "first" if p_first > 0.5 else "second"


def _members(rows: RawRewards, calibration: Calibrated) -> tuple[Reading, ...]:
    """What each member of an ensemble says of a pair, as jurors."""
    shares = [calibration.pair(first - second) for first, second in zip(rows[0].values, rows[1].values, strict=True)]
    return tuple(
        Reading(asked="forward", verdict=_side(p), probabilities={"first": p, "second": 1 - p}, judge=member)
        for member, p in enumerate(shares)
    )


def order(scores: Sequence[float], calibration: Calibrated) -> Order:
    """Best first; equal scores stay in their order. Strengths are log-odds, mean 0, on the calibrated scale."""
    ranked = tuple(sorted(range(len(scores)), key=lambda index: -scores[index]))
    centre = fmean(scores)
    strengths = tuple(logit(calibration.pair(score - centre)) for score in scores)
    middle = fmean(strengths)
    return Order(verdict=ranked, strengths=tuple(strength - middle for strength in strengths))


def outcome(p_correct: float) -> Outcome:
    """Right where it is at least as likely as not."""
    return Outcome(verdict="right" if p_correct >= 0.5 else "wrong", p_correct=p_correct)


# -- steps ------------------------------------------------------------------------------------------------------------


def _by_steps(
    record: Record, rewards: Sequence[RawRewards], config: RewardConfig, rule: Rule, calibration: Calibrated
) -> Judged:
    combine = AGGREGATIONS[rule.aggregation or config.model.aggregation]
    shares = [[calibration.step(step.values) for step in solution] for solution in rewards]
    wholes = [combine([p_right(step) for step in solution]) for solution in shares]
    numbers = {"scores": wholes}
    match record:
        case Pair():
            return Judged(preference(sigmoid(logit(wholes[0]) - logit(wholes[1]))), numbers)
        case Ranking():
            return Judged(order([logit(whole) for whole in wholes], Uncalibrated()), numbers)
        case Solution() if not rule.whole:
            return Judged(steps(shares[0]), numbers)
        case _:
            return Judged(outcome(wholes[0]), numbers)


def p_right(shares: Sequence[float]) -> float:
    """P(the step is right) of (right, wrong[, neutral]): a neutral step is no mistake, so it is 1 - P(wrong)."""
    return 1 - shares[1]


def steps(shares: Sequence[Sequence[float]]) -> Steps:
    """Each step's likeliest class, and the first that is wrong."""
    verdict = tuple(STEP_VERDICTS[max(range(len(row)), key=row.__getitem__)] for row in shares)
    first = verdict.index("wrong") if "wrong" in verdict else -1
    return Steps(verdict=verdict, p_right=tuple(p_right(row) for row in shares), first_wrong=first)


def sigmoid(value: float) -> float:
    """1 / (1 + e^-x) without overflow on either side."""
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    grown = math.exp(value)
    return grown / (1 + grown)


def logit(p: float) -> float:
    """log(p / (1 - p)), finite at both ends."""
    p = min(max(p, _TINY), 1 - _TINY)
    return math.log(p) - math.log1p(-p)
