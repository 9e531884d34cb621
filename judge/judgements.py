"""Rows out: what a judge said, a class a task, and the shape of each task's judgements.

Every judgement keeps its readings, one for each completion that was read, with the raw text, so it can be read again
without a model. A verdict that could not be read is None with a reason; it is never a number.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from judge.errors import InputError, unknown
from judge.records import OutcomeVerdict, PairVerdict, StepVerdict
from judge.registry import task_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One completion, read.

    asked: what was asked, in the task's words: "forward", "swapped", "step 3", a criterion's name, "1 or 4".
    verdict: the verdict in the record's own terms (a swapped reading is already turned back), None when unreadable and
    of a judge's own reference ("own reference"), which is no verdict.
    reason: why it is None, "" otherwise; beside a verdict how it came to be where the reply did not give it ("cut at
    max_tokens; chosen behind 'Verdict: [['"), or why it has no probabilities.
    probabilities: verdict -> probability in the record's own terms, where the engine gave log-probabilities; sums to 1.
    text, thinking: the raw completion. finish: see Completion. judge, vote: which juror, which of K votes.
    principle: id of the constitution's principle that it was asked under, "" for none.
    attempts: how many completions it took (1, or more after unreadable ones).
    """

    asked: str
    verdict: str | None
    reason: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    text: str = ""
    thinking: str = ""
    finish: str = "stop"
    judge: int = 0
    vote: int = 0
    principle: str = ""
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Which of two responses is better.

    p_first: P(the first is better), a tie counted half; None when nothing was readable.
    consistent: whether both orders gave the same verdict; None when one order was not asked or not readable.
    principles: under a constitution, the P(the first is better) that each of its principles gives on its own, by id;
        None for one that was not drawn or not readable.
    """

    task: ClassVar[str] = "preference"
    verdict: PairVerdict | None
    reason: str = ""
    p_first: float | None = None
    consistent: bool | None = None
    principles: Mapping[str, float | None] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Critique:
    """What is good and bad about a response, in words; None when the judge said nothing."""

    task: ClassVar[str] = "critique"
    verdict: str | None
    reason: str = ""
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """An integer on a stated scale for each criterion.

    verdict: criterion -> the score given, or None when unreadable. expected: criterion -> the mean of the scale under
    the score's probabilities, None where the engine gave none.
    """

    task: ClassVar[str] = "score"
    verdict: Mapping[str, float | None]
    reason: str = ""
    expected: Mapping[str, float | None] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist(Score):
    """Which criteria of a rubric a response meets, and the score of them all.

    verdict: criterion -> 1 where it is met, 0 where it is not, None when unreadable; "" -> the score in 0 to 1, None
    where a criterion is unreadable or none is decided. expected: criterion -> P(met), given that it is met or not;
    "" -> the score of the expected points. points: what each criterion is worth. abstained: the criteria on which the
    judge abstains; they stand in neither `verdict` nor the score.
    """

    task: ClassVar[str] = "checklist"
    verdict: Mapping[str, float | None]
    points: Mapping[str, float] = field(default_factory=dict)
    abstained: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A verdict for each step of a solution.

    verdict: one entry a step, None where unreadable or not judged. p_right: P(the step is right), same length.
    first_wrong: 0-based index of the first wrong step, -1 when every step is right or neutral, None when a step
    before the first wrong one could not be read.
    """

    task: ClassVar[str] = "steps"
    verdict: tuple[StepVerdict | None, ...]
    reason: str = ""
    p_right: tuple[float | None, ...] = ()
    first_wrong: int | None = None
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whether a whole answer is correct. p_correct: P(correct)."""

    task: ClassVar[str] = "outcome"
    verdict: OutcomeVerdict | None
    reason: str = ""
    p_correct: float | None = None
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """Which of several categories a response belongs to; None when unreadable, or when two are as likely.

    probabilities: category -> its probability, over all that are on offer; sums to 1.
    """

    task: ClassVar[str] = "classify"
    verdict: str | None
    reason: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Categories(Score):
    """Which of several categories hold for a response: any number of them, each asked by itself.

    verdict: category -> 1 where it holds, 0 where it does not, None when unreadable. expected: category -> P(holds).
    """

    task: ClassVar[str] = "multilabel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Several responses in order, best first (0-based indices).

    strengths: Bradley-Terry log-strengths, mean 0. comparisons, unreadable: how many pairs a tournament compared, and
    of how many nothing could be read; these are left out. groups: where the comparisons that are left do not join all
    responses, the group of each, 0 the largest; strengths can be compared within a group only, there is no verdict.
    """

    task: ClassVar[str] = "ranking"
    verdict: tuple[int, ...] | None
    reason: str = ""
    strengths: tuple[float, ...] | None = None
    comparisons: int = 0
    unreadable: int = 0
    groups: tuple[int, ...] = ()
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One try at making a text better: it was criticised, revised, and both texts were compared.

    number: which round it belongs to, from 1; a round that tries several principles has an entry for each try.
    principles: ids of the principles it was drawn for, none without a constitution.
    critique, text: the critic's and the author's words, None when they could not be read or were not asked for.
    verdict: which text the referee prefers, `text` being the first and the one before it the second; None when it was
    not asked or could not be read. p_better: P(`text` is better than the one before), a tie counted half.
    consistent: see Preference. kept: whether the loop went on with `text`. reason: why it was not, in words.
    """

    number: int
    principles: tuple[str, ...] = ()
    critique: str | None = None
    text: str | None = None
    verdict: PairVerdict | None = None
    p_better: float | None = None
    consistent: bool | None = None
    kept: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A response after rounds of critique and revision.

    verdict: the text that the loop ended with, the original where no revision was kept; None when the author gave no
    answer, or when not one round could be read to its end. original: the text before the first round, None when the
    author gave none. stopped: why the loop ended, None when it could not begin.
    """

    task: ClassVar[str] = "revision"
    verdict: str | None
    reason: str = ""
    original: str | None = None
    stopped: Literal["rounds", "nothing found", "not better", "unreadable"] | None = None
    rounds: tuple[Round, ...] = ()
    readings: tuple[Reading, ...] = ()


class Judgement(Protocol):
    """What every judgement has. A task from outside brings a class of its own, or derives from one of these.

    verdict: None where it could not be read; in a mapping or a sequence, each entry. reason: why, "" otherwise.
    """

    task: ClassVar[str]

    @property
    def verdict(self) -> Any: ...
    @property
    def reason(self) -> str: ...
    @property
    def readings(self) -> tuple[Reading, ...]: ...


def chance(value: Any, name: str) -> float | None:
    """A probability of a row, None where it states none. Raises InputError for what is no number from 0 to 1."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"'{name}' is {str(value)[:40]!r} (accepted: a probability, 0 to 1)")
    return float(value)


def readable(judgement: Judgement) -> bool:
    """Whether every verdict of it could be read."""
    verdict = judgement.verdict
    if isinstance(verdict, Mapping):
        return None not in verdict.values()
    if isinstance(judgement, Steps):
        return judgement.first_wrong is not None
    return verdict is not None


Form = Literal["label", "scores", "steps", "order", "text"]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the judgements of a task look like: all that is needed to read, count, compare and learn from their rows.

    Attributes:
        judgement: the class of a judgement. Its rows follow from its fields; those of the form "scores", "steps" and
            "order" are Score, Steps and Order or derive from them.
        form: what a verdict is: one of a few `labels`, a number for each criterion, a label for each step, an order of
            responses, or words.
        records: the kinds of record that are judged, the usual one first.
        labels: the verdicts on offer. The first one is the good one (P(right), P(the first is better)), the second one
            its opposite, a third one neither of them (a tie, neutral).
        nominal: the verdicts are names in no order, which nobody knows beforehand: those of the rows.
        probability: the field with the probability of the first label, "" for none.
        criterion: where people's labels under this criterion are meant too: numbers, 1/2 or more for the first label.
        tally: a row's judgement -> the words it is counted by, where these do not follow from the form.
        summary: a judgement -> the words it is counted by in `data show`, where these do not follow from the form.
    """

    judgement: type[Any]
    form: Form
    records: tuple[str, ...]
    labels: tuple[str, ...] = ()
    nominal: bool = False
    probability: str = ""
    criterion: str = ""
    tally: Callable[[Row], Iterable[str]] | None = None
    summary: Callable[[Any], Iterable[str]] | None = None

    @property
    def paired(self) -> bool:
        """Whether a label says which of two responses is better."""
        return self.form == "label" and self.records == ("pair",)

    def p(self, judgement: Judgement) -> float | None:
        """The probability of the first label, None where it is not stated."""
        return chance(getattr(judgement, self.probability), self.probability) if self.probability else None


def shape_of(task: str) -> Shape:
    """The shape of a task's judgements.

    Raises:
        UnknownNameError: neither rmjudge nor an installed package has the task.
    """
    tasks = task_table()
    if not isinstance(task, str) or task not in tasks:
        raise unknown("task", str(task), tasks)
    shape: Shape = tasks[task].shape
    return shape


def shapes() -> dict[str, Shape]:
    """The shapes of all tasks, those of installed packages too."""
    return {name: spec.shape for name, spec in task_table().items()}
