"""Weights of training examples in the loss: by how sure their labels are, and by how rare their class is.

Validation examples keep the weight 1: what is compared is the plain loss.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from judge.errors import ConfigError, InputError
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example


class _Label(NamedTuple):
    """A label that the loss reads: probabilities of its classes, and how many people gave it (0: unknown)."""

    shares: tuple[float, ...]
    votes: int


def weighted(made: Sequence[Example], config: RewardConfig) -> list[Example]:
    """Examples with the weights that `example_weights` and `class_balance` ask for.

    p_c are the probabilities of a label's C classes (of a pair and of an outcome two), n the people behind it:

        confidence      w = (C max_c p_c - 1) / (C - 1): |2p - 1| of two classes, 1 where certain, 0 where even
        agreement       w = n / (n + 2) |2p - 1|: how far from even p is expected to be after n votes, by Laplace's rule
                        of succession, since |2 (np + 1) / (n + 2) - 1| = n |2p - 1| / (n + 2)
        class_balance   w is multiplied by Σ_c p_c W / (C W_c), W_c = Σ w p_c of all labels, W = Σ_c W_c, so that each
                        class has the same share of the loss

    The weights' mean over all labels is 1. A ranking and a score have no probability; their weight is 1.

    Args:
        made: training examples.
        config: of the reward model; a process model's steps have a weight each.

    Raises:
        ConfigError: for a class balance of a model that has no classes.
        InputError: where every label is even, so that no weight is left.
    """
    data, kind = config.data, config.model.kind
    if data.class_balance and kind not in ("outcome", "process"):
        raise ConfigError(f"class_balance is for outcome and process models; kind {kind} compares or scores")
    if not data.example_weights and not data.class_balance:
        return list(made)
    labels = [_labels(example, config) for example in made]
    weights = [[_certainty(label, data.example_weights) for label in of_example] for of_example in labels]
    if data.class_balance:
        weights = _balanced(labels, weights)
    known = [weight for of_example in weights for weight in of_example if weight is not None]
    if not sum(known):
        raise InputError(f"example_weights {data.example_weights}: every label is even, and nothing is left to learn")
    mean = sum(known) / len(known)
    return [_with_weights(*pair, mean, kind) for pair in zip(made, weights, strict=True)]


def _labels(example: Example, config: RewardConfig) -> list[_Label | None]:
    """A pair's or an answer's one label; of a process model one a step, None where a step was not judged."""
    votes = example.votes
    if config.model.kind == "process":
        many = votes or (0,) * len(example.steps)
        two = config.model.step_classes == 2
        return [
            None if shares is None else _Label((1 - shares[1], shares[1]) if two else shares, count)
            for shares, count in zip(example.step_probabilities, many, strict=True)
        ]
    p = example.p_correct if example.p_correct is not None else example.p_first
    return [_Label((), 0) if p is None else _Label((p, 1 - p), votes[0] if votes else 0)]


def _certainty(label: _Label | None, weighting: str) -> float | None:
    """The weight of a label before balance and normalisation."""
    if label is None:
        return None
    count = len(label.shares)
    if not weighting or not count:
        return 1.0
    distance = (count * max(label.shares) - 1) / (count - 1)
    known = label.votes / (label.votes + 2) if weighting == "agreement" and label.votes else 1.0
    return distance * known


def _balanced(
    labels: Sequence[Sequence[_Label | None]], weights: Sequence[Sequence[float | None]]
) -> list[list[float | None]]:
    """Weights times what makes every class weigh the same; a class that no label has is left out."""
    mass: dict[int, float] = {}
    for label, weight in _pairs(labels, weights):
        for number, share in enumerate(label.shares):
            mass[number] = mass.get(number, 0.0) + weight * share
    total, present = sum(mass.values()), [number for number, value in mass.items() if value > 0]
    factor = {number: total / (len(present) * mass[number]) for number in present}
    return [
        [
            None
            if label is None or weight is None
            else weight * sum(share * factor.get(number, 0.0) for number, share in enumerate(label.shares))
            for label, weight in zip(*of_example, strict=True)
        ]
        for of_example in zip(labels, weights, strict=True)
    ]


def _pairs(
    labels: Sequence[Sequence[_Label | None]], weights: Sequence[Sequence[float | None]]
) -> Iterable[tuple[_Label, float]]:
    for of_example in zip(labels, weights, strict=True):
        for label, weight in zip(*of_example, strict=True):
            if label is not None and weight is not None:
                yield label, weight


def _with_weights(example: Example, weights: Sequence[float | None], mean: float, kind: str) -> Example:
    if kind == "process":
        return replace(example, step_weights=tuple(None if weight is None else weight / mean for weight in weights))
    return replace(example, weight=(weights[0] or 0.0) / mean)
