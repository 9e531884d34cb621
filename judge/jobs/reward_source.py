"""`judge.open_reward`: whatever gives rewards, by its name or as an object."""

from pathlib import Path
from typing import Any, cast

from judge.engines.base import Engine
from judge.engines.jury import is_engine
from judge.errors import ConfigError
from judge.jobs.reward_model import load_reward_model
from judge.jobs.rewards.judge_reward import judge_reward, names_judge
from judge.rewards.reward import RewardSource


def open_reward(source: str | Path | RewardSource | Engine, **settings: Any) -> RewardSource:
    """What gives rewards.

    Args:
        source: a reward model's directory, a judge's spec ("vllm:MODEL") or `Engine`, or an object that gives rewards
            already.
        settings: of a model those of `judge.load_reward_model`; of a judge those of `JudgeReward`: task, prompt,
            tournament, criterion, low, high, ...

    Raises:
        InputError: for a directory that is no reward model.
        ConfigError: for a judge that is not known, and for settings that what is opened does not have.
    """
    if isinstance(source, str | Path):
        return judge_reward(str(source), settings) if names_judge(source) else load_reward_model(source, **settings)
    if is_engine(source):
        return judge_reward(source, settings)
    if not callable(getattr(source, "score_batch", None)):
        kind = type(source).__name__
        raise ConfigError(f"a reward of the type {kind} (accepted: a directory, a judge's spec, an object that scores)")
    if settings:
        raise ConfigError(f"settings are for what is named, found: {', '.join(settings)}")
    return cast("RewardSource", source)
