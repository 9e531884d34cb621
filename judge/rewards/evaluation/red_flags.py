"""What may be wrong with a trained reward model: figures, and red flags in words.

    N reads, C outputs, P pairs.

A flag is raised by a stated threshold, and where it rests on a sample only beyond its noise.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from judge.records import content_id, spoken
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.grouping import changed, labels_alone
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.evaluation.statements import combined, statements_of

Floats = NDArray[np.float64]

MAX_GAP = 0.05  # training minus validation accuracy
MAX_LONGER_WINS = 0.10  # how much more often than in the labels the longer response wins
MAX_LENGTH_CORRELATION = 0.4  # rank correlation of reward and length, where there are no pairs
MAX_DEVIATIONS = 8.0  # deviations from the median
MAX_REWARD = 100.0  # a reward of which σ and softmax make nothing but 0 and 1
MIN_MEMBER_SPREAD = 0.01  # spread of the members as a share of the rewards' own
MAX_ORDER_SHIFT = 1e-3  # how much a reward may move with the place of its response
MAX_CALIBRATION_ERROR = 0.10  # expected calibration error after calibration
MIN_EXAMPLES = 100  # validation examples

NOT_EXAMINED = "not examined: no validation examples were held out"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedFlags:
    """What was looked for and found.

    Attributes:
        figures: by name.
        flags: what is wrong, a sentence each; NOT_EXAMINED alone where there was nothing to look at.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What red flags are looked for in; all but the first four may be missing.

    Attributes:
        rewards: (N, C) of examples that training never saw.
        targets: of the same N reads.
        examples: whose reads they are.
        config: of the reward model.
        reversed_rewards: (N, C) of `reversed_order(examples)`, in its order.
        training: figures of training examples (metrics.figures).
        validation: figures of these examples.
        history: of the training.
        calibration: fitted to these examples.
        reward: (N,) the one reward that scoring makes of each read, where it is known.
    """

    rewards: Tensor
    targets: Targets
    examples: Sequence[Example]
    config: RewardConfig
    reversed_rewards: Tensor | None = None
    training: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    calibration: Calibration | None = None
    reward: Tensor | None = None


def find_red_flags(evidence: Evidence) -> RedFlags:
    """Everything that can be found wrong: what makes a model useless stands before what makes it doubtful."""
    if not evidence.examples or not len(evidence.rewards):
        return RedFlags(flags=(NOT_EXAMINED,))
    figures: dict[str, float] = {}
    flags: list[str] = []
    for check in (_extremes, _ensemble, _order, _gap, _overfitting, _chance, _length, _calibrated, _labels, _few):
        checked, flag = check(evidence)
        figures |= checked
        flags += [flag] if flag else []
    return RedFlags(figures=figures, flags=tuple(flags))


def reversed_order(examples: Sequence[Example]) -> Sequence[Example]:
    """The same examples with their responses the other way round, labels too: their rewards must not move."""
    return changed(examples, _reversed)


def _reversed(example: Example) -> Example:
    last = len(example.responses) - 1
    return replace(
        example,
        responses=example.responses[::-1],
        p_first=None if example.p_first is None else 1 - example.p_first,
        order=tuple(last - place for place in example.order),
        scores=example.scores[::-1],
    )


Found = tuple[dict[str, float], str]


def _extremes(evidence: Evidence) -> Found:
    """Rewards that are no numbers, all the same, far from the rest, or beyond what a probability can show."""
    values = combined(evidence.rewards, evidence.config, evidence.reward).numpy()
    finite = values[np.isfinite(values)]
    if len(finite) < len(values):
        return {}, f"{len(values) - len(finite)} of {len(values)} rewards are not finite numbers"
    if not len(values):
        return {}, ""
    middle = float(np.median(values))
    # Either scale alone would cry at two clusters (the median's) or hide one wild reward (the standard deviation).
    spread = max(1.4826 * float(np.median(np.abs(values - middle))), float(values.std()) / 2)
    figures = {
        "reward_mean": float(values.mean()),
        "reward_std": float(values.std()),
        "reward_min": float(values.min()),
        "reward_max": float(values.max()),
    }
    if len(values) > 1 and values.std() < 1e-4:
        return figures, f"all {len(values)} rewards are the same ({middle:.3g})"
    furthest = float(values[np.abs(values - middle).argmax()])
    if abs(furthest) > MAX_REWARD:
        return (
            figures,
            f"extreme rewards: one is {furthest:.3g}; a smaller learning_rate, or center_rewards_coefficient, "
            "keeps them near 0",
        )
    if spread > 0 and abs(furthest - middle) > MAX_DEVIATIONS * spread:
        far = int((np.abs(values - middle) > MAX_DEVIATIONS * spread).sum())
        return figures, (
            f"extreme rewards: {far} of {len(values)} lie more than {MAX_DEVIATIONS:g} deviations from the median "
            f"{middle:.3g}, the furthest at {furthest:.3g}"
        )
    return figures, ""


def _ensemble(evidence: Evidence) -> Found:
    """Whether the members have become one: then their spread says nothing of what the model does not know."""
    if evidence.config.model.kind != "ensemble" or len(evidence.rewards) < 2:
        return {}, ""
    values = evidence.rewards.detach().double().cpu()
    centred = values - values.mean(0)  # a member's level is no opinion
    spread = float(centred.std(1, correction=0).mean())
    signal = float(values.mean(1).std(correction=0))
    share = spread / signal if signal > 0 else 0.0
    figures = {"member_spread": share}
    if share < MIN_MEMBER_SPREAD:
        return figures, f"the ensemble has collapsed: its members differ by {share:.2%} of the rewards' own deviation"
    return figures, ""


def _order(evidence: Evidence) -> Found:
    """Whether a response's reward depends on its place among the others."""
    if evidence.reversed_rewards is None or evidence.config.model.kind == "process" or not len(evidence.rewards):
        return {}, ""
    places = torch.cat([torch.arange(count).flip(0) + start for start, count in _starts(evidence.examples)])
    apart = float((evidence.rewards.cpu() - evidence.reversed_rewards.cpu()[places]).abs().max())
    scale = max(1.0, float(evidence.rewards.abs().max()))
    if apart > MAX_ORDER_SHIFT * scale:
        return {"order_shift": apart}, f"inconsistent order: a reward moves by {apart:.3g} with its response's place"
    return {"order_shift": apart}, ""


def _gap(evidence: Evidence) -> Found:
    """Accuracy in training above that in validation, beyond twice the validation's standard error."""
    if "accuracy" not in evidence.training or "accuracy" not in evidence.validation:
        return {}, ""
    trained, held = evidence.training["accuracy"], evidence.validation["accuracy"]
    gap = trained - held
    if gap > max(MAX_GAP, 2 * _error(held, len(evidence.examples))):
        return {"train_validation_gap": gap}, (
            f"training/validation gap: {trained:.1%} of the training examples are told right and {held:.1%} of the "
            "others; fewer epochs, dropout or more data"
        )
    return {"train_validation_gap": gap}, ""


def _overfitting(evidence: Evidence) -> Found:
    """Whether the validation loss rose again, by more than a tenth of its best."""
    losses = [(row["step"], row["validation_loss"]) for row in evidence.history if "validation_loss" in row]
    if len(losses) < 2:
        return {}, ""
    step, best = min(losses, key=lambda evaluation: float(evaluation[1]))
    last = losses[-1][1]
    if last > 1.1 * best and last - best > 0.01:
        return (
            {},
            f"the validation loss rose from {best:.3g} at step {step} to {last:.3g}; --patience 2 stops there",
        )
    return {}, ""


def _chance(evidence: Evidence) -> Found:
    """Whether a coin would do as well."""
    if evidence.config.model.kind == "process" or "accuracy" not in evidence.validation or not evidence.examples:
        return {}, ""
    accuracy = evidence.validation["accuracy"]
    if accuracy - 2 * _error(0.5, len(evidence.examples)) < 0.5:
        return (
            {},
            f"no better than chance: {accuracy:.1%} of {len(evidence.examples)} validation examples are told right",
        )
    return {}, ""


def _length(evidence: Evidence) -> Found:
    """Whether the model likes length more than its labels do."""
    if evidence.config.model.kind == "process" or not evidence.examples:
        return {}, ""
    lengths = torch.tensor(
        [[float(len(spoken(response)))] for example in evidence.examples for response in example.responses],
        dtype=torch.float64,
    )
    labels = labels_alone(evidence.examples)
    statements = statements_of(evidence.rewards, evidence.targets, labels, evidence.config, evidence.reward)
    if statements is not None and statements.about == "pair" and evidence.targets.scores is None:
        longer = evidence.targets.pairs(lengths).difference[:, 0].numpy()
        return _longer(statements.logit(), statements.labels[:, 0], longer)
    reward = combined(evidence.rewards, evidence.config, evidence.reward).numpy()
    label = _labels_of_reads(evidence)
    if label is None:
        return {}, ""
    known = ~np.isnan(label)
    by_model = rank_correlation(reward[known], lengths.numpy()[known, 0])
    by_label = rank_correlation(label[known], lengths.numpy()[known, 0])
    figures = {"length_correlation": by_model, "label_length_correlation": by_label}
    if (
        known.sum() >= 50
        and abs(by_model) > MAX_LENGTH_CORRELATION
        and abs(by_model) - abs(by_label) > MAX_LENGTH_CORRELATION / 2
    ):
        return figures, f"length preference: reward and length correlate by {by_model:.2f}, labels by {by_label:.2f}"
    return figures, ""


def _longer(logit: Floats, label: Floats, longer: Floats) -> Found:
    """How often the longer response of a pair wins. All (P,): d, P(first is better), length of first minus second."""
    both = np.concatenate
    correlation = rank_correlation(both([logit, -logit]), both([longer, -longer]))
    unequal = longer != 0
    if not unequal.any():
        return {"length_correlation": correlation}, ""
    by_model = np.where(logit == 0, 0.5, (np.sign(logit) == np.sign(longer)).astype(float))[unequal]
    by_label = np.where(longer > 0, label, 1 - label)[unequal]
    figures = {
        "length_correlation": correlation,
        "longer_wins": float(by_model.mean()),
        "label_longer_wins": float(by_label.mean()),
    }
    more = by_model - by_label
    size = abs(float(by_model.mean()) - 0.5) - abs(float(by_label.mean()) - 0.5)
    error = float(more.std()) / math.sqrt(len(more))
    if size > MAX_LONGER_WINS and abs(float(more.mean())) > 2 * error:
        which = "longer" if more.mean() > 0 else "shorter"
        shares = [share if more.mean() > 0 else 1 - share for share in (by_model.mean(), by_label.mean())]
        return figures, (
            f"length preference: the {which} response wins {shares[0]:.1%} of {len(more)} pairs by the model and "
            f"{shares[1]:.1%} by the labels"
        )
    return figures, ""


def _calibrated(evidence: Evidence) -> Found:
    """Whether probabilities are still off after calibration."""
    if evidence.calibration is None or evidence.calibration.after is None:
        return {}, ""
    after = evidence.calibration.after
    if after.low > MAX_CALIBRATION_ERROR:
        return {"calibration_error": after.value}, (
            f"probabilities are off by {after.value:.1%} on average after calibration "
            f"({after.low:.1%} to {after.high:.1%})"
        )
    return {"calibration_error": after.value}, ""


def _labels(evidence: Evidence) -> Found:
    """Pairs that stand in the data in both orders, with verdicts that contradict each other."""
    sides: dict[str, dict[str, float]] = {}
    both_orders = contradictions = 0
    for example in evidence.examples:
        if example.p_first is None or len(example.responses) != 2:
            continue
        first, second = (content_id(spoken(response)) for response in example.responses)
        judged = sides.setdefault(content_id(example.group, *sorted((first, second))), {})
        if second in judged:
            both_orders += 1
            contradictions += (judged[second] - 0.5) * (example.p_first - 0.5) > 0
        judged[first] = example.p_first
    if contradictions:
        return {"label_contradictions": contradictions / both_orders}, (
            f"inconsistent order: {contradictions} of {both_orders} pairs that are judged in both orders "
            "have two winners"
        )
    return {}, ""


def _few(evidence: Evidence) -> Found:
    """Whether there was enough to look at."""
    count = len(evidence.examples)
    if count < MIN_EXAMPLES:
        return {}, f"only {count} validation examples: the figures here are rough"
    return {}, ""


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's ρ, equal values sharing their mean rank; 0 where one of them does not vary."""
    from scipy.stats import rankdata

    if len(first) < 2:
        return 0.0
    ranks = [rankdata(values) - (len(values) + 1) / 2 for values in (first, second)]
    size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float(ranks[0] @ ranks[1]) / size if size > 0 else 0.0


def _labels_of_reads(evidence: Evidence) -> Floats | None:
    """(N,) P(correct) or the mean of known scores."""
    if evidence.targets.p_correct is not None:
        return np.asarray(evidence.targets.p_correct.double().numpy())
    if evidence.targets.scores is not None:
        return np.asarray(combined(evidence.targets.scores, evidence.config).numpy())
    return None


def _starts(examples: Sequence[Example]) -> Iterator[tuple[int, int]]:
    """Where each example's reads begin, and how many there are."""
    start = 0
    for example in examples:
        yield start, len(example.responses)
        start += len(example.responses)


def _error(share: float, count: int) -> float:
    """Standard error of a share."""
    return math.sqrt(share * (1 - share) / max(count, 1))
