"""What may be wrong with a trained reward model: figures, and red flags in words.

    N reads, C outputs, P pairs.

A flag is raised by a stated threshold, and where it rests on a sample only beyond its noise. This module refuses to
know models, files and how a flag is shown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from judge.records import spoken
from judge.rewards.config import Settings
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.evaluation.statements import combined, statements_of

Floats = NDArray[np.float64]

GAP = 0.05  # training minus validation accuracy
LONGER = 0.10  # how much more often than in the labels the longer response wins
LENGTH = 0.4  # rank correlation of reward and length, where there are no pairs
EXTREME = 8.0  # deviations from the median
HUGE = 100.0  # a reward of which σ and softmax make nothing but 0 and 1
ALIKE = 0.01  # spread of the members as a share of the rewards' own
ORDER = 1e-3  # how much a reward may move with the place of its response
WRONG = 0.10  # expected calibration error after calibration
FEW = 100  # validation examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """figures: name -> value. flags: what is wrong, a sentence each; none when nothing was found."""

    figures: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a diagnosis looks at; all but the first four may be missing.

    rewards: (N, C) of examples that training never saw. turned: (N, C) of `reversed_order(examples)`, in its order.
    training, validation: figures of either (measure.figures). history: of the training.
    """

    rewards: Tensor
    targets: Targets
    examples: Sequence[Example]
    settings: Settings
    turned: Tensor | None = None
    training: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    calibration: Calibration | None = None


def diagnose(seen: Evidence) -> Diagnosis:
    """Everything that can be found wrong: what makes a model useless stands before what makes it doubtful."""
    figures: dict[str, float] = {}
    flags: list[str] = []
    for look in (_extremes, _ensemble, _order, _gap, _overfitting, _chance, _length, _calibrated, _labels, _few):
        found, flag = look(seen)
        figures |= found
        flags += [flag] if flag else []
    return Diagnosis(figures=figures, flags=tuple(flags))


def reversed_order(examples: Sequence[Example]) -> list[Example]:
    """The same examples with their responses the other way round, labels too: their rewards must not move."""
    turned = []
    for one in examples:
        last = len(one.responses) - 1
        turned.append(
            replace(
                one,
                responses=one.responses[::-1],
                p_first=None if one.p_first is None else 1 - one.p_first,
                order=tuple(last - place for place in one.order),
                scores=one.scores[::-1],
            )
        )
    return turned


Found = tuple[dict[str, float], str]


def _extremes(seen: Evidence) -> Found:
    """Rewards that are no numbers, all the same, far from the rest, or beyond what a probability can show."""
    values = combined(seen.rewards, seen.settings).numpy()
    finite = values[np.isfinite(values)]
    if len(finite) < len(values):
        return {}, f"{len(values) - len(finite)} of {len(values)} rewards are not finite numbers"
    if not len(values):
        return {}, ""
    middle = float(np.median(values))
    # Either scale alone would cry at two clusters (the median's) or hide one wild reward (the standard deviation).
    spread = max(1.4826 * float(np.median(np.abs(values - middle))), float(values.std()) / 2)
    figures = {
        "reward mean": float(values.mean()),
        "reward deviation": float(values.std()),
        "reward lowest": float(values.min()),
        "reward highest": float(values.max()),
    }
    if len(values) > 1 and values.std() < 1e-4:
        return figures, f"all {len(values)} rewards are the same ({middle:.3g})"
    furthest = float(values[np.abs(values - middle).argmax()])
    if abs(furthest) > HUGE:
        return figures, f"extreme rewards: one is {furthest:.3g}; a smaller rate, centre or l2 keeps them near 0"
    if spread > 0 and abs(furthest - middle) > EXTREME * spread:
        far = int((np.abs(values - middle) > EXTREME * spread).sum())
        return figures, (
            f"extreme rewards: {far} of {len(values)} lie more than {EXTREME:g} deviations from the median "
            f"{middle:.3g}, the furthest at {furthest:.3g}"
        )
    return figures, ""


def _ensemble(seen: Evidence) -> Found:
    """Whether the members have become one: then their spread says nothing of what the model does not know."""
    if seen.settings.kind != "ensemble" or len(seen.rewards) < 2:
        return {}, ""
    values = seen.rewards.detach().double().cpu()
    own = values - values.mean(0)  # a member's level is no opinion
    spread = float(own.std(1, correction=0).mean())
    signal = float(values.mean(1).std(correction=0))
    share = spread / signal if signal > 0 else 0.0
    figures = {"members' spread, of the rewards' own": share}
    if share < ALIKE:
        return figures, f"the ensemble has collapsed: its members differ by {share:.2%} of the rewards' own deviation"
    return figures, ""


def _order(seen: Evidence) -> Found:
    """Whether a response's reward depends on its place among the others."""
    if seen.turned is None or seen.settings.kind == "process" or not len(seen.rewards):
        return {}, ""
    places = torch.cat([torch.arange(len(one.responses)).flip(0) + start for start, one in _starts(seen.examples)])
    apart = float((seen.rewards.cpu() - seen.turned.cpu()[places]).abs().max())
    scale = max(1.0, float(seen.rewards.abs().max()))
    if apart > ORDER * scale:
        return {"moved by order": apart}, f"inconsistent order: a reward moves by {apart:.3g} with its response's place"
    return {"moved by order": apart}, ""


def _gap(seen: Evidence) -> Found:
    """Accuracy in training above that in validation, beyond twice the validation's standard error."""
    if "accuracy" not in seen.training or "accuracy" not in seen.validation:
        return {}, ""
    trained, held = seen.training["accuracy"], seen.validation["accuracy"]
    gap = trained - held
    if gap > max(GAP, 2 * _error(held, len(seen.examples))):
        return {"training/validation gap": gap}, (
            f"training/validation gap: {trained:.1%} of the training examples are told right and {held:.1%} of the "
            "others; fewer epochs, dropout or more data"
        )
    return {"training/validation gap": gap}, ""


def _overfitting(seen: Evidence) -> Found:
    """Whether the validation loss rose again, by more than a tenth of its best."""
    losses = [(row["step"], row["validation_loss"]) for row in seen.history if "validation_loss" in row]
    if len(losses) < 2:
        return {}, ""
    step, best = min(losses, key=lambda one: float(one[1]))
    last = losses[-1][1]
    if last > 1.1 * best and last - best > 0.01:
        return (
            {},
            f"the validation loss rose from {best:.3g} at step {step} to {last:.3g}; --set patience=2 stops there",
        )
    return {}, ""


def _chance(seen: Evidence) -> Found:
    """Whether a coin would do as well."""
    if seen.settings.kind == "process" or "accuracy" not in seen.validation or not seen.examples:
        return {}, ""
    accuracy = seen.validation["accuracy"]
    if accuracy - 2 * _error(0.5, len(seen.examples)) < 0.5:
        return {}, f"no better than chance: {accuracy:.1%} of {len(seen.examples)} validation examples are told right"
    return {}, ""


def _length(seen: Evidence) -> Found:
    """Whether the model likes length more than its labels do."""
    if seen.settings.kind == "process" or not seen.examples:
        return {}, ""
    lengths = torch.tensor(
        [[float(len(spoken(response)))] for one in seen.examples for response in one.responses], dtype=torch.float64
    )
    said = statements_of(seen.rewards, seen.targets, seen.examples, seen.settings)
    if said is not None and said.about == "pair" and seen.targets.scores is None:
        longer = seen.targets.pairs(lengths).difference[:, 0].numpy()
        return _longer(said.logit(), said.labels[:, 0], longer)
    reward = combined(seen.rewards, seen.settings).numpy()
    label = _labels_of_reads(seen)
    if label is None:
        return {}, ""
    known = ~np.isnan(label)
    by_model = rank_correlation(reward[known], lengths.numpy()[known, 0])
    by_label = rank_correlation(label[known], lengths.numpy()[known, 0])
    figures = {"length correlation": by_model, "length correlation, labels": by_label}
    if known.sum() >= 50 and abs(by_model) > LENGTH and abs(by_model) - abs(by_label) > LENGTH / 2:
        return figures, f"length preference: reward and length correlate by {by_model:.2f}, labels by {by_label:.2f}"
    return figures, ""


def _longer(logit: Floats, label: Floats, longer: Floats) -> Found:
    """How often the longer response of a pair wins. All (P,): d, P(first is better), length of first minus second."""
    both = np.concatenate
    correlation = rank_correlation(both([logit, -logit]), both([longer, -longer]))
    told = longer != 0
    if not told.any():
        return {"length correlation": correlation}, ""
    by_model = np.where(logit == 0, 0.5, (np.sign(logit) == np.sign(longer)).astype(float))[told]
    by_label = np.where(longer > 0, label, 1 - label)[told]
    figures = {
        "length correlation": correlation,
        "longer wins": float(by_model.mean()),
        "longer wins, labels": float(by_label.mean()),
    }
    more = by_model - by_label
    size = abs(float(by_model.mean()) - 0.5) - abs(float(by_label.mean()) - 0.5)
    error = float(more.std()) / math.sqrt(len(more))
    if size > LONGER and abs(float(more.mean())) > 2 * error:
        which = "longer" if more.mean() > 0 else "shorter"
        shares = [share if more.mean() > 0 else 1 - share for share in (by_model.mean(), by_label.mean())]
        return figures, (
            f"length preference: the {which} response wins {shares[0]:.1%} of {len(more)} pairs by the model and "
            f"{shares[1]:.1%} by the labels"
        )
    return figures, ""


def _calibrated(seen: Evidence) -> Found:
    """Whether probabilities are still off after calibration."""
    if seen.calibration is None or seen.calibration.after is None:
        return {}, ""
    after = seen.calibration.after
    if after.low > WRONG:
        return {"calibration error": after.value}, (
            f"probabilities are off by {after.value:.1%} on average after calibration "
            f"({after.low:.1%} to {after.high:.1%})"
        )
    return {"calibration error": after.value}, ""


def _labels(seen: Evidence) -> Found:
    """Pairs that stand in the data in both orders, with verdicts that contradict each other."""
    sides: dict[tuple[str, frozenset[str]], dict[str, float]] = {}
    again = against = 0
    for one in seen.examples:
        if one.p_first is None or len(one.responses) != 2:
            continue
        first, second = (spoken(response) for response in one.responses)
        held = sides.setdefault((one.group, frozenset((first, second))), {})
        if second in held:
            again += 1
            against += (held[second] - 0.5) * (one.p_first - 0.5) > 0
        held[first] = one.p_first
    if against:
        return {"labels against themselves": against / again}, (
            f"inconsistent order: {against} of {again} pairs that are judged in both orders have two winners"
        )
    return {}, ""


def _few(seen: Evidence) -> Found:
    """Whether there was enough to look at."""
    count = len(seen.examples)
    if count < FEW:
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


def _labels_of_reads(seen: Evidence) -> Floats | None:
    """(N,) P(correct) or the mean of known scores."""
    if seen.targets.p_correct is not None:
        return np.asarray(seen.targets.p_correct.double().numpy())
    if seen.targets.scores is not None:
        return np.asarray(combined(seen.targets.scores, seen.settings).numpy())
    return None


def _starts(examples: Sequence[Example]) -> list[tuple[int, Example]]:
    """Where each example's reads begin."""
    starts, at = [], 0
    for one in examples:
        starts.append((at, one))
        at += len(one.responses)
    return starts


def _error(share: float, count: int) -> float:
    """Standard error of a share."""
    return math.sqrt(share * (1 - share) / max(count, 1))
