"""A rubric written for a prompt: from the prompt, a reference, better and worse answers, and people's critiques.

The material stands in the record's meta: `contrasts`, a list of {better, worse}; `critiques`, a list of texts, or
`critique`, one; `general: true` asks for criteria that hold for any prompt like this one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from judge.judgements import Critique, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Pair, Ranking, Record, Rubric, RubricItem, spoken
from judge.tasks.base import Options, Program
from judge.tasks.critique import read_text
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import TaskSpec, always
from judge.tasks.views import pairs
from judge.verdicts import Label, unread

NO_CRITERIA = "no criterion of the form [+POINTS] TEXT"
MOST_POINTS = 100.0
_LINE = re.compile(
    r"^\s*(?:[-*•]\s+|\d+[.)]\s+)?"  # a bullet or a number
    r"[\[(]\s*(?:(gate)|([+−–-]?\s*\d{1,3}(?:\.\d+)?))\s*[\])]\s*:?\s*(\S.*)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRubric(Critique):
    """A rubric as its author wrote it, a criterion a line; `criteria_of` reads it. None where nothing could be read."""

    task: ClassVar[str] = "rubric"


def write_rubric(record: Record, template: Template, options: Options) -> Program[WrittenRubric]:
    """One rubric a vote and juror, all in one batch; their criteria together are the verdict."""
    contrasts = [*_contrasts(record), *_labelled(record)]
    messages = template.render(
        prompt=spoken(record.prompt),
        reference=record.reference if options.reference else "",
        better=[better for better, _ in contrasts],
        worse=[worse for _, worse in contrasts],
        critiques=_critiques(record.meta),
        general=bool(record.meta.get("general")),
    )

    def read(text: str, finish: str) -> Label:
        label = read_text(text, template, finish=finish)
        if label.verdict is None or criteria_of(label.verdict):
            return label
        return Label(None, NO_CRITERIA)

    batch = questions(record.id, "rubric", messages, template, options, labels={}, read=read)
    readings = yield from gather([ask(question, options) for question in batch])
    texts = [reading.verdict for reading in readings if reading.verdict is not None]
    reason = "" if texts else unread(readings)
    return WrittenRubric(verdict="\n".join(texts) or None, reason=reason, readings=tuple(readings))


def criteria_of(text: str) -> Rubric:
    """The criteria of a written rubric, each text once; lines of another form are passed over."""
    items: dict[str, RubricItem] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        gate, points, words = match.groups()
        value = 1.0 if gate else float(re.sub(r"\s", "", points).replace("−", "-").replace("–", "-"))
        if value and abs(value) <= MOST_POINTS:
            items.setdefault(words.strip(), RubricItem(text=words.strip(), points=value, gate=bool(gate)))
    return tuple(items.values())


def _contrasts(record: Record) -> Iterator[tuple[str, str]]:
    listed = record.meta.get("contrasts")
    for entry in listed if isinstance(listed, list | tuple) else ():
        if isinstance(entry, Mapping) and "better" in entry and "worse" in entry:
            yield str(entry["better"]), str(entry["worse"])


def _labelled(record: Record) -> Iterator[tuple[str, str]]:
    """Better answers beside worse ones, as people's labels on the record itself say."""
    if not isinstance(record, Pair | Ranking):
        return
    for pair in pairs(record):
        verdicts = [label.verdict for label in pair.human if not label.criterion]
        margin = verdicts.count("first") - verdicts.count("second")
        if margin:
            first, second = spoken(pair.first), spoken(pair.second)
            yield (first, second) if margin > 0 else (second, first)


def _critiques(meta: Mapping[str, Any]) -> list[str]:
    """What people found good and bad about answers, in words."""
    values = [meta.get(name) for name in ("critiques", "critique")]
    texts = [text for value in values for text in (value if isinstance(value, list | tuple) else [value])]
    return [text for text in texts if isinstance(text, str) and text.strip()]


def _itself(record: Record) -> Iterator[Record]:
    yield record


TASK = TaskSpec(
    name="rubric",
    about="a rubric for the prompt: the criteria by which answers to it are to be judged",
    kinds=("response", "pair", "ranking"),
    split=_itself,
    build=write_rubric,
    prompt=always("rubric"),
    prompts={"rubric": PromptKind(variables=("prompt", "reference", "better", "worse", "critiques", "general"))},
    shape=Shape(judgement=WrittenRubric, form="text", records=("response", "pair", "ranking")),
    judges_prompts=True,
)
