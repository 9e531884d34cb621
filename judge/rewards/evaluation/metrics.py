"""How well rewards fit their targets, in figures that mean the same in training, in validation and on a model card.

    E examples, K responses of one, N reads, C outputs.

This module refuses to know models and losses.
"""

import torch
from torch import Tensor

from judge.rewards.config import Settings
from judge.rewards.losses.registry import Targets


def figures(rewards: Tensor, targets: Targets, settings: Settings) -> dict[str, float]:
    """accuracy and margin, or correlation, of rewards (N, C); without those of which the targets hold nothing.

    accuracy: share of pairs (a ranking has all of its pairs; ties do not count; equal rewards count half), steps or
    answers told right. margin: the mean of how far the reward says so. correlation: Pearson's, mean over objectives.
    """
    if targets.classes is not None and settings.kind == "process":
        return _steps(rewards, targets.classes)
    if targets.p_correct is not None and settings.kind == "outcome":
        known = ~targets.p_correct.isnan()
        return _told(rewards[known, 0], 2.0 * targets.p_correct[known] - 1.0)
    if targets.scores is not None:
        return _correlation(rewards, targets.scores, settings.kind)
    if targets.groups.shape[1] < 2 or (targets.p_first is None and targets.ranks is None):
        return {}
    pairs = targets.pairs(rewards)
    return _told(pairs.difference.mean(-1), 2.0 * pairs.p_first - 1.0)


def _told(said: Tensor, sides: Tensor) -> dict[str, float]:
    """said: (P,) positive for the first; sides: (P,) in [-1, 1], 0 for a tie."""
    decided = sides != 0
    if not bool(decided.any()):
        return {}
    agreed = said[decided] * torch.sign(sides[decided])
    hits = (agreed > 0).float() + 0.5 * (agreed == 0).float()
    return {"accuracy": float(hits.mean()), "margin": float(agreed.mean())}


def _steps(logits: Tensor, classes: Tensor) -> dict[str, float]:
    """logits: (N, 2 or 3) right, wrong, neutral; classes: (N, 3), NaN where nothing is known. Two classes count neutral
    as right."""
    known = ~classes.isnan().any(-1)
    if not bool(known.any()):
        return {}
    logits, classes = logits[known], classes[known]
    if logits.shape[-1] == 2:
        classes = torch.stack([classes[:, 0] + classes[:, 2], classes[:, 1]], -1)
    truth = classes.argmax(-1)
    own = logits.gather(-1, truth[:, None])[:, 0]
    other = logits.scatter(-1, truth[:, None], -torch.inf).amax(-1)
    return {"accuracy": float((logits.argmax(-1) == truth).float().mean()), "margin": float((own - other).mean())}


def _correlation(rewards: Tensor, scores: Tensor, kind: str) -> dict[str, float]:
    """rewards: (N, C); scores: (N, M), NaN where unknown."""
    if kind != "multi":
        rewards = rewards.mean(-1, keepdim=True)
    found = []
    for reward, score in zip(rewards.unbind(-1), scores.unbind(-1), strict=False):
        known = ~score.isnan()
        said, given = reward[known] - reward[known].mean(), score[known] - score[known].mean()
        spread = said.norm() * given.norm()
        if int(known.sum()) > 1 and float(spread) > 0:
            found.append(float((said @ given) / spread))
    return {"correlation": sum(found) / len(found)} if found else {}
