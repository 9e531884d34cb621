"""`judge.serve`: rewards of models and judges over HTTP."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from inspect import signature
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from judge.engines.spec import read_settings
from judge.errors import ConfigError, unknown
from judge.jobs.reward_model import load_reward_model
from judge.jobs.reward_source import open_reward
from judge.rewards.checkpoint.metadata import REWARD_FILE
from judge.rewards.reward import RewardSource
from judge.rewards.shaping import Shaping
from judge.secrets import mask_secrets

Source = str | Path | RewardSource
_NAMED = re.compile(r"(?P<name>[\w.-]+)=(?P<source>.+)", re.DOTALL)
LOG_LEVELS = ("debug", "info", "warning", "error")


def serve(
    models: Source | Sequence[Source] | Mapping[str, Source],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key_file: str | Path | None = None,
    admin_key_file: str | Path | None = None,
    no_key: bool = False,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    shaping: Shaping | Mapping[str, Any] | None = None,
    cache_size: int = 100_000,
    unreadable: float | None = None,
    log_level: str = "info",
    log_texts: bool = False,
    **limits: float | None,
) -> None:
    """Serve rewards over HTTP until SIGINT or SIGTERM; what waits then is finished.

    Args:
        models: what `judge.open_reward` takes, one or several; their names are those of a mapping, of texts NAME=MODEL,
            or the sources' own. The first answers requests that name no model.
        host: the address to listen on; others than this machine's own loopback ask for a key.
        port: 0 takes a free one; the log's line "serving" names it.
        api_key_file: holds the key that requests must carry; by default the variable RMJUDGE_API_KEY does.
        admin_key_file: holds the key of /admin; by default RMJUDGE_ADMIN_KEY. Without one there is no /admin.
        no_key: serve other machines without a key.
        settings: of what is named rather than given as an object, see `judge.open_reward`; a mapping, or texts
            NAME=VALUE.
        shaping: what becomes of each reward before it is sent: a `Shaping`, or its fields.
        cache_size: how many texts' rewards are remembered; 0 for none.
        unreadable: the reward of a text that cannot be read, for /get_reward, /classify and /pooling; by default such a
            request is refused with 422.
        log_level: debug, info, warning or error.
        log_texts: write prompts and responses to the log.
        limits: fields of `judge.serving.Limits`; None leaves one as it is.

    Raises:
        MissingExtraError: without fastapi and uvicorn.
        ConfigError: for settings that do not fit together. InputError: for a source that is none.
        RunError: where the address cannot be listened on.
    """
    from judge.serving import Limits, create_app, run
    from judge.serving.keys import ADMIN_KEY, API_KEY, read_key

    known = [field.name for field in fields(Limits)]
    for name in limits:
        if name not in known:
            raise unknown("limit", name, known)
    if log_level not in LOG_LEVELS:
        raise unknown("log level", log_level, LOG_LEVELS)
    bounds: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
    bounded = Limits(**bounds)
    api_key = read_key(api_key_file, API_KEY)
    if not api_key and not no_key and not _is_loopback(host):
        raise ConfigError(
            f"{host} can be reached by others, and there is no key (accepted: {API_KEY} in the environment, "
            "--api-key-file FILE, --no-key)"
        )
    given = read_settings(settings)
    named = sources_of(models)
    sources = {name: _opened(source, given) for name, source in named.items()}
    app = create_app(
        sources,
        shaping=shaping,
        limits=bounded,
        api_key=api_key,
        admin_key=read_key(admin_key_file, ADMIN_KEY),
        opener=lambda source: _opened(source, given),
        cache_size=cache_size,
        unreadable=unreadable,
        log_texts=log_texts,
    )
    run(app, host=host, port=port, log_level=log_level)
    for name, source in named.items():
        if isinstance(source, str | Path) and (close := getattr(sources[name], "close", None)) is not None:
            close()


def sources_of(models: Source | Sequence[Source] | Mapping[str, Source]) -> dict[str, Source]:
    """Sources by name: NAME=MODEL, a directory's name, or the source's own.

    Raises:
        ConfigError: for no source, and two of one name.
    """
    if isinstance(models, Mapping):
        return dict(models)
    several: Sequence[Any] = [models] if isinstance(models, str | Path) or not isinstance(models, Sequence) else models
    by_name: dict[str, Source] = {}
    for source in several:
        name, source = _named(source)
        if name in by_name:
            raise ConfigError(f"two models are called '{name}'; give them names: NAME=MODEL")
        by_name[name] = source
    if not by_name:
        raise ConfigError("there is no model to serve (accepted: one or more)")
    return by_name


def _opened(source: Source, settings: Mapping[str, Any]) -> RewardSource:
    """A source; settings are for what is named.

    Raises:
        UnknownNameError: for a setting that a reward model has not got.
    """
    if not isinstance(source, str | Path):
        return open_reward(source)
    accepted = [name for name in signature(load_reward_model).parameters if name != "path"]
    for name in settings if (Path(source) / REWARD_FILE).is_file() else ():
        if name not in accepted:
            raise unknown("setting of a reward model", name, accepted)
    return open_reward(source, **settings)


def _named(source: Source) -> tuple[str, Source]:
    if isinstance(source, str) and (match := _NAMED.fullmatch(source)) and not Path(source).exists():
        return match["name"], match["source"]
    if isinstance(source, str | Path):
        is_path = Path(source).exists()
        return (Path(source).resolve().name if is_path else mask_secrets(str(source))), source
    return source.name, source


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
