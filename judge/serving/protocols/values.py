"""Rewards for protocols that know numbers only."""

from judge.rewards.reward import Reward
from judge.serving.refusals import invalid


def number_of(reward: Reward, field: str, unreadable: float | None) -> float:
    """A reward as a number.

    Args:
        reward: of a text.
        field: of the request that holds the text.
        unreadable: the number of a text that has no reward.

    Raises:
        RefusedError: 422 with the reason for a text that has no reward, where `unreadable` is None.
    """
    value = unreadable if reward.value is None else reward.value
    if value is None:
        raise invalid(f"no reward: {reward.reason}", field)
    return value
