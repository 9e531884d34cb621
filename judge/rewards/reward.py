"""What a reward is, and what gives rewards: reward models of ours and of others, judges, verifiers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from judge.errors import InputError
from judge.records import Message, Record

Text = str | Sequence[Mapping[str, Any]] | Sequence[Message]
Scorable = Mapping[str, Any] | Record | tuple[Text, Text]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What a reward model says of one response.

    Attributes:
        value: the reward, higher is better: an ensemble's mean, objectives under their weights, of a process model the
            steps' P(right) as one. None where the text could not be read.
        std: what the model does not know of it, in the same units (docs/rewards.md, "Uncertainty").
        lower: value minus one standard deviation, a cautious reward.
        probability: P(correct), calibrated, of an outcome model.
        members: the rewards of an ensemble's members.
        objectives: the reward of each objective.
        steps: P(right) of each step, calibrated, of a process model.
        novelty: distance to the training features, of a model with a feature bank.
        reason: why there is no value.
    """

    value: float | None
    std: float | None = None
    lower: float | None = None
    probability: float | None = None
    members: tuple[float, ...] = ()
    objectives: Mapping[str, float] | None = None
    steps: tuple[float, ...] = ()
    novelty: float | None = None
    reason: str = ""

    def __float__(self) -> float:
        if self.value is None:
            raise InputError(f"no reward: {self.reason}")
        return self.value


class RewardSource(Protocol):
    """Whatever gives rewards.

    `best_of`, `serve`, the hooks and `iterate` know nothing else of what they are given: a reward model of ours
    (`RewardModel`), one of somebody else, a judge or a function.
    """

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def version(self) -> str:
        """A hash of all that decides its rewards: the same version gives the same rewards."""

    def score_batch(self, rows: Sequence[Scorable]) -> list[list[Reward]]:
        """The rewards of many rows.

        Args:
            rows: records, (prompt, response) pairs, or rows as dicts of any format. The responses of a ranking are
                scored together, which a judge's tournament needs.

        Returns:
            Of each row, in its order, a reward a response: two of a pair, K of a ranking, one of the others. What
            could not be read has no value and says why; nothing is left out.
        """
