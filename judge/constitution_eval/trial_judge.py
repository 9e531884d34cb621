"""A judge at hand, whose judgements stay in memory: a trial is a sample, and nothing is written."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from judge.engines.base import Engine
from judge.engines.jury import Judge, close_loaded, load_jury, prompt_wanted_by
from judge.errors import ConfigError
from judge.formats.judgement_rows import judgement_to_row
from judge.judgements import Judgement
from judge.prompting.template import Template
from judge.records import Record
from judge.runs.counts import Counts
from judge.runs.scheduler import run
from judge.tasks import TASKS, Options, Program


def refuse_untaught(judges: Sequence[Judge], what: str) -> None:
    """Raise ConfigError for a judge that knows its own prompts alone, and so has not learnt this."""
    small = [judge for judge in judges if prompt_wanted_by(judge)]
    if small:
        name = small[0] if isinstance(small[0], str) else "the embedded judge"
        raise ConfigError(f"{name} has not learnt {what}: name a real model, or a --prompt")


@dataclass(slots=True)
class MemorySink:
    """The sink of a trial: records and their judgements by id."""

    done: frozenset[str] = frozenset()
    rows: dict[str, tuple[Record, Judgement]] = field(default_factory=dict)

    def write(self, row: Mapping[str, Any], *, readable: bool) -> None:
        self.rows[row["id"]] = row["judged"]

    def sync(self) -> None:
        """Nothing goes to a disk."""


class TrialJudge:
    """The engines of a trial, their prompt and how they are asked.

    Raises ConfigError for a prompt that does not fit the task, before any model is loaded.
    """

    def __init__(
        self,
        judges: Sequence[Judge],
        template: Template,
        *,
        task: str,
        options: Options | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if not judges:
            raise ConfigError("no judge is named; give --judge, such as vllm:MODEL")
        self.options = replace(options or Options(), judges=len(judges))
        self.template = template
        TASKS[task].check(template, self.options)
        self._judges = judges
        self.engines: list[Engine] = load_jury(judges, settings or {})
        self.counts = Counts()

    def judge(
        self,
        records: Iterable[Record],
        program: Callable[[Record], Program[Judgement]],
        *,
        watch: Callable[[Counts], None] = lambda counts: None,
    ) -> list[tuple[Record, Judgement]]:
        """Every distinct record with its judgement, in their order."""
        kept, order = MemorySink(), list[str]()

        def each() -> Iterator[Record]:
            for record in records:
                order.append(record.id)
                yield record

        def row(record: Record, judgement: Judgement) -> dict[str, Any]:
            return {"id": record.id, "judged": (record, judgement), "judgement": judgement_to_row(judgement)}

        run(each(), program, self.engines, kept, row, counts=self.counts, watch=watch)
        return [kept.rows[name] for name in dict.fromkeys(order)]

    def close(self) -> None:
        """Let go of the models; an engine of the caller's own stays open."""
        close_loaded(self.engines, self._judges)
