"""Whether a whole answer is correct, with or without the known answer beside it."""

from judge.judgements import Outcome, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import OutcomeVerdict, Response, Solution
from judge.tasks.base import Options, Program
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import TaskSpec, always
from judge.tasks.views import as_response, responses, shown
from judge.verdicts import distribution, mean, unread


def outcome(record: Response | Solution, template: Template, options: Options) -> Program[Outcome]:
    """P(correct) is the mean over votes and jurors; exactly one half could go either way, so it is no verdict."""
    response = as_response(record)
    texts = shown(response.prompt, (response.response,), options)
    messages = template.render(
        prompt=texts.prompt,
        response=texts.responses[0],
        reference=response.reference if options.reference else "",
    )
    batch = questions(record.id, "outcome", messages, template, options)
    readings = yield from gather([ask(question, options) for question in batch])
    merged = mean(distribution(reading) for reading in readings)
    if not merged:
        return Outcome(verdict=None, reason=unread(readings), readings=tuple(readings))
    p_correct = merged.get("right", 0.0)
    verdict = decided(p_correct)
    reason = "" if verdict else "votes are even"
    return Outcome(verdict=verdict, reason=reason, p_correct=p_correct, readings=tuple(readings))


def decided(p_correct: float) -> OutcomeVerdict | None:
    """The likelier verdict."""
    if p_correct == 0.5:
        return None
    return "right" if p_correct > 0.5 else "wrong"


TASK = TaskSpec(
    name="outcome",
    about="whether a whole answer is correct",
    kinds=("response", "solution", "pair", "ranking"),
    split=responses,
    build=outcome,
    prompt=always("outcome"),
    prompts={"outcome": PromptKind(variables=("prompt", "response", "reference"), labels=("right", "wrong"))},
    shape=Shape(
        judgement=Outcome,
        form="label",
        records=("response", "solution"),
        labels=("right", "wrong"),
        probability="p_correct",
        criterion="correct",
    ),
    exports=("unpaired", "sft"),
)
