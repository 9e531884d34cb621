"""An integer on a stated scale, for the whole or for each of several named criteria."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from judge.judgements import Reading, Score, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Response, Solution
from judge.tasks.base import Options, Program
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import TaskSpec, always
from judge.tasks.views import as_response, responses, shown
from judge.verdicts import distribution, mean, unread

WHOLE = ""


class Criterion(NamedTuple):
    """A named quality and, where it was given, what it means."""

    name: str
    meaning: str


def criterion(text: str) -> Criterion:
    """Read `helpfulness: does it help?` as a name and its meaning; a bare name has no meaning beside itself."""
    name, _, meaning = text.partition(":")
    return Criterion(name.strip(), meaning.strip())


def score(record: Response | Solution, template: Template, options: Options) -> Program[Score]:
    """Every criterion, vote and juror in one batch. Without criteria the whole is scored, under the name ""."""
    response = as_response(record)
    texts = shown(response.prompt, (response.response,), options)
    labels = {str(number): str(number) for number in range(options.low, options.high + 1)}
    criteria = [criterion(text) for text in options.criteria] or [Criterion(WHOLE, "")]
    record_id, batch = record.id, []
    for name, meaning in criteria:
        # Without a criterion the prompt's own words for the whole stand.
        named = {"criterion": f"{name}: {meaning}" if meaning else name} if name else {}
        messages = template.render(
            prompt=texts.prompt,
            response=texts.responses[0],
            reference=response.reference if options.reference else "",
            rubric=options.rubric,
            low=options.low,
            high=options.high,
            **named,
        )
        batch += questions(record_id, name or "score", messages, template, options, labels=labels)
    readings = yield from gather([ask(question, options) for question in batch])
    by_name = {name: [r for r in readings if r.asked == (name or "score")] for name, _ in criteria}
    return Score(
        verdict={name: likeliest(answers) for name, answers in by_name.items()},
        reason=unread([reading for answers in by_name.values() if likeliest(answers) is None for reading in answers]),
        expected={name: expected(answers) for name, answers in by_name.items()},
        readings=tuple(readings),
    )


def likeliest(readings: Sequence[Reading]) -> int | None:
    """The score with the most weight in the mean of the readings' distributions; None when none could be read.

    Of two with the same weight the one nearer to the mean score is taken, then the lower one.
    """
    merged = mean(distribution(reading) for reading in readings)
    if not merged:
        return None
    centre = _mean_score(merged)
    return min((int(name) for name in merged), key=lambda number: (-merged[str(number)], abs(number - centre), number))


def expected(readings: Sequence[Reading]) -> float | None:
    """The mean of the scale under the scores' probabilities, sum of s · P(s), over the readings that have them."""
    merged = mean(reading.probabilities for reading in readings)
    return _mean_score(merged) if merged else None


def _mean_score(merged: Mapping[str, float]) -> float:
    return sum(int(name) * weight for name, weight in merged.items())


TASK = TaskSpec(
    name="score",
    about="an integer on a scale, for the whole or for named criteria",
    kinds=("response", "solution", "pair", "ranking"),
    split=responses,
    build=score,
    prompt=always("score"),
    prompts={"score": PromptKind(variables=("prompt", "response", "reference", "criterion", "rubric", "low", "high"))},
    shape=Shape(judgement=Score, form="scores", records=("response", "solution")),
)
