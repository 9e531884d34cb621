"""Which principle or criterion earns its place: agreement with people with each one left out, and with each alone.

Every figure comes from the same answers; a principle that is left out is left out of the merging.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from judge.constitution.constitution import Constitution
from judge.constitution_eval.principle_votes import PrincipleVotes
from judge.errors import ConfigError, InputError, unknown
from judge.records import HumanLabel, Pair, PairVerdict, spoken

RESAMPLES = 2000

_SCALE = {"first": 1.0, "tie": 0.5, "second": 0.0}
_TURNED = {"first": "second", "second": "first", "tie": "tie"}


class PairMean(NamedTuple):
    """A mean over pairs with its 95 % interval (None when there are too few prompts), and the number of pairs."""

    value: float | None
    low: float | None
    high: float | None
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleWorth:
    """What one principle, or one criterion, is worth. alone, without: agreement with people of it alone, and of all the
    others. gain: agreement of the whole minus that without it, pair by pair; below 0 it does harm."""

    id: str
    text: str
    alone: PairMean
    without: PairMean
    gain: PairMean

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values, an estimate as a mapping."""
        estimates = {name: getattr(self, name)._asdict() for name in ("alone", "without", "gain")}
        return {**asdict(self), **estimates}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """Principles by usefulness, the most useful first. pairs: with a human label; prompts: different ones among them;
    unlabelled: pairs without a label; unreadable: pairs under which the whole constitution gave no verdict; skipped:
    rows of the data that could not be read."""

    constitution: str
    hash: str
    pairs: int
    prompts: int
    unlabelled: int
    unreadable: int
    whole: PairMean
    principles: tuple[PrincipleWorth, ...]
    seed: int
    resamples: int
    skipped: int = 0

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values, an estimate as a mapping."""
        principles = [principle.to_row() for principle in self.principles]
        return {**asdict(self), "whole": self.whole._asdict(), "principles": principles}


def agreement(verdict: str | None, human: Sequence[HumanLabel]) -> float | None:
    """How far a verdict agrees with people: the mean over their labels of 1 − |v − h|, with first = 1, tie = ½, second
    = 0. So half a point for a tie where a person chose, and for a choice where a person saw a tie; None if unreadable.
    """
    if verdict is None or not human:
        return None
    return sum(1.0 - abs(_SCALE[verdict] - _SCALE[str(label.verdict)]) for label in human) / len(human)


def human_labels(
    pairs: Iterable[Pair], source: Iterable[Pair], annotator: str = ""
) -> dict[str, tuple[HumanLabel, ...]]:
    """The labels of the pairs, by id: from `source`, in which a pair may stand the other way round; one annotator's
    alone, if named. Labels on a single criterion are left aside. Raises ConfigError when nothing is labelled.
    """
    by_id: dict[str, tuple[HumanLabel, ...]] = {}
    annotators: set[str] = set()
    for pair in source:
        of_whole_pair = [label for label in pair.human if not label.criterion and label.verdict in _SCALE]
        annotators |= {label.annotator for label in of_whole_pair}
        labels = tuple(label for label in of_whole_pair if annotator in ("", label.annotator))
        by_id[pair.id] = by_id.get(pair.id, ()) + labels
        turned = pair.swap().id
        by_id[turned] = by_id.get(turned, ()) + tuple(
            HumanLabel(annotator=label.annotator, verdict=_TURNED[str(label.verdict)]) for label in labels
        )
    if annotator and annotator not in annotators:
        raise unknown("annotator", annotator, annotators)
    kept = {pair.id: labels for pair in pairs if (labels := by_id.get(pair.id, ()))}
    if not kept:
        raise InputError("none of the pairs has a human label; name a file that has them with --human FILE")
    return kept


def ablate(
    constitution: Constitution,
    votes: Sequence[PrincipleVotes],
    labels: Mapping[str, tuple[HumanLabel, ...]],
    *,
    unlabelled: int = 0,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ablation:
    """The worth of each principle over the pairs with a label; needs two principles or more.

    Intervals are paired: both figures of a gain are computed on the same draws of prompts, and the pairs of one prompt
    are drawn together (agreement/statistics/bootstrap.py).
    """
    if len(constitution.principles) < 2:
        raise ConfigError(f"{constitution.name} has one principle; leaving it out leaves nothing")
    worths = worth_of_parts(
        [(principle.id, principle.text) for principle in constitution.principles],
        votes,
        labels,
        verdict=lambda vote, without: vote.verdict(constitution.without(without) if without else constitution),
        alone=lambda vote, name: vote.alone(name),
        seed=seed,
        resamples=resamples,
    )
    return Ablation(
        constitution=constitution.name,
        hash=constitution.hash,
        pairs=worths.pairs,
        prompts=worths.prompts,
        unlabelled=unlabelled + len(votes) - worths.pairs,
        unreadable=worths.unreadable,
        whole=worths.whole,
        principles=worths.parts,
        seed=seed,
        resamples=resamples,
    )


class Voted(Protocol):
    """A pair and what was said of it."""

    @property
    def pair(self) -> Pair: ...


VotedT = TypeVar("VotedT", bound=Voted)


class Worths(NamedTuple):
    """What the parts of a whole are worth, the most useful first; see `Ablation` for the other figures."""

    whole: PairMean
    parts: tuple[PrincipleWorth, ...]
    pairs: int
    prompts: int
    unreadable: int


def worth_of_parts(
    parts: Sequence[tuple[str, str]],
    votes: Sequence[VotedT],
    labels: Mapping[str, tuple[HumanLabel, ...]],
    *,
    verdict: Callable[[VotedT, str], PairVerdict | None],
    alone: Callable[[VotedT, str], PairVerdict | None],
    seed: int,
    resamples: int,
) -> Worths:
    """The worth of each part of what pairs were judged by: a constitution's principles, a rubric's criteria.

    Args:
        parts: the id and the text of each.
        votes: what was said of each pair.
        labels: of people, by the pair's id; pairs without one are left out.
        verdict: a vote, and the id of the part to leave out ("" for none) -> the verdict of all others together.
        alone: a vote, and a part's id -> the verdict of that part alone.
        seed, resamples: of the bootstrap.
    """
    labelled = [vote for vote in votes if vote.pair.id in labels]
    draw = Draw([spoken(vote.pair.prompt) for vote in labelled], seed=seed, resamples=resamples)

    def column(verdicts: Iterable[str | None]) -> list[float | None]:
        return [agreement(v, labels[vote.pair.id]) for v, vote in zip(verdicts, labelled, strict=True)]

    of_all = [verdict(vote, "") for vote in labelled]
    with_all = column(of_all)
    worths = []
    for name, text in parts:
        # Where only this part could be read, the others together have nothing to say: a tie, as all abstain.
        rest = [verdict(vote, name) or ("tie" if whole else None) for vote, whole in zip(labelled, of_all, strict=True)]
        without = column(rest)
        gain = [None if a is None or b is None else a - b for a, b in zip(with_all, without, strict=True)]
        worth = PrincipleWorth(
            id=name,
            text=text,
            alone=draw.mean(column(alone(vote, name) for vote in labelled)),
            without=draw.mean(without),
            gain=draw.mean(gain, share=False),
        )
        worths.append(worth)
    ordered = tuple(sorted(worths, key=_usefulness))
    return Worths(draw.mean(with_all), ordered, len(labelled), draw.prompts, with_all.count(None))


def _usefulness(principle: PrincipleWorth) -> tuple[float, float]:
    """Sorts the most useful first: by what is lost without it, then by how it does alone."""
    return -(principle.gain.value or 0.0), -(principle.alone.value or 0.0)


class Draw:
    """Means over pairs with intervals, all on the same draws of prompts."""

    def __init__(self, prompts: Sequence[str], *, seed: int, resamples: int) -> None:
        from judge.agreement.statistics.bootstrap import Resampler

        number = {prompt: index for index, prompt in enumerate(dict.fromkeys(prompts))}
        self.prompts = len(number)
        self._groups = [number[prompt] for prompt in prompts]
        self._resampler = Resampler(self._groups, resamples=resamples, seed=seed)

    def mean(self, column: Sequence[float | None], *, share: bool = True) -> PairMean:
        """The mean of what is there; rows without a value count on neither side of the fraction.

        Where all agree, or none does, every resample is alike; such a share gets the exact binomial interval on its
        prompts (Clopper & Pearson 1934).
        """
        import numpy as np

        from judge.agreement.statistics.bootstrap import exact_interval

        kept = [index for index, value in enumerate(column) if value is not None]
        if not kept:
            return PairMean(None, None, None, 0)
        values = np.array([value or 0.0 for value in column])
        present = np.array([float(value is not None) for value in column])
        sums = self._resampler.by_block(np.stack([values, present], axis=1))
        replicates = self._resampler.replicates(sums, lambda sums: sums[:, 0] / sums[:, 1])
        mean, clusters = float(values.sum() / present.sum()), len({self._groups[index] for index in kept})
        interval = self._resampler.interval(replicates, clusters)
        if share and mean in (0.0, 1.0) and interval.low is not None:
            interval = exact_interval(mean, clusters, 0.95)
        return PairMean(mean, interval.low, interval.high, len(kept))
