"""What is good and bad about a response, in words."""

from judge.judgements import Critique, Shape
from judge.patterns import PatternTimeout, compile_pattern, find_all
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Response, Solution
from judge.tasks.base import Options, Program
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import TaskSpec, always
from judge.tasks.views import as_response, responses, shown
from judge.verdicts import EMPTY, NO_VERDICT, Label, label_group, unfinished, unread


def critique(record: Response | Solution, template: Template, options: Options) -> Program[Critique]:
    """One critique a vote and juror, all in one batch; the first that could be read is the verdict."""
    response = as_response(record)
    prompt, (text,) = shown(response.prompt, (response.response,), options)
    messages = template.render(prompt=prompt, response=text, reference=response.reference)

    def read(text: str, finish: str) -> Label:
        return read_text(text, template, finish=finish)

    batch = questions(record.id, "critique", messages, template, options, labels={}, read=read)
    readings = yield from gather([ask(question, options) for question in batch])
    texts = [reading.verdict for reading in readings if reading.verdict is not None]
    if not texts:
        return Critique(verdict=None, reason=unread(readings), readings=tuple(readings))
    return Critique(verdict=texts[0], readings=tuple(readings))


def read_text(text: str, template: Template, *, finish: str = "stop") -> Label:
    """A reply in words: all of it, or what stands between the tags that the prompt asks for.

    The closing tag may be missing where the reply ended by itself: it is the stop of a reply that was begun with the
    opening one. Words that were cut in the middle are not a reply.
    """
    words, whole = text, finish == "stop"
    if template.verdict and text.strip():
        compiled = compile_pattern(template.verdict)
        try:
            matches = find_all(compiled, text)
        except PatternTimeout as timeout:
            return Label(None, str(timeout))
        opening = template.opening or template.choice_prefix
        if matches:
            words, whole = matches[-1][label_group(compiled)] or "", True
        elif opening and opening in text:
            begun = [words for words in text.split(opening)[1:] if words.strip()]  # a loop may open it anew
            words = begun[-1] if begun else ""
        else:
            return Label(None, unfinished(finish) or NO_VERDICT)
    if not whole:
        return Label(None, unfinished(finish))
    return Label(words.strip()) if words.strip() else Label(None, EMPTY)


TASK = TaskSpec(
    name="critique",
    about="what is good and bad about a response, in words",
    kinds=("response", "solution", "pair", "ranking"),
    split=responses,
    build=critique,
    prompt=always("critique"),
    prompts={"critique": PromptKind(variables=("prompt", "response", "reference"))},
    shape=Shape(judgement=Critique, form="text", records=("response", "solution")),
)
