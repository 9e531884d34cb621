"""People among themselves: how far they agree, each two of them, and who of them is off, drifts or is fast.

No judge is needed; human_ceiling.py puts one beside them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from judge.agreement.analyses.alt_test import ENOUGH
from judge.agreement.analyses.judge_metrics import Sample, ratio
from judge.agreement.analyses.scores import SCALE
from judge.agreement.analyses.verdicts import cells, square
from judge.agreement.data.alignment import Alignment, aligned, counts
from judge.agreement.data.table import Mask
from judge.agreement.schema import AnnotatorPair, AnnotatorRow, Figure, People, Unit
from judge.agreement.statistics import correlation, nominal, raters
from judge.agreement.statistics.bootstrap import Floats, Formula, Ints
from judge.agreement.statistics.dawid_skene import Estimated, dawid_skene
from judge.errors import InputError

SHOWN = 100
"""Annotators with most labels that get a line of their own, and pairs of them with most rows in common."""
FALLS = 0.05
"""Agreement that must be lacking, beyond chance, for an annotator to be called off."""


def people(sample: Sample) -> People:
    """People among themselves, all together, two by two and one by one; raises InputError for rankings."""
    table, votes = sample.table, sample.table.votes
    if table.form == "order":
        raise InputError("people among themselves are not compared by rankings: rank pairs, or name a judge's run")
    lines = aligned(table, None)
    unit: Unit = "share" if table.form != "scores" else "number"
    what = "agreement with another person's vote" if unit == "share" else "minus the distance to the others' scores"
    shared = np.bincount(votes.row, minlength=len(table)) > 1
    pairs, pairs_total = _pairs(sample)
    return People(
        task=table.task,
        labelled=int(table.labelled.sum()),
        shared=int(shared.sum()),
        split=int(table.split.sum()),
        votes=len(votes.row),
        prompts=sample.clusters(table.labelled),
        repeated_votes=votes.duplicates,
        human=pooled(sample, "human_agreement", f"People's {what}", lines, lines.person, unit),
        among=tuple(_among(sample, shared)),
        pairs=pairs,
        pairs_total=pairs_total,
        annotators=_annotators(sample, lines, unit),
        annotators_total=len(votes.names),
    )


def _among(sample: Sample, shared: Mask) -> Iterator[Figure]:
    """Figures of all people together, criterion by criterion."""
    table, votes = sample.table, sample.table.votes
    for index, criterion in enumerate(table.criteria):
        mask = shared & (table.criterion == index)
        if mask.any():
            kept = mask[votes.row]
            yield from reliability(sample, votes.row[kept], votes.value[kept], mask, of=criterion)


def _annotators(sample: Sample, lines: Alignment, unit: Unit) -> tuple[AnnotatorRow, ...]:
    votes = sample.table.votes
    listed = most_labels(sample)
    are_off, skilled = off(lines, listed), skills(sample)
    return tuple(
        AnnotatorRow(
            name=votes.names[who],
            n=int((votes.who == who).sum()),
            agreement=pooled(sample, "human_agreement", votes.names[who], lines, lines.person, unit, lines.who == who),
            accuracy=skill(sample, skilled, who, int((votes.who == who).sum())),
            off=who in are_off,
            drift=drift(sample, lines, who, unit),
            seconds=seconds_spent(sample, who),
        )
        for who in listed
    )


def most_labels(sample: Sample) -> list[int]:
    """The annotators that get a line, in the order of first mention."""
    votes = sample.table.votes
    many = np.bincount(votes.who, minlength=len(votes.names))
    return sorted(int(who) for who in np.argsort(-many, kind="stable")[:SHOWN])


def _pairs(sample: Sample) -> tuple[tuple[AnnotatorPair, ...], int]:
    """Two people on the rows that both of them labelled, those with most such rows; and how many twos there are."""
    from scipy.sparse import csr_array, triu

    table, votes = sample.table, sample.table.votes
    shape = (len(votes.names), len(table))
    seen = csr_array((np.ones(len(votes.row), dtype=np.int64), (votes.who, votes.row)), shape=shape)
    common = triu(seen @ seen.T, k=1).tocoo()
    shown = max(1, SHOWN // len(table.criteria))
    most = np.lexsort((common.col, common.row, -common.data))[:shown]
    by_name = sorted((int(common.row[pair]), int(common.col[pair])) for pair in most)
    pairs = tuple(
        AnnotatorPair(
            first=votes.names[first],
            second=votes.names[second],
            n=int(seen[[first]].multiply(seen[[second]]).sum()),
            figures=tuple(_pair(sample, first, second)),
        )
        for first, second in by_name
    )
    return pairs, len(common.data)


def _pair(sample: Sample, first: int, second: int) -> Iterator[Figure]:
    table, votes = sample.table, sample.table.votes
    labels = np.full((2, len(table)), np.nan)
    for side, who in enumerate((first, second)):
        labels[side, votes.row[votes.who == who]] = votes.value[votes.who == who]
    both = ~np.isnan(labels).any(axis=0)
    for index, criterion in enumerate(table.criteria):
        mask = both & (table.criterion == index)
        if not mask.any():
            continue
        levels = np.unique(labels[:, mask])
        if table.form == "scores":
            sums = sample.draw.by_block(correlation.moments(labels[0], labels[1], mask))
            yield sample.figure(
                "pearson", "Pearson's r", sums, correlation.pearson_of, mask, unit="coefficient", of=criterion
            )
            if (levels != np.round(levels)).any() or levels[-1] - levels[0] >= SCALE:
                continue
            levels = np.arange(levels[0], levels[-1] + 1)
        yield from _kappas(sample, np.searchsorted(levels, labels), mask, len(levels), criterion)


def _kappas(sample: Sample, codes: Ints, mask: Mask, size: int, of: str) -> Iterator[Figure]:
    """The share of equal labels and Cohen's κ of two people's codes (2, N)."""
    sums = sample.draw.cells(cells(codes[0], codes[1], mask, size), size * size)

    def figure(name: str, title: str, formula: Formula, unit: Unit = "coefficient") -> Figure:
        return sample.figure(name, title, sums, square(formula, size), mask, unit=unit, of=of)

    yield figure("agreement", "Equal labels", nominal.accuracy, "share")
    yield figure("cohen_kappa", "Cohen's κ", nominal.cohen_kappa)
    if sample.table.form == "scores":
        yield figure("cohen_kappa_quadratic", "Cohen's κ, quadratic weights", _quadratic)


def _quadratic(confusion: Floats) -> Floats:
    return nominal.cohen_kappa(confusion, "quadratic")


def line_sums(sample: Sample, lines: Alignment, values: list[Floats], kept: Any = slice(None)) -> Floats:
    """(G, K + 1): values and number of lines, by block of prompts."""
    draw, row = sample.draw, lines.row[kept]
    block = draw.block[row]
    columns = [np.bincount(block, weights=value[kept], minlength=draw.blocks) for value in values]
    return np.stack([*columns, np.bincount(block, minlength=draw.blocks)], axis=-1).astype(np.float64)


def pooled(
    sample: Sample, name: str, title: str, lines: Alignment, value: Floats, unit: Unit, kept: Any = slice(None)
) -> Figure:
    """The mean of a value of the lines, over all of them or those that are kept."""
    mask = np.zeros(len(sample.table), dtype=bool)
    mask[lines.row[kept]] = True
    note = "" if mask.any() else "no row has two people's votes: no ceiling can be measured"
    return sample.figure(name, title, line_sums(sample, lines, [value], kept), ratio, mask, unit=unit, note=note)


def off(lines: Alignment, listed: list[int]) -> set[int]:
    """Who agrees less with the others than those do among themselves: a one-sided t-test by annotator, Holm's
    correction at 5 %, and at least 5 points."""
    if np.isnan(lines.others).all():
        return set()
    from scipy.stats import ttest_1samp
    from statsmodels.stats.multitest import multipletests

    p_values, tested = [], []
    for who in listed:
        of_person = (lines.who == who) & ~np.isnan(lines.others)
        lacking = lines.others[of_person] - lines.person[of_person]
        if len(lacking) >= ENOUGH and lacking.std() > 0 and lacking.mean() > FALLS:
            p_values.append(float(ttest_1samp(lacking, 0.0, alternative="greater").pvalue))
            tested.append(who)
    if not tested:
        return set()
    # Holm over everyone who was looked at, so those left out count as certain to be in order.
    p_values += [1.0] * (len(listed) - len(tested))
    rejected = multipletests(p_values, alpha=0.05, method="holm")[0]
    return {who for who, wrong in zip(tested, rejected, strict=False) if wrong}


def drift(sample: Sample, lines: Alignment, who: int, unit: Unit) -> Figure | None:
    """Agreement on the last third of this person's rows minus that on the first, in the order of the file."""
    kept = np.flatnonzero(lines.who == who)
    third = len(kept) // 3
    if third < ENOUGH:
        return None
    early, late = kept[:third], kept[-third:]
    sums = np.column_stack(
        [line_sums(sample, lines, [lines.person], late), line_sums(sample, lines, [lines.person], early)]
    )
    mask = np.zeros(len(sample.table), dtype=bool)
    mask[lines.row[np.r_[early, late]]] = True
    title = f"Drift of {sample.table.votes.names[who]}"
    return sample.figure("drift", title, sums, lambda s: s[..., 0] / s[..., 1] - s[..., 2] / s[..., 3], mask, unit=unit)


def seconds_spent(sample: Sample, who: int) -> float | None:
    """The median time of a label of this person, where times are known."""
    spent = sample.table.votes.seconds[sample.table.votes.who == who]
    spent = spent[~np.isnan(spent)]
    return float(np.median(spent)) if len(spent) else None


def reliability(sample: Sample, row: Ints, value: Floats, mask: Mask, who: str = "", of: str = "") -> list[Figure]:
    """Figures of any number of raters; row, value: (V,) one entry a label."""
    name, title = (f"_{who}", "with the judge as one more rater") if who else ("", "among people")
    if sample.table.form == "scores":
        sums = sample.draw.by_block(_score_terms(row, value, len(sample.table)))
        title = f"Krippendorff's α {title}, interval"
        return [sample.figure(f"alpha_interval{name}", title, sums, _alpha_scores, mask, unit="coefficient", of=of)]
    sums = sample.draw.by_block(raters.row_terms(counts(sample.table, row, value)))

    def figure(key: str, what: str, formula: Formula, unit: Unit = "coefficient") -> Figure:
        return sample.figure(key + name, f"{what} {title}", sums, formula, mask, unit=unit, of=of)

    return [
        figure("observed", "Pairs of labels that agree", raters.observed, "share"),
        figure("fleiss_kappa", "Fleiss' κ", raters.fleiss_kappa),
        figure("alpha_nominal", "Krippendorff's α", raters.krippendorff_alpha),
        figure("gwet_ac1", "Gwet's AC1", raters.gwet_ac1),
    ]


def _score_terms(row: Ints, value: Floats, size: int) -> Floats:
    """(N, 4): Σ over ordered pairs of (v - w)² / (m - 1), m, Σ v, Σ v² of each row, value about its mean."""
    value = value - value.mean()
    many = np.bincount(row, minlength=size).astype(np.float64)
    total = np.bincount(row, weights=value, minlength=size)
    squares = np.bincount(row, weights=value**2, minlength=size)
    distance = 2 * (many * squares - total**2) / np.maximum(many - 1, 1)
    return np.asarray(np.column_stack([distance, many, total, squares]))


def _alpha_scores(sums: Floats) -> Floats:
    """α on an interval scale, 1 - (n - 1) Σ o δ / (2 (n Σ v² - (Σ v)²)), from the sums of `_score_terms`."""
    distance, n, total, squares = np.moveaxis(sums, -1, 0)
    return np.asarray(1 - (n - 1) * distance / (2 * (n * squares - total**2)))


def skills(sample: Sample) -> Estimated | None:
    """The model, where verdicts have names and most rows have two votes."""
    table = sample.table
    votes = table.votes
    vote_count = np.bincount(votes.row, minlength=len(table))
    if not table.labels or (vote_count > 1).sum() < ENOUGH or len(votes.names) < 2:
        return None
    return dawid_skene(
        votes.row,
        votes.who,
        votes.value.astype(np.int64),
        rows=len(table),
        people=len(votes.names),
        classes=len(table.labels),
    )


def skill(sample: Sample, skilled: Estimated | None, who: int, many: int) -> Figure | None:
    """How often this person is right by Dawid and Skene's model."""
    if skilled is None:
        return None
    title = f"Accuracy of {sample.table.votes.names[who]} by Dawid and Skene"
    return Figure(name="dawid_skene_skill", title=title, value=float(skilled.skill[who]), n=many)
