"""The human ceiling: what people reach among themselves, and the judge measured the same way.

Also the audit of annotators: who is off, who drifts, who is fast.
"""

from typing import Any

import numpy as np

from judge.agreement.analyses.alt_test import ENOUGH, AnnotatorTest, alt_test, equivalence
from judge.agreement.analyses.judge_metrics import Measure, ratio
from judge.agreement.data.alignment import Alignment, aligned, counts
from judge.agreement.data.table import Mask
from judge.agreement.schema import AnnotatorRow, Ceiling, Figure, Unit
from judge.agreement.statistics import raters
from judge.agreement.statistics.bootstrap import Floats, Formula, Ints
from judge.agreement.statistics.dawid_skene import Estimated, dawid_skene

SHOWN = 100
"""Annotators with most labels that get a line of their own."""
FALLS = 0.05
"""Agreement that must be lacking, beyond chance, for an annotator to be called off."""


def ceiling(measure: Measure, *, epsilon: float, margin: float) -> Ceiling:
    """People among themselves and the judge beside them, over all lines and annotator by annotator."""
    table = measure.table
    lines = aligned(table, measure.judge)
    share = table.form != "scores"
    unit: Unit = "share" if share else "number"
    what = "agreement with another person's vote" if share else "minus the distance to the others' scores"
    human = _pooled(measure, "human_agreement", f"People's {what}", lines, lines.person, unit)
    judge = _pooled(measure, "judge_agreement", f"Judge's {what}, same votes", lines, lines.judge, unit)
    test, replaced = alt_test(lines, len(table.votes.names), epsilon)
    sums = _sums(measure, lines, [lines.judge, lines.person])
    skilled = _dawid_skene(measure)
    return Ceiling(
        human=human,
        judge=judge,
        annotators=_annotators(measure, lines, replaced, skilled, unit),
        alt_test=test,
        equivalence=equivalence(measure.draw, sums, margin, human.clusters),
        among=_among(measure),
        aggregation=_aggregation(measure, skilled),
    )


def _sums(measure: Measure, lines: Alignment, values: list[Floats], kept: Any = slice(None)) -> Floats:
    """(G, K + 1): values and number of lines, by block of prompts."""
    draw, row = measure.draw, lines.row[kept]
    block = draw.block[row]
    columns = [np.bincount(block, weights=value[kept], minlength=draw.blocks) for value in values]
    return np.stack([*columns, np.bincount(block, minlength=draw.blocks)], axis=-1).astype(np.float64)


def _pooled(
    measure: Measure, name: str, title: str, lines: Alignment, value: Floats, unit: Unit, kept: Any = slice(None)
) -> Figure:
    mask = np.zeros(len(measure.table), dtype=bool)
    mask[lines.row[kept]] = True
    note = "" if mask.any() else "no row has two people's votes: no ceiling can be measured"
    return measure.figure(name, title, _sums(measure, lines, [value], kept), ratio, mask, unit=unit, note=note)


def _annotators(
    measure: Measure, lines: Alignment, replaced: list[AnnotatorTest], skilled: Estimated | None, unit: Unit
) -> tuple[AnnotatorRow, ...]:
    votes = measure.table.votes
    many = np.bincount(votes.who, minlength=len(votes.names))
    listed = [int(who) for who in np.argsort(-many, kind="stable")[:SHOWN]]
    off = _off(lines, listed)
    annotators = []
    for who in sorted(listed):
        kept = lines.who == who
        test = replaced[who]
        title = votes.names[who]
        annotators.append(
            AnnotatorRow(
                name=title,
                n=int(many[who]),
                agreement=_pooled(measure, "human_agreement", title, lines, lines.person, unit, kept),
                judge=_pooled(measure, "judge_agreement", f"judge beside {title}", lines, lines.judge, unit, kept),
                judge_with=_judge_with(measure, who),
                advantage=test.advantage if test.n else None,
                p_value=test.p_value,
                wins=test.wins,
                accuracy=_skill(measure, skilled, who, int(many[who])),
                off=who in off,
                drift=_drift(measure, lines, who, unit),
                seconds=_seconds(measure, who),
            )
        )
    return tuple(annotators)


def _judge_with(measure: Measure, who: int) -> Figure:
    """The judge against this person's votes alone: the share equal, or Pearson-free distance for scores."""
    votes, judge = measure.table.votes, measure.judge
    of_person = (votes.who == who) & judge.read[votes.row]
    row, value = votes.row[of_person], votes.value[of_person]
    mask = np.zeros(len(measure.table), dtype=bool)
    mask[row] = True
    score = measure.table.form == "scores"
    vote_count = np.zeros(len(mask))
    vote_count[row] = -np.abs(judge.verdict[row] - value) if score else judge.verdict[row] == value
    title = f"Judge with {votes.names[who]}"
    if score:
        return measure.mean("judge_with", title, vote_count, mask)
    return measure.share("judge_with", title, vote_count, mask)


def _off(lines: Alignment, listed: list[int]) -> set[int]:
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


def _drift(measure: Measure, lines: Alignment, who: int, unit: Unit) -> Figure | None:
    """Agreement on the last third of this person's rows minus that on the first, in the order of the file."""
    kept = np.flatnonzero(lines.who == who)
    third = len(kept) // 3
    if third < ENOUGH:
        return None
    early, late = kept[:third], kept[-third:]
    sums = np.column_stack([_sums(measure, lines, [lines.person], late), _sums(measure, lines, [lines.person], early)])
    mask = np.zeros(len(measure.table), dtype=bool)
    mask[lines.row[np.r_[early, late]]] = True
    title = f"Drift of {measure.table.votes.names[who]}"
    return measure.figure(
        "drift", title, sums, lambda s: s[..., 0] / s[..., 1] - s[..., 2] / s[..., 3], mask, unit=unit
    )


def _seconds(measure: Measure, who: int) -> float | None:
    spent = measure.table.votes.seconds[measure.table.votes.who == who]
    spent = spent[~np.isnan(spent)]
    return float(np.median(spent)) if len(spent) else None


def _among(measure: Measure) -> tuple[Figure, ...]:
    """Statistics among the people, and with the judge as one more rater, both on the rows that have two people's votes
    and a readable verdict: a judge as good as a person leaves them where they are."""
    table, judge = measure.table, measure.judge
    vote_count = np.bincount(table.votes.row, minlength=len(table))
    mask = (vote_count > 1) & judge.read
    if not mask.any() or table.form == "order":
        return ()
    votes = [(table.votes.row, table.votes.value)]
    with_judge = [*votes, (np.flatnonzero(mask), judge.verdict[mask])]
    figures = []
    for who, raters_of in (("", votes), (_WITH_JUDGE, with_judge)):
        row, value = (np.concatenate(parts) for parts in zip(*raters_of, strict=True))
        kept = mask[row]
        figures.append(_reliability(measure, row[kept], value[kept], mask, who))
    return tuple(figure for pair in zip(*figures, strict=True) for figure in pair)


_WITH_JUDGE = "with_judge"


def _reliability(measure: Measure, row: Ints, value: Floats, mask: Mask, who: str) -> list[Figure]:
    """Figures of any number of raters; row, value: (V,) one entry a label."""
    name, title = (f"_{who}", "with the judge as one more rater") if who else ("", "among people")
    if measure.table.form == "scores":
        sums = measure.draw.by_block(_score_terms(row, value, len(measure.table)))
        title = f"Krippendorff's α {title}, interval"
        return [measure.figure(f"alpha_interval{name}", title, sums, _alpha_scores, mask, unit="coefficient")]
    sums = measure.draw.by_block(raters.row_terms(counts(measure.table, row, value)))

    def figure(key: str, what: str, formula: Formula, unit: Unit = "coefficient") -> Figure:
        return measure.figure(key + name, f"{what} {title}", sums, formula, mask, unit=unit)

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


def _dawid_skene(measure: Measure) -> Estimated | None:
    """The model, where verdicts have names and most rows have two votes."""
    table = measure.table
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


def _skill(measure: Measure, skilled: Estimated | None, who: int, many: int) -> Figure | None:
    if skilled is None:
        return None
    title = f"Accuracy of {measure.table.votes.names[who]} by Dawid and Skene"
    return Figure(name="dawid_skene_skill", title=title, value=float(skilled.skill[who]), n=many)


def _aggregation(measure: Measure, skilled: Estimated | None) -> tuple[Figure, ...]:
    """The judge against the majority, and against the class that Dawid and Skene's model finds most likely."""
    if skilled is None:
        return ()
    table, judge = measure.table, measure.judge
    voted = skilled.posterior.sum(axis=1) > 0
    likely = skilled.posterior.argmax(axis=1)
    both = voted & judge.read
    return (
        measure.share("accuracy_majority", "Judge against the majority", table.truth == judge.verdict, measure.rows),
        measure.share("accuracy_dawid_skene", "Judge against Dawid and Skene's labels", likely == judge.verdict, both),
        measure.share(
            "majority_is_dawid_skene", "Rows where those two labels are the same", likely == table.truth, both
        ),
    )
