"""The job of labelling: one task, one prompt, and every record judged by all judges."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from judge.engines.jury import Judge, load_jury, prompt_wanted_by
from judge.errors import ConfigError, unknown
from judge.formats import OnBad
from judge.judgements import Judgement
from judge.prompting.template import list_templates, load_template
from judge.records import Pair, Ranking, Record, Response, Solution
from judge.runs.data import reject
from judge.runs.plan import EngineJob, Plan, constitution_entry, language_entry, read_constitution
from judge.tasks import TASKS, Program
from judge.tasks.constitution_preference import check_principle, under
from judge.tasks.views import count_shortened


class LabelJob(EngineJob):
    """A plan whose parts stand: prompt, task and engines are there, no model is loaded, nothing is written yet.

    Raises ConfigError for parts that do not fit together.
    """

    def __init__(self, plan: Plan) -> None:
        if len(plan.judges) != plan.options.judges:
            raise ConfigError(f"{len(plan.judges)} judges are named, the options say {plan.options.judges}")
        if plan.task not in TASKS:
            raise unknown("task", plan.task, TASKS)
        self.spec = TASKS[plan.task]
        self.constitution = read_constitution(plan.constitution)
        if self.constitution is not None:
            self.spec = under(self.spec, self.constitution, plan.clamp)
        elif plan.clamp is not None:
            raise ConfigError("a clamp belongs to the principles of a constitution; name one")
        task, default = self.spec.prompt(plan.options)
        prompt = plan.prompt or _common_prompt(plan.judges, task)
        self.template = load_template(task, prompt or default)
        self.spec.check(self.template, plan.options)
        if self.constitution is not None:
            check_principle(self.template)
        super().__init__(plan, load_jury(plan.judges, plan.settings), prompt=prompt)

    def records(self, on_bad: OnBad | None = None) -> Iterator[Record]:
        """The records that the task judges, in the order of the data; see Job."""
        for source in self.plan.data:
            for place, record in source.records(self.plan.format, on_bad):
                if reason := self._unfit(record):
                    reject(place, reason, on_bad)
                else:
                    yield from self.spec.split(record)

    def _unfit(self, record: Record) -> str:
        """Why the task cannot judge a record, "" where it can."""
        if record.kind not in self.spec.kinds:
            return f"a {record.kind}; the task '{self.plan.task}' judges: {', '.join(self.spec.kinds)}"
        if self.spec.unfit is not None and (reason := self.spec.unfit(record, self.plan.options)):
            return reason
        alone = self.spec.judges_prompts and isinstance(record, Response) and bool(record.prompt)
        return (
            "" if alone or _has_text(record) else "labels without the texts they are about; there is nothing to judge"
        )

    def rebuilt(self, plan: Plan) -> "Callable[[], LabelJob]":
        """What makes this job anew in another process."""
        return partial(LabelJob, plan)

    def program(self, record: Record) -> Program[Judgement]:
        """What is asked about one record."""
        return self.spec.program(record, self.template, self.plan.options)

    def row(self, record: Record, judgement: Judgement) -> dict[str, Any]:
        """The row of a record, with the number of tool results that the judge was shown shortened, if any."""
        count = count_shortened(record, self.plan.options.max_tool_result)
        return super().row(record, judgement) | ({"shortened": count} if count else {})

    def config(self) -> dict[str, Any]:
        """What decides every row of the run."""
        plan = self.plan
        return {
            "task": plan.task,
            "prompt": {"name": self.template.name, "hash": self.template.hash},
            "constitution": constitution_entry(self.constitution, plan.clamp),
            "judges": [engine.describe() for engine in self.engines],
            "options": plan.options.manifest_entry(),
            **language_entry(plan.options.language),
            "format": plan.format,
            "data": [source.entry() for source in plan.data],
        }


def _common_prompt(judges: Sequence[Judge], task: str) -> str:
    """The prompt that all judges want, "" when they want none or not the same."""
    wanted = {prompt_wanted_by(judge) for judge in judges}
    name = wanted.pop() if len(wanted) == 1 else ""
    if name and f"{task}/{name}" not in {template.name for template in list_templates(task)}:
        raise ConfigError(f"{judges[0]} has not learnt the task '{task}': name a real model, or force a --prompt")
    return name


def _has_text(record: Record) -> bool:
    match record:
        case Pair():
            return bool(record.first and record.second)
        case Response():
            return bool(record.response)
        case Solution():
            return bool(record.steps)
        case Ranking():
            return all(record.responses) and bool(record.responses)
