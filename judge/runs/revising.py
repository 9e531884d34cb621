"""The job of critique and revision: its prompts, its roles and what its manifest says."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from judge.engines.jury import Judge, load_jury, prompt_wanted_by
from judge.errors import ConfigError
from judge.formats import OnBad
from judge.judgements import Judgement
from judge.prompting.template import Template, load_template
from judge.records import Record, Response, Solution
from judge.runs.data import reject
from judge.runs.plan import EngineJob, Plan, constitution_entry, language_entry, read_constitution
from judge.tasks import Program
from judge.tasks.revision import Loop, Prompts, Roles, revision
from judge.tasks.views import responses

PROMPTS = ("answer", "critique", "revision", "preference")


class RevisionJob(EngineJob):
    """A plan of revision whose parts stand: no model is loaded and nothing is written yet.

    plan: its judges are the critic, the author and the referee; one that is named twice is one engine.
    named: task -> the prompt asked for, of `PROMPTS`. thought: critiques with a line of thought before them.
    """

    def __init__(
        self, plan: Plan, loop: Loop, *, named: Mapping[str, str] | None = None, thought: bool = False
    ) -> None:
        self.loop, self._named, self._thought = loop, dict(named or {}), thought
        distinct: list[Judge] = []
        for judge in plan.judges:
            if judge not in distinct:
                distinct.append(judge)
        self.roles = Roles(*(distinct.index(judge) for judge in plan.judges))
        self.constitution = read_constitution(plan.constitution)
        if self.constitution is None and loop.principles is not None:
            raise ConfigError("principles are drawn from a constitution; name one")
        by_principle = self.constitution is not None
        self.prompts = choose_prompts(plan.judges, named or {}, by_principle=by_principle, thought=thought)
        if language := plan.options.language:  # not the author's text: it goes on from the response
            critique, referee = (
                replace(prompt, language=language) for prompt in (self.prompts.critique, self.prompts.preference)
            )
            self.prompts = replace(self.prompts, critique=critique, preference=referee)
        super().__init__(plan, load_jury(distinct, plan.settings), prompt=self.prompts.critique.name)

    def records(self, on_bad: OnBad | None = None) -> Iterator[Record]:
        """Prompts without a response, and responses and solutions, in the order of the data; see Job."""
        for source in self.plan.data:
            for place, record in source.records(self.plan.format, on_bad):
                if not record.prompt:
                    reject(place, "no prompt; there is nothing to answer and nothing to revise", on_bad)
                else:
                    yield from responses(record)

    def rebuilt(self, plan: Plan) -> "Callable[[], RevisionJob]":
        """What makes this job anew in another process."""
        return partial(RevisionJob, plan, self.loop, named=self._named, thought=self._thought)

    def program(self, record: Record) -> Program[Judgement]:
        """All rounds of one record."""
        assert isinstance(record, Response | Solution)
        return revision(
            record,
            self.prompts,
            self.plan.options,
            loop=self.loop,
            constitution=self.constitution,
            roles=self.roles,
        )

    def config(self) -> dict[str, Any]:
        """What decides every row of the run. shown: whether the critic sees the principles that are drawn; a prompt
        without them (the embedded judge's) knows one thing to look for."""
        shown = "principles" in self.prompts.critique.variables
        entry = constitution_entry(self.constitution)
        return {
            "task": "revision",
            "prompts": {name: _entry(getattr(self.prompts, name)) for name in PROMPTS},
            "constitution": entry and {**entry, "shown": shown},
            "loop": asdict(self.loop),
            "judges": [engine.describe() for engine in self.engines],
            "roles": self.roles._asdict(),
            "options": self.plan.options.manifest_entry(),
            **language_entry(self.plan.options.language),
            "format": self.plan.format,
            "data": [source.entry() for source in self.plan.data],
        }


def choose_prompts(judges: Sequence[Judge], named: Mapping[str, str], *, by_principle: bool, thought: bool) -> Prompts:
    """The prompt of each part: the one that was named, else the one its engine has learnt, else the shipped one."""
    critic, author, referee = (prompt_wanted_by(judge) for judge in judges)
    if thought and (critic or named.get("critique")):
        raise ConfigError("chain of thought is a critique prompt of its own (critique/thought); name no other")
    fitting = "thought" if thought else "principle" if by_principle else "default"
    answer = named.get("answer") or author
    return Prompts(
        critique=load_template("critique", named.get("critique") or critic or fitting),
        revision=load_template("revision", named.get("revision") or author or "default"),
        preference=load_template("preference", named.get("preference") or referee or "default"),
        answer=load_template("answer", answer) if answer else None,
    )


def _entry(template: Template | None) -> dict[str, str] | None:
    return {"name": template.name, "hash": template.hash} if template else None
