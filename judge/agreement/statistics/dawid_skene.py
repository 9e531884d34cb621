"""What the people say together when some are better than others: Dawid and Skene's model, by EM.

Dawid & Skene 1979, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm".
"""

from typing import NamedTuple

import numpy as np

from judge.agreement.statistics.bootstrap import Floats, Ints


class Estimated(NamedTuple):
    """posterior: (N, K) P(class of row | votes), 0 on rows without votes; skill: (A,) P(right) of each annotator;
    confusion: (A, K, K) P(says l | is k); prior: (K,)."""

    posterior: Floats
    skill: Floats
    confusion: Floats
    prior: Floats


def dawid_skene(
    row: Ints, who: Ints, value: Ints, *, rows: int, people: int, classes: int, rounds: int = 50
) -> Estimated:
    """Posterior classes from votes (V,). Starts from the vote shares; each confusion row has a hundredth of a vote
    spread over the classes, so that a class an annotator never saw stays defined."""
    cell = who * classes + value
    counts = np.bincount(row * classes + value, minlength=rows * classes).reshape(rows, classes)
    posterior: Floats = counts.astype(np.float64)
    voted = posterior.sum(axis=1) > 0
    posterior[voted] /= posterior[voted].sum(axis=1, keepdims=True)
    confusion, prior = np.empty(0), np.empty(0)
    for _ in range(rounds):
        prior = posterior[voted].mean(axis=0)
        counts_by_class: Floats = np.stack(
            [np.bincount(cell, weights=posterior[row, k], minlength=people * classes) for k in range(classes)]
        )
        counts_by_class = counts_by_class.reshape(classes, people, classes).transpose(1, 0, 2) + 0.01 / classes
        confusion = counts_by_class / counts_by_class.sum(axis=2, keepdims=True)
        log_said = np.log(confusion)[who, :, value]
        log_joint = np.stack(
            [np.bincount(row, weights=log_said[:, k], minlength=rows) for k in range(classes)], axis=1
        ) + np.log(np.maximum(prior, 1e-300))
        log_joint -= log_joint.max(axis=1, keepdims=True)
        fresh = np.exp(log_joint)
        fresh /= fresh.sum(axis=1, keepdims=True)
        fresh[~voted] = 0.0
        moved = float(np.abs(fresh - posterior).max(initial=0.0))
        posterior = fresh
        if moved < 1e-6:
            break
    skill = (confusion.diagonal(axis1=1, axis2=2) * prior).sum(axis=1)
    return Estimated(posterior, skill, confusion, prior)
