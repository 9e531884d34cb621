"""Rounds of critique and revision, in which a referee decides whether a revision is kept.

    answer (where the record has none) → [draw principles → critique → revision → referee, both orders] × rounds

The loop is that of constitutional AI (Bai et al. 2022, arXiv:2212.08073, section 3.1), with one step more: the paper
goes on with every revision, here it must win. `BAI_2022` are the settings of the paper's section 3.2.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, NoReturn, assert_never, get_args

from judge.constitution.constitution import Constitution, Principle
from judge.errors import ConfigError, unknown
from judge.judgements import Preference, Reading, Revision, Round, Row, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Conversation, Message, Pair, Response, Solution, spoken
from judge.tasks.base import Options, Program
from judge.tasks.critique import read_text
from judge.tasks.preference import merge, pair_questions
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import TaskSpec
from judge.tasks.views import as_response, responses
from judge.verdicts import Label, unread

Keep = Literal["better", "all"]
Stop = Literal["rounds", "nothing found", "not better", "unreadable"]

NOTHING_FOUND = "the critique finds nothing"
NOTHING_CHANGED = "the revision changes nothing"

CLEAN = re.compile(r"\bno (faults?|mistakes?) found[.!\s*_]*\Z", re.IGNORECASE)
"""How a critique ends that found nothing: so the shipped prompts ask for it."""


class Roles(NamedTuple):
    """Which of the run's engines plays which part."""

    critic: int = 0
    author: int = 0
    referee: int = 0


ALONE = Roles()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The prompts of the loop. Without one for the answer the author is given the conversation as it is."""

    critique: Template
    revision: Template
    preference: Template
    answer: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """How the rounds go.

    rounds: how many revisions at most are kept, one after another. margin: a revision is kept when the referee prefers
    it and P(better) - P(worse) = 2 p - 1 is at least this, in [0, 1]. tries: how many draws of principles a round has
    before the loop ends. principles: how many are drawn at random, None for the constitution's own rule.
    keep: "all" goes on with every revision, whatever the critic finds and the referee says; it is asked all the same.
    """

    rounds: int = 2
    margin: float = 0.2
    tries: int = 1
    principles: int | None = None
    keep: Keep = "better"

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.tries < 1 or (self.principles is not None and self.principles < 1):
            raise ConfigError("rounds, tries and principles must be at least 1")
        if not 0.0 <= self.margin <= 1.0:
            raise ConfigError(f"the margin must be from 0 to 1, not {self.margin}")
        if self.keep not in get_args(Keep):
            raise unknown("value of keep", self.keep, get_args(Keep))


class Preset(NamedTuple):
    """Settings under a name: the loop and the sampling temperature."""

    loop: Loop
    temperature: float
    about: str


BAI_2022 = Preset(
    Loop(rounds=4, margin=0.0, principles=1, keep="all"),
    1.0,
    "Bai et al. 2022, section 3.2: four revisions of each response, a principle at random for each, all at temperature "
    "1, every revision gone on with",
)
PRESETS: Mapping[str, Preset] = {"bai-2022": BAI_2022}


def revision(
    record: Response | Solution,
    prompts: Prompts,
    options: Options,
    *,
    loop: Loop,
    constitution: Constitution | None = None,
    roles: Roles = ALONE,
) -> Program[Revision]:
    """Answer where the record has no response, then round after round until one leads nowhere.

    A round leads nowhere when the critic finds nothing, when the revision does not win by the margin, or when
    something cannot be read; then the next principles are tried, as long as there are tries and principles left.
    """
    start = as_response(record)
    reference = start.reference if options.reference else ""
    asking = Asking(record.id, record.prompt, reference, prompts, replace(options, judges=1), roles)
    original = spoken(start.response) if start.response else (yield from asking.answer())
    if original is None:
        return Revision(verdict=None, reason=unread(asking.readings), readings=tuple(asking.readings))
    text, rounds, ends = original, list[Round](), list[Stop]()
    for number in range(1, loop.rounds + 1):
        for drawn in draws(constitution, loop, options.seed, f"{record.id}/round {number}"):
            attempt, end = yield from one_round(asking, f"round {len(rounds) + 1}", number, text, drawn, loop)
            rounds.append(attempt)
            ends.append("rounds" if attempt.kept else end)
            if attempt.kept:
                break
        if not rounds[-1].kept:
            break
        text = rounds[-1].text or text
    readable = any(end != "unreadable" for end in ends)
    return Revision(
        verdict=text if readable else None,
        reason="" if readable else "; ".join(dict.fromkeys(attempt.reason for attempt in rounds)),
        original=original,
        stopped=ends[-1],
        rounds=tuple(rounds),
        readings=tuple(asking.readings),
    )


def draws(constitution: Constitution | None, loop: Loop, seed: int, key: str) -> list[tuple[Principle, ...]]:
    """The principles of each try of a round: none twice, by lots that follow from the seed and the key alone."""
    if constitution is None:
        return [()]
    count = loop.principles or constitution.sampling.count
    if count is None:
        return [constitution.draw(seed, key)]
    lots = constitution.draw(seed, key, count=len(constitution.principles))
    return [lots[start : start + count] for start in range(0, len(lots), count)][: loop.tries]


def one_round(
    asking: "Asking", name: str, number: int, text: str, drawn: Sequence[Principle], loop: Loop
) -> Program[tuple[Round, Stop]]:
    """Critique, revision and comparison of one text: what came of it, and why the loop would end with it."""
    attempt = Round(number=number, principles=tuple(principle.id for principle in drawn))
    critique = yield from asking.critique(name, text, drawn)
    if critique.verdict is None:
        return replace(attempt, reason=unread([critique])), "unreadable"
    attempt = replace(attempt, critique=critique.verdict)
    if loop.keep != "all" and CLEAN.search(critique.verdict):
        return replace(attempt, reason=NOTHING_FOUND), "nothing found"
    written = yield from asking.revision(name, text, critique.verdict, drawn)
    if written.verdict is None:
        return replace(attempt, reason=unread([written])), "unreadable"
    attempt = replace(attempt, text=written.verdict)
    if written.verdict == text.strip():
        return replace(attempt, kept=loop.keep == "all", reason=NOTHING_CHANGED), "not better"
    compared = yield from asking.comparison(name, written.verdict, text)
    attempt = replace(attempt, verdict=compared.verdict, p_better=compared.p_first, consistent=compared.consistent)
    reason = compared.reason or why_not(compared, loop.margin)
    kept = loop.keep == "all" or not reason
    return replace(attempt, kept=kept, reason=reason), "not better" if compared.verdict else "unreadable"


def why_not(compared: Preference, margin: float) -> str:
    """Why a revision (the first of the two) does not win, "" when it does."""
    match compared.verdict:
        case "first":
            assert compared.p_first is not None
            return "" if 2.0 * compared.p_first - 1.0 >= margin else "better by less than the margin"
        case "second":
            return "the text before is better"
        case "tie":
            return "neither is better"
        case None:
            return compared.reason
        case _:
            assert_never(compared.verdict)


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked about one record, and of whom; every reading is kept."""

    id: str
    prompt: Conversation
    reference: str
    prompts: Prompts
    options: Options
    roles: Roles
    readings: list[Reading] = field(default_factory=list)

    def answer(self) -> Program[str | None]:
        """The author's response to the prompt."""
        template = self.prompts.answer
        messages = template.render(prompt=spoken(self.prompt)) if template else self.prompt
        reading = yield from self._words("answer", messages, template or _AS_IT_IS, self.roles.author)
        return reading.verdict

    def critique(self, name: str, text: str, drawn: Sequence[Principle]) -> Program[Reading]:
        """What the critic finds in a text by the principles that were drawn."""
        template, held = self.prompts.critique, held_to((p.text, p.critique_request) for p in drawn)
        messages = template.render(prompt=spoken(self.prompt), response=text, reference=self.reference, **held)
        ids = ", ".join(principle.id for principle in drawn)
        return (yield from self._words(f"{name} critique", messages, template, self.roles.critic, ids))

    def revision(self, name: str, text: str, critique: str, drawn: Sequence[Principle]) -> Program[Reading]:
        """The author's text after a critique."""
        template, held = self.prompts.revision, held_to((p.text, p.revision_request) for p in drawn)
        messages = template.render(prompt=spoken(self.prompt), response=text, critique=critique, **held)
        return (yield from self._words(f"{name} revision", messages, template, self.roles.author))

    def comparison(self, name: str, better: str, text: str) -> Program[Preference]:
        """The referee's preference between a revision (the first) and the text before it, in both orders; greedy
        unless several votes are taken."""
        pair = Pair(prompt=self.prompt, first=_message(better), second=_message(text))
        names = (f"{name} forward", f"{name} swapped")
        options = self.options if self.options.votes > 1 else replace(self.options, temperature=0.0)
        batch = pair_questions(pair, self.prompts.preference, options, record_id=self.id, names=names)
        batch = [replace(question, judge=self.roles.referee) for question in batch]
        readings = yield from gather([ask(question, options) for question in batch])
        self.readings.extend(readings)
        return merge(readings, forward=names[0])

    def _words(
        self, asked: str, messages: Conversation, template: Template, judge: int, principle: str = ""
    ) -> Program[Reading]:
        def read(text: str, finish: str) -> Label:
            return read_text(text, template, finish=finish)

        options = replace(self.options, votes=1)
        (question,) = questions(self.id, asked, messages, template, options, labels={}, read=read)
        reading = yield from ask(replace(question, judge=judge), options)
        self.readings.append(replace(reading, principle=principle))
        return reading


_AS_IT_IS = Template(name="", task="answer", source="", hash="", body="", max_tokens=2048)


def held_to(principles: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What a prompt is told of principles, each a text and a request about it: a numbered list, nothing for none."""
    lines = [" ".join(filter(None, (text.strip(), request.strip()))) for text, request in principles]
    if not lines:
        return {}
    return {"principles": "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1)) if lines[1:] else lines[0]}


def _message(text: str) -> Conversation:
    return (Message("assistant", text),)


def tally(judgement: Row) -> Iterator[str]:
    """How each round of a row's judgement ended, in a word that can be counted."""
    for attempt in judgement.get("rounds", ()):
        if attempt.get("kept"):
            yield "kept"
        elif attempt.get("verdict") is not None:
            yield "not kept"
        else:
            reason = attempt.get("reason", "")
            yield {NOTHING_FOUND: "nothing found", NOTHING_CHANGED: "nothing changed"}.get(reason, "unreadable round")


def summary(judgement: Revision) -> Iterator[str]:
    """How many revisions were kept, in words that can be counted."""
    kept = sum(attempt.kept for attempt in judgement.rounds)
    yield "unreadable" if judgement.verdict is None else f"{kept} kept" if kept else "as it was"


def _by_revise(*_: object) -> NoReturn:
    raise ConfigError("the task 'revision' has a prompt for each of its parts; it is run by `rmjudge revise`")


TASK = TaskSpec(
    name="revision",
    about="rounds of critique and revision, each kept only where it wins; run by `rmjudge revise`",
    kinds=("response", "solution", "pair", "ranking"),
    split=responses,
    build=_by_revise,
    prompt=_by_revise,
    prompts={
        "revision": PromptKind(variables=("prompt", "response", "critique")),
        "answer": PromptKind(variables=("prompt",)),
    },
    shape=Shape(judgement=Revision, form="text", records=("response", "solution"), tally=tally, summary=summary),
    exports=("preference", "unpaired", "sft"),
)
