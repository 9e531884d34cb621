"""Engines by their specs: `vllm:MODEL`, `hf:MODEL`, `tiny`, `openai:URL#MODEL`, `scripted:FILE`, `recorded:RUN`.

Nothing heavy is imported before a spec asks for it. An engine is one file and one line in the table.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from judge.engines.base import Completion, Engine, Request
from judge.engines.spec import parse_spec
from judge.errors import ConfigError, unknown
from judge.registry import Registry

__all__ = ["ENGINES", "Completion", "Engine", "Request", "default_prompt", "load_engine"]

TINY_PROMPT = "brief"
WITHOUT_MODEL = frozenset({"openai", "recorded", "scripted"})
"""Engines that run no model on the machine they are on."""


def _check(name: str, plugin: Any) -> Callable[..., Engine]:
    if not callable(plugin):
        raise ConfigError(f"an engine is a class or a function that makes one, found {type(plugin).__name__}")
    make: Callable[..., Engine] = plugin
    return make


ENGINES: Registry[Callable[..., Engine]] = Registry(
    "rmjudge.engines",
    {
        "hf": "judge.engines.hf:HfEngine",
        "openai": "judge.engines.openai:OpenAIEngine",
        "recorded": "judge.engines.recorded:RecordedEngine",
        "scripted": "judge.engines.scripted:ScriptedEngine",
        "tiny": "judge.engines.tiny:tiny",
        "vllm": "judge.engines.vllm:VllmEngine",
    },
    _check,
)
"""Kind -> what makes the engine: a class (or function) of what stands after the colon, with settings by keyword. A
class whose constructor takes something else has a class method `from_spec` that takes these.

Packages outside add to it by entry points of the group `rmjudge.engines`.
"""


def load_engine(spec: str, **settings: Any) -> Engine:
    """The engine that a spec names, with its settings (see docs/engines.md); those in the spec go before the others.

    Reads the tokenizer and the configuration; vllm and hf load the weights at the first request. Raises ConfigError for
    a spec or setting that does not exist, EngineError for a model that cannot be found, MissingExtraError for an engine
    that is not installed.
    """
    kind, rest, spec_settings = parse_spec(spec)
    if kind not in ENGINES:
        raise unknown("engine", kind, ENGINES)
    return _build(kind, rest, {**settings, **spec_settings}, spec)


def default_prompt(spec: str) -> str:
    """The prompt that an engine wants where none is named, "" for any: `tiny` knows the words it was trained on."""
    return TINY_PROMPT if parse_spec(spec).kind == "tiny" else ""


def known_settings(kind: str) -> tuple[tuple[str, ...], bool]:
    """The settings that a kind of engine names, and whether it takes others too, which only its model knows."""
    engine = ENGINES[kind]
    parameters = [*inspect.signature(_maker(engine)).parameters.values()]
    if hasattr(engine, "from_spec") and _takes_more(parameters):  # it hands them on to the constructor
        kept = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
        parameters = [*inspect.signature(engine).parameters.values(), *kept]
    names = tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)
    return names, _takes_more(parameters)


def _maker(engine: Callable[..., Engine]) -> Callable[..., Engine]:
    maker: Callable[..., Engine] = getattr(engine, "from_spec", engine)
    return maker


def _takes_more(parameters: Iterable[inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _build(kind: str, model: str, settings: dict[str, Any], spec: str) -> Engine:
    make = _maker(ENGINES[kind])
    first = next(iter(inspect.signature(make).parameters.values()), None)
    if not model and first is not None and first.default is first.empty:
        name = first.name.upper()
        raise ConfigError(f"engine '{spec}' names no {name}: write '{kind}:{name}'")
    _check_settings(kind, settings)
    return make(model, **settings)


def _check_settings(kind: str, settings: dict[str, Any]) -> None:
    accepted, takes_more = known_settings(kind)
    if takes_more:
        return
    if settings and not accepted:
        raise ConfigError(f"engine '{kind}' takes no settings, found: {', '.join(sorted(settings))}")
    for name in settings:
        if name not in accepted:
            raise unknown("engine setting", name, accepted)
