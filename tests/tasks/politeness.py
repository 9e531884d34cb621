"""A toy task in one file: whether a response is polite. Registered in one line (test_toy_task.py, test_plugins.py)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from judge.judgements import Reading, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Response, Solution, spoken
from judge.tasks.base import Options, Program
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import TaskSpec, always
from judge.tasks.views import as_response, responses
from judge.verdicts import distribution, largest, mean, unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Politeness:
    """Whether a response is polite. p_polite: P(polite)."""

    task: ClassVar[str] = "politeness"
    verdict: str | None
    reason: str = ""
    p_polite: float | None = None
    readings: tuple[Reading, ...] = ()


def politeness(record: Response | Solution, template: Template, options: Options) -> Program[Politeness]:
    """One restricted token a juror."""
    messages = template.render(response=spoken(as_response(record).response))
    asked = questions(record.id, "politeness", messages, template, options)
    readings = tuple((yield from gather([ask(question, options) for question in asked])))
    merged = mean(distribution(reading) for reading in readings)
    if not merged:
        return Politeness(verdict=None, reason=unread(readings), readings=readings)
    return Politeness(verdict=largest(merged), p_polite=merged["polite"], readings=readings)


TASK = TaskSpec(
    name="politeness",
    about="whether a response is polite",
    kinds=("response",),
    split=responses,
    build=politeness,
    prompt=always("politeness", str(Path(__file__).with_suffix(".jinja"))),
    prompts={
        "politeness": PromptKind(variables=("response",), labels=("polite", "rude"), third_label="cannot say"),
    },
    shape=Shape(
        judgement=Politeness,
        form="label",
        records=("response",),
        labels=("polite", "rude", "cannot say"),
        probability="p_polite",
    ),
    exports=("unpaired",),
)
