"""Several responses in order: one call that orders all, or every pair compared and Bradley-Terry strengths fitted."""

import re
from collections.abc import Mapping
from itertools import combinations

from judge.judgements import Order, Reading, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Ranking, spoken
from judge.tasks.base import Options, Program
from judge.tasks.preference import merge, pair_questions
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import Prompt, TaskSpec
from judge.tasks.views import rankings
from judge.verdicts import Label, read_verdict, unread

PRIOR_WINS = 0.05
"""Wins that every response has against every other one before any is judged; keeps all strengths finite."""


def ranking(record: Ranking, template: Template, options: Options) -> Program[Order]:
    """In one call by a ranking prompt, or (`pairwise`) every pair by a preference prompt; one batch in either case."""
    if options.pairwise:
        return (yield from round_robin(record, template, options))
    return (yield from listwise(record, template, options))


def listwise(record: Ranking, template: Template, options: Options) -> Program[Order]:
    """One call for all; several votes or jurors are merged by Borda count: the mean place of each response."""
    count = len(record.responses)
    messages = template.render(
        prompt=spoken(record.prompt), responses=[spoken(response) for response in record.responses]
    )

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


def round_robin(record: Ranking, template: Template, options: Options) -> Program[Order]:
    """Every pair in both orders, all in one batch; P(first is better) counts as a soft win."""
    names = {pair: _names(*pair) for pair in combinations(range(len(record.responses)), 2)}
    record_id = record.id
    batch = [
        question
        for pair, both in names.items()
        for question in pair_questions(record.pair(*pair), template, options, record_id=record_id, names=both)
    ]
    readings = yield from gather([ask(question, options) for question in batch])
    by_name: dict[str, list[Reading]] = {}
    for reading in readings:
        by_name.setdefault(reading.asked, []).append(reading)
    wins: dict[tuple[int, int], float] = {}
    for pair, both in names.items():
        answers = [reading for name in both for reading in by_name.get(name, [])]
        merged = merge(answers, forward=both[0])
        if merged.p_first is None:
            return Order(verdict=None, reason=merged.reason, readings=tuple(readings))
        wins[pair] = merged.p_first
    strengths = bradley_terry(wins, len(record.responses))
    order = sorted(range(len(strengths)), key=lambda index: (-strengths[index], index))
    return Order(verdict=tuple(order), strengths=strengths, readings=tuple(readings))


def _names(first: int, second: int) -> tuple[str, str]:
    """What a pair of responses is called in readings, as it stands and swapped: counted from 1, as people do."""
    return f"{first + 1} or {second + 1}", f"{second + 1} or {first + 1}"


def bradley_terry(wins: Mapping[tuple[int, int], float], count: int) -> tuple[float, ...]:
    """Log-strengths with mean 0 under which P(i beats j) = sigmoid(s_i - s_j) fits the soft wins best.

    wins: (i, j) -> the share of i's wins over j, in [0, 1]. Bradley and Terry 1952, fitted by the iterated spectral
    method of Maystre and Grossglauser 2015 (choix). 0.05 wins are added to each side of every pair, so the maximum is
    finite and unique whatever was judged: a response that won everything does not run off to infinity.
    """
    import choix
    import numpy as np

    table = np.full((count, count), PRIOR_WINS)
    np.fill_diagonal(table, 0.0)
    for (first, second), share in wins.items():
        table[first, second] += share
        table[second, first] += 1.0 - share
    fitted = choix.ilsr_pairwise_dense(table, max_iter=10_000)
    return tuple(float(value) for value in fitted - fitted.mean())


def read_order(text: str, pattern: str, count: int, *, finish: str = "stop") -> Label:
    """The order that a reply gives, as "3 > 1 > 2" (numbers from 1); see `read_verdict`."""

    def meaning(label: str) -> str | None:
        order = parse_order(label, count)
        return " > ".join(str(index + 1) for index in order) if order is not None else None

    return read_verdict(text, pattern or r"(?s)\A(.*)\Z", meaning, finish=finish, one_label=False)


def parse_order(text: str, count: int) -> tuple[int, ...] | None:
    """0-based indices, best first, from numbers (from 1) or letters (from A); None unless each stands there once."""
    words = re.findall(r"\d+|\b[A-Za-z]\b", text)
    order = tuple(int(word) - 1 if word.isdecimal() else ord(word.upper()) - ord("A") for word in words)
    return order if sorted(order) == list(range(count)) else None


TASK = TaskSpec(
    name="ranking",
    about="several responses in order, at once or pair by pair",
    kinds=("ranking", "pair"),
    split=rankings,
    build=ranking,
    prompt=lambda options: Prompt("preference" if options.pairwise else "ranking", "default"),
    prompts={"ranking": PromptKind(variables=("prompt", "responses"))},
    shape=Shape(judgement=Order, form="order", records=("ranking",)),
    exports=("preference", "unpaired"),
)
