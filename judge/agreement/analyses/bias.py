"""Bias and consistency: what moves a judge besides quality.

Position (the two orders), length, style, the author, repeats, circles. Where people voted, every leaning is measured
against theirs on the same rows: people may prefer longer answers too.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure, ratio
from judge.agreement.analyses.length_style_bias import lengths, styles
from judge.agreement.data.table import TIE
from judge.agreement.schema import Bias, Figure
from judge.agreement.statistics.bootstrap import Ints
from judge.agreement.statistics.correlation import moments, pearson_of

TRIADS = 200_000
AUTHORS = 10
FEW = 10


def bias(measure: Measure) -> Bias:
    """Every leaning that the rows allow to measure."""
    pairs = measure.table.paired
    length, bins = lengths(measure) if pairs else (_score_length(measure), ())
    return Bias(
        position=_position(measure) if pairs else (),
        length=length,
        length_bins=bins,
        style=styles(measure) if pairs else (),
        self_preference=_authors(measure) if pairs else (),
        consistency=_consistency(measure),
    )


def _position(measure: Measure) -> tuple[Figure, ...]:
    """Flips between the orders, and how often the response shown first wins, over all readings with a winner."""
    judge = measure.judge
    forward, swapped = judge.forward, judge.swapped
    both = judge.consistent >= 0
    figures = []
    if both.any():
        figures.append(measure.share("flips", "Verdict changes with the order", judge.consistent == 0, both))
    # A swapped reading is kept in the record's terms: "second" is the response that was shown first.
    shown_first = (forward == 0).astype(np.float64) + (swapped == 1)
    decided = shown_first + (forward == 1) + (swapped == 0)
    if decided.any():
        sums = measure.draw.by_block(np.column_stack([shown_first, decided]))
        title = "The response shown first wins" + ("" if both.any() else " (one order asked)")
        figures.append(measure.figure("shown_first", title, sums, ratio, decided > 0))
    read = judge.read
    figures.append(measure.share("ties", "Judge says tie", judge.verdict == TIE, read))
    return tuple(figures)


def _score_length(measure: Measure) -> tuple[Figure, ...]:
    """Whether a judge's score lies above the people's for long responses: Pearson's r of the two."""
    table = measure.table
    mask = measure.rows & ~np.isnan(table.length)
    if table.form != "scores" or not mask.any():
        return ()
    sums = measure.draw.by_block(moments(measure.judge.verdict - table.truth, table.length, mask))
    title = "r of (judge's score minus people's) with log length"
    return (measure.figure("length_correlation", title, sums, pearson_of, mask, unit="coefficient"),)


def plain(name: str) -> str:
    """A model's name without what people write differently."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _authors(measure: Measure) -> tuple[Figure, ...]:
    """For each author, how often the judge prefers its responses minus how often people do, ties half; first of all
    for the author whose name is in the judge's."""
    table, judge = measure.table, measure.judge
    if not table.authors:
        return ()
    rows = np.array([row for row in table.authors if measure.rows[row]], dtype=np.int64)
    names = [table.authors[int(row)] for row in rows]
    worth = np.array([1.0, 0.0, 0.5])
    difference = worth[judge.verdict[rows].astype(np.int64)] - worth[table.truth[rows].astype(np.int64)]
    count: dict[str, int] = defaultdict(int)
    for first, second in names:
        if first != second:
            count[first] += 1
            count[second] += 1
    most = sorted((author for author in count if count[author] >= FEW), key=lambda author: (-count[author], author))
    same_author = [author for author in most if len(plain(author)) > 2 and plain(author) in plain(judge.name)]
    figures = []
    for author in same_author + [author for author in most[:AUTHORS] if author not in same_author]:
        side = np.array([(first == author) - (second == author) for first, second in names], dtype=np.float64)
        value, mask = np.zeros(len(table)), np.zeros(len(table), dtype=bool)
        value[rows], mask[rows] = side * difference, side != 0
        name, what = ("self_preference", "itself") if author in same_author else ("author_preference", author)
        title = f"Judge prefers {what} more than people do"
        sums = measure.draw.by_block(np.column_stack([value * mask, mask]).astype(np.float64))
        figures.append(measure.figure(name, title, sums, ratio, mask, of=author))
    return tuple(figures)


def _consistency(measure: Measure) -> tuple[Figure, ...]:
    figures = []
    judge = measure.judge
    repeated = judge.pairs > 0
    if repeated.any():
        sums = measure.draw.by_block(np.column_stack([judge.same, judge.pairs]).astype(np.float64))
        figures.append(measure.figure("self_consistency", "Two answers to one question agree", sums, ratio, repeated))
    if measure.table.paired:
        circles = _transitivity(measure)
        if circles is not None:
            figures.append(circles)
    return tuple(figures)


def _transitivity(measure: Measure) -> Figure | None:
    """The share of triads a > b, b > c of one prompt that do not close with c > a, over triads with three winners."""
    table, judge = measure.table, measure.judge
    decided = judge.read & (judge.verdict != TIE) & (table.first != table.second)
    many = np.bincount(table.group[decided], minlength=int(table.group.max(initial=0)) + 1)
    rows = np.flatnonzero(decided & (many[table.group] > 2))
    sound, triads = np.zeros(len(table)), np.zeros(len(table))
    total = 0
    for group in _by_group(table.group, rows):
        beats = {}
        for row in group:
            first, second = int(table.first[row]), int(table.second[row])
            beats[first, second] = beats[second, first] = first if judge.verdict[row] == 0 else second
        names = sorted({name for pair in beats for name in pair})
        for a, b, c in combinations(names, 3):
            if (a, b) in beats and (b, c) in beats and (a, c) in beats:
                total += 1
                triads[group[0]] += 1
                sound[group[0]] += len({beats[a, b], beats[b, c], beats[a, c]}) < 3
        if total > TRIADS:
            break
    if not total:
        return None
    sums = measure.draw.by_block(np.column_stack([sound, triads]))
    title = f"Triads without a circle ({total:,} of them)"
    return measure.figure("transitivity", title, sums, ratio, triads > 0)


def _by_group(group: Ints, rows: Ints) -> Iterator[list[int]]:
    order = rows[np.argsort(group[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    for part in np.split(order, cuts):
        if len(part):
            yield [int(row) for row in part]
