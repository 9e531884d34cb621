"""Several responses in order: one call that orders all, or a tournament of pairs."""

import re

from judge.errors import ConfigError
from judge.judgements import Order, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Ranking
from judge.tasks.base import Options, Program
from judge.tasks.preference import default_prompt
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import Prompt, TaskSpec
from judge.tasks.tournament import tournament
from judge.tasks.views import rankings, shown
from judge.verdicts import Label, read_verdict, unread


def ranking(record: Ranking, template: Template, options: Options) -> Program[Order]:
    """In one call by a ranking prompt, or in a tournament by a preference prompt."""
    if options.tournament:
        return (yield from tournament(record, template, options))
    return (yield from listwise(record, template, options))


def listwise(record: Ranking, template: Template, options: Options) -> Program[Order]:
    """One call for all; several votes or jurors are merged by Borda count: the mean place of each response."""
    count = len(record.responses)
    prompt, texts = shown(record.prompt, record.responses, options)
    messages = template.render(prompt=prompt, responses=list(texts))

    def read(text: str, finish: str) -> Label:
        return read_order(text, template.verdict, count, finish=finish)

    batch = questions(record.id, "order", messages, template, options, labels={}, read=read)
    readings = tuple((yield from gather([ask(question, options) for question in batch])))
    orders = [parse_order(reading.verdict, count) for reading in readings if reading.verdict is not None]
    valid = [order for order in orders if order is not None]
    if not valid:
        return Order(verdict=None, reason=unread(readings), readings=readings)
    place = [sum(order.index(index) for order in valid) for index in range(count)]
    return Order(verdict=tuple(sorted(range(count), key=lambda index: (place[index], index))), readings=readings)


def read_order(text: str, pattern: str, count: int, *, finish: str = "stop") -> Label:
    """The order that a reply gives, as "3 > 1 > 2" (numbers from 1); see `read_verdict`."""

    def meaning(label: str) -> str | None:
        order = parse_order(label, count)
        return " > ".join(str(index + 1) for index in order) if order is not None else None

    return read_verdict(text, pattern or r"(?s)\A(.*)\Z", meaning, finish=finish, one_label=False)


def parse_order(text: str, count: int) -> tuple[int, ...] | None:
    """0-based indices, best first, from numbers (from 1) or letters (from A); None unless each stands there once."""
    words = re.findall(r"\d{1,9}|\b[A-Za-z]\b", text)
    order = tuple(int(word) - 1 if word.isdecimal() else ord(word.upper()) - ord("A") for word in words)
    return order if sorted(order) == list(range(count)) else None


def check_prompt(template: Template, options: Options) -> None:
    """Raise ConfigError for last turns in one call: no prompt says that only these count."""
    if options.turns == "last" and not options.tournament:
        raise ConfigError("turns=last: a ranking in one call judges whole responses (accepted: a tournament)")


TASK = TaskSpec(
    name="ranking",
    about="several responses in order, at once or in a tournament",
    kinds=("ranking", "pair"),
    split=rankings,
    build=ranking,
    prompt=lambda options: (
        Prompt("preference", default_prompt(options)) if options.tournament else Prompt("ranking", "default")
    ),
    prompts={"ranking": PromptKind(variables=("prompt", "responses"))},
    shape=Shape(judgement=Order, form="order", records=("ranking",)),
    exports=("preference", "unpaired"),
    check_prompt=check_prompt,
)
