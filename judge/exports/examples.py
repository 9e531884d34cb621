"""What one judged record teaches: preferences, rated answers, rated steps, answers to learn.

Each example says how sure its label is (`margin`) and whether both orders agreed, so that it can be filtered. Which
examples a judgement gives follows from the shape of its task's judgements.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from math import exp
from typing import Any, ClassVar

from judge.files import to_json
from judge.judgements import Checklist, Judgement, Order, Revision, Shape, Steps, shape_of
from judge.records import (
    Conversation,
    Message,
    Pair,
    Ranking,
    Record,
    Response,
    Solution,
    content_id,
    plain,
    response_of,
    spoken,
)
from judge.tasks.views import as_response


def _sortable(turns: list[list[Any]]) -> list[list[str]]:
    """Plain turns that can be put in order: tool calls are objects, which cannot."""
    return [[part if isinstance(part, str) else to_json(part) for part in turn] for turn in turns]


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
        both = sorted((plain(self.chosen), plain(self.rejected)), key=_sortable)
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
    """A solution whose steps are right or wrong; a neutral step counts as right, as PRM800K's authors count it.

    neutral: which steps are neutral. turns: of a trajectory, all its turns, also those after the last step.
    """

    kind: ClassVar[str] = "stepwise"
    prompt: Conversation
    steps: tuple[str, ...]
    right: tuple[bool, ...]
    p_right: tuple[float, ...]
    neutral: tuple[bool, ...] = ()
    turns: Conversation = ()
    consistent: ClassVar[bool | None] = None
    tie: ClassVar[bool] = False
    empty: ClassVar[bool] = False

    @property
    def margin(self) -> float:
        """That of the step which is least sure."""
        return min(abs(2.0 * p - 1.0) for p in self.p_right)

    @property
    def content(self) -> str:
        return content_id(self.kind, plain(self.prompt), plain(self.turns) if self.turns else self.steps)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A response with a rubric, and which of its criteria it meets."""

    kind: ClassVar[str] = "rubric"
    record: Response
    judgement: Checklist
    consistent: ClassVar[bool | None] = None
    tie: ClassVar[bool] = False
    empty: ClassVar[bool] = False

    @property
    def prompt(self) -> Conversation:
        return self.record.prompt

    @property
    def margin(self) -> float:
        """That of the criterion which is least sure."""
        chances = [p for name, p in self.judgement.expected.items() if name and p is not None]
        return min((abs(2.0 * p - 1.0) for p in chances), default=1.0)

    @property
    def content(self) -> str:
        return content_id(self.kind, self.record.id)

    @property
    def label(self) -> str:
        return content_id(dict(self.judgement.verdict), list(self.judgement.abstained))


Example = Preferred | Rated | Stepped | Answered | Graded


def preferred(record: Record, judgement: Judgement) -> Iterator[Preferred]:
    """The better of a pair, of every two of a ranking, of a text and its revision in every round that was judged."""
    shape = shape_of(judgement.task)
    if shape.form == "label" and isinstance(record, Pair) and (p_first := shape.p(judgement)) is not None:
        tie = judgement.verdict in shape.labels[2:]
        yield _of_two(record, p_first, tie, getattr(judgement, "consistent", None))
    elif isinstance(judgement, Order) and isinstance(record, Ranking) and judgement.verdict is not None:
        for better, worse in combinations(judgement.verdict, 2):
            # An order without strengths is a hard verdict, as a reading without probabilities is.
            p = 1.0 if judgement.strengths is None else _bradley_terry(judgement.strengths, better, worse)
            yield _of_two(record.pair(better, worse), p, p <= 0.5, None)
    elif isinstance(judgement, Revision):
        before = judgement.original or ""
        for attempt in judgement.rounds:
            if attempt.text is not None and attempt.p_better is not None:
                pair = Pair(prompt=record.prompt, first=_message(attempt.text), second=_message(before))
                yield _of_two(pair, attempt.p_better, attempt.verdict == "tie", attempt.consistent)
            before = attempt.text if attempt.kept and attempt.text is not None else before


def _of_two(pair: Pair, p_first: float, tie: bool, consistent: bool | None) -> Preferred:
    swap = p_first < 0.5
    chosen, rejected = (pair.second, pair.first) if swap else (pair.first, pair.second)
    p = 1.0 - p_first if swap else p_first
    return Preferred(
        prompt=pair.prompt, chosen=chosen, rejected=rejected, p=p, tie=tie or p == 0.5, consistent=consistent
    )


def _bradley_terry(strengths: tuple[float, ...], better: int, worse: int) -> float:
    """P(better beats worse) = sigmoid of the difference of their log-strengths."""
    return 1.0 / (1.0 + exp(strengths[worse] - strengths[better]))


def rated(record: Record, judgement: Judgement) -> Iterator[Rated]:
    """A judged answer; of a preference that is no tie the chosen one as good, the rejected one as not."""
    if isinstance(record, Response | Solution):
        shape = shape_of(judgement.task)
        if _decided(shape, judgement) and (p := shape.p(judgement)) is not None:
            right = bool(judgement.verdict == shape.labels[0])
            yield Rated(prompt=record.prompt, completion=response_of(record), right=right, p=p)
            return
    for pair in preferred(record, judgement):
        if not pair.tie and not pair.empty:
            good = Rated(prompt=pair.prompt, completion=pair.chosen, right=True, p=pair.p, consistent=pair.consistent)
            yield good
            yield replace(good, completion=pair.rejected, right=False, p=1.0 - pair.p)


def _decided(shape: Shape, judgement: Judgement) -> bool:
    """Whether a verdict is one of the two labels that are opposites."""
    return shape.form == "label" and judgement.verdict in shape.labels[:2]


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
        yield Stepped(
            prompt=record.prompt,
            steps=record.steps[:known],
            right=right,
            p_right=p_right,
            neutral=tuple(verdict == "neutral" for verdict in judgement.verdict[:known]),
            turns=record.turns,
        )


def answered(record: Record, judgement: Judgement) -> Iterator[Answered]:
    """What a loop of revision ended with; an answer that was judged right; the better one of a pair."""
    if isinstance(judgement, Revision) and judgement.verdict is not None:
        kept = [attempt for attempt in judgement.rounds if attempt.kept and attempt.p_better is not None]
        margins = [max(0.0, 2.0 * attempt.p_better - 1.0) for attempt in kept if attempt.p_better is not None]
        consistent = all(attempt.consistent is not False for attempt in kept) if kept else None
        completion = _message(judgement.verdict)
        yield Answered(
            prompt=record.prompt, completion=completion, margin=min(margins, default=1.0), consistent=consistent
        )
        return
    shape = shape_of(judgement.task)
    if isinstance(record, Pair):
        for pair in preferred(record, judgement):
            yield Answered(
                prompt=pair.prompt, completion=pair.chosen, margin=pair.margin, consistent=pair.consistent, tie=pair.tie
            )
    elif isinstance(record, Response | Solution) and _decided(shape, judgement):
        p = shape.p(judgement)
        if judgement.verdict == shape.labels[0] and p is not None:
            yield Answered(prompt=record.prompt, completion=response_of(record), margin=2.0 * p - 1.0)


def graded(record: Record, judgement: Judgement) -> Iterator[Graded]:
    """A response that was judged by a rubric."""
    if isinstance(judgement, Checklist) and isinstance(record, Response | Solution):
        yield Graded(record=as_response(record), judgement=judgement)


def _message(text: str) -> Conversation:
    return (Message("assistant", text),)


def prompt_key(example: Example) -> str:
    """What stands for an example's prompt, so that all that share it land on one side of a split."""
    return content_id(spoken(example.prompt))


EXAMPLES: Mapping[str, Callable[[Record, Judgement], Iterator[Any]]] = {
    "preference": preferred,
    "unpaired": rated,
    "stepwise": stepped,
    "sft": answered,
    "rubric": graded,
}
"""Kind of example -> what it is made by; a task says in its `TaskSpec` which kinds its judgements give."""
