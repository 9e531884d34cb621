"""`judge.open_reward`: whatever gives rewards, by its name or as an object."""

from pathlib import Path
from typing import Any, cast

from judge.engines.base import Engine
from judge.engines.jury import is_engine
from judge.errors import ConfigError, unknown
from judge.jobs.reward_model import RewardModel, load_reward_model
from judge.jobs.rewards.judge_reward import judge_reward, names_judge
from judge.jobs.scoring.published import PublishedRewardModel
from judge.jobs.scoring.scoring_model import ScoringModel
from judge.rewards.checkpoint.metadata import REWARD_FILE
from judge.rewards.reward import RewardSource

_FOREIGN_ONLY = ("convention", "objective", "chat_template", "max_length", "trust_remote_code")
"""Settings of models that others trained; ours say all this themselves."""
MODEL_SETTINGS = ("calibration", "device", "dtype", "engine", "normalize", *_FOREIGN_ONLY)
_UNSET = (None, "", (), 0, False, "transformers")


def open_reward(source: str | Path | RewardSource | Engine, **settings: Any) -> RewardSource:
    """What gives rewards.

    Args:
        source: a reward model's directory, ours or one that others trained; a name on the hub, OWNER/NAME[@REVISION];
            a judge's spec ("vllm:MODEL") or `Engine`; or an object that gives rewards already.
        settings: of a model: dtype, device, normalize, calibration, engine; of one that others trained also convention,
            objective, chat_template, max_length and trust_remote_code, see `judge.score`. Of a judge those of
            `JudgeReward`: task, prompt, tournament, criterion, low, high, ...

    Raises:
        InputError: for what is no reward model.
        ConfigError: for a judge that is not known, for settings that what is opened does not have, and for a model that
            needs more to be said.
    """
    if isinstance(source, str | Path):
        if not str(source).startswith("hf://") and names_judge(source):
            return judge_reward(str(source), settings)
        return open_scoring_model(source, **settings)
    if is_engine(source):
        return judge_reward(source, settings)
    if not callable(getattr(source, "score_batch", None)):
        kind = type(source).__name__
        raise ConfigError(
            f"a reward of the type {kind} (accepted: a directory, a hub name, a judge's spec, an object that scores)"
        )
    if settings:
        raise ConfigError(f"settings are for what is named, found: {', '.join(settings)}")
    return cast("RewardSource", source)


def open_scoring_model(source: str | Path | ScoringModel, **settings: Any) -> ScoringModel:
    """A model of ours where the directory has reward.json and no convention is named, else one of others.

    An object stays one; of a model of ours its directory is opened again where settings are given.
    """
    for name in settings:
        if name not in MODEL_SETTINGS:
            raise unknown("setting", name, MODEL_SETTINGS)
    given = {name: value for name, value in settings.items() if value not in _UNSET}
    if isinstance(source, ScoringModel):
        if not given:
            return source
        if not isinstance(source, RewardModel):
            raise ConfigError(f"{', '.join(given)}: {source.name} was opened with settings of its own")
        source = source.path
    if not (Path(source) / REWARD_FILE).is_file() or "convention" in given:
        return PublishedRewardModel(source, **given)
    for name in given:
        if name in _FOREIGN_ONLY:
            raise ConfigError(f"{name}: {source} is a model of rmjudge, which is read as it was trained")
    return load_reward_model(source, **given)
