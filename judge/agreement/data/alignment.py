"""Each vote beside the other people's votes on its row: how near is the person to them, how near is the judge?

The alignment of a value x with the votes h_k of the others on a row is the share of them equal to x, or for scores
minus the root mean square distance, -sqrt(mean (x - h_k)²) (Calderon et al. 2025, §3, "alignment scoring functions").
Person and judge are measured against the same votes, so the two are comparable.
"""

from dataclasses import dataclass

import numpy as np

from judge.agreement.data.table import Judge, Table, Votes
from judge.agreement.statistics.bootstrap import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """One line for each vote that has another beside it and a readable verdict of the judge, (V,).

    row, who: whose vote it is; person, judge: their alignments with the others (of no judge: nan). same: the judge's
    verdict equals the vote. others: how far the others agree among themselves without this person (nan for a single
    one)."""

    row: Ints
    who: Ints
    person: Floats
    judge: Floats
    same: Floats
    others: Floats


class Counter:
    """How many votes of a row have a value: looked up for many (row, value) at once."""

    def __init__(self, row: Ints, value: Floats) -> None:
        self._low = float(value.min(initial=0.0))
        self._span = float(value.max(initial=0.0)) - self._low + 2
        self._keys, self._counts = np.unique(self._key(row, value), return_counts=True)

    def _key(self, row: Ints, value: Floats) -> Floats:
        return np.asarray(row * self._span + (value - self._low), dtype=np.float64)

    def __call__(self, row: Ints, value: Floats) -> Floats:
        """The counts, (V,)."""
        inside = (value >= self._low) & (value <= self._low + self._span - 2)
        key = self._key(row, np.where(inside, value, self._low))
        index = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        return np.where(inside & (self._keys[index] == key), self._counts[index], 0).astype(np.float64)


def aligned(table: Table, judge: Judge | None) -> Alignment:
    """Every vote with others beside it, on rows that the judge could judge; without a judge on all rows."""
    votes = table.votes
    vote_count = np.bincount(votes.row, minlength=len(table)).astype(np.float64)
    kept = vote_count[votes.row] > 1
    if judge is not None:
        kept &= judge.read[votes.row]
    row, who, value = votes.row[kept], votes.who[kept], votes.value[kept]
    judged, many = np.full(len(row), np.nan) if judge is None else judge.verdict[row], vote_count[row]
    if table.form == "scores":
        person, by_judge, others = _distances(votes, row, value, judged, many)
    else:
        person, by_judge, others = _shares(votes, row, value, judged, many)
    return Alignment(row=row, who=who, person=person, judge=by_judge, same=(judged == value) * 1.0, others=others)


def _shares(votes: Votes, row: Ints, value: Floats, judged: Floats, many: Floats) -> tuple[Floats, Floats, Floats]:
    count = Counter(votes.row, votes.value)
    same_as_person, same_as_judge = count(row, value), count(row, judged)
    rows = int(votes.row.max()) + 1
    # Ordered pairs of equal votes on the row, Σ_k n_k (n_k - 1), less the ones that this person is in.
    equal = np.bincount(votes.row, weights=count(votes.row, votes.value) - 1, minlength=rows)
    pairs = (many - 1) * (many - 2)
    with np.errstate(all="ignore"):
        others = np.where(pairs > 0, (equal[row] - 2 * (same_as_person - 1)) / pairs, np.nan)
    by_judge = np.where(np.isnan(judged), np.nan, (same_as_judge - (judged == value)) / (many - 1))
    return (same_as_person - 1) / (many - 1), by_judge, others


def _distances(votes: Votes, row: Ints, value: Floats, judged: Floats, many: Floats) -> tuple[Floats, Floats, Floats]:
    rows = int(votes.row.max()) + 1
    total = np.bincount(votes.row, weights=votes.value, minlength=rows)[row] - value
    squares = np.bincount(votes.row, weights=votes.value**2, minlength=rows)[row] - value**2
    rest = many - 1

    def near(x: Floats) -> Floats:
        return -np.sqrt(np.maximum(rest * x * x - 2 * x * total + squares, 0.0) / rest)

    spread = np.maximum(squares / rest - (total / rest) ** 2, 0.0)
    others = np.where(rest > 1, -np.sqrt(2 * spread * rest / np.maximum(rest - 1, 1)), np.nan)
    return near(value), near(judged), others


def counts(table: Table, row: Ints, value: Floats) -> Floats:
    """(N, L) labels of each class on each row, for statistics among raters. First wrong steps are classes too."""
    low = int(value.min(initial=0))
    size = len(table.labels) or int(value.max(initial=0)) - low + 1
    flat = row * size + (value.astype(np.int64) - low)
    return np.bincount(flat, minlength=len(table) * size).reshape(len(table), size).astype(np.float64)
