"""From the options of `rmjudge revise` to a plan, and what is shown when it is done. Nothing here loads a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from judge.cli.planning import settings_from
from judge.cli.summary import show_run
from judge.errors import ConfigError, unknown
from judge.runs.runner import Done, Plan
from judge.tasks import Options
from judge.tasks.revision import PRESETS, Loop

_SAMPLING = ("seed", "votes", "temperature", "top_p", "max_tokens", "retries")
_LOOP = ("rounds", "margin", "tries", "principles", "keep")
_PROMPTS = {"answer": "answer", "critique": "critique", "revision": "revision", "referee": "preference"}


class Planned(NamedTuple):
    """What a run of revision is made from."""

    plan: Plan
    loop: Loop
    prompts: dict[str, str]


def plan_from(given: Mapping[str, Any]) -> Planned:
    """The plan that the options mean; ConfigError names the option that is missing or does not fit."""
    needed = {"DATA": given["data"], "--judge": given["judge"], "--out": given["out"] or given["dry_run"]}
    if missing := [name for name, value in needed.items() if not value]:
        raise ConfigError(f"rmjudge revise needs {', '.join(missing)}; see `rmjudge revise --help`")
    name = given["preset"]
    if name and name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    preset = PRESETS[name] if name else None
    begun = {one: getattr(preset.loop, one) for one in _LOOP} if preset else {}
    sampling = {"temperature": preset.temperature} if preset else {}
    critic = given["judge"]
    plan = Plan(
        data=tuple(given["data"]),
        task="revision",
        judges=(critic, given["author"] or critic, given["referee"] or critic),
        out=given["out"] or Path(),
        constitution=given["constitution"] or ("harmless" if preset else ""),
        format=given["format"],
        limit=given["limit"],
        options=Options(reference=not given["no_reference"], **{**sampling, **_given(given, _SAMPLING)}),
        settings=settings_from(given["set"] or (), given["patience"]),
        window=given["window"],
        retry_failures=given["retry_failures"],
    )
    prompts = {task: given[f"{part}_prompt"] for part, task in _PROMPTS.items() if given[f"{part}_prompt"]}
    return Planned(plan, Loop(**{**begun, **_given(given, _LOOP)}), prompts)


def _given(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names if given[name] is not None}


def show_revised(plan: Plan, done: Done, written: Mapping[str, int], *, as_json: bool) -> None:
    """The counts of a run, and the data that it made."""
    show_run(plan, done, as_json=as_json)
    if not as_json:
        constitution = done.manifest["config"]["constitution"]
        if constitution and not constitution["shown"]:
            print("The critic was shown no principles: its prompt has no place for them.")
        print(f"{written['supervised']:,} answers to learn: {plan.out / 'supervised.jsonl'}")
        print(f"{written['preferences']:,} preferences: {plan.out / 'preferences.jsonl'}")
