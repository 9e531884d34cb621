"""`judge.revise`: answer, criticise and revise, keep what a referee finds better, and write both as training data."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from judge.constitution.constitution import Constitution
from judge.engines.jury import Judge
from judge.engines.prices import Prices, read_prices
from judge.engines.spec import read_settings
from judge.errors import unknown
from judge.exports.export import write_revised
from judge.jobs.label import judge_by, named_constitution, need
from judge.runs.cluster.ray_job import Runner
from judge.runs.cluster.workers import Workers
from judge.runs.data import Data, Shard, open_data
from judge.runs.plan import Plan
from judge.runs.preview import Preview
from judge.runs.reader import Run
from judge.runs.revising import RevisionJob
from judge.runs.scheduler import WINDOW
from judge.tasks import Options
from judge.tasks.revision import PRESETS, Loop, Preset

_LOOP = ("rounds", "margin", "tries", "principles", "keep")


def revise(
    data: Data | None = None,
    *,
    out: str | Path | None = None,
    judge: Judge | None = None,
    author: Judge | None = None,
    referee: Judge | None = None,
    constitution: str | Path | Constitution = "",
    rounds: int | None = None,
    margin: float | None = None,
    tries: int | None = None,
    principles: int | None = None,
    keep: Literal["better", "all"] | str | None = None,
    preset: str | None = None,
    thought: bool = False,
    answer_prompt: str | Path | None = None,
    critique_prompt: str | Path | None = None,
    revision_prompt: str | Path | None = None,
    referee_prompt: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    shard: Shard | str | None = None,
    skip_bad: bool = False,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    patience: str | float | None = None,
    prices: str | Path | Prices | None = None,
    max_cost: float | None = None,
    seed: int | None = None,
    votes: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_tokens: int | None = None,
    retries: int | None = None,
    no_reference: bool | None = None,
    language: str = "",
    retry_failures: bool = False,
    window: int = WINDOW,
    runner: Runner = "here",
    workers: int | str | Workers = 1,
    dry_run: bool = False,
    progress: bool = True,
) -> Run:
    """Answer, criticise and revise by a constitution. The same call again resumes an unfinished run.

    Args:
        data: prompts, responses or solutions: a path, a glob, a hub name, a run, rows as dicts, a `datasets.Dataset`.
        out: the run directory; supervised.jsonl and preferences.jsonl are written beside its rows.
        judge: the critic, a spec or an `Engine`; also author and referee, where these are not given.
        constitution: whose principles revisions follow.
        rounds, margin, tries, principles, keep: see `judge.tasks.revision.Loop`.
        preset: the settings of a paper. thought: a line of thought before each critique.
        shard: as `judge.label` takes it.
        skip_bad: rows that cannot be revised go to failures.jsonl with their places and reasons, and are counted;
            else the first reading of the data names them and ends.
        language: what critiques and the referee's reasons are written in.
        settings: for those engines that know them; a mapping, or texts NAME=VALUE.
        patience: how long a server may be away before the run ends: "45s", "30m", "2h".
        prices, max_cost: as `judge.label` takes them.
        runner, workers: "ray" works on a Ray cluster with so many workers, as `judge.label` does.
        dry_run: return a `Preview` of the prompts and the cost; ask and write nothing.

    Returns:
        The run, whose `written` counts the rows of the files beside it; of a dry run a `Preview`.

    Raises:
        ConfigError, InputError, RunChangedError, CostLimitError: as `judge.label` does.
    """
    need("revise", data=data is not None, judge=judge, out=out or dry_run)
    paper = _paper(preset)
    loop = {"rounds": rounds, "margin": margin, "tries": tries, "principles": principles, "keep": keep}
    sampling = {"seed": seed, "votes": votes, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    named = {"answer": answer_prompt, "critique": critique_prompt, "revision": revision_prompt}
    assert data is not None and judge is not None
    plan = Plan(
        data=open_data(data, shard=shard),
        task="revision",
        judges=(judge, author or judge, referee or judge),
        constitution=named_constitution(constitution) or ("harmless" if paper else ""),
        format=format,
        options=_options({**sampling, "retries": retries, "language": language}, paper, reference=not no_reference),
        settings=read_settings(settings) | ({"patience": patience} if patience else {}),
        window=window,
        prices=read_prices(prices),
        max_cost=max_cost,
    )
    prompts = {task: str(prompt) for task, prompt in {**named, "preference": referee_prompt}.items() if prompt}
    job = RevisionJob(plan, _loop(loop, paper), named=prompts, thought=thought)
    run = judge_by(
        job,
        out,
        limit=limit,
        skip_bad=skip_bad,
        retry_failures=retry_failures,
        dry_run=dry_run,
        progress=progress,
        runner=runner,
        workers=workers,
    )
    if isinstance(run, Preview):
        return run
    return replace(run, written={f"{name}.jsonl": rows for name, rows in write_revised(run.directory).items()})


def _paper(name: str | None) -> Preset | None:
    if name and name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name] if name else None


def _loop(settings: Mapping[str, Any], paper: Preset | None) -> Loop:
    """The loop of a paper, changed by what is given (not None)."""
    begun = {name: getattr(paper.loop, name) for name in _LOOP} if paper else {}
    return Loop(**begun | {name: value for name, value in settings.items() if value is not None})


def _options(settings: Mapping[str, Any], paper: Preset | None, *, reference: bool) -> Options:
    chosen = {name: value for name, value in settings.items() if value is not None}
    return Options(reference=reference, **({"temperature": paper.temperature} if paper else {}) | chosen)
