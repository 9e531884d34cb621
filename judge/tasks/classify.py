"""One of several categories of the user's own, as one restricted choice with the exact probability of each."""

from judge.judgements import Category, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Response, Solution
from judge.tasks.base import Options, Program
from judge.tasks.queries import ask, gather, questions
from judge.tasks.score import criterion
from judge.tasks.spec import TaskSpec, always
from judge.tasks.views import as_response, responses, shown
from judge.verdicts import distribution, largest, mean, unread


def classify(record: Response | Solution, template: Template, options: Options) -> Program[Category]:
    """The category of a response, or of a prompt that has none; votes and jurors are averaged."""
    response = as_response(record)
    texts = shown(response.prompt, (response.response,), options)
    messages = template.render(
        prompt=texts.prompt,
        response=texts.responses[0],
        categories=options.categories,
    )
    names = [criterion(category).name for category in options.categories]
    batch = questions(record.id, "category", messages, template, options, labels=dict(zip(names, names, strict=True)))
    readings = tuple((yield from gather([ask(question, options) for question in batch])))
    shares = mean(distribution(reading) for reading in readings)
    probabilities = mean(reading.probabilities for reading in readings)
    verdict = largest(shares) if shares else None
    reason = "" if verdict else unread(readings) or "votes are even"
    return Category(verdict=verdict, reason=reason, probabilities=probabilities, readings=readings)


def _unfit(record: object, options: Options) -> str:
    return "" if len(options.categories) > 1 else "fewer than two categories (--category NAME[=MEANING], repeated)"


TASK = TaskSpec(
    name="classify",
    about="one of several categories of your own",
    kinds=("response", "solution", "pair", "ranking"),
    split=responses,
    build=classify,
    prompt=always("classify"),
    prompts={"classify": PromptKind(variables=("prompt", "response", "categories"))},
    shape=Shape(judgement=Category, form="label", records=("response", "solution"), nominal=True),
    judges_prompts=True,
    unfit=_unfit,
)
