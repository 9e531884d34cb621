"""`judge.label`: judge the rows of data and write the verdicts to a run directory."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from judge.constitution.constitution import Constitution
from judge.engines.jury import Judge, as_judges
from judge.engines.prices import Prices, read_prices
from judge.engines.spec import read_settings
from judge.errors import ConfigError, unknown
from judge.formats.rubric import as_rubric, load_rubric
from judge.records import RubricItem
from judge.runs.cluster.ray_job import Runner, on_runner
from judge.runs.cluster.workers import Workers
from judge.runs.data import Data, Shard, open_data
from judge.runs.labelling import LabelJob
from judge.runs.plan import EngineJob, Plan
from judge.runs.preview import preview
from judge.runs.reader import Run, open_run
from judge.runs.runner import resume
from judge.runs.scheduler import WINDOW
from judge.tasks import TASKS, Options
from judge.tasks.constitution_preference import Clamp, Preset
from judge.tasks.constitution_preference import preset as preset_named

_STEPS = {"each": True, "all": False}


def label(
    data: Data | None = None,
    *,
    out: str | Path | None = None,
    task: str = "",
    judges: Judge | Sequence[Judge] | None = None,
    prompt: str | Path = "",
    constitution: str | Path | Constitution = "",
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
    one_order: bool | None = None,
    hard: bool | None = None,
    steps: Literal["each", "all"] | str | None = None,
    tournament: Literal["full", "swiss", "knockout"] | str | None = None,
    rounds: int | None = None,
    pairwise: bool | None = None,
    preset: str | None = None,
    clamp: Clamp | tuple[float, float] | str | None = None,
    low: int | None = None,
    high: int | None = None,
    criterion: str | Sequence[str] | None = None,
    category: str | Sequence[str] | None = None,
    rubric: str | Path | Sequence[RubricItem | Mapping[str, Any] | str] | None = None,
    no_reference: bool | None = None,
    own_reference: bool | None = None,
    turns: Literal["last", "all"] | str | None = None,
    max_tool_result: int | None = None,
    language: str | None = None,
    from_run: str | Path | Run | None = None,
    retry_failures: bool = False,
    window: int = WINDOW,
    runner: Runner = "here",
    workers: int | str | Workers = 1,
    dry_run: bool = False,
    progress: bool = True,
) -> Run:
    """Judge the rows of data. The same call again resumes an unfinished run.

    Args:
        data: a path, a glob, a hub name, a run, rows as dicts, a `datasets.Dataset`, or a sequence of paths.
        out: the run directory.
        task: preference, critique, score, checklist, classify, multilabel, steps, outcome, ranking, or one of a plugin.
        judges: a spec ("vllm:MODEL", "vllm:MODEL?max_model_len=8192"), an `Engine`, or several of these: a jury.
        shard: "2/8" judges the second of eight shares, which `judge.merge` joins; `limit` counts the share's records.
        skip_bad: rows that cannot be judged go to failures.jsonl, counted; else the first reading names them and ends.
        settings: for those judges that know them. patience: how long a server may be away: "45s", "30m", "2h".
        prices: dollars per million tokens by model, a file or a mapping {model: {prompt, completion, cached, batch}}.
        max_cost: dollars; a run stops before it costs more, and a higher limit goes on with it.
        seed, votes, temperature, top_p, max_tokens, retries: how replies are sampled; see `Options`.
        one_order, hard, steps, tournament, rounds, low, high, criterion, category, no_reference, own_reference, turns,
        max_tool_result, language: how to ask; see `Options`. pairwise: tournament="full" by an earlier name.
        rubric: what the scores of `score` mean; of `checklist` the criteria of rows that have no rubric: a file, or a
            list of texts, of dicts {criterion, points, name, gate, tags} or of `RubricItem`.
        constitution, clamp, preset: the principles to judge pairs by; bounds of one's probability; a paper's settings.
        from_run: read the stored replies of a run again instead of asking judges; what is not given is as it was there.
        runner, workers: "ray" judges on a Ray cluster with so many workers, or with 2 to 8 of them as "2:8" says.
        dry_run: ask and write nothing.

    Returns:
        The run; of a dry run a `Preview` of the prompts and the cost, which is a run without rows.

    Raises:
        ConfigError: for arguments that do not fit together. RunChangedError: where `out` holds another run.
        InputError: for data that cannot be read, before anything is asked. CostLimitError: at the limit.
    """
    earlier = _Earlier(from_run)
    jury = earlier.jury(as_judges(judges))
    sources = open_data(earlier.files if data is None else data, shard=shard)
    need("label", data=sources, task=task or earlier.task, judges=jury, out=out or dry_run)
    paper = _paper(preset, prompt)
    sampling = {"seed": seed, "votes": votes, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    asking: dict[str, Any] = {"retries": retries, "one_order": one_order, "low": low, "high": high, "rounds": rounds}
    asking |= {"own_reference": own_reference, **rubric_options(task or earlier.task, rubric)}
    asking |= {"tournament": tournament or ("full" if pairwise else None), "turns": turns}
    asking |= {"max_tool_result": max_tool_result, "language": language}
    worded = worded_options(hard=hard, no_reference=no_reference, steps=steps, criterion=criterion, category=category)
    plan = Plan(
        data=sources,
        task=task or earlier.task,
        judges=jury,
        prompt=str(prompt) or (paper.prompt if paper else earlier.prompt),
        constitution=named_constitution(constitution) or (paper.constitution if paper else earlier.constitution),
        clamp=_clamp(clamp) or (paper.clamp if paper else earlier.clamp),
        format=format,
        options=earlier.options(len(jury), {**sampling, **asking, **worded}),
        settings=read_settings(settings) | ({"patience": patience} if patience else {}),
        window=window,
        prices=read_prices(prices),
        max_cost=max_cost,
    )
    resuming: dict[str, Any] = {"limit": limit, "skip_bad": skip_bad, "retry_failures": retry_failures}
    where: dict[str, Any] = {"runner": runner, "workers": workers}
    return judge_by(LabelJob(plan), out, dry_run=dry_run, progress=progress, **resuming, **where)


def judge_by(
    job: EngineJob,
    out: str | Path | None,
    *,
    limit: int | None,
    skip_bad: bool,
    retry_failures: bool,
    dry_run: bool,
    progress: bool,
    runner: Runner = "here",
    workers: int | str | Workers = 1,
) -> Run:
    """Bring a job to its end, or only preview it, and close its engines."""
    with closing(job):
        placed = on_runner(job, runner, workers)
        if dry_run:
            return preview(job, out or "", limit=limit, skip_bad=skip_bad)
        return resume(
            placed,
            out or "",
            command=job.command,
            limit=limit,
            skip_bad=skip_bad,
            retry_failures=retry_failures,
            check=job.render,
            progress=progress,
        )


def need(verb: str, **arguments: object) -> None:
    """Raise ConfigError that names every argument without a value."""
    if missing := [name for name, value in arguments.items() if not value]:
        raise ConfigError(f"judge.{verb} needs {', '.join(missing)}")


def named_constitution(constitution: str | Path | Constitution) -> str | Constitution:
    """A constitution as a plan holds it: paths are texts."""
    return constitution if isinstance(constitution, Constitution) else str(constitution)


def _paper(name: str | None, prompt: str | Path) -> Preset | None:
    """The settings of a paper."""
    if name and prompt:
        raise ConfigError(f"the preset {name} brings its own prompt; give a prompt without it")
    return preset_named(name) if name else None


class _Earlier:
    """What a run that is read again says of how it was asked; nothing where there is none."""

    def __init__(self, run: str | Path | Run | None) -> None:
        opened = run if run is None or isinstance(run, Run) else open_run(run)
        config = opened.config if opened else {}
        command = opened.manifest.get("command", {}) if opened else {}
        if opened and "options" not in config:
            raise ConfigError(f"{opened.directory}: no judge's run, so it stores no replies")
        self._directory = opened.directory if opened else None
        self._options: Mapping[str, Any] = config.get("options", {})
        self.files = [path for path in opened.files if path.stat().st_size] if opened else []
        self.task: str = config.get("task", "")
        self.prompt: str = command.get("prompt", "")
        self.constitution: str = command.get("constitution", "")
        clamp = (config.get("constitution") or {}).get("clamp")
        self.clamp = Clamp(*clamp) if clamp else None

    def jury(self, judges: tuple[Judge, ...]) -> tuple[Judge, ...]:
        """The judges that are given, or the stored replies of those of the run."""
        if self._directory is None:
            return judges
        if judges:
            raise ConfigError("from_run (--from) reads the stored replies of a run; it takes no judges")
        count: int = self._options["judges"]
        return (f"recorded:{self._directory}",) * count

    def options(self, judges: int, overrides: Mapping[str, Any]) -> Options:
        """The options as they were, changed by those that are given (not None)."""
        chosen = {name: value for name, value in overrides.items() if value is not None}
        merged = {"judges": judges, **self._options, **chosen}
        named = {name: tuple(merged.get(name, ())) for name in ("criteria", "categories")}
        items = (item if isinstance(item, RubricItem) else _item(item) for item in merged.get("checklist", ()))
        return Options(**{**merged, **named, "checklist": tuple(items)})


def _item(row: Mapping[str, Any]) -> RubricItem:
    """A criterion as a manifest holds it."""
    return RubricItem(**{**row, "tags": tuple(row["tags"])})


def rubric_options(task: str, rubric: str | Path | Sequence[Any] | None) -> dict[str, Any]:
    """The rubric as an option: criteria for a task that takes them, else words about the scale."""
    if rubric is None or rubric == "":
        return {}
    if task in TASKS and TASKS[task].takes_rubric:
        return {"checklist": load_rubric(rubric) if isinstance(rubric, str | Path) else as_rubric(rubric)}
    if not isinstance(rubric, str):
        raise ConfigError(f"the rubric of the task '{task}' is a text about its scale; 'checklist' takes criteria")
    return {"rubric": rubric}


def worded_options(
    *,
    hard: bool | None,
    no_reference: bool | None,
    steps: str | None,
    criterion: str | Sequence[str] | None,
    category: str | Sequence[str] | None = None,
) -> dict[str, Any]:
    """The options whose names say the opposite, or that are read from words."""
    if steps is not None and steps not in _STEPS:
        raise unknown("value of steps", steps, _STEPS)
    return {
        "soft": False if hard else None,
        "reference": False if no_reference else None,
        "each_step": _STEPS[steps] if steps is not None else None,
        "criteria": _named(criterion) or None,
        "categories": _named(category) or None,
    }


def _named(texts: str | Sequence[str] | None) -> tuple[str, ...]:
    """NAME or NAME=MEANING as options hold them, "name: meaning"."""
    given = (texts,) if isinstance(texts, str) else texts or ()
    return tuple(": ".join(part.strip() for part in text.split("=", 1)) for text in given)


def _clamp(clamp: Clamp | tuple[float, float] | str | None) -> Clamp | None:
    """A clamp; a text is LOW:HIGH."""
    if clamp is None:
        return None
    low, high = clamp.partition(":")[::2] if isinstance(clamp, str) else clamp
    try:
        return Clamp(float(low), float(high))
    except ValueError:
        raise ConfigError(f"clamp {clamp}: write LOW:HIGH, such as 0.4:0.6") from None
