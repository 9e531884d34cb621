"""Comparisons with their rewards as arrays, and the bookkeeping that every figure shares.

A answers, P comparisons, G blocks of prompts (bootstrap.py), K columns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judge.agreement.robustness.comparisons import Comparisons
from judge.agreement.robustness.schema import PairCoverage
from judge.agreement.schema import Figure, Unit
from judge.agreement.statistics.bootstrap import Floats, Formula, Ints, Resampler
from judge.records import Response, spoken

Mask = NDArray[np.bool_]
Scorer = Callable[[Sequence[Response]], Sequence[float | None]]
"""Responses to rewards, higher is better; None for a text that cannot be read."""

Watch = Callable[[str, int, int], None]
"""Told of what is scored, how many texts are done and of how many."""

FIRST_CHUNK, LARGEST_CHUNK = 64, 512
"""Texts scored at once, doubled from chunk to chunk: a slow model shows progress soon, a fast one has full batches."""


@dataclass(frozen=True, slots=True)
class RewardTable:
    """Rewards of answers, and comparisons among them. Comparisons without both rewards are not in it.

    Attributes:
        answers: A responses.
        reward: (A,) nan where the model cannot read the text.
        length: (A,) log2 of the characters.
        group: (A,) a number for each prompt.
        better, worse: (P,) indices of answers.
        places: (P,) which comparison of the data each is.
        shifted: (A,) whether the answer stands in the shifted data.
        draw: draws of the prompts.
    """

    answers: Sequence[Response]
    reward: Floats
    length: Floats
    group: Ints
    better: Ints
    worse: Ints
    places: Ints
    shifted: Mask
    draw: Resampler

    @property
    def margin(self) -> Floats:
        """(P,) reward of the better response minus that of the worse."""
        return np.asarray(self.reward[self.better] - self.reward[self.worse])

    @property
    def hit(self) -> Floats:
        """(P,) 1 where the better response has the higher reward, ½ for equal ones."""
        return np.asarray((self.margin > 0) + 0.5 * (self.margin == 0))

    @property
    def of_data(self) -> Mask:
        """(P,) the comparisons of the data itself."""
        return ~self.shifted[self.better]

    def pair_sums(self, columns: Sequence[Any], pairs: Ints | None = None) -> Floats:
        """(G, K) sums of columns (P,), or of columns of some comparisons."""
        of = self.better if pairs is None else self.better[pairs]
        block = self.draw.block[of]
        return np.stack(
            [np.bincount(block, weights=np.asarray(column, float), minlength=self.draw.blocks) for column in columns],
            axis=-1,
        )

    def clusters(self, pairs: Any) -> int:
        """Different prompts among some comparisons, by mask or index."""
        return len(np.unique(self.group[self.better[pairs]]))

    def spread_sums(self) -> Floats:
        """(G, 3) sums of r, r² and 1 over the answers of the data: what the deviation is made from."""
        known = ~np.isnan(self.reward) & ~self.shifted
        reward = np.where(known, self.reward, 0.0)
        centred = np.where(known, reward - (reward.sum() / max(known.sum(), 1)), 0.0)
        return self.draw.by_block(np.column_stack([centred, centred**2, known]).astype(np.float64))

    @property
    def deviation(self) -> float:
        """The standard deviation of the rewards of the data."""
        return float(deviation_of(self.spread_sums().sum(axis=0)))

    def figure(
        self,
        name: str,
        title: str,
        sums: Floats,
        formula: Formula,
        pairs: Any,
        *,
        unit: Unit = "share",
        of: str = "",
        note: str = "",
    ) -> Figure:
        """A figure of block sums (G, K); pairs: the comparisons in it, by mask or index."""
        rows = int(pairs.sum()) if pairs.dtype == bool else len(pairs)
        clusters = self.clusters(pairs)
        return self.draw.figure(name, title, sums, formula, rows=rows, clusters=clusters, unit=unit, of=of, note=note)

    def share(self, name: str, title: str, hit: Any, mask: Mask, *, of: str = "") -> Figure:
        """The share of the comparisons of a mask that are a hit."""
        return self.figure(name, title, self.pair_sums([np.where(mask, hit, 0.0), mask]), ratio, mask, of=of)


def ratio(sums: Floats) -> Floats:
    """Σ hit / Σ 1."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def difference(sums: Floats) -> Floats:
    """Σ hit / Σ 1 of the first two columns minus the same of the next two."""
    return np.asarray(sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3])


def deviation_of(sums: Floats) -> Floats:
    """√(Σ r² / n - (Σ r / n)²) of the columns Σ r, Σ r², n."""
    mean = sums[..., 0] / sums[..., 2]
    return np.asarray(np.sqrt(np.maximum(sums[..., 1] / sums[..., 2] - mean**2, 0.0)))


def in_deviations(formula: Formula) -> Formula:
    """A formula of all columns but the last three, divided by the deviation that these give."""
    return lambda sums: formula(sums[..., :-3]) / deviation_of(sums[..., -3:])


def score_all(scorer: Scorer, answers: Sequence[Response], watch: Watch, what: str) -> dict[str, float]:
    """The rewards of answers by id, each scored once, those of one prompt beside each other; nan for an unread text."""
    distinct = list({answer.id: answer for answer in answers}.items())
    rewards: dict[str, float] = {}
    start, size = 0, FIRST_CHUNK
    while start < len(distinct):
        watch(what, start, len(distinct))
        chunk = distinct[start : start + size]
        start, size = start + size, min(2 * size, LARGEST_CHUNK)
        values = scorer([answer for _, answer in chunk])
        for (name, _), value in zip(chunk, values, strict=True):
            rewards[name] = float("nan") if value is None or not np.isfinite(value) else float(value)
    return rewards


def table_of(
    data: Comparisons, shifted: Comparisons | None, rewards: Mapping[str, float], **drawn: Any
) -> tuple[RewardTable, PairCoverage, PairCoverage | None]:
    """The table of both data, and what of each could be compared. drawn: resamples, seed and confidence."""
    parts = [data] if shifted is None else [data, shifted]
    answers = [answer for part in parts for answer in part.answers]
    groups = [group for part in parts for group in part.groups]
    reward = np.array([rewards[answer.id] for answer in answers], dtype=np.float64)
    starts = [0, len(data.answers)]
    better = np.array([start + i for part, start in zip(parts, starts, strict=False) for i in part.better], dtype=int)
    worse = np.array([start + i for part, start in zip(parts, starts, strict=False) for i in part.worse], dtype=int)
    read = ~np.isnan(reward[better]) & ~np.isnan(reward[worse]) if len(better) else np.zeros(0, dtype=bool)
    places = np.array([place for part in parts for place in range(len(part.better))], dtype=int)
    is_shifted = np.arange(len(answers)) >= len(data.answers)
    draw = Resampler(groups, **drawn)
    table = RewardTable(
        answers=answers,
        reward=reward,
        length=np.log2([max(len(spoken(answer.response)), 1) for answer in answers]),
        group=draw.code,
        better=better[read],
        worse=worse[read],
        places=places[read],
        shifted=is_shifted,
        draw=draw,
    )
    covered = [
        PairCoverage(
            compared=int(mask.sum()),
            prompts=table.clusters(mask),
            ties=part.ties,
            unlabelled=part.unlabelled,
            unreadable=len(part.better) - int(mask.sum()),
            skipped=len(part.skipped),
        )
        for part, mask in zip(parts, (table.of_data, ~table.of_data), strict=False)
    ]
    return table, covered[0], covered[1] if shifted is not None else None
