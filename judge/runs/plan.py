"""What language models are to judge and how (`Plan`), and what all jobs have in common that ask them (`EngineJob`)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from judge.constitution.constitution import Constitution, load_constitution
from judge.engines import WITHOUT_MODEL
from judge.engines.base import Durable, Engine
from judge.engines.jury import close_loaded
from judge.engines.prices import Budget, Price
from judge.engines.spec import parse_spec
from judge.errors import ConfigError
from judge.formats import OnBad
from judge.judgements import Judgement
from judge.prompting.template import language_request
from judge.records import Record
from judge.runs.cluster.leases import leased
from judge.runs.cluster.worker import Answers, Feed, Recipe
from judge.runs.counts import Counts
from judge.runs.data import DataSource
from judge.runs.kept_replies import KeptReplies
from judge.runs.manifest import differences
from judge.runs.runner import Attempt, row_of
from judge.runs.scheduler import WINDOW, run, run_waiting
from judge.tasks import Options, Program
from judge.tasks.constitution_preference import Clamp

PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size")
"""Settings of engines whose product is how many GPUs a model takes."""
BATCHES = "batches"
"""Where a run keeps what engines need to take up work that goes on without the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be judged, by which language models, and how.

    Attributes:
        data: where the records come from; several sources are read one after another.
        task: a name of the table of tasks.
        judges: one a juror: the spec of an engine, or an engine.
        prompt: a shipped name or a path, "" for the judges' or the task's default.
        constitution: the principles that a preference is judged under: a shipped name, a path, or the object; "" none.
        clamp: the bounds of one principle's probability.
        format: a family of formats to force.
        options: how to ask.
        settings: for those engines that know them.
        window: programs alive at once.
        prices: by model, of the judges that cost money.
        max_cost: the most that the run may cost, in dollars; None for no limit.
    """

    data: tuple[DataSource, ...]
    task: str
    judges: tuple[str | Engine, ...]
    prompt: str = ""
    constitution: str | Constitution = ""
    clamp: Clamp | None = None
    format: str | None = None
    options: Options = field(default_factory=Options)
    settings: Mapping[str, Any] = field(default_factory=dict)
    window: int = WINDOW
    prices: Mapping[str, Price] = field(default_factory=dict)
    max_cost: float | None = None


class EngineJob(ABC):
    """A job whose records are judged by programs that ask engines.

    Nothing is loaded or written before `execute`: an engine reads its weights at the first request. prompt: the one
    that was asked for, or that the judges want, "" for the task's default.
    """

    place = ""  # rows of judges do not say where in the data they stand

    def __init__(self, plan: Plan, engines: Sequence[Engine], *, prompt: str) -> None:
        self.plan, self.prompt = plan, prompt
        self.engines = list(engines)
        try:
            self.budget = Budget(self.engines, plan.prices, plan.max_cost)
        except ConfigError:
            self.close()
            raise

    @property
    def data(self) -> Sequence[DataSource]:
        return self.plan.data

    @property
    def command(self) -> dict[str, Any]:
        """What was asked for, in the caller's words; a run that is read again takes its prompt from here."""
        plan, constitution = self.plan, self.plan.constitution
        return {
            "data": [source.name for source in plan.data],
            "judges": [judge if isinstance(judge, str) else type(judge).__name__ for judge in plan.judges],
            "prompt": self.prompt,
            "constitution": constitution if isinstance(constitution, str) else constitution.source,
            **({} if plan.max_cost is None else {"max_cost": plan.max_cost}),
        }

    @abstractmethod
    def records(self, on_bad: OnBad | None = None) -> Iterator[Record]:
        """See Job."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """See Job."""

    @abstractmethod
    def program(self, record: Record) -> Program[Judgement]:
        """What is asked about one record."""

    def row(self, record: Record, judgement: Judgement) -> dict[str, Any]:
        """The row of labels.jsonl and failures.jsonl."""
        return row_of(record, judgement)

    def render(self, record: Record) -> None:
        """Render the first prompt of a record; raises TemplateError for what it lacks."""
        program = self.program(record)
        next(program)
        program.close()

    @abstractmethod
    def rebuilt(self, plan: Plan) -> "Callable[[], EngineJob]":
        """What makes this job anew, in another process, of a plan without data."""

    def recipe(self) -> Recipe:
        """How a worker is made that judges as this job does.

        Raises:
            ConfigError: for an engine of the caller's own, which no other process can have, and for batches on a
                server.
        """
        if not all(isinstance(judge, str) for judge in self.plan.judges):
            raise ConfigError("Ray's workers load the judges themselves: name each by a spec, such as 'vllm:MODEL'")
        if any(isinstance(engine, Durable) for engine in self.engines):
            raise ConfigError(
                "a batch endpoint works while nobody waits for it, and which batches are under way is written in the "
                "run, by one process: leave out batch=true, or the runner ray"
            )
        gpus, spread = gpus_of(self.plan)
        described = [engine.describe() for engine in self.engines]
        build = partial(_build_alike, self.rebuilt(replace(self.plan, data=())), described)
        return Recipe(build, self.plan.window, gpus, spread, self.budget.limit, computes=gpus > 0)

    def work(self, feed: Feed) -> None:
        """Judge what a feed gives; see Work."""
        answers = Answers(feed, self.budget)
        run_waiting(
            feed,
            lambda record: answers.program(record.id, self.program(record)),
            leased(self.engines, self.budget, feed.lease),
            answers,
            self.row,
            counts=Counts(),
            window=self.plan.window,
            replies=answers,
        )

    def execute(self, attempt: Attempt) -> None:
        """Judge in this process."""
        durable = [engine for engine in self.engines if isinstance(engine, Durable)]
        for index, engine in enumerate(self.engines):
            if isinstance(engine, Durable):
                engine.keep_in(attempt.directory / BATCHES / str(index))
        with KeptReplies(attempt.directory) as replies:
            run(
                self.records(attempt.skip),
                self.program,
                self.engines,
                attempt.journal,
                self.row,
                counts=attempt.counts,
                window=max(self.plan.window, *(engine.window for engine in durable), 1),
                limit=attempt.limit,
                watch=attempt.watch,
                shielded=attempt.interrupt.shielded,
                replies=replies,
                budget=self.budget,
            )
        for engine in durable:
            engine.forget()
        with suppress(OSError):  # not there, or not empty
            (attempt.directory / BATCHES).rmdir()

    def close(self) -> None:
        """Let go of the models that were loaded for this job; an engine of the caller's own stays open."""
        close_loaded(self.engines, self.plan.judges)


def _build_alike(build: Callable[[], EngineJob], described: Sequence[Mapping[str, Any]]) -> EngineJob:
    """A job in another process, whose judges must be those that the run's manifest describes."""
    job = build()
    found = [_without_builds(engine.describe()) for engine in job.engines]
    if changes := differences([_without_builds(entry) for entry in described], found):
        job.close()
        raise ConfigError(
            f"a worker's judges are not those of the run: judges{'; judges'.join(changes)} (models and packages must "
            "be the same on all machines; a number type that follows the machine is fixed by dtype, such as "
            "dtype=bfloat16)"
        )
    return job


def _without_builds(described: Mapping[str, Any]) -> dict[str, Any]:
    """A judge's description, its versions without what says for which device a package was built."""
    versions = {name: str(number).partition("+")[0] for name, number in described.get("versions", {}).items()}
    return {**described, **({"versions": versions} if versions else {})}


def gpus_of(plan: Plan) -> tuple[int, bool]:
    """How many GPUs the models of a plan take, and whether vLLM spreads them over machines by its own Ray executor.
    Several judges share the same ones, as they do on one machine."""
    gpus, spread = 0, False
    for judge in plan.judges:
        kind, _, settings = parse_spec(str(judge))
        if kind in WITHOUT_MODEL:
            continue
        chosen = {**plan.settings, **settings}
        gpus = max(gpus, math.prod(int(chosen.get(name, 1)) for name in PARALLEL))
        spread = spread or chosen.get("distributed_executor_backend") == "ray"
    return gpus, spread


def read_constitution(named: str | Constitution) -> Constitution | None:
    """The constitution that a plan names, None for none."""
    return load_constitution(named) if isinstance(named, str) and named else named or None


def constitution_entry(constitution: Constitution | None, clamp: Clamp | None = None) -> dict[str, Any] | None:
    """How a manifest names a constitution."""
    if constitution is None:
        return None
    return {"name": constitution.name, "hash": constitution.hash, "clamp": clamp}


def language_entry(language: str) -> dict[str, Any]:
    """How a manifest names the text that asks for a language; nothing where none is asked for."""
    return {"language": {"name": language, "hash": language_request()[2]}} if language else {}
