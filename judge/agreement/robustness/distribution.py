"""Accuracy in and out of distribution, the gap between them, and accuracy by part of the data."""

from collections.abc import Mapping, Sequence

import numpy as np

from judge.agreement.analyses.slices import SMALL, THIRDS, corrected
from judge.agreement.robustness.rewards import Mask, RewardTable, deviation_of, difference
from judge.agreement.robustness.topics import topics_of
from judge.agreement.schema import Figure, Slice

MOST = 40
SHIFTED = "shifted: "
DIFFERENCES = ("smallest third", "middle third", "largest third")


def accuracies(table: RewardTable, *, shifted: bool) -> tuple[Figure, ...]:
    """Accuracy, of shifted data too with the gap, and the deviation of the rewards.

    The gap is accuracy on the data minus accuracy on the shifted data. Prompts of both are drawn together, so that a
    prompt which stands in both counts as one cluster, and the interval is that of a paired comparison for these.
    """
    data = table.of_data
    figures = [table.share("accuracy", "Better response has the higher reward", table.hit, data)]
    if shifted:
        title = "… on the shifted data"
        figures.append(table.share("accuracy_shifted", title, table.hit, ~data))
        figures.append(_difference(table, data, ~data, "gap", "Gap: accuracy on the data minus on the shifted data"))
    title = "Deviation of the rewards, the unit of shifts"
    figures.append(table.figure("reward_deviation", title, table.spread_sums(), deviation_of, data, unit="coefficient"))
    return tuple(figures)


def _difference(table: RewardTable, inside: Mask, rest: Mask, name: str, title: str) -> Figure:
    """Accuracy of some comparisons minus that of others."""
    columns = [np.where(mask, column, 0.0) for mask in (inside, rest) for column in (table.hit, mask)]
    both = inside | rest
    return table.figure(name, title, table.pair_sums(columns), difference, both)


def slices(
    table: RewardTable, fields: Mapping[str, Sequence[str]], shifted_fields: Mapping[str, Sequence[str]]
) -> tuple[Slice, ...]:
    """Accuracy by every field, by thirds of length and by topic, each against the rest of its data.

    fields, shifted_fields: a value of each comparison of the data, and of the shifted data. p by the cluster bootstrap,
    corrected for the number of slices.
    """
    data = table.of_data
    return corrected([*_parts(table, fields, data, ""), *_parts(table, shifted_fields, ~data, SHIFTED)])


def _parts(table: RewardTable, fields: Mapping[str, Sequence[str]], mask: Mask, prefix: str) -> list[Slice]:
    """The slices of the data, or of the shifted data, whose fields have a prefix."""
    if not mask.any():
        return []
    parts: list[Slice] = []
    for name, values in fields.items():
        column = np.full(len(mask), "", dtype=object)
        column[mask] = np.array(values, dtype=object)[table.places[mask]]
        parts += _by_value(table, prefix + name, column, mask)
    mean_length = (table.length[table.better] + table.length[table.worse]) / 2
    parts += _by_thirds(table, f"{prefix}response length", THIRDS, mean_length, mask)
    apart = np.abs(table.length[table.better] - table.length[table.worse])
    parts += _by_thirds(table, f"{prefix}length difference", DIFFERENCES, apart, mask)
    topics = topics_of([table.answers[index].prompt for index in table.better[mask]], seed=table.draw.seed)
    if topics:
        column = np.full(len(mask), "", dtype=object)
        column[mask] = np.array(topics, dtype=object)
        parts += _by_value(table, f"{prefix}topic", column, mask)
    return parts


def _by_thirds(table: RewardTable, field: str, names: Sequence[str], values: "np.ndarray", mask: Mask) -> list[Slice]:
    if mask.sum() < 3 * SMALL:
        return []
    cuts = np.quantile(values[mask], [1 / 3, 2 / 3])
    if cuts[0] == cuts[1]:
        return []
    return _by_value(table, field, np.array(names, dtype=object)[np.searchsorted(cuts, values, side="right")], mask)


def _by_value(table: RewardTable, field: str, values: "np.ndarray", mask: Mask) -> list[Slice]:
    names, code = np.unique(values.astype(str), return_inverse=True)
    counts = np.bincount(code[mask], minlength=len(names))
    if (counts > 0).sum() < 2:
        return []
    parts = []
    for number in np.argsort(-counts, kind="stable")[:MOST]:
        inside = mask & (code == number)
        if not inside.any():
            continue
        title = f"{field} = {names[number]}"
        gap = _difference(table, inside, mask & ~inside, "gap", title)
        parts.append(
            Slice(
                field=field,
                value=str(names[number]),
                figure=table.share("accuracy", title, table.hit, inside),
                difference=gap.value,
                p_value=_p_value(table, inside, mask & ~inside),
                small=bool(counts[number] < SMALL),
            )
        )
    return parts


def _p_value(table: RewardTable, inside: Mask, rest: Mask) -> float | None:
    if not table.draw.resamples:
        return None
    columns = [np.where(mask, column, 0.0) for mask in (inside, rest) for column in (table.hit, mask)]
    return table.draw.p_value(table.draw.replicates(table.pair_sums(columns), difference))
