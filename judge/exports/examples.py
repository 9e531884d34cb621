"""What one judged record teaches: preferences, rated answers, rated steps, answers to learn.

Each example says how sure its label is (`margin`) and whether both orders agreed, so that it can be filtered. This
module refuses to know files and the formats of trainers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from math import exp
from typing import Any, ClassVar

from judge.judgements import Judgement, Order, Outcome, Preference, Revision, Steps
from judge.records import Conversation, Message, Pair, Ranking, Record, Response, Solution, content_id, plain, spoken


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferred:
    """Of two responses the better one, or a tie. p: P(chosen is better), a tie counted half, so at least 1/2.

    margin: P(chosen is better) - P(rejected is better) = 2 p - 1, in [0, 1]. consistent: see judgements.Preference.
    """

    kind: ClassVar[str] = "preference"
    prompt: Conversation
    chosen: Conversation
    rejected: Conversation
    p: float
    tie: bool = False
    consistent: bool | None = None

    @property
    def margin(self) -> float:
        return 2.0 * self.p - 1.0

    @property
    def content(self) -> str:
        """The same for the same question, however it was answered."""
        both = sorted((plain(self.chosen), plain(self.rejected)))
        return content_id(self.kind, plain(self.prompt), both)

    @property
    def label(self) -> str:
        """The answer to that question."""
        return "tie" if self.tie else content_id(plain(self.chosen))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to learn from it: both responses are the same."""
        return self.chosen == self.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A response that is right or good, or is not. p: the probability of that."""

    kind: ClassVar[str] = "unpaired"
    prompt: Conversation
    completion: Conversation
    right: bool
    p: float
    consistent: bool | None = None
    tie: ClassVar[bool] = False
    empty: ClassVar[bool] = False

    @property
    def margin(self) -> float:
        return abs(2.0 * self.p - 1.0)

    @property
    def content(self) -> str:
        return content_id(self.kind, plain(self.prompt), plain(self.completion))

    @property
    def label(self) -> str:
        return str(self.right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """A solution whose steps are right or wrong; a neutral step counts as right, as PRM800K's authors count it."""

    kind: ClassVar[str] = "stepwise"
    prompt: Conversation
    steps: tuple[str, ...]
    right: tuple[bool, ...]
    p_right: tuple[float, ...]
    consistent: ClassVar[bool | None] = None
    tie: ClassVar[bool] = False
    empty: ClassVar[bool] = False

    @property
    def margin(self) -> float:
        """That of the step which is least sure."""
        return min(abs(2.0 * p - 1.0) for p in self.p_right)

    @property
    def content(self) -> str:
        return content_id(self.kind, plain(self.prompt), self.steps)

    @property
    def label(self) -> str:
        return str(self.right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A response to learn to write. margin: that of the least sure verdict that led to it, 1 where none was needed, 0
    where a revision was gone on with against the referee."""

    kind: ClassVar[str] = "sft"
    prompt: Conversation
    completion: Conversation
    margin: float = 1.0
    consistent: bool | None = None
    tie: bool = False
    label: ClassVar[str] = ""
    empty: ClassVar[bool] = False

    @property
    def content(self) -> str:
        return content_id(self.kind, plain(self.prompt), plain(self.completion))


Example = Preferred | Rated | Stepped | Answered


def preferred(record: Record, judgement: Judgement) -> Iterator[Preferred]:
    """The better of a pair, of every two of a ranking, of a text and its revision in every round that was judged."""
    if isinstance(judgement, Preference) and isinstance(record, Pair) and judgement.p_first is not None:
        yield _of_two(record, judgement.p_first, judgement.verdict, judgement.consistent)
    elif isinstance(judgement, Order) and isinstance(record, Ranking) and judgement.verdict is not None:
        for better, worse in combinations(judgement.verdict, 2):
            # An order without strengths is a hard verdict, as a reading without probabilities is.
            p = 1.0 if judgement.strengths is None else _bradley_terry(judgement.strengths, better, worse)
            yield _of_two(record.pair(better, worse), p, "first" if p > 0.5 else "tie", None)
    elif isinstance(judgement, Revision):
        before = judgement.original or ""
        for one in judgement.rounds:
            if one.text is not None and one.p_better is not None:
                pair = Pair(prompt=record.prompt, first=_said(one.text), second=_said(before))
                yield _of_two(pair, one.p_better, one.verdict, one.consistent)
            before = one.text if one.kept and one.text is not None else before


def _of_two(pair: Pair, p_first: float, verdict: str | None, consistent: bool | None) -> Preferred:
    swap = p_first < 0.5
    chosen, rejected = (pair.second, pair.first) if swap else (pair.first, pair.second)
    p = 1.0 - p_first if swap else p_first
    tie = verdict == "tie" or p == 0.5
    return Preferred(prompt=pair.prompt, chosen=chosen, rejected=rejected, p=p, tie=tie, consistent=consistent)


def _bradley_terry(strengths: tuple[float, ...], better: int, worse: int) -> float:
    """P(better beats worse) = sigmoid of the difference of their log-strengths."""
    return 1.0 / (1.0 + exp(strengths[worse] - strengths[better]))


def rated(record: Record, judgement: Judgement) -> Iterator[Rated]:
    """A judged answer; of a preference that is no tie the chosen one as good, the rejected one as not."""
    if isinstance(judgement, Outcome) and judgement.verdict is not None and judgement.p_correct is not None:
        right = judgement.verdict == "right"
        completion = _response(record)
        yield Rated(prompt=record.prompt, completion=completion, right=right, p=judgement.p_correct)
        return
    for one in preferred(record, judgement):
        if not one.tie and not one.empty:
            good = Rated(prompt=one.prompt, completion=one.chosen, right=True, p=one.p, consistent=one.consistent)
            yield good
            yield replace(good, completion=one.rejected, right=False, p=1.0 - one.p)


def stepped(record: Record, judgement: Judgement) -> Iterator[Stepped]:
    """A solution up to the first step that could not be read."""
    if not isinstance(judgement, Steps) or not isinstance(record, Solution):
        return
    known = 0
    while known < len(judgement.verdict) and judgement.verdict[known] is not None:
        known += 1
    right = tuple(verdict != "wrong" for verdict in judgement.verdict[:known])
    p_right = tuple(
        float(right[index]) if index >= len(judgement.p_right) or (p := judgement.p_right[index]) is None else p
        for index in range(known)
    )
    if known:
        yield Stepped(prompt=record.prompt, steps=record.steps[:known], right=right, p_right=p_right)


def answered(record: Record, judgement: Judgement) -> Iterator[Answered]:
    """What a loop of revision ended with; an answer that was judged right; the better one of a pair."""
    if isinstance(judgement, Revision) and judgement.verdict is not None:
        kept = [one for one in judgement.rounds if one.kept and one.p_better is not None]
        margin = min((max(0.0, 2.0 * one.p_better - 1.0) for one in kept if one.p_better is not None), default=1.0)
        consistent = all(one.consistent is not False for one in kept) if kept else None
        yield Answered(prompt=record.prompt, completion=_said(judgement.verdict), margin=margin, consistent=consistent)
    elif isinstance(judgement, Outcome) and judgement.verdict == "right" and judgement.p_correct is not None:
        margin = 2.0 * judgement.p_correct - 1.0
        yield Answered(prompt=record.prompt, completion=_response(record), margin=margin)
    elif isinstance(judgement, Preference):
        for one in preferred(record, judgement):
            yield Answered(
                prompt=one.prompt, completion=one.chosen, margin=one.margin, consistent=one.consistent, tie=one.tie
            )


def _response(record: Record) -> Conversation:
    match record:
        case Response():
            return record.response
        case Solution():
            return _said("\n".join(record.steps))
        case Pair() | Ranking():
            raise TypeError(f"an outcome is judged of one response, not of a {record.kind}")


def _said(text: str) -> Conversation:
    return (Message("assistant", text),)


def prompt_key(example: Example) -> str:
    """What stands for an example's prompt, so that all that share it land on one side of a split."""
    return content_id(spoken(example.prompt))


EXAMPLES: Mapping[str, Callable[[Record, Judgement], Iterator[Any]]] = {
    "preference": preferred,
    "unpaired": rated,
    "stepwise": stepped,
    "sft": answered,
}

GIVES: Mapping[str, tuple[str, ...]] = {
    "preference": ("preference", "unpaired", "sft"),
    "ranking": ("preference", "unpaired"),
    "revision": ("preference", "unpaired", "sft"),
    "outcome": ("unpaired", "sft"),
    "steps": ("stepwise",),
}
"""Task -> the kinds of examples that its judgements give, the usual one first."""
