"""A reward model's numbers as judgements: the rows that a judge would write, and best of n.

    C outputs at a place where the model reads.

A pair's probability is sigmoid(r1 - r2) (Bradley & Terry 1952), after calibration where the model has one. Where the
reward is the logit of P(correct), that is the chance that the first is the right one, given that exactly one of both
is: p1(1-p2) / (p1(1-p2) + p2(1-p1)).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, NamedTuple, Protocol, cast

from judge.errors import ConfigError, unknown
from judge.judgements import Judgement, Order, Outcome, Preference, Reading, Score, Steps
from judge.records import Pair, PairVerdict, Ranking, Record, Response, Solution, StepVerdict
from judge.rewards.config import RewardConfig
from judge.rewards.inference.shaped import shaped_numbers
from judge.rewards.registry import AGGREGATIONS
from judge.rewards.shaping import Shaping, cautious, standardized

STEP_VERDICTS: tuple[StepVerdict, ...] = ("right", "wrong", "neutral")
LEVELS = ("token", "segment", "response")
_TINY = 1e-12


class RawReward(NamedTuple):
    """What the model gives at one place where it reads.

    Attributes:
        values: (C,) the head's, of members without their levels; of objectives in the units of their labels.
        reward: one number of them, see RewardModule.combined.
        levels: (3,) token, segment and response of a hierarchical model.
        novelty: distance to the training features, where the model has a feature bank.
        std: σ of the reward, where the model has an uncertainty.
        difference_std: σ of the difference between it and each response of its example.
    """

    values: tuple[float, ...]
    reward: float
    levels: tuple[float, ...] = ()
    novelty: float | None = None
    std: float | None = None
    difference_std: tuple[float, ...] = ()


RawRewards = Sequence[RawReward]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How numbers become verdicts.

    Attributes:
        aggregation: of a process model's steps, "" the model's own.
        whole: it judges whole solutions, not each step.
        lower: a score is the reward minus so many of its standard deviations.
        normalize: scores have mean 0 and deviation 1 over the calibration data; verdicts stay as they are.
        shaping: the steps after these two (see judge/rewards/shaping.py); verdicts stay as they are.
    """

    aggregation: str = ""
    whole: bool = False
    lower: float = 0.0
    normalize: bool = False
    shaping: Shaping = field(default_factory=Shaping)

    def check(self, config: RewardConfig, *, calibrated: bool = True) -> None:
        """Raise ConfigError for what a model of this kind, calibrated or not, has not got."""
        if self.aggregation and self.aggregation not in AGGREGATIONS:
            raise unknown("aggregation", self.aggregation, AGGREGATIONS)
        if self.whole and config.model.kind != "process":
            raise ConfigError(f"steps are aggregated of a process model; this one is {config.model.kind}")
        if self.lower and config.model.saved_uncertainty == "none":
            raise ConfigError(
                f"a lower bound needs an uncertainty; this model of kind {config.model.kind} has none "
                "(trained with --set uncertainty=laplace it has one)"
            )
        if self.normalize and config.model.kind == "process":
            raise ConfigError("normalize is for rewards; a process model's scores are probabilities")
        if self.normalize and not calibrated:
            raise ConfigError(
                "normalize needs the mean and scale of a calibration; this model has none (no validation examples)"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest; what earlier versions did not have stands there only where it is used."""
        kept = {name: value for name, value in asdict(self).items() if name != "shaping"}
        if not self.normalize:
            del kept["normalize"]
        return kept | ({"shaping": self.shaping.to_dict()} if self.shaping else {})


class Calibrated(Protocol):
    """What calibration does to a model's numbers; see evaluation.calibration.Calibration."""

    @property
    def mean(self) -> float:
        """Of the rewards over the calibration data."""

    @property
    def scale(self) -> float:
        """Their deviation."""

    def pair(self, difference: float) -> float:
        """P(first is better) of a difference of rewards."""

    def outcome(self, logit: float) -> float:
        """P(correct) of a logit."""

    def step(self, logits: Sequence[float]) -> Sequence[float]:
        """Probabilities of (right, wrong, neutral), as many as there are logits."""


class Uncalibrated:
    """The plain sigmoid and softmax."""

    mean, scale = 0.0, 1.0

    def pair(self, difference: float) -> float:
        return sigmoid(difference)

    def outcome(self, logit: float) -> float:
        return sigmoid(logit)

    def step(self, logits: Sequence[float]) -> Sequence[float]:
        highest = max(logits)
        shares = [math.exp(value - highest) for value in logits]
        return [share / sum(shares) for share in shares]


class Judged(NamedTuple):
    """A judgement, and the numbers behind it for the row's meta, each a list with an entry a response: `scores`; with
    an uncertainty `mean` and `std`; of an ensemble `members`; of several objectives `objectives`; `levels` and
    `novelty` where there are. Of a pair also `difference_std`, σ of the difference between its two rewards."""

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
    if isinstance(record, Pair) and rows[0].difference_std:
        numbers["difference_std"] = rows[0].difference_std[1]
    shown = _shown(_normalized(numbers, calibration) if rule.normalize else numbers, record, rule)
    return Judged(_verdict(record, rows, scores, shown, config, calibration), shown)


def _shown(numbers: dict[str, Any], record: Record, rule: Rule) -> dict[str, Any]:
    return shaped_numbers(numbers, record, rule.shaping) if rule.shaping else numbers


def _verdict(
    record: Record,
    rows: RawRewards,
    scores: Sequence[float],
    shown: Mapping[str, Any],
    config: RewardConfig,
    calibration: Calibrated,
) -> Judgement:
    """What the scores say of a record; a single score is given as it is shown."""
    match record:
        case Pair():
            readings = _members(rows, calibration) if config.model.kind == "ensemble" else ()
            return preference(calibration.pair(scores[0] - scores[1]), readings)
        case Ranking():
            return order(scores, calibration)
        case _ if config.model.kind == "outcome":
            return outcome(calibration.outcome(scores[0]))
        case _:
            named = shown["objectives"][0] if "objectives" in shown else {}
            # A reward is no whole number; the field's type is a scale's, its meaning (higher is better) is the same.
            verdict = cast("Mapping[str, int | None]", {"": shown["scores"][0], **named})
            return Score(verdict=verdict, reason=shown.get("reasons", [""])[0])


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
    stds = [row.std for row in rows if row.std is not None]
    if stds:
        means = numbers["scores"]
        scores = [cautious(mean, std, rule.lower) for mean, std in zip(means, stds, strict=True)]
        numbers = {"scores": scores, "mean": means, "std": stds}
    if config.model.kind == "ensemble":
        numbers["members"] = [list(row.values) for row in rows]
    if config.model.kind == "multi":
        numbers["objectives"] = [dict(zip(config.model.objectives, row.values, strict=True)) for row in rows]
    if rows[0].levels:
        numbers["levels"] = [dict(zip(LEVELS, row.levels, strict=True)) for row in rows]
    if rows[0].novelty is not None:
        numbers["novelty"] = [row.novelty for row in rows]
    return list(numbers["scores"]), numbers


def _normalized(numbers: Mapping[str, Any], calibration: Calibrated) -> dict[str, Any]:
    """Numbers whose rewards have mean 0 and deviation 1 over the calibration data; objectives and levels stay."""
    mean, scale = calibration.mean, calibration.scale
    shown = dict(numbers)
    for name in ("scores", "mean"):
        if name in numbers:
            shown[name] = [standardized(value, mean, scale) for value in numbers[name]]
    if "members" in numbers:
        shown["members"] = [[standardized(value, mean, scale) for value in row] for row in numbers["members"]]
    if "std" in numbers:
        shown["std"] = [std / scale for std in numbers["std"]]
    if "difference_std" in numbers:
        shown["difference_std"] = numbers["difference_std"] / scale
    return shown


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
    numbers = _shown({"scores": wholes}, record, rule)
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
