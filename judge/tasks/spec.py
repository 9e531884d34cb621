"""What is known of a task beside its program: everything that other rooms ask a task by its name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from judge.errors import ConfigError
from judge.judgements import Judgement, Shape
from judge.prompting.front_matter import PromptKind, prompt_kind
from judge.prompting.template import Template
from judge.records import Record
from judge.tasks.answer import own_answer
from judge.tasks.base import Options, Program
from judge.tasks.queries import ask, gather
from judge.verdicts import unread


class Prompt(NamedTuple):
    """Which prompt a task needs: the task whose prompts fit, and the shipped name or the path of the default one."""

    task: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task.

    Attributes:
        name: what users call it; prompts, manifests and rows name it too.
        about: what is asked, in a line.
        kinds: the kinds of record that it takes.
        split: a record -> what is judged one by one: itself, the pairs of a ranking, or the responses of a pair.
        build: one of these, a prompt and the options -> the program.
        prompt: the prompt that it needs under the options.
        prompts: the kinds of prompt that it brings, by name: what they are given and which labels they need.
        shape: what its judgements look like: how their rows are written, counted, compared and learnt from.
        exports: the kinds of training examples that its judgements give, the usual one first.
        judges_prompts: whether a prompt without a response is judged too.
        takes_rubric: whether the option `rubric` is a list of criteria, not words about a scale.
        unfit: why a record cannot be judged under the options, "" where it can.
        check_prompt: raises ConfigError where a prompt and the options do not fit, beyond labels.
    """

    name: str
    about: str
    kinds: tuple[str, ...]
    split: Callable[[Any], Iterator[Record]]
    build: Callable[[Any, Template, Options], Program[Any]]
    prompt: Callable[[Options], Prompt]
    shape: Shape
    prompts: Mapping[str, PromptKind] = field(default_factory=dict)
    exports: tuple[str, ...] = ()
    judges_prompts: bool = False
    takes_rubric: bool = False
    unfit: Callable[[Record, Options], str] | None = None
    check_prompt: Callable[[Template, Options], None] | None = None

    def program(self, record: Record, template: Template, options: Options) -> Program[Judgement]:
        """The program that judges one record. Raises ConfigError for a prompt that cannot serve this task."""
        if options.language:
            template = replace(template, language=options.language)
        if options.own_reference and not record.reference:
            return self._referenced(record, template, options)
        return self.build(record, template, options)

    def _referenced(self, record: Record, template: Template, options: Options) -> Program[Judgement]:
        """Judge with the juror's own answer as the reference (Zheng et al. 2023, "reference-guided")."""
        (reference,) = yield from gather([ask(own_answer(record, options), options)])
        if reference.verdict is None:
            verdict = {"": None} if self.shape.form == "scores" else None
            reason = unread((reference,))
            unreadable: Judgement = self.shape.judgement(verdict=verdict, reason=reason, readings=(reference,))
            return unreadable
        judgement = yield from self.build(replace(record, reference=reference.verdict), template, options)
        kept = replace(reference, verdict=None)  # its text is no verdict that anything may count
        referenced: Judgement = replace(judgement, readings=(kept, *judgement.readings))
        return referenced

    def check(self, template: Template, options: Options) -> None:
        """Raise ConfigError when the prompt and the options do not fit, before anything is asked."""
        wanted = self.prompt(options).task
        if template.task != wanted:
            raise ConfigError(f"prompt {template.name} is for the task '{template.task}'; {self.name} needs '{wanted}'")
        kind = prompt_kind(wanted)
        assert kind is not None
        offered, needed = set(template.labels), set(kind.labels)
        if missing := sorted(needed - offered):
            raise ConfigError(f"prompt {template.name} offers no label for {', '.join(missing)}")
        if needed and (unknown := sorted(offered - needed - {kind.third_label})):
            raise ConfigError(f"prompt {template.name} has a label for '{unknown[0]}', no verdict of '{wanted}'")
        if options.own_reference and "reference" not in template.variables:
            raise ConfigError(f"prompt {template.name} has no place for a reference (preference/reference has one)")
        if self.check_prompt is not None:
            self.check_prompt(template, options)


def always(task: str, name: str = "default") -> Callable[[Options], Prompt]:
    """The choice of a task that has one default prompt, whatever the options are."""
    return lambda options: Prompt(task, name)
