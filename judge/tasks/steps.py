"""A verdict for each step of a solution: one call a step, or all steps in one call.

Higher is better: p_right counts a neutral step as right, as PRM800K's authors do, so it is 1 - P(wrong).
"""

from collections.abc import Sequence
from itertools import chain

from judge.engines.base import Completion
from judge.errors import ConfigError
from judge.judgements import Reading, Shape, Steps
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Record, Response, Solution, StepVerdict, is_trajectory, spoken, turn_steps
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
from judge.tasks.spec import Prompt, TaskSpec
from judge.tasks.views import shortened, solutions
from judge.verdicts import Label, distribution, largest, mean, probabilities, read_steps, unread

ALL = "all steps"


def steps(solution: Solution, template: Template, options: Options) -> Program[Steps]:
    """One call a step, all in one batch (they share the prompt and the solution), or one call for all steps."""
    count = len(solution.steps)
    prompt, texts = shown_steps(solution, options)
    if not options.each_step:
        messages = template.render(prompt=prompt, steps=texts)
        batch = questions(solution.id, ALL, messages, template, options)
        readings = yield from gather([ask_all(question, template.verdict, count, options) for question in batch])
        return merge(list(chain.from_iterable(readings)), count)
    record_id, batch = solution.id, list[Question]()
    for index in range(count):
        messages = template.render(prompt=prompt, steps=texts, index=index)
        batch += questions(record_id, step_name(index), messages, template, options)
    answers = yield from gather([ask(question, options) for question in batch])
    return merge(answers, count)


def shown_steps(solution: Solution, options: Options) -> tuple[str, list[str]]:
    """The prompt and the steps as texts; of a trajectory with its long tool results shortened."""
    prompt, steps = spoken(shortened(solution.prompt, options.max_tool_result)), solution.steps
    if solution.turns:
        steps = turn_steps(shortened(solution.turns, options.max_tool_result))
    return prompt, list(steps)


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
        reply = read_completion(completion, lambda *_: Label("read"))
        if reply.verdict is None:
            read = [reply] * count
        else:
            read = read_steps(completion.text, pattern, question.labels, count, finish=completion.finish)
        if best is None or _verdicts(read) > _verdicts(labels):
            best, labels = completion, read
        if completion.finish == "error":  # an engine has tried again by itself
            break
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


def _verdicts(labels: Sequence[Label]) -> int:
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
    for step_reading in readings:
        if step_reading.asked in places:
            by_step[places[step_reading.asked]].append(step_reading)
    merged = [mean(distribution(answer) for answer in answers) for answers in by_step]
    verdicts = tuple(step_verdict(shares) for shares in merged)
    lost = [answers for answers, verdict in zip(by_step, verdicts, strict=True) if verdict is None]
    return Steps(
        verdict=verdicts,
        reason=unread(list(chain.from_iterable(lost))),
        p_right=tuple(1.0 - shares.get("wrong", 0.0) if shares else None for shares in merged),
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


def check_prompt(template: Template, options: Options) -> None:
    """Raise ConfigError for a prompt that asks about more or fewer steps a call than the options say."""
    if options.turns:
        raise ConfigError("turns: the task 'steps' judges each turn of the response (accepted: no turns)")
    single = "index" in template.variables
    if single != options.each_step:
        asks, wanted = ("one step", "all steps") if single else ("all steps", "one step")
        raise ConfigError(f"prompt {template.name} asks about {asks} in a call, the options say {wanted}")
    if not single and not template.verdict:
        raise ConfigError(f"prompt {template.name} has no verdict pattern, so it cannot judge all steps in one call")


def _unfit(record: Record, options: Options) -> str:
    if not isinstance(record, Response) or is_trajectory(record.response):
        return ""
    return "a response of one turn without a tool's call (accepted: solutions, trajectories)"


TASK = TaskSpec(
    name="steps",
    about="right, wrong or neutral for each step of a solution, or each turn of a trajectory",
    kinds=("solution", "response"),
    split=solutions,
    build=steps,
    prompt=lambda options: Prompt("steps", "default" if options.each_step else "all"),
    prompts={
        "steps": PromptKind(variables=("prompt", "steps", "index"), labels=("right", "wrong"), third_label="neutral")
    },
    shape=Shape(judgement=Steps, form="steps", records=("solution",)),
    exports=("stepwise",),
    unfit=_unfit,
    check_prompt=check_prompt,
)
