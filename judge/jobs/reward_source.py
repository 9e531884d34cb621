"""`judge.open_reward`: whatever gives rewards, by its name or as an object."""

from pathlib import Path
from typing import Any

from judge.errors import ConfigError, unknown
from judge.jobs.reward_model import RewardModel, load_reward_model
from judge.jobs.scoring.published import PublishedRewardModel
from judge.jobs.scoring.scoring_model import ScoringModel
from judge.rewards.checkpoint.metadata import REWARD_FILE
from judge.rewards.reward import RewardSource

_FOREIGN_ONLY = ("convention", "objective", "chat_template", "max_length", "trust_remote_code")
"""Settings of models that others trained; ours say all this themselves."""
_SETTINGS = ("calibration", "device", "dtype", "engine", "normalize", *_FOREIGN_ONLY)
_UNSET = (None, "", (), 0, False, "transformers")


def open_reward(source: str | Path | RewardSource, **settings: Any) -> RewardSource:
    """What gives rewards.

    Args:
        source: a reward model's directory, ours or one that others trained; a name on the hub, OWNER/NAME[@REVISION];
            or an object that gives rewards already.
        settings: of a model: dtype, device, normalize, calibration, engine; of one that others trained also convention,
            objective, chat_template, max_length and trust_remote_code, see `judge.score`.

    Raises:
        InputError: for what is no reward model.
        ConfigError: for settings that it has not got, and for a model that needs more to be said.
    """
    if not isinstance(source, str | Path):
        if settings:
            raise ConfigError(f"{', '.join(settings)}: an object that gives rewards has settings of its own")
        return source
    return open_scoring_model(source, **settings)


def open_scoring_model(source: str | Path | ScoringModel, **settings: Any) -> ScoringModel:
    """A model of ours where the directory has reward.json and no convention is named, else one of others.

    An object stays one; of a model of ours its directory is opened again where settings are given.
    """
    for name in settings:
        if name not in _SETTINGS:
            raise unknown("setting", name, _SETTINGS)
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
