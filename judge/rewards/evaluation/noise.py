"""How much of a figure on a validation part is chance: bounds and differences by a bootstrap over prompts.

Every figure here is a function of sums over prompts (hits and their number; for a correlation the five sums of
Pearson's formula), so a resample is a product of counts and sums.

    G prompts, S sums of each.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets

DRAWS, _BLOCK = 2000, 100
MIN_PROMPTS = 10
"""Fewer prompts say nothing of how sure a figure is: there is no interval."""
Floats = NDArray[np.float64]


class PromptSums(NamedTuple):
    """The sums behind a figure.

    Attributes:
        figure: accuracy or correlation.
        groups: the G prompts' ids, sorted.
        sums: (G, S): hits and statements; or of each objective n, Σx, Σy, Σx², Σy², Σxy.
    """

    figure: str
    groups: tuple[str, ...]
    sums: Floats

    def value(self) -> float:
        """The figure on all prompts."""
        return float(self._of(self.sums.sum(0)))

    def draws(self) -> Floats:
        """(DRAWS,) the figure on prompts drawn with replacement; the same draws for the same number of prompts."""
        return self._of(np.concatenate([counts @ self.sums for counts in _counts(len(self.groups))]))

    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the figure; None for too few prompts.

        Where all are told right, or all wrong, no draw differs: then it is the exact binomial interval on the prompts
        (Clopper & Pearson 1934).
        """
        prompts = len(self.groups)
        if prompts < MIN_PROMPTS:
            return None
        low, high = _bounds(self.draws())
        if self.figure != "accuracy" or low != high or high not in (0.0, 1.0):
            return low, high
        return (0.025 ** (1 / prompts), 1.0) if high else (0.0, 1 - 0.025 ** (1 / prompts))

    def standard_error(self) -> float | None:
        """The deviation of the figure over the draws; None for too few prompts."""
        return float(np.nanstd(self.draws())) if len(self.groups) >= MIN_PROMPTS else None

    def on(self, groups: Sequence[str]) -> "PromptSums":
        """The sums of some of the prompts."""
        place = {group: number for number, group in enumerate(self.groups)}
        return PromptSums(self.figure, tuple(groups), self.sums[[place[group] for group in groups]])

    def _of(self, sums: Floats) -> Floats:
        """(…,) the figure of sums (…, S)."""
        if self.figure == "accuracy":
            return np.asarray(sums[..., 0] / sums[..., 1])
        parts = sums.reshape(*sums.shape[:-1], -1, 6)
        n, x, y, xx, yy, xy = np.moveaxis(parts, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            r = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
        return np.asarray(np.nanmean(np.where(np.isfinite(r), r, np.nan), -1))


def difference(first: PromptSums, second: PromptSums) -> tuple[float, tuple[float, float] | None] | None:
    """first minus second on the prompts that both have, and its 95 % interval, prompts drawn in pairs.

    Returns:
        The difference and the interval, which is None for too few prompts; None where they have no prompt in common or
        are of two figures.
    """
    common = sorted({*first.groups} & {*second.groups})
    if not common or first.figure != second.figure:
        return None
    first, second = first.on(common), second.on(common)
    bounds = _bounds(first.draws() - second.draws()) if len(common) >= MIN_PROMPTS else None
    return first.value() - second.value(), bounds


def prompt_sums(rewards: Tensor, targets: Targets, made: Sequence[Example], config: RewardConfig) -> PromptSums | None:
    """The sums behind the main figure of `metrics.figures`; None where there is none.

    Args:
        rewards: (N, C).
        targets: of the same N reads.
        made: the examples of the reads, in their order.
        config: of the reward model.
    """
    kind = config.model.kind
    if targets.classes is not None and kind == "process":
        return _steps(rewards, targets.classes, made)
    if targets.p_correct is not None and kind == "outcome":
        sides = 2.0 * targets.p_correct - 1.0
        return _accuracy(rewards[:, 0], sides, [example.group for example in made for _ in example.responses])
    if targets.scores is not None:
        return _correlation(rewards, targets.scores, made, kind)
    if targets.groups.shape[1] < 2 or (targets.p_first is None and targets.ranks is None):
        return None
    pairs = targets.pairs(rewards)
    groups = [made[number].group for number in pairs.example.tolist()]
    return _accuracy(pairs.difference.mean(-1), 2.0 * pairs.p_first - 1.0, groups)


def _accuracy(differences: Tensor, sides: Tensor, groups: Sequence[str]) -> PromptSums | None:
    """differences, sides: (P,), see metrics._binary; NaN and 0 of sides do not count."""
    side = np.nan_to_num(np.sign(sides.double().numpy()))
    agreed = differences.double().numpy() * side
    hits = np.where(side != 0, (agreed > 0) + 0.5 * (agreed == 0), 0.0)
    return _summed("accuracy", np.column_stack([hits, side != 0]), groups)


def _steps(logits: Tensor, classes: Tensor, made: Sequence[Example]) -> PromptSums | None:
    known = ~classes.isnan().any(-1)
    if logits.shape[-1] == 2:
        classes = classes[:, [0, 1]] + classes[:, [2, 2]] * classes.new_tensor([1.0, 0.0])
    hits = (logits.argmax(-1) == classes.nan_to_num(0.0).argmax(-1)) & known
    groups = [example.group for example in made for _ in example.steps]
    return _summed("accuracy", np.column_stack([hits.numpy(), known.numpy()]), groups)


def _correlation(rewards: Tensor, scores: Tensor, made: Sequence[Example], kind: str) -> PromptSums | None:
    values = rewards if kind == "multi" else rewards.mean(-1, keepdim=True)
    columns = []
    for reward, score in zip(values.double().unbind(-1), scores.double().unbind(-1), strict=False):
        known = ~score.isnan().numpy()
        x, y = np.where(known, reward.numpy(), 0.0), np.where(known, score.numpy(), 0.0)
        columns += [known, x, y, x * x, y * y, x * y]
    groups = [example.group for example in made for _ in example.responses]
    return _summed("correlation", np.column_stack(columns), groups)


def _summed(figure: str, rows: NDArray[np.generic], groups: Sequence[str]) -> PromptSums | None:
    names, code = np.unique(np.array(groups), return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, code, rows.astype(np.float64))
    counted = sums[:, 1] > 0 if figure == "accuracy" else sums[:, 0::6].sum(1) > 0
    if not counted.any():
        return None
    return PromptSums(figure, tuple(map(str, names[counted])), sums[counted])


def _counts(prompts: int) -> Iterator[Floats]:
    """(_BLOCK, G) how often each prompt is drawn, until there are DRAWS of them."""
    generator, even = np.random.default_rng(0), np.full(prompts, 1 / prompts)
    for _ in range(DRAWS // _BLOCK):
        yield generator.multinomial(prompts, even, size=_BLOCK).astype(np.float64)


def _bounds(draws: Floats) -> tuple[float, float]:
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return float(low), float(high)
