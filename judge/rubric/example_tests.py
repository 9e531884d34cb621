"""The criteria's own examples as unit tests of a rubric: each is judged by its criterion alone."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from judge.constitution_eval.example_tests import Results
from judge.records import RubricItem
from judge.rubric.criterion_votes import CriterionJudge, JudgedAnswer
from judge.rubric.rubric_file import CriterionExample, RubricFile
from judge.rubric.trial import Decided, decided
from judge.runs.counts import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionExampleResult:
    """One example under its criterion.

    Attributes:
        criterion: its label. number: which of its examples, from 1.
        example: what was judged, and what it says.
        verdict: what the judge says. p_met: its P(met), None where it is not decided. reason: why it is unreadable.
    """

    criterion: str
    number: int
    example: CriterionExample
    verdict: Decided
    p_met: float | None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the judge says what the example expects."""
        return self.verdict == self.example.verdict

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "passed": self.passed}


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricExampleResults(Results[CriterionExampleResult]):
    """What came of every example of a rubric."""

    rubric: str


def run_examples(
    rubric: RubricFile, judge: CriterionJudge, *, watch: Callable[[Counts], None] = lambda counts: None
) -> RubricExampleResults:
    """Judge every example by its own criterion."""
    cases = [
        (item, number, example)
        for item in rubric
        for number, example in enumerate(rubric.examples.get(item.label, ()), start=1)
    ]
    judged = judge.answers((example.record(item) for item, _, example in cases), watch=watch)
    by_id = {answer.record.id: answer for answer in judged}
    return RubricExampleResults(
        rubric=rubric.name,
        results=tuple(
            _result(by_id[example.record(item).id], item, number, example) for item, number, example in cases
        ),
        without=tuple(item.label for item in rubric if not rubric.examples.get(item.label)),
    )


def _result(answer: JudgedAnswer, item: RubricItem, number: int, example: CriterionExample) -> CriterionExampleResult:
    verdict = decided(answer.judgement, item.label)
    return CriterionExampleResult(
        criterion=item.label,
        number=number,
        example=example,
        verdict=verdict,
        p_met=answer.judgement.expected.get(item.label),
        reason=answer.judgement.reason if verdict == "unreadable" else "",
    )
