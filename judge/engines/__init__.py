"""Engines by their specs: `vllm:MODEL`, `hf:MODEL`, `tiny`, `openai:URL#MODEL`, `scripted:FILE`, `recorded:RUN`.

Nothing heavy is imported before a spec asks for it. This module refuses to know how an engine works.
"""

import inspect
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from judge.engines.base import Completion, Engine, Request
from judge.engines.spec import parse_spec
from judge.errors import ConfigError, MissingExtraError, unknown

__all__ = ["Completion", "Engine", "Request", "default_prompt", "load_engine"]

TINY = Path(__file__).parent.parent / "tiny" / "model"
TINY_PROMPT = "brief"


def load_engine(spec: str, **settings: Any) -> Engine:
    """The engine that a spec names, with its settings (see docs/engines.md); those in the spec go before the others.

    Reads the tokenizer and the configuration; vllm and hf load the weights at the first request. Raises ConfigError for
    a spec or setting that does not exist, EngineError for a model that cannot be found, MissingExtraError for an engine
    that is not installed.
    """
    kind, rest, own = parse_spec(spec)
    if kind not in ENGINES:
        raise unknown("engine", kind, ENGINES)
    if not rest and kind != "tiny":
        raise ConfigError(f"engine '{spec}' names no {OBJECTS[kind]}: write '{kind}:{OBJECTS[kind]}'")
    return ENGINES[kind](rest, {**settings, **own})


def default_prompt(spec: str) -> str:
    """The prompt that an engine wants where none is named, "" for any: `tiny` knows the words it was trained on."""
    return TINY_PROMPT if parse_spec(spec).kind == "tiny" else ""


def _vllm(model: str, settings: dict[str, Any]) -> Engine:
    if find_spec("vllm") is None:
        from judge.engines.vllm import INSTALL

        raise MissingExtraError(f"the vllm engine needs vllm: {INSTALL}; or use hf:{model}")
    from judge.engines.vllm import VllmEngine

    return VllmEngine(model, **settings)


def _hf(model: str, settings: dict[str, Any]) -> Engine:
    from judge.engines.hf import HfEngine

    _check(HfEngine, settings)
    return HfEngine(model, **settings)


def _tiny(by: str, settings: dict[str, Any]) -> Engine:
    """The judge that lies in the package, by vLLM where it is installed."""
    runners = {"vllm": _vllm, "hf": _hf}
    chosen = by or ("vllm" if find_spec("vllm") is not None else "hf")
    if chosen not in runners:
        raise unknown("engine for tiny", chosen, runners)
    return runners[chosen](str(TINY), {"name": "tiny", **settings})


def _openai(address: str, settings: dict[str, Any]) -> Engine:
    from judge.engines.openai import OpenAIEngine

    _check(OpenAIEngine, settings)
    url, _, model = address.partition("#")
    if not url.startswith(("http://", "https://")) or not model:
        raise ConfigError(f"engine 'openai:{address}': write 'openai:http://HOST:PORT/v1#MODEL'")
    return OpenAIEngine(url, model, **settings)


def _scripted(path: str, settings: dict[str, Any]) -> Engine:
    from judge.engines.scripted import ScriptedEngine

    _check_none("scripted", settings)
    return ScriptedEngine.from_file(path)


def _recorded(path: str, settings: dict[str, Any]) -> Engine:
    from judge.engines.recorded import RecordedEngine

    _check_none("recorded", settings)
    return RecordedEngine(path)


def _check(engine: Callable[..., Engine], settings: dict[str, Any]) -> None:
    parameters = inspect.signature(engine).parameters.values()
    accepted = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for name in settings:
        if name not in accepted:
            raise unknown("engine setting", name, accepted)


def _check_none(kind: str, settings: dict[str, Any]) -> None:
    if settings:
        raise ConfigError(f"engine '{kind}' takes no settings, found: {', '.join(sorted(settings))}")


ENGINES: dict[str, Callable[[str, dict[str, Any]], Engine]] = {
    "hf": _hf,
    "openai": _openai,
    "recorded": _recorded,
    "scripted": _scripted,
    "tiny": _tiny,
    "vllm": _vllm,
}
OBJECTS = {
    "hf": "MODEL",
    "openai": "http://HOST:PORT/v1#MODEL",
    "recorded": "RUN_OR_FILE",
    "scripted": "FILE.jsonl",
    "vllm": "MODEL",
}
