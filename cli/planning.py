"""From the options of `rmjudge label` to a plan; what was not given comes from `--from`, or from a stated default.

Model, data and output are never guessed. Nothing here reads data or loads a model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from judge.errors import ConfigError, RunError, unknown
from judge.run_files import FAILURES, LABELS
from judge.runs.manifest import read_manifest
from judge.runs.ray_runner import Runner, on_ray
from judge.runs.runner import Plan, judge_here
from judge.tasks import Options
from judge.tasks.constitution_preference import Clamp, preset

_STEPS = {"each": True, "all": False}
_PLAIN = (
    "seed",
    "votes",
    "temperature",
    "top_p",
    "max_tokens",
    "retries",
    "one_order",
    "pairwise",
    "low",
    "high",
    "rubric",
)


def plan_from(given: Mapping[str, Any]) -> Plan:
    """The plan that the options mean; ConfigError names the option that is missing or does not fit."""
    source: Path | None = given["from_run"]
    earlier = _earlier(source) if source else {"config": {}, "command": {}}
    config = earlier["config"]
    data, judges = tuple(given["data"] or ()), tuple(given["judge"] or ())
    if source:
        if judges:
            raise ConfigError("--from reads the stored replies of a run; it takes no --judge")
        data = data or tuple(str(path) for name in (LABELS, FAILURES) if (path := source / name).stat().st_size)
        judges = (f"recorded:{source}",) * config["options"]["judges"]
    task = given["task"] or config.get("task", "")
    missing = [
        name
        for name, value in {"DATA": data, "--task": task, "--judge": judges, "--out": given["out"]}.items()
        if not value
    ]
    if missing == ["--out"] and given["dry_run"]:
        missing = []
    if missing:
        raise ConfigError(f"rmjudge label needs {', '.join(missing)}; see `rmjudge label --help`")
    settings = preset(given["preset"]) if given["preset"] else None
    if settings and given["prompt"]:
        raise ConfigError(f"--preset {given['preset']} brings its own prompt; give --prompt without it")
    clamp = _clamp(given["clamp"]) if given["clamp"] else settings and settings.clamp
    return Plan(
        data=data,
        task=task,
        judges=judges,
        out=given["out"] or Path(),
        prompt=given["prompt"] or (settings.prompt if settings else earlier["command"].get("prompt", "")),
        constitution=given["constitution"]
        or (settings.constitution if settings else earlier["command"].get("constitution", "")),
        clamp=clamp or (None if settings else _earlier_clamp(config)),
        format=given["format"],
        limit=given["limit"],
        options=_options(given, config.get("options", {}), judges),
        settings=settings_from(given["set"] or (), given["patience"]),
        window=given["window"],
        retry_failures=given["retry_failures"],
    )


def runner_from(name: str, workers: int) -> Runner:
    """Who judges: this process, or actors on a Ray cluster."""
    if name == "ray":
        return on_ray(workers)
    if name != "here":
        raise unknown("value of --runner", name, ("here", "ray"))
    return judge_here


def _earlier(source: Path) -> dict[str, Any]:
    manifest = read_manifest(source)
    if manifest is None:
        raise RunError(f"{source}: not a run directory (it has no manifest.json)")
    return manifest


def _options(given: Mapping[str, Any], earlier: Mapping[str, Any], judges: Sequence[str]) -> Options:
    chosen = {name: given[name] for name in _PLAIN if given[name] is not None}
    if given["hard"]:
        chosen["soft"] = False
    if given["no_reference"]:
        chosen["reference"] = False
    if given["steps"] is not None:
        if given["steps"] not in _STEPS:
            raise unknown("value of --steps", given["steps"], _STEPS)
        chosen["each_step"] = _STEPS[given["steps"]]
    if given["criterion"]:
        chosen["criteria"] = [": ".join(part.strip() for part in one.split("=", 1)) for one in given["criterion"]]
    merged = {"judges": len(judges), **earlier, **chosen}
    return Options(**{**merged, "criteria": tuple(merged.get("criteria", ()))})


def _clamp(text: str) -> Clamp:
    low, _, high = text.partition(":")
    try:
        return Clamp(float(low), float(high))
    except ValueError:
        raise ConfigError(f"--clamp {text}: write --clamp LOW:HIGH, such as 0.4:0.6") from None


def _earlier_clamp(config: Mapping[str, Any]) -> Clamp | None:
    clamp = (config.get("constitution") or {}).get("clamp")
    return Clamp(*clamp) if clamp else None


def settings_from(pairs: Sequence[str], patience: str | None = None) -> dict[str, Any]:
    """The engine settings that `--set NAME=VALUE` options and `--patience` mean."""
    settings: dict[str, Any] = {"patience": patience} if patience else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {pair}: write --set NAME=VALUE")
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            settings[name] = value
    return settings
