"""What language models are to judge and how (`Plan`), and what all jobs have in common that ask them (`EngineJob`)."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from judge.constitution.constitution import Constitution, load_constitution
from judge.engines.base import Durable, Engine
from judge.engines.jury import close_loaded
from judge.engines.prices import Budget, Price
from judge.errors import ConfigError
from judge.formats import OnBad
from judge.judgements import Judgement
from judge.records import Record
from judge.runs.data import DataSource
from judge.runs.kept_replies import KeptReplies
from judge.runs.runner import Attempt, row_of
from judge.runs.scheduler import WINDOW, run
from judge.tasks import Options, Program
from judge.tasks.constitution_preference import Clamp

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

    Nothing is loaded or written before `execute`: an engine reads its weights at the first request. prompt: the one that
    was asked for, or that the judges want, "" for the task's default.
    """

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

    def render(self, record: Record) -> None:
        """Render the first prompt of a record; raises TemplateError for what it lacks."""
        program = self.program(record)
        next(program)
        program.close()

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
                row_of,
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


def read_constitution(named: str | Constitution) -> Constitution | None:
    """The constitution that a plan names, None for none."""
    return load_constitution(named) if isinstance(named, str) and named else named or None


def constitution_entry(constitution: Constitution | None, clamp: Clamp | None = None) -> dict[str, Any] | None:
    """How a manifest names a constitution."""
    if constitution is None:
        return None
    return {"name": constitution.name, "hash": constitution.hash, "clamp": clamp}
