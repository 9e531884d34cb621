"""A judge at hand, and what it says of answers by each criterion of a rubric.

Every criterion is asked once of every answer; what any part of the rubric would have said is computed from that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from judge.constitution_eval.trial_judge import TrialJudge, refuse_untaught
from judge.engines.jury import Judge
from judge.judgements import Checklist, Judgement
from judge.prompting.template import load_template
from judge.records import Pair, PairVerdict, Record, Response, Rubric, RubricItem, content_id, plain
from judge.runs.counts import Counts
from judge.tasks import TASKS, Options, Program
from judge.tasks.checklist import checklist, expected_score
from judge.tasks.views import as_response, responses

SAME = 1e-9
"""Scores that differ by less are equal: they come from the same verdicts, added up in another order."""


class JudgedAnswer(NamedTuple):
    """An answer with its rubric, and what the judge says of it."""

    record: Response
    judgement: Checklist


class CriterionJudge(TrialJudge):
    """A judge that answers by criteria: its engines, its prompt and how it is asked."""

    def __init__(
        self,
        judges: Sequence[Judge],
        *,
        prompt: str = "",
        options: Options | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if not prompt:
            refuse_untaught(judges, "the task 'checklist'")
        template = load_template("checklist", prompt or TASKS["checklist"].prompt(Options()).name)
        super().__init__(judges, template, task="checklist", options=options, settings=settings)

    def answers(
        self,
        records: Iterable[Record],
        rubric: Rubric = (),
        *,
        watch: Callable[[Counts], None] = lambda counts: None,
    ) -> list[JudgedAnswer]:
        """What the judge says of every distinct answer, by a rubric or, without one, by that of its row."""

        def each() -> Iterator[Response]:
            for record in records:
                for answer in answers_of(record):
                    yield replace(answer, rubric=rubric) if rubric else answer

        def program(record: Record) -> Program[Judgement]:
            assert isinstance(record, Response)
            return checklist(record, self.template, self.options)

        judged = []
        for record, judgement in self.judge(each(), program, watch=watch):
            assert isinstance(record, Response) and isinstance(judgement, Checklist)
            judged.append(JudgedAnswer(record, judgement))
        return judged


class CriterionVotes(NamedTuple):
    """A pair, its rubric, and what the judge says of both of its responses."""

    pair: Pair
    rubric: Rubric
    first: Checklist
    second: Checklist

    def verdict(self, without: str = "") -> PairVerdict | None:
        """The response with the higher score, a criterion left out if named; None where a score is missing."""
        return self.under(tuple(item for item in self.rubric if item.label != without))

    def under(self, rubric: Rubric) -> PairVerdict | None:
        """The response with the higher score under criteria that were judged."""
        scores = [expected_score(judgement, rubric) for judgement in (self.first, self.second)]
        return compare(*scores)

    def alone(self, label: str) -> PairVerdict | None:
        """What one criterion says on its own: a tie where it is not decided for both, None where it is unreadable."""
        item = self.item(label)
        if any(label in judgement.abstained for judgement in (self.first, self.second)):
            return "tie"
        return self.under((item,))

    def margin(self, label: str) -> float | None:
        """How far a criterion speaks for the first response: P(met | first) − P(met | second), turned round where it
        counts against a response; None where it is not decided for both."""
        sign = -1.0 if self.item(label).points < 0 else 1.0
        first, second = (judgement.expected.get(label) for judgement in (self.first, self.second))
        return None if first is None or second is None else sign * (first - second)

    def item(self, label: str) -> RubricItem:
        """A criterion by its label."""
        return next(item for item in self.rubric if item.label == label)


def compare(first: float | None, second: float | None) -> PairVerdict | None:
    """Which of two scores is higher; None where one is missing."""
    if first is None or second is None:
        return None
    if abs(first - second) < SAME:
        return "tie"
    return "first" if first > second else "second"


def votes_on(pairs: Iterable[Pair], judged: Iterable[JudgedAnswer]) -> list[CriterionVotes]:
    """What was said of the answers, pair by pair; pairs without a judgement on both answers are left out."""
    by_text = {answer_key(answer.record): answer for answer in judged}
    votes = []
    for pair in pairs:
        first, second = (by_text.get(answer_key(answer)) for answer in answers_of(pair))
        if first is not None and second is not None:
            votes.append(CriterionVotes(pair, first.record.rubric, first.judgement, second.judgement))
    return votes


def answers_of(record: Record) -> Iterator[Response]:
    """The answers of a record, each as a response."""
    return (as_response(answer) for answer in responses(record))


def answer_key(answer: Response) -> str:
    """What an answer is found by again, whatever its rubric and reference: its prompt and its words."""
    return content_id("answer", plain(answer.prompt), plain(answer.response))
