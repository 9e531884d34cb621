"""What can be asked of a judge: the table of tasks.

This package refuses to know engines, files and threads; a task is a program that yields requests.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from judge.errors import ConfigError
from judge.judgements import Judgement
from judge.prompting.template import Template
from judge.records import Record
from judge.tasks import views
from judge.tasks.base import Options, Program, play
from judge.tasks.critique import critique
from judge.tasks.outcome import outcome
from judge.tasks.preference import preference
from judge.tasks.ranking import ranking
from judge.tasks.score import score
from judge.tasks.steps import steps


class Prompt(NamedTuple):
    """Which prompt a task needs: the task whose prompts fit, and the name of the one taken by default."""

    task: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task.

    kinds: the kinds of record that it takes. split: a record -> what is judged one by one: itself, or the pairs of a
    ranking, the responses of a pair. build: one of these, a prompt and the options -> the program.
    prompt: the prompt that it needs under the options.
    """

    name: str
    about: str
    kinds: tuple[str, ...]
    split: Callable[[Any], Iterator[Record]]
    build: Callable[[Any, Template, Options], Program[Any]]
    prompt: Callable[[Options], Prompt]

    def program(self, record: Record, template: Template, options: Options) -> Program[Judgement]:
        """The program that judges one record. Raises ConfigError for a prompt that cannot serve this task."""
        return self.build(record, template, options)

    def check(self, template: Template, options: Options) -> None:
        """Raise ConfigError when the prompt and the options do not fit, before anything is asked."""
        wanted = self.prompt(options).task
        if template.task != wanted:
            raise ConfigError(f"prompt {template.name} is for the task '{template.task}'; {self.name} needs '{wanted}'")
        offered, needed = set(template.labels), NEEDED.get(wanted, frozenset())
        if missing := sorted(needed - offered):
            raise ConfigError(f"prompt {template.name} offers no label for {', '.join(missing)}")
        if needed and (strange := sorted(offered - needed - {EXTRA.get(wanted)})):
            raise ConfigError(f"prompt {template.name} has a label for '{strange[0]}', no verdict of '{wanted}'")
        if self.name == "steps":
            _check_steps(template, options)


def _check_steps(template: Template, options: Options) -> None:
    """Whether a prompt asks about as many steps a call as the options say."""
    one = "index" in template.variables
    if one != options.each_step:
        asks, told = ("one step", "all steps") if one else ("all steps", "one step")
        raise ConfigError(f"prompt {template.name} asks about {asks} in a call, the options say {told}")
    if not one and not template.verdict:
        raise ConfigError(f"prompt {template.name} has no verdict pattern, so it cannot judge all steps in one call")


NEEDED: Mapping[str, frozenset[str]] = {
    "preference": frozenset({"first", "second"}),
    "steps": frozenset({"right", "wrong"}),
    "outcome": frozenset({"right", "wrong"}),
}
"""The verdicts for which a task's prompt must have a label."""

EXTRA: Mapping[str, str] = {"preference": "tie", "steps": "neutral"}
"""The verdict that is on offer where a task's prompt names it."""


def _always(task: str, name: str) -> Callable[[Options], Prompt]:
    return lambda options: Prompt(task, name)


TASKS: dict[str, TaskSpec] = {
    spec.name: spec
    for spec in (
        TaskSpec(
            name="preference",
            about="which of two responses is better, asked in both orders",
            kinds=("pair", "ranking"),
            split=views.pairs,
            build=preference,
            prompt=_always("preference", "default"),
        ),
        TaskSpec(
            name="critique",
            about="what is good and bad about a response, in words",
            kinds=("response", "solution", "pair", "ranking"),
            split=views.responses,
            build=critique,
            prompt=_always("critique", "default"),
        ),
        TaskSpec(
            name="score",
            about="an integer on a scale, for the whole or for named criteria",
            kinds=("response", "solution", "pair", "ranking"),
            split=views.responses,
            build=score,
            prompt=_always("score", "default"),
        ),
        TaskSpec(
            name="steps",
            about="right, wrong or neutral for each step of a solution",
            kinds=("solution",),
            split=views.solutions,
            build=steps,
            prompt=lambda options: Prompt("steps", "default" if options.each_step else "all"),
        ),
        TaskSpec(
            name="outcome",
            about="whether a whole answer is correct",
            kinds=("response", "solution", "pair", "ranking"),
            split=views.responses,
            build=outcome,
            prompt=_always("outcome", "default"),
        ),
        TaskSpec(
            name="ranking",
            about="several responses in order, at once or pair by pair",
            kinds=("ranking", "pair"),
            split=views.rankings,
            build=ranking,
            prompt=lambda options: Prompt("preference" if options.pairwise else "ranking", "default"),
        ),
    )
}

__all__ = ["NEEDED", "TASKS", "Options", "Program", "Prompt", "TaskSpec", "play"]
