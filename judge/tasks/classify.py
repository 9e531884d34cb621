"""Categories of the user's own: the one that fits, or all that hold, with the exact probability of each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judge.errors import ConfigError
from judge.judgements import Categories, Category, Reading, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Response, Solution
from judge.tasks.base import Options, Program
from judge.tasks.queries import ask, gather, questions
from judge.tasks.score import criterion
from judge.tasks.spec import TaskSpec, always
from judge.tasks.views import as_response, responses, shown
from judge.verdicts import distribution, folded, largest, mean, unread


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


def check_categories(template: Template, options: Options) -> None:
    """Raise ConfigError for categories that cannot be told apart by their names."""
    names: dict[str, str] = {}
    for category in options.categories:
        name = criterion(category).name
        if not name or "\n" in name:
            raise ConfigError(f"category '{category}': found no name of one line (accepted: NAME or NAME=MEANING)")
        if folded(name) in names:
            other = names[folded(name)]
            raise ConfigError(f"categories '{other}' and '{name}' have one name (accepted: different ones)")
        names[folded(name)] = name


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
    check_prompt=check_categories,
)


# -- several at once --------------------------------------------------------------------------------------------------

HOLDS, LACKS = "holds", "lacks"


def multilabel(record: Response | Solution, template: Template, options: Options) -> Program[Categories]:
    """Every category, vote and juror in one batch; the requests of a record are alike up to the category."""
    response = as_response(record)
    prompt, (text,) = shown(response.prompt, (response.response,), options)
    batch = [
        question
        for category in options.categories
        for question in questions(
            record.id,
            criterion(category).name,
            template.render(prompt=prompt, response=text, category=category),
            template,
            options,
        )
    ]
    readings = yield from gather([ask(question, options) for question in batch])
    return merge_categories([criterion(category).name for category in options.categories], readings)


def merge_categories(names: Sequence[str], readings: Sequence[Reading]) -> Categories:
    """One judgement of the readings of all categories; votes that are even are no verdict."""
    verdict, expected, lost = dict[str, float | None](), dict[str, float | None](), list[Reading]()
    even = list[str]()
    for name in names:
        answers = [reading for reading in readings if reading.asked == name]
        shares = mean(distribution(reading) for reading in answers)
        likeliest = largest(shares)
        verdict[name] = None if likeliest is None else int(likeliest == HOLDS)
        expected[name] = shares.get(HOLDS, 0.0) if shares else None
        if likeliest is None:
            lost += answers
            even += [f"{name}: votes are even"] if shares else []
    reason = "; ".join(filter(None, (unread(lost), *even)))
    return Categories(verdict=verdict, reason=reason, expected=expected, readings=tuple(readings))


def _without_category(record: object, options: Options) -> str:
    return "" if options.categories else "no category (--category NAME[=MEANING], repeated)"


def _tally(row: Mapping[str, Any]) -> Iterable[str]:
    """The categories that hold."""
    verdict = row.get("verdict") or {}
    named = [name for name, value in verdict.items() if value]
    return named or (["none of them"] if verdict and None not in verdict.values() else [])


def _summary(judgement: Categories) -> Iterable[str]:
    return _tally({"verdict": judgement.verdict}) or ["unreadable"]


MULTILABEL = TaskSpec(
    name="multilabel",
    about="which of several categories of your own hold, any number of them",
    kinds=("response", "solution", "pair", "ranking"),
    split=responses,
    build=multilabel,
    prompt=always("multilabel"),
    prompts={"multilabel": PromptKind(variables=("prompt", "response", "category"), labels=(HOLDS, LACKS))},
    shape=Shape(judgement=Categories, form="scores", records=("response", "solution"), tally=_tally, summary=_summary),
    judges_prompts=True,
    unfit=_without_category,
    check_prompt=check_categories,
)
