"""`judge.open_reward`: whatever gives rewards, by its name or as an object."""

from pathlib import Path

from judge.jobs.reward_model import load_reward_model
from judge.rewards.reward import RewardSource


def open_reward(source: str | Path | RewardSource) -> RewardSource:
    """What gives rewards.

    Args:
        source: a reward model's directory, or an object that gives rewards already.

    Raises:
        InputError: for a directory that is no reward model.
    """
    if isinstance(source, str | Path):
        return load_reward_model(source)
    return source
