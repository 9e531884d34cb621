"""The types of a best-of-n report: what it is made from, curves against n, figures, findings; nothing to draw.

A report is immutable and comes back from JSON (serialization.py). n is how many responses there are to choose from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from judge.agreement.schema import Figure, Flag, by_name

VERSION = "rmjudge-best-of/1"


class Candidates(NamedTuple):
    """The responses to one prompt.

    Attributes:
        prompt: its id. rewards: None for what could not be read. truth, gold: None for what is not known.
        answers: the final answers, None for none.
    """

    prompt: str
    rewards: Sequence[float | None]
    truth: Sequence[float | None]
    answers: Sequence[str | None]
    gold: Sequence[float | None] = ()


class Searched(NamedTuple):
    """A search by steps on one prompt: whether its answer is right, and the tokens that it and a whole answer took."""

    prompt: str
    truth: float
    tokens: int
    answer_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfConfig:
    """How to count.

    Attributes:
        n: the largest number to choose from; 0 stands for the number of responses that most prompts have.
        resamples: of the bootstrap over prompts; 0 gives figures without intervals and no finding.
    """

    n: int = 0
    resamples: int = 1_000
    seed: int = 0
    confidence: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One quantity against n.

    Attributes:
        name: stable key: "best_of", "pass", "majority", "weighted", "proxy", "gold".
        title: for people.
        points: a figure for each of the report's sizes; its `of` is n.
    """

    name: str
    title: str
    points: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOf:
    """A best-of-n report.

    Attributes:
        name: of what gives the rewards. gold: of the second model, "" without one.
        data: names of the sources. policy: what wrote the responses, "" where they are the data's.
        n: the largest number of responses to choose from. sizes: 1, 2, 4, ... n.
        kl: of each size, log n - (n - 1) / n: an upper bound of the divergence of the best of n from the policy.
        prompts, responses: what the figures are made from.
        too_few: prompts with fewer than n responses, which are left out.
        skipped: rows of the data that could not be read.
        unreadable: responses without a reward; one is taken only where none of the n has one.
        without_truth: prompts with fewer than n responses whose truth is known, left out of what needs the truth.
        truth: "right" where it is right or wrong, "rated" where it is a number, "" where nothing is known.
        curves: against n. summary: at n. search: of a search by steps. findings: what is wrong.
    """

    name: str
    data: tuple[str, ...]
    n: int
    sizes: tuple[int, ...]
    kl: tuple[float, ...]
    prompts: int
    responses: int
    gold: str = ""
    policy: str = ""
    too_few: int = 0
    skipped: int = 0
    unreadable: int = 0
    without_truth: int = 0
    truth: str = ""
    curves: tuple[Curve, ...] = ()
    summary: tuple[Figure, ...] = ()
    search: tuple[Figure, ...] = ()
    findings: tuple[Flag, ...] = ()
    resamples: int = 0
    seed: int = 0
    confidence: float = 0.95
    version: str = VERSION

    def curve(self, name: str) -> Curve | None:
        """A curve by its name."""
        return next((curve for curve in self.curves if curve.name == name), None)

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Every figure by name; a point of a curve as "best_of/16"."""
        points = [point for curve in self.curves for point in curve.points]
        return by_name((*self.summary, *self.search, *points))
