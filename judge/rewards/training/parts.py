"""A batch in parts: no forward pass computes more than so many tokens, and the gradients add up to those of the batch.

N reads, C outputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from judge.errors import ConfigError
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.losses.pairwise import Loss

TOLERANCE = 1e-4  # of the largest gradient: how far parts' gradients may lie from the whole batch's


@dataclass(frozen=True, slots=True)
class Part:
    """Some examples of a batch, whole groups.

    Attributes:
        examples: in the batch's order.
        targets: their labels.
        share: what their loss is multiplied by, so that the parts' losses add up to the batch's.
    """

    examples: Sequence[Example]
    targets: Targets
    share: float


def parts_of(
    examples: Sequence[Example],
    lengths: Sequence[int],
    max_tokens: int,
    targets_of: Callable[[Sequence[Example]], Targets],
    loss: Loss,
    outputs: int,
    reads: Callable[[Example], int],
) -> list[Part]:
    """A batch cut into parts of at most so many tokens.

    How much a part's loss counts is tried on drawn rewards: the gradients of a part alone must be a multiple of those
    that it has in the whole. Where they are not (a loss that compares the examples of a batch with each other), the
    batch stays whole.

    Args:
        examples: of the batch.
        lengths: of the examples, in tokens.
        max_tokens: of a part; a group of more is a part by itself. 0 leaves the batch whole.
        targets_of: labels of examples.
        loss: that is minimised.
        outputs: C.
        reads: how often a model of the kind reads an example.
    """
    targets = targets_of(examples)
    places = pieces_of([example.group for example in examples], lengths, max_tokens) if max_tokens else []
    if len(places) < 2:
        return [Part(examples, targets, 1.0)]
    pieces = [[examples[place] for place in piece] for piece in places]
    piece_targets = [targets_of(piece) for piece in pieces]
    sizes = [sum(map(reads, piece)) for piece in pieces]
    try:
        shares = _shares(loss, targets, piece_targets, sizes, outputs)
    except ConfigError:  # a part that holds nothing the loss can read
        shares = None
    if shares is None:
        return [Part(examples, targets, 1.0)]
    return [Part(*part) for part in zip(pieces, piece_targets, shares, strict=True)]


def pieces_of(groups: Sequence[object], lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Consecutive groups joined while their tokens are no more than so many: places of examples.

    Args:
        groups: of the examples.
        lengths: of the examples.
        max_tokens: of a piece; a group of more is a piece by itself.
    """
    pieces: list[list[int]] = []
    filled = 0
    for _, places in groupby(range(len(groups)), key=groups.__getitem__):
        group = list(places)
        tokens = sum(lengths[place] for place in group)
        if not pieces or filled + tokens > max_tokens:
            pieces.append([])
            filled = 0
        pieces[-1] += group
        filled += tokens
    return pieces


def _shares(
    loss: Loss, whole: Targets, pieces: Sequence[Targets], sizes: Sequence[int], outputs: int
) -> list[float] | None:
    """The factors by which the gradients of pieces, of `sizes` reads, become those of the whole; None where these are
    not the same for several rewards, the second of which are the first in the opposite order."""
    drawn = torch.randn(2, sum(sizes), outputs, generator=torch.Generator().manual_seed(0))
    tried = [_shares_at(rewards, loss, whole, pieces, sizes) for rewards in (drawn[0], -drawn[0], drawn[1])]
    first = tried[0]
    for shares in tried:
        if first is None or shares is None:
            return None
        if any(abs(share - wanted) > TOLERANCE * max(first) for share, wanted in zip(shares, first, strict=True)):
            return None
    return first


def _shares_at(
    rewards: Tensor, loss: Loss, whole: Targets, pieces: Sequence[Targets], sizes: Sequence[int]
) -> list[float] | None:
    """The factors for rewards (N, C); None where a piece's gradient is no multiple of its part of the whole's."""
    gradient = _gradient(loss, rewards, whole)
    shares = []
    parts = zip(rewards.split(list(sizes)), gradient.split(list(sizes)), pieces, strict=True)
    for part_rewards, part_gradient, targets in parts:
        alone = _gradient(loss, part_rewards, targets)
        norm = float(alone.square().sum())
        share = float((alone * part_gradient).sum()) / norm if norm else 0.0
        if not bool((share * alone - part_gradient).abs().max() <= TOLERANCE * gradient.abs().max()):
            return None
        shares.append(share)
    return shares


def _gradient(loss: Loss, rewards: Tensor, targets: Targets) -> Tensor:
    with torch.enable_grad():
        leaf = rewards.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf, targets), leaf)
    return gradient
