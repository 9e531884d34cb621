"""The principles' own examples as unit tests of a constitution: each is judged under its principle alone.

This module refuses to know how anything is asked (bench.py) and how it is shown.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from judge.constitution.constitution import Constitution, Example, Principle
from judge.constitution_eval.principle_votes import PrincipleJudge
from judge.records import Pair
from judge.runs.counts import Counts
from judge.verdicts import p_first


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleResult:
    """One example under its principle. number: which of the principle's examples, from 1. verdict: None when
    unreadable, with the reason."""

    principle: str
    number: int
    example: Example
    verdict: str | None
    p_first: float | None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the judge says what the example expects."""
        return self.verdict == self.example.verdict

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "passed": self.passed}


def run_examples(
    constitution: Constitution, bench: PrincipleJudge, *, watch: Callable[[Counts], None] = lambda counts: None
) -> list[ExampleResult]:
    """Judge every example under its own principle, in both orders; in the order of the file."""
    cases = [
        (principle, number, example)
        for principle in constitution.principles
        for number, example in enumerate(principle.examples, start=1)
    ]
    owners: dict[str, list[Principle]] = {}
    for principle, _, example in cases:
        owners.setdefault(example.pair.id, []).append(principle)

    def own(pair: Pair) -> Constitution:
        return constitution.only(*dict.fromkeys(principle.id for principle in owners[pair.id]))

    votes = {one.pair.id: one for one in bench.vote((case[2].pair for case in cases), own, watch=watch)}
    outcomes = []
    for principle, number, example in cases:
        one = votes[example.pair.id]
        verdict, says = one.alone(principle.id), one.says[principle.id]
        outcomes.append(
            ExampleResult(
                principle=principle.id,
                number=number,
                example=example,
                verdict=verdict,
                p_first=p_first(says) if says else None,
                reason="" if verdict else one.why_unread(principle.id),
            )
        )
    return outcomes
