"""What a judged or labelled record teaches a reward model: one `Example`, or a stated reason why there is none.

Soft labels stay soft: a probability is never rounded, neutral is a class of its own, and what could not be read is
dropped with a count.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from judge.errors import ConfigError, InputError, unknown
from judge.id_set import IdSet
from judge.judgements import Judgement
from judge.records import Conversation, Record, content_id, plain
from judge.rewards.data.label_conversion import UNLABELLED, StepProbabilities, by_judge, by_people, teachers, unfit
from judge.rewards.registry import KINDS

if TYPE_CHECKING:
    from judge.rewards.data.example_store import ExampleStore

TWICE = "labelled twice"
LABELS = ("judge", "human")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing to learn.

    Attributes:
        id: the record's.
        group: content id of the prompt; a group stays in one batch and on one side of a split.
        prompt: the conversation before the responses.
        responses: two or more to be compared, one to be scored.
        steps: of a solution, for a verdict after each.
        p_first: P(the first is better), a tie counted half.
        p_tie: P(tie) where it was given.
        margin: how much better the first is, in its annotator's terms.
        order: of more than two responses, their indices, best first.
        scores: objective -> score, one a response.
        p_correct: P(the whole answer is correct).
        step_probabilities: P(right), P(wrong), P(neutral) of a step, None where it was not judged: no loss there.
        weight: in the loss.
        step_weights: of each step, None where it was not judged; empty where all weigh the same.
        votes: how many people gave the label, of a solution one a step; empty where that is unknown.
        stored: the files that hold it and its tokens, and its place in them; None for one that was made in memory. A
            copy with changes has none.
    """

    id: str
    group: str
    prompt: Conversation
    responses: tuple[Conversation, ...] = ()
    steps: tuple[str, ...] = ()
    p_first: float | None = None
    p_tie: float | None = None
    margin: float | None = None
    order: tuple[int, ...] = ()
    scores: tuple[Mapping[str, float], ...] = ()
    p_correct: float | None = None
    step_probabilities: tuple[StepProbabilities | None, ...] = ()
    weight: float = 1.0
    step_weights: tuple[float | None, ...] = field(default=(), repr=False)
    votes: tuple[int, ...] = field(default=(), repr=False)
    stored: "tuple[ExampleStore, int] | None" = field(default=None, init=False, repr=False, compare=False)


Labelled = tuple[Record, Judgement | None]


class ExampleStream:
    """The examples of labelled records, made while they are read.

    Args:
        labelled: records with their judgements; the first row of an id wins.
        kind: of the model.
        labels: "judge" takes the judgements, "human" the people's labels of the same records.

    Attributes:
        dropped: the number of dropped rows by reason, complete once all are read.
    """

    def __init__(self, labelled: Iterable[Labelled], kind: str, labels: str = "judge") -> None:
        if kind not in KINDS:
            raise unknown("kind", kind, KINDS)
        if labels not in LABELS:
            raise unknown("labels", labels, LABELS)
        self._labelled, self._kind, self._labels = labelled, kind, labels
        self._seen, self._tasks = IdSet(), set[str]()
        self.dropped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Example]:
        """Each example; raises as `check` does once all are read."""
        for record, judgement in self._labelled:
            example = self.make(record, judgement)
            if example is not None:
                yield example
        self.check()

    def make(self, record: Record, judgement: Judgement | None) -> Example | None:
        """The example of one record, None where it is dropped, which is counted."""
        by_judges = self._labels == "judge"
        targets = by_judge(record, judgement, self._kind) if by_judges else by_people(record, self._kind)
        self._tasks.add(judgement.task if judgement is not None and by_judges else record.kind)
        if isinstance(targets, dict) and not self._seen.add(record_id := record.id):
            targets = TWICE
        if isinstance(targets, str):
            self.dropped[targets] += 1
            return None
        return Example(id=record_id, group=content_id(plain(record.prompt)), prompt=record.prompt, **targets)

    def check(self) -> None:
        """See that there was an example.

        Raises:
            ConfigError: when no row at all holds labels that the kind can be made from.
            InputError: when no row is left.
        """
        if not len(self._seen):
            raise _nothing_left(self._kind, self._labels, self._tasks, self.dropped)


def examples(labelled: Iterable[Labelled], kind: str, labels: str = "judge") -> tuple[list[Example], "Counter[str]"]:
    """Examples for a kind of model, and how many rows were dropped for which reason; see `ExampleStream`."""
    stream = ExampleStream(labelled, kind, labels)
    return list(stream), stream.dropped


class LabelSummary:
    """Which labels examples have, gathered while they pass by.

    Attributes:
        count: of the examples.
        objectives: the names that are scored.
        compared: whether some have a preference or an order.
        outcomes: whether some are said to be right or wrong.
    """

    def __init__(self, examples: Iterable[Example] = ()) -> None:
        self.count = 0
        self.objectives: set[str] = set()
        self.compared = self.outcomes = False
        self._all_tied, self._steps = True, 0
        self._sides: set[bool] = set()
        self._classes: set[int] = set()
        self._scores: dict[str, float] = {}
        self._scores_differ = False
        for example in examples:
            self.add(example)

    def add(self, example: Example) -> None:
        """Take an example in."""
        self.count += 1
        p_first, p_correct = example.p_first, example.p_correct
        self.compared = self.compared or p_first is not None or bool(example.order)
        self._all_tied = self._all_tied and p_first is not None and abs(p_first - 0.5) < 1e-3
        if p_correct is not None:
            self.outcomes = True
            self._sides.add(p_correct >= 0.5)
        for shares in example.step_probabilities:
            if shares is not None:
                self._steps += 1
                self._classes.add(shares.index(max(shares)))
        for name, value in chain.from_iterable(scores.items() for scores in example.scores):
            self.objectives.add(name)
            self._scores_differ = self._scores_differ or self._scores.setdefault(name, value) != value

    def check(self, kind: str) -> None:
        """Raise InputError for nothing to learn: every pair a tie, one class only, one score only."""
        if self._all_tied:
            raise InputError(f"all {self.count} pairs are ties: there is nothing to learn from them")
        if kind == "outcome" and len(self._sides) == 1:
            only = "correct" if True in self._sides else "wrong"
            raise InputError(f"all {self.count} answers are {only}: an outcome model needs both")
        if kind == "process" and len(self._classes) == 1:
            only = ("right", "wrong", "neutral")[min(self._classes)]
            raise InputError(f"all {self._steps} steps are {only}: a process model needs both")
        if self._scores and not self._scores_differ:
            raise InputError(f"all {self.count} rows have the same score: there is nothing to learn from them")


def _nothing_left(kind: str, labels: str, tasks: Iterable[str], dropped: Mapping[str, int]) -> ConfigError | InputError:
    names = sorted(tasks)
    if all(reason in (unfit(name, kind) for name in names) for reason in dropped) and dropped:
        made_from = ", ".join(teachers(kind))
        return ConfigError(f"{', '.join(names)} cannot teach kind {kind} (it is made from: {made_from})")
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "there are no rows"
    hint = "; people's labels are taken with --labels human" if labels == "judge" and UNLABELLED in dropped else ""
    return InputError(f"no row is left to learn from: {reasons}{hint}")
