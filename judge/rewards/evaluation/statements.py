"""What a reward model says of labelled examples, as statements that are true or not: what calibration is fitted on.

N reads, C outputs, S statements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statements:
    """Logits and labels of S statements.

    Attributes:
        about: "pair" (first, second), "outcome" (right, wrong) or "step" (right, wrong[, neutral]).
        logits: (S, 2 or 3).
        labels: (S, 2 or 3), soft and summing to 1.
        prompts: (S,) a number for each prompt.
    """

    about: str
    logits: Floats
    labels: Floats
    prompts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def side(self) -> int:
        """The column that binary figures speak of: the first, the right one, or of steps the wrong one."""
        return 1 if self.about == "step" else 0

    def logit(self) -> Floats:
        """(S,) log-odds of the side: z_side - log Σ_others e^z."""
        others = np.delete(self.logits, self.side, axis=1)
        highest = others.max(1)
        return np.asarray(self.logits[:, self.side] - highest - np.log(np.exp(others - highest[:, None]).sum(1)))

    def smoothed(self) -> Floats:
        """Labels as (n p + 1) / (n + C), n statements in all."""
        count, classes = self.labels.shape
        return np.asarray((count * self.labels + 1) / (count + classes))

    def subset(self, held: NDArray[np.bool_]) -> "Statements":
        """The statements that are held."""
        return Statements(self.about, self.logits[held], self.labels[held], self.prompts[held])


def statements_of(
    rewards: Tensor,
    targets: Targets,
    examples: Sequence[Example],
    config: RewardConfig,
    reward: Tensor | None = None,
) -> Statements | None:
    """Statements of rewards (N, C): steps, else pairs, else outcomes, else which of a prompt's responses scored more.

    `reward` (N,) is what scoring makes of them, where that is known. None where the examples say nothing that can be
    true or not.
    """
    codes = {group: number for number, group in enumerate(dict.fromkeys(example.group for example in examples))}
    prompt = torch.tensor([codes[example.group] for example in examples])
    reward = combined(rewards, config, reward)
    if targets.classes is not None:
        return _steps(rewards, targets, prompt)
    if targets.groups.shape[1] > 1 and (targets.p_first is not None or targets.ranks is not None):
        pairs = targets.pairs(reward[:, None])
        return _binary("pair", pairs.difference[:, 0], pairs.p_first, prompt[pairs.example])
    if targets.p_correct is not None:
        known = ~targets.p_correct.isnan()
        return _binary("outcome", reward[known], targets.p_correct[known], targets.of_reads(prompt, len(reward))[known])
    if targets.scores is not None:
        return _scored(reward, targets, prompt, config)
    return None


def combined(rewards: Tensor, config: RewardConfig, reward: Tensor | None = None) -> Tensor:
    """(N,) one reward of (N, C): objectives under their weights, members by their mean; of steps, right minus wrong;
    `reward` where it is given."""
    if reward is not None:
        return reward.detach().double().cpu()
    values = rewards.detach().double().cpu()
    if config.model.kind == "process":
        return values[:, 0] - values[:, 1]
    if config.model.kind == "multi" and config.model.objective_weights:
        weights = torch.tensor(config.model.objective_weights, dtype=torch.float64)
        return values @ (weights / weights.abs().sum())
    return values.mean(-1)


def _steps(rewards: Tensor, targets: Targets, prompt: Tensor) -> Statements | None:
    assert targets.classes is not None
    known = ~targets.classes.isnan().any(-1)
    labels = targets.classes[known].double()
    logits = rewards.detach().double().cpu()[known]
    if logits.shape[1] == 2:
        labels = torch.stack([labels[:, 0] + labels[:, 2], labels[:, 1]], -1)
    labels = labels / labels.sum(-1, keepdim=True)
    return _statements("step", logits, labels, targets.of_reads(prompt, len(rewards))[known])


def _scored(reward: Tensor, targets: Targets, prompt: Tensor, config: RewardConfig) -> Statements | None:
    """Pairs of responses to one prompt whose scores differ."""
    assert targets.scores is not None
    scores = combined(targets.scores, config)
    prompt_of_read = targets.of_reads(prompt, len(reward))
    differences, labels, prompts = [], [], []
    order = torch.argsort(prompt_of_read, stable=True)
    for places in torch.split(order, torch.bincount(prompt_of_read).tolist()):
        first, second = torch.combinations(places, 2).unbind(1) if len(places) > 1 else (places[:0], places[:0])
        score_difference = scores[first] - scores[second]
        decided = (score_difference != 0) & ~score_difference.isnan()
        differences.append((reward[first] - reward[second])[decided])
        labels.append((score_difference[decided] > 0).double())
        prompts.append(prompt_of_read[first][decided])
    return _binary("pair", torch.cat(differences), torch.cat(labels), torch.cat(prompts))


def _binary(about: str, logit: Tensor, p: Tensor, prompts: Tensor) -> Statements | None:
    p = p.double()
    return _statements(about, torch.stack([logit / 2, -logit / 2], -1), torch.stack([p, 1 - p], -1), prompts)


def _statements(about: str, logits: Tensor, labels: Tensor, prompts: Tensor) -> Statements | None:
    if not len(logits):
        return None
    arrays = (logits.double().numpy(), labels.double().numpy(), prompts.numpy())
    return Statements(about, cast(Floats, arrays[0]), cast(Floats, arrays[1]), arrays[2].astype(np.int64))
