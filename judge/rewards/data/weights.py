"""Weights of training examples in the loss: by how sure their labels are, and by how rare their class is.

Validation examples keep the weight 1: what is compared is the plain loss.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from judge.errors import ConfigError, InputError
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.grouping import changed


class _Label(NamedTuple):
    """A label that the loss reads: probabilities of its classes, and how many people gave it (0: unknown)."""

    shares: tuple[float, ...]
    votes: int


def weighted(made: Sequence[Example], config: RewardConfig) -> Sequence[Example]:
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
        return made
    factors = _balance(made, config) if data.class_balance else None
    known = array(
        "d", (weight for example in made for weight in _weights(example, config, factors) if weight is not None)
    )
    total = sum(known)
    if not total:
        raise InputError(f"example_weights {data.example_weights}: every label is even, and nothing is left to learn")
    mean = total / len(known)
    return changed(made, lambda example: _with_weights(example, _weights(example, config, factors), mean, kind))


def _weights(example: Example, config: RewardConfig, factors: Mapping[int, float] | None) -> list[float | None]:
    """The weight of each label of an example before they are made 1 on average."""
    weighting = config.data.example_weights
    return [_balanced(label, _certainty(label, weighting), factors) for label in _labels(example, config)]


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


def _balance(made: Iterable[Example], config: RewardConfig) -> dict[int, float]:
    """What makes every class weigh the same, by class; a class that no label has is left out."""
    mass: dict[int, float] = {}
    for example in made:
        for label in _labels(example, config):
            weight = _certainty(label, config.data.example_weights)
            if label is not None and weight is not None:
                for number, share in enumerate(label.shares):
                    mass[number] = mass.get(number, 0.0) + weight * share
    total, present = sum(mass.values()), [number for number, value in mass.items() if value > 0]
    return {number: total / (len(present) * mass[number]) for number in present}


def _balanced(label: _Label | None, weight: float | None, factors: Mapping[int, float] | None) -> float | None:
    """A weight times what its classes are multiplied by; without factors the weight."""
    if label is None or weight is None or factors is None:
        return weight
    return weight * sum(share * factors.get(number, 0.0) for number, share in enumerate(label.shares))


def _with_weights(example: Example, weights: Sequence[float | None], mean: float, kind: str) -> Example:
    if kind == "process":
        return replace(example, step_weights=tuple(None if weight is None else weight / mean for weight in weights))
    return replace(example, weight=(weights[0] or 0.0) / mean)
