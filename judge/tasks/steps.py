"""A verdict for each step of a solution: one call a step, or all steps in one call.

Higher is better: p_right counts a neutral step as right, as PRM800K's authors do, so it is 1 - P(wrong).

This module refuses to know where the steps come from.
"""

from collections.abc import Sequence
from itertools import chain

from judge.engines.base import Completion
from judge.judgements import Reading, Steps
from judge.prompting.template import Template
from judge.records import Solution, StepVerdict, spoken
from judge.tasks.base import Options, Program
from judge.tasks.queries import (
    Question,
    ask,
    gather,
    may_be_soft,
    questions,
    read_completion,
    reading,
    request_for,
    soft_request,
)
from judge.verdicts import Label, distribution, largest, mean, probabilities, read_steps, unread

ALL = "all steps"


def steps(solution: Solution, template: Template, options: Options) -> Program[Steps]:
    """One call a step, all in one batch (they share the prompt and the solution), or one call for all steps."""
    count = len(solution.steps)
    if not options.each_step:
        messages = template.render(prompt=spoken(solution.prompt), steps=list(solution.steps))
        asked = questions(solution.id, ALL, messages, template, options)
        readings = yield from gather([ask_all(question, template.verdict, count, options) for question in asked])
        return merge(list(chain.from_iterable(readings)), count)
    prompt, given, record_id, asked = spoken(solution.prompt), list(solution.steps), solution.id, []
    for index in range(count):
        messages = template.render(prompt=prompt, steps=given, index=index)
        asked += questions(record_id, step_name(index), messages, template, options)
    said = yield from gather([ask(question, options) for question in asked])
    return merge(said, count)


def step_name(index: int) -> str:
    """What a step is called in readings: counted from 1, as people do."""
    return f"step {index + 1}"


def ask_all(question: Question, pattern: str, count: int, options: Options) -> Program[list[Reading]]:
    """Ask about all steps at once: one reading holds the reply, then one a step holds its verdict and probabilities.

    A reply that leaves out a step is asked for again; of the attempts the one with the most verdicts is kept.
    """
    best: Completion | None = None
    labels: list[Label] = []
    attempt = 0
    while best is None or (attempt <= options.retries and any(label.verdict is None for label in labels)):
        (completion,) = yield (request_for(question, options, attempt),)
        attempt += 1
        found = [read_completion(completion, lambda *_: Label("read"))]
        if found[0].verdict is None:
            found *= count
        else:
            found = read_steps(completion.text, pattern, question.labels, count, finish=completion.finish)
        if best is None or _read(found) > _read(labels):
            best, labels = completion, found
    shares = yield from _shares(question, best, labels, options)
    each = [
        Reading(
            asked=step_name(index),
            verdict=label.verdict,
            reason=label.reason,
            probabilities=shares.get(index, {}),
            judge=question.judge,
            vote=question.vote,
            attempts=attempt,
        )
        for index, label in enumerate(labels)
    ]
    words = " ".join(label.verdict or "?" for label in labels)
    missing = next((label.reason for label in labels if label.verdict is None), "")
    whole = Label(None if missing else words, missing)
    return [reading(question, best, whole, attempts=attempt), *each]


def _read(labels: Sequence[Label]) -> int:
    return sum(label.verdict is not None for label in labels)


def _shares(
    question: Question, completion: Completion, labels: Sequence[Label], options: Options
) -> Program[dict[int, dict[str, float]]]:
    """The probabilities behind each step's label, all steps in one batch; {} for a step that has none."""
    if not may_be_soft(question, completion, options):
        return {}
    places = [index for index, label in enumerate(labels) if label.verdict is not None]
    if not places:
        return {}
    answers = yield [
        soft_request(question, completion.text[: labels[index].start], options, asked=step_name(index))
        for index in places
    ]
    return {
        index: probabilities(answer.logprobs, question.labels) for index, answer in zip(places, answers, strict=True)
    }


def merge(readings: Sequence[Reading], count: int) -> Steps:
    """A step's verdict has the most weight in the mean over votes and jurors; with two alike it is unreadable."""
    by_step: list[list[Reading]] = [[] for _ in range(count)]
    places = {step_name(index): index for index in range(count)}
    for one in readings:
        if one.asked in places:
            by_step[places[one.asked]].append(one)
    merged = [mean(distribution(one) for one in said) for said in by_step]
    verdicts = tuple(step_verdict(one) for one in merged)
    return Steps(
        verdict=verdicts,
        reason=unread([r for said, verdict in zip(by_step, verdicts, strict=True) if verdict is None for r in said]),
        p_right=tuple(1.0 - one.get("wrong", 0.0) if one else None for one in merged),
        first_wrong=first_wrong(verdicts),
        readings=tuple(readings),
    )


def step_verdict(merged: dict[str, float]) -> StepVerdict | None:
    """The verdict of a distribution over right, wrong, neutral."""
    match largest(merged):
        case "right":
            return "right"
        case "wrong":
            return "wrong"
        case "neutral":
            return "neutral"
        case None:
            return None
        case other:
            raise ValueError(f"'{other}' is not a verdict on a step (accepted: right, wrong, neutral)")


def first_wrong(verdicts: Sequence[StepVerdict | None]) -> int | None:
    """The first wrong step, -1 when there is none, None when a step before it could not be read."""
    for index, verdict in enumerate(verdicts):
        if verdict is None:
            return None
        if verdict == "wrong":
            return index
    return -1
