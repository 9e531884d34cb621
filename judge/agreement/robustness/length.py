"""What length does to rewards and to accuracy.

The length of a response is log2 of its characters, so a slope is what twice the length adds. It is fitted on
comparisons: (r_better - r_worse) = γ + β (l_better - l_worse). γ holds people's verdict: what a better response earns
at equal length. β is therefore what length earns among responses that people call equally good.
"""

import numpy as np

from judge.agreement.robustness.rewards import RewardTable, in_deviations
from judge.agreement.schema import Figure
from judge.agreement.statistics.bootstrap import Floats

LIKE = np.log2(1.1)
"""Lengths that differ by less than a tenth are alike."""

ENOUGH = 20


def length_figures(table: RewardTable) -> tuple[Figure, ...]:
    """The slope, how often the longer response wins by the model and by people, and accuracy by which one is longer."""
    data = table.of_data
    longer = table.length[table.better] - table.length[table.worse]
    unequal = data & (longer != 0)
    if not unequal.any():
        return ()
    wins = np.where(longer > 0, table.hit, 1 - table.hit)
    return (
        _slope(table, longer),
        table.share("longer_wins", "The longer response has the higher reward", wins, unequal),
        table.share("longer_better", "The longer response is the better one by people", longer > 0, unequal),
        table.share("accuracy_longer", "Accuracy where the better response is longer", table.hit, data & (longer > 0)),
        table.share(
            "accuracy_shorter", "Accuracy where the better response is shorter", table.hit, data & (longer < 0)
        ),
        _balanced(table, longer),
        table.share(
            "accuracy_like_length",
            "Accuracy where lengths differ by less than a tenth",
            table.hit,
            data & (np.abs(longer) < LIKE),
        ),
    )


def _slope(table: RewardTable, longer: Floats) -> Figure:
    data = table.of_data
    title = "Twice the length adds, in deviations, people's verdict held"
    if data.sum() < ENOUGH or longer[data].std() == 0:
        return Figure(
            name="length_slope",
            title=title,
            value=None,
            n=int(data.sum()),
            unit="coefficient",
            note="too few comparisons of different lengths",
        )
    x, y = np.where(data, longer, 0.0), np.where(data, table.margin, 0.0)
    sums = np.concatenate([table.pair_sums([data, x, y, x * x, x * y]), table.spread_sums()], axis=1)
    return table.figure("length_slope", title, sums, in_deviations(slope_of), data, unit="coefficient")


def slope_of(sums: Floats) -> Floats:
    """(n Σxy - Σx Σy) / (n Σx² - (Σx)²) of the columns n, Σx, Σy, Σx², Σxy."""
    n, x, y, xx, xy = (sums[..., column] for column in range(5))
    return np.asarray((n * xy - x * y) / (n * xx - x * x))


def _balanced(table: RewardTable, longer: Floats) -> Figure:
    """The mean of both accuracies: what is left when length cannot help. One who takes the longer one gets ½."""
    data = table.of_data
    sides = [data & (longer > 0), data & (longer < 0)]
    columns = [np.where(mask, column, 0.0) for mask in sides for column in (table.hit, mask)]
    title = "Length-balanced accuracy, the mean of these two"
    return table.figure("accuracy_balanced", title, table.pair_sums(columns), _mean_of_two, sides[0] | sides[1])


def _mean_of_two(sums: Floats) -> Floats:
    return np.asarray((sums[..., 0] / sums[..., 1] + sums[..., 2] / sums[..., 3]) / 2)
