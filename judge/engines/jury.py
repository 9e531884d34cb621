"""The engines of a jury: each with its own settings, and with those of the shared ones that it knows."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from judge.engines import ENGINES, default_prompt, known_settings, load_engine
from judge.engines.base import Engine
from judge.engines.spec import parse_spec
from judge.errors import ConfigError

Judge = str | Engine
_VLLM_TOO = frozenset({"max_model_len"})
"""Settings that hf names in its signature and vLLM takes among its own arguments."""


def as_judges(judges: Judge | Sequence[Judge] | None) -> tuple[Judge, ...]:
    """One judge or several as a tuple; raises ConfigError for what is neither a spec nor an engine."""
    if judges is None:
        return ()
    listed = tuple(judges) if isinstance(judges, Sequence) and not isinstance(judges, str) else (judges,)
    for judge in listed:
        if not isinstance(judge, str) and not is_engine(judge):
            kind = type(judge).__name__
            raise ConfigError(f"a judge of the type {kind} (accepted: a spec such as 'vllm:MODEL', an Engine object)")
    return listed


def load_jury(judges: Sequence[Judge], shared: Mapping[str, Any]) -> list[Engine]:
    """The engines of a jury.

    Args:
        judges: one a juror: a spec, or an engine of the caller's own, which is taken as it is.
        shared: settings for those engines that know them; a spec's own settings go before them.

    Raises:
        ConfigError: for a shared setting that no engine knows; and what `load_engine` raises.
    """
    specs = [judge for judge in judges if isinstance(judge, str)]
    if shared and not specs:
        raise ConfigError(f"settings are for engines that are named by a spec, found: {', '.join(shared)}")
    settings = {spec: _share(spec, specs, shared) for spec in specs}
    known = {name for spec in specs for name in (*settings[spec], *parse_spec(spec).settings)}
    if lost := shared.keys() - known:  # no engine knows these: the first one says so, with the nearest that it knows
        settings[specs[0]] |= {name: shared[name] for name in lost}
    loaded: list[Engine] = []
    try:
        for judge in judges:
            loaded.append(load_engine(judge, **settings[judge]) if isinstance(judge, str) else judge)
    except BaseException:
        close_loaded(loaded, judges[: len(loaded)])
        raise
    return loaded


def close_loaded(engines: Sequence[Engine], judges: Sequence[Judge]) -> None:
    """Close the engines that were loaded by a spec, and leave the caller's own alone."""
    for engine in engines:
        if not any(engine is judge for judge in judges):
            engine.close()


def prompt_wanted_by(judge: Judge) -> str:
    """The prompt that a judge wants where none is named, "" for any."""
    if isinstance(judge, str):
        return default_prompt(judge)
    return default_prompt(str(judge.describe().get("model", "")))  # the embedded judge calls itself "tiny"


def _share(spec: str, specs: Sequence[str], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The shared settings that one engine knows and does not have of its own."""
    kind, _, spec_settings = parse_spec(spec)
    names, takes_more = _known(kind)
    named_elsewhere = {name for other in specs for name in _known(parse_spec(other).kind)[0]} - _VLLM_TOO
    return {
        name: value
        for name, value in shared.items()
        if name not in spec_settings and (name in names or (takes_more and name not in named_elsewhere))
    }


def _known(kind: str) -> tuple[tuple[str, ...], bool]:
    return known_settings(kind) if kind in ENGINES else ((), True)  # load_engine refuses an unknown kind, by its name


def is_engine(judge: object) -> TypeGuard[Engine]:
    """Whether an object has the verbs of an engine."""
    return all(callable(getattr(judge, verb, None)) for verb in ("submit", "step", "describe", "close"))
