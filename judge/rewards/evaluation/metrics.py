"""How well rewards fit their targets, in figures that mean the same in training, in validation and on a model card.

E examples, K responses of each, N reads, C outputs.
"""

import torch
from torch import Tensor

from judge.rewards.config import RewardConfig
from judge.rewards.data.targets import Targets


def figures(rewards: Tensor, targets: Targets, config: RewardConfig) -> dict[str, float]:
    """Accuracy and margin, or correlation; without those of which the targets hold nothing.

    Args:
        rewards: (N, C).
        targets: of the same N reads.
        config: of the reward model.

    Returns:
        accuracy: share of pairs (a ranking has all of its pairs; ties do not count; equal rewards count half), steps or
        answers that are told right. margin: the mean of how far the reward says so. correlation: Pearson's, mean over
        objectives.
    """
    if targets.classes is not None and config.model.kind == "process":
        return _steps(rewards, targets.classes)
    if targets.p_correct is not None and config.model.kind == "outcome":
        known = ~targets.p_correct.isnan()
        return _binary(rewards[known, 0], 2.0 * targets.p_correct[known] - 1.0)
    if targets.scores is not None:
        return _correlation(rewards, targets.scores, config.model.kind)
    if targets.groups.shape[1] < 2 or (targets.p_first is None and targets.ranks is None):
        return {}
    pairs = targets.pairs(rewards)
    return _binary(pairs.difference.mean(-1), 2.0 * pairs.p_first - 1.0)


def _binary(differences: Tensor, sides: Tensor) -> dict[str, float]:
    """differences: (P,) positive for the first; sides: (P,) in [-1, 1], 0 for a tie."""
    decided = sides != 0
    if not bool(decided.any()):
        return {}
    agreed = differences[decided] * torch.sign(sides[decided])
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
    correct = logits.gather(-1, truth[:, None])[:, 0]
    other = logits.scatter(-1, truth[:, None], -torch.inf).amax(-1)
    return {"accuracy": float((logits.argmax(-1) == truth).float().mean()), "margin": float((correct - other).mean())}


def _correlation(rewards: Tensor, scores: Tensor, kind: str) -> dict[str, float]:
    """rewards: (N, C); scores: (N, M), NaN where unknown."""
    if kind != "multi":
        rewards = rewards.mean(-1, keepdim=True)
    correlations = []
    for reward, score in zip(rewards.unbind(-1), scores.unbind(-1), strict=False):
        known = ~score.isnan()
        x, y = reward[known] - reward[known].mean(), score[known] - score[known].mean()
        spread = x.norm() * y.norm()
        if int(known.sum()) > 1 and float(spread) > 0:
            correlations.append(float((x @ y) / spread))
    return {"correlation": sum(correlations) / len(correlations)} if correlations else {}
