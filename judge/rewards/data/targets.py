"""What the rewards of a batch ought to be: tensors that line up with the places where the head reads.

    E examples, K responses (or steps) of the longest example, N reads, C outputs, M objectives, P compared pairs.

A label that is not there is NaN, never a number that a loss could mistake for one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from judge.errors import ConfigError
from judge.rewards.data.examples import Example

NAN = math.nan


class Pairs(NamedTuple):
    """Every comparison of a batch, both ends of it already looked up.

    Attributes:
        first: (P, C) fp32 rewards of the first responses.
        second: (P, C) fp32 rewards of the second responses.
        p_first: (P,) P(the first is better).
        p_tie: (P,) P(tie), NaN where unknown.
        margin: (P,) how much better, NaN where unknown.
        weight: (P,) the example's, shared among its pairs.
        member_weight: (P, C) an ensemble's bootstrap, or None.
        example: (P,) which of the E examples.
    """

    first: Tensor
    second: Tensor
    p_first: Tensor
    p_tie: Tensor
    margin: Tensor
    weight: Tensor
    member_weight: Tensor | None
    example: Tensor

    @property
    def difference(self) -> Tensor:
        """(P, C): reward of the first minus reward of the second."""
        return self.first - self.second


@dataclass(frozen=True, slots=True)
class Targets:
    """Labels of a batch. Fields that no example has a label for are None.

    Attributes:
        groups: (E, K) int64 indices into the N reads, -1 where an example has fewer responses (or steps), or where a
            ranking leaves one out.
        weight: (E,).
        p_first: (E,) P(the first is better), a tie counted half, NaN where there is none.
        p_tie: (E,) P(tie), NaN where unknown.
        margin: (E,) how much better, NaN where unknown.
        ranks: (E, K) int64, 0 best, K where there is none.
        scores: (N, M), NaN where unknown.
        classes: (N, 3) P(right, wrong, neutral) of a step; rows of NaN carry no loss.
        p_correct: (N,), NaN where unknown.
        member_weight: (E, members) the bootstrap of an ensemble, its mean 1.
        read_weight: (N,) of a step, times its example's; NaN where it was not judged.
    """

    groups: Tensor
    weight: Tensor
    p_first: Tensor | None = None
    p_tie: Tensor | None = None
    margin: Tensor | None = None
    ranks: Tensor | None = None
    scores: Tensor | None = None
    classes: Tensor | None = None
    p_correct: Tensor | None = None
    member_weight: Tensor | None = None
    read_weight: Tensor | None = None

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        kind: str,
        objectives: Sequence[str] = (),
        *,
        members: int = 0,
        seed: int = 0,
    ) -> "Targets":
        """The labels of examples, in the order of their reads: example, response, step.

        Args:
            examples: of a batch.
            kind: of the model.
            objectives: names of the M columns of scores; without them a response has one score, the mean of all it
                was given.
            members: of an ensemble with a bootstrap: a weight for each group and member, the same in every epoch.
            seed: of these weights.
        """
        sizes = [len(example.steps) if kind == "process" else len(example.responses) for example in examples]
        starts = [0, *accumulate(sizes)][:-1]
        return cls(
            groups=_groups(examples, sizes, starts),
            weight=_floats([example.weight for example in examples]),
            p_first=_known([example.p_first for example in examples]),
            p_tie=_known([example.p_tie for example in examples]),
            margin=_known([example.margin for example in examples]),
            ranks=_ranks(examples, sizes),
            scores=_scores(examples, objectives) if any(example.scores for example in examples) else None,
            classes=_classes(examples) if kind == "process" else None,
            p_correct=_known([example.p_correct for example in examples for _ in example.responses]),
            read_weight=_known([weight for example in examples for weight in _step_weights(example)]),
            member_weight=_bootstrap([example.group for example in examples], members, seed) if members else None,
        )

    def to(self, device: Any) -> "Targets":
        """The same on another device."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            moved[field.name] = None if value is None else value.to(device)
        return Targets(**moved)

    def pairs(self, rewards: Tensor) -> Pairs:
        """All comparisons of rewards (N, C): a pair is one, a ranking of K all K (K - 1) / 2 of them.

        A ranking's pairs share its weight (Ouyang et al. 2022, eq. 1: the factor 1 / (K choose 2)), so a long one
        counts no more than a pair.

        Raises:
            ConfigError: when the examples compare nothing.
        """
        if self.groups.shape[1] < 2 or (self.p_first is None and self.ranks is None):
            raise ConfigError("these examples compare no responses (accepted: a loss of scores, outcomes or steps)")
        example, first, second = self._columns()
        p_first = self._p_first(example, first, second)
        present = (self.groups[example, first] >= 0) & (self.groups[example, second] >= 0) & ~p_first.isnan()
        example, first, second, p_first = example[present], first[present], second[present], p_first[present]
        values = full(rewards)
        pair_count = torch.bincount(example, minlength=len(self.groups))[example]
        unknown = torch.full_like(p_first, NAN)
        return Pairs(
            first=values[self.groups[example, first]],
            second=values[self.groups[example, second]],
            p_first=p_first.to(values.dtype),
            p_tie=unknown if self.p_tie is None else self.p_tie[example],
            margin=unknown if self.margin is None else self.margin[example],
            weight=self.weight[example].to(values.dtype) / pair_count,
            member_weight=None if self.member_weight is None else self.member_weight[example],
            example=example,
        )

    def _columns(self) -> tuple[Tensor, Tensor, Tensor]:
        """Example, first and second column of every pair of columns, (E · K (K - 1) / 2,) each."""
        count, width = self.groups.shape
        first, second = torch.triu_indices(width, width, offset=1, device=self.groups.device)
        example = torch.arange(count, device=self.groups.device).repeat_interleave(len(first))
        return example, first.repeat(count), second.repeat(count)

    def _p_first(self, example: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """P(first is better) of pairs of columns: the pair's own, else by ranks (equal ranks are a tie)."""
        if self.ranks is None:
            assert self.p_first is not None
            return self.p_first[example]
        by_rank = 0.5 + 0.5 * torch.sign(self.ranks[example, second] - self.ranks[example, first]).to(torch.float32)
        if self.p_first is None:
            return by_rank
        return torch.where(self.p_first[example].isnan(), by_rank, self.p_first[example])

    def p_good(self, count: int) -> Tensor:
        """(N,) how good each read is by its labels, 0 to 1; NaN where they do not say.

        P(right) of a step, neutral counted as right; P(correct); else the mean chance of a response against those that
        it is compared with: of a pair p and 1 − p.
        """
        if self.classes is not None:
            return self.classes[:, 0] + self.classes[:, 2]
        good = torch.full((count,), NAN, device=self.groups.device)
        if self.groups.shape[1] > 1 and (self.p_first is not None or self.ranks is not None):
            reads = torch.arange(count, dtype=torch.float64, device=good.device)[:, None]
            pairs = self.pairs(reads)
            places = torch.cat([pairs.first[:, 0], pairs.second[:, 0]]).long()
            chances = torch.cat([pairs.p_first, 1 - pairs.p_first]).to(good.dtype)
            compared = torch.bincount(places, minlength=count)
            good = torch.zeros_like(good).index_add(0, places, chances) / compared  # 0 / 0 is NaN
        return good if self.p_correct is None else torch.where(self.p_correct.isnan(), good, self.p_correct)

    def of_reads(self, values: Tensor, count: int) -> Tensor:
        """(N, …) of values (E, …): each read gets its example's, 0 where a read belongs to none."""
        spread = values.new_zeros((count, *values.shape[1:]))
        example, column = (self.groups >= 0).nonzero(as_tuple=True)
        spread[self.groups[example, column]] = values[example]
        return spread

    def weight_of_reads(self, count: int) -> Tensor:
        """(N,) the weight of each read: its example's, times its own where steps have one."""
        weight = self.of_reads(self.weight, count)
        return weight if self.read_weight is None else weight * self.read_weight.nan_to_num(1.0)


def mean_weight(targets: Targets) -> Tensor:
    """() the mean weight of the labels of a batch: of its judged steps, or of its examples."""
    if targets.read_weight is None or targets.classes is None:
        return targets.weight.mean()
    known = ~targets.classes.isnan().any(-1)
    return targets.weight_of_reads(len(known))[known].mean() if bool(known.any()) else targets.weight.new_ones(())


def full(rewards: Tensor) -> Tensor:
    """Rewards in the precision that losses are computed in: fp32, or fp64 where that is what they are."""
    return rewards if rewards.dtype == torch.float64 else rewards.float()


def _floats(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _known(values: Sequence[float | None]) -> Tensor | None:
    """NaN for None; None when nothing is known."""
    if all(value is None for value in values):
        return None
    return _floats([NAN if value is None else value for value in values])


def _groups(examples: Sequence[Example], sizes: Sequence[int], starts: Sequence[int]) -> Tensor:
    """(E, K). A response that a ranking leaves out is read, but compared with nothing."""
    groups = torch.full((len(examples), max(sizes, default=0)), -1, dtype=torch.int64)
    for row, (example, size, start) in enumerate(zip(examples, sizes, starts, strict=True)):
        for place in range(size):
            if not example.order or place in example.order:
                groups[row, place] = start + place
    return groups


def _ranks(examples: Sequence[Example], sizes: Sequence[int]) -> Tensor | None:
    """(E, K); a pair among rankings is ranked too, by the side that its label leans to."""
    if not any(example.order for example in examples):
        return None
    width = max(sizes)
    ranks = torch.full((len(examples), width), width, dtype=torch.int64)
    for row, example in enumerate(examples):
        for rank, place in enumerate(example.order):
            ranks[row, place] = rank
        if not example.order and example.p_first is not None:
            ranks[row, 0], ranks[row, 1] = int(example.p_first < 0.5), int(example.p_first > 0.5)
    return ranks


def _scores(examples: Sequence[Example], objectives: Sequence[str]) -> Tensor:
    """(N, M); one column of means without named objectives."""
    rows: list[Mapping[str, float]] = []
    for example in examples:
        rows += example.scores or ({},) * len(example.responses)
    if objectives:
        return torch.tensor([[row.get(name, NAN) for name in objectives] for row in rows], dtype=torch.float32)
    return _floats([sum(row.values()) / len(row) if row else NAN for row in rows])[:, None]


def _classes(examples: Sequence[Example]) -> Tensor:
    """(N, 3)."""
    unknown = (NAN, NAN, NAN)
    rows = [unknown if step is None else step for example in examples for step in example.step_probabilities]
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 3)


def _step_weights(example: Example) -> Sequence[float | None]:
    return example.step_weights or (None,) * len(example.steps)


def _bootstrap(groups: Sequence[str], members: int, seed: int) -> Tensor:
    """(E, members) draws of Exponential(1), by seed and group: the Bayesian bootstrap (Rubin 1981).

    Unlike counts (Poisson), no member ever loses a whole batch.
    """
    drawn = {}
    for group in set(groups):
        number = int.from_bytes(blake2b(f"{seed}:{group}".encode(), digest_size=7).digest())
        generator = torch.Generator().manual_seed(number)
        drawn[group] = torch.empty(members).exponential_(generator=generator)
    return torch.stack([drawn[group] for group in groups])
