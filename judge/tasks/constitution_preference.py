"""Which of two responses is better under a constitution: each principle asked on its own, all in one batch.

A principle that does not tell two responses apart abstains, and an abstention is no vote for a tie. How that becomes
one verdict stands in `merge_principles`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from judge.constitution.constitution import Constitution, Principle
from judge.errors import ConfigError, unknown
from judge.judgements import Preference, Reading
from judge.prompting.template import Template
from judge.records import Pair
from judge.tasks.base import Options, Program
from judge.tasks.preference import FORWARD, SWAPPED, pair_questions, pooled
from judge.tasks.queries import ask, gather
from judge.tasks.spec import TaskSpec
from judge.verdicts import p_first, preferred, unread

PROMPT = "principle-verdict"


class Clamp(NamedTuple):
    """The lowest and the highest P(the first is better) that a single principle may give."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """The settings of a paper under a name: which prompt, how probabilities are clamped, which constitution unless
    another is named."""

    about: str
    prompt: str
    constitution: str = "harmless"
    clamp: Clamp | None = None


PRESETS: Mapping[str, Preset] = {
    "bai-2022": Preset(
        about="Bai et al. 2022, section 4.1: multiple choice (A)/(B), its probabilities averaged over all principles, "
        "of which the paper draws one for each pair",
        prompt="bai-2022",
    ),
    "bai-2022-cot": Preset(
        about="the same after thinking step by step, each principle's probability clamped to 0.4 to 0.6",
        prompt="bai-2022-cot",
        clamp=Clamp(0.4, 0.6),
    ),
}
"""Constitutional AI: Harmlessness from AI Feedback, arXiv:2212.08073. docs/constitutions.md says what differs."""


class Voice(NamedTuple):
    """What one principle says: its weight, and its distribution over first, second, tie ({} when unreadable)."""

    weight: float
    says: Mapping[str, float]


def under(spec: TaskSpec, constitution: Constitution, clamp: Clamp | None = None) -> TaskSpec:
    """The task with its verdicts given under a constitution; ConfigError for a task that has none to give."""
    if spec.name != "preference":
        raise ConfigError(f"the task '{spec.name}' takes no constitution; 'preference' does")
    check_clamp(clamp)

    def build(pair: Pair, template: Template, options: Options) -> Program[Preference]:
        return principled(pair, template, options, constitution=constitution, clamp=clamp)

    return replace(spec, build=build, prompt=lambda options: spec.prompt(options)._replace(name=PROMPT))


def check_principle(template: Template) -> None:
    """Raise ConfigError for a prompt that has no place for a principle."""
    if "principle" not in template.variables:
        raise ConfigError(
            f"prompt {template.name} has no place for a principle; under a constitution use preference/{PROMPT}, "
            "preference/principle, or a prompt of your own with the variable 'principle'"
        )


def preset(name: str) -> Preset:
    """A paper's settings by their name."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def check_clamp(clamp: Clamp | None) -> None:
    """Raise ConfigError for a clamp that would change which response wins."""
    if clamp is not None and not 0.0 <= clamp.low <= 0.5 <= clamp.high <= 1.0:
        raise ConfigError(f"clamp {clamp.low:g}:{clamp.high:g}: low must be 0 to 0.5, high 0.5 to 1")


def principled(
    pair: Pair, template: Template, options: Options, *, constitution: Constitution, clamp: Clamp | None = None
) -> Program[Preference]:
    """Both orders under each drawn principle, in one batch in which all of an order follow one another.

    The requests of an order are alike up to the principle, so an engine with a prefix cache reads the pair once.
    """
    check_principle(template)
    return _judge(pair, template, options, constitution, clamp)


def _judge(
    pair: Pair, template: Template, options: Options, constitution: Constitution, clamp: Clamp | None
) -> Program[Preference]:
    drawn = constitution.draw(options.seed, pair.id)
    batch = [
        (principle.id, question)
        for principle in drawn
        for question in pair_questions(
            pair, held(template, principle), options, record_id=pair.id, names=names(principle.id)
        )
    ]
    batch.sort(key=lambda entry: entry[1].asked.startswith(SWAPPED))
    answers = yield from gather([ask(question, options) for _, question in batch])
    readings = [
        replace(reading, asked=reading.asked.partition("/")[0], principle=name)
        for (name, _), reading in zip(batch, answers, strict=True)
    ]
    return merge(readings, drawn, constitution, clamp)


def names(principle: str) -> tuple[str, str]:
    """The names of the two orders' questions under a principle; a reading keeps order and principle apart."""
    return f"{FORWARD}/{principle}", f"{SWAPPED}/{principle}"


def held(template: Template, principle: Principle) -> Template:
    """The prompt with a principle in its place."""
    return replace(template, defaults={**template.defaults, "principle": principle.text})


def merge(
    readings: Sequence[Reading], drawn: Iterable[Principle], constitution: Constitution, clamp: Clamp | None
) -> Preference:
    """One preference from the readings under all drawn principles; it keeps each one's own P(first)."""
    drawn = tuple(drawn)

    def voices(*orders: str) -> list[Voice]:
        return [Voice(p.weight, clamped(said(readings, p.id, orders), clamp)) for p in drawn]

    merged = merge_principles(voices(FORWARD, SWAPPED))
    if not merged:
        return Preference(verdict=None, reason=unread(readings), readings=tuple(readings))
    orders = [merge_principles(voices(order)) for order in (FORWARD, SWAPPED)]
    by_principle = {principle.id: said(readings, principle.id) for principle in drawn}
    return Preference(
        verdict=preferred(merged),
        p_first=p_first(merged),
        consistent=preferred(orders[0]) == preferred(orders[1]) if all(orders) else None,
        principles={
            p.id: p_first(by_principle[p.id]) if by_principle.get(p.id) else None for p in constitution.principles
        },
        readings=tuple(readings),
    )


def said(readings: Sequence[Reading], principle: str, orders: Sequence[str] = (FORWARD, SWAPPED)) -> dict[str, float]:
    """The distribution of one principle from its readings in the given orders; {} when nothing was readable."""
    chosen = [reading for reading in readings if reading.principle == principle and reading.asked in orders]
    return pooled(chosen, forward=FORWARD)


def merge_principles(voices: Iterable[Voice]) -> dict[str, float]:
    """One distribution over first, second, tie from what the principles say; those that were unreadable are left out.

        m(tie) = Π p_k(tie)^(w_k / max w)
        m(v)   = (1 − m(tie)) · Σ w_k p_k(v) / Σ w_k (1 − p_k(tie)),    v in {first, second}

    So the responses are tied only as far as every principle abstains, and otherwise each principle counts by its
    weight and by how far it decides. Without ties this is the weighted mean of the probabilities, which is what the
    soft labels of Bai et al. 2022 (arXiv:2212.08073, section 4.1) are on average: there one principle is drawn for
    each. The mean of logits was not taken: in it one principle that is nearly certain outvotes all others, and a hard
    verdict has no logit.
    """
    readable = [voice for voice in voices if voice.says]
    if not readable:
        return {}
    heaviest = max(voice.weight for voice in readable)
    tie = math.prod(voice.says.get("tie", 0.0) ** (voice.weight / heaviest) for voice in readable)
    sides = {
        side: math.fsum(voice.weight * voice.says.get(side, 0.0) for voice in readable) for side in ("first", "second")
    }
    decided = math.fsum(sides.values())
    if not decided:
        return {"first": 0.0, "second": 0.0, "tie": 1.0}
    return {side: (1.0 - tie) * weight / decided for side, weight in sides.items()} | {"tie": tie}


def clamped(says: Mapping[str, float], clamp: Clamp | None) -> dict[str, float]:
    """A distribution whose P(first) lies within the clamp; P(tie) stays as it was."""
    if clamp is None or not says:
        return dict(says)
    tie = says.get("tie", 0.0)
    margin = 2.0 * min(max(p_first(says), clamp.low), clamp.high) - 1.0
    sides = {"first": (1.0 - tie + margin) / 2.0, "second": (1.0 - tie - margin) / 2.0}
    return {**sides, "tie": tie} if "tie" in says else sides
