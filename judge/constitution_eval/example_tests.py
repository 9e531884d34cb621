"""The principles' own examples as unit tests of a constitution: each is judged under its principle alone."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

from judge.constitution.constitution import Constitution, Example, Principle
from judge.constitution_eval.principle_votes import PrincipleJudge, PrincipleVotes
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


class OneResult(Protocol):
    """What came of one example."""

    @property
    def passed(self) -> bool: ...

    def to_row(self) -> dict[str, Any]: ...


ResultT = TypeVar("ResultT", bound=OneResult)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results(Generic[ResultT]):
    """What came of every example, in the order of the file. without: the principles or criteria that have none."""

    results: tuple[ResultT, ...]
    without: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every example comes out as it says."""
        return all(result.passed for result in self.results)

    def __iter__(self) -> Iterator[ResultT]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def to_row(self) -> list[dict[str, Any]]:
        """Plain JSON values, an example each."""
        return [result.to_row() for result in self.results]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleResults(Results[ExampleResult]):
    """What came of every example of a constitution."""

    constitution: str


def run_examples(
    constitution: Constitution, judge: PrincipleJudge, *, watch: Callable[[Counts], None] = lambda counts: None
) -> ExampleResults:
    """Judge every example under its own principle, in both orders."""
    cases = [
        (principle, number, example)
        for principle in constitution.principles
        for number, example in enumerate(principle.examples, start=1)
    ]
    owners: dict[str, list[Principle]] = {}
    for principle, _, example in cases:
        owners.setdefault(example.pair.id, []).append(principle)

    def principles_of(pair: Pair) -> Constitution:
        return constitution.only(*dict.fromkeys(principle.id for principle in owners[pair.id]))

    pairs = (example.pair for _, _, example in cases)
    votes = {vote.pair.id: vote for vote in judge.vote(pairs, principles_of, watch=watch)}
    return ExampleResults(
        constitution=constitution.name,
        results=tuple(_result(votes[case[2].pair.id], *case) for case in cases),
        without=tuple(principle.id for principle in constitution.principles if not principle.examples),
    )


def _result(votes: PrincipleVotes, principle: Principle, number: int, example: Example) -> ExampleResult:
    verdict, says = votes.alone(principle.id), votes.says[principle.id]
    return ExampleResult(
        principle=principle.id,
        number=number,
        example=example,
        verdict=verdict,
        p_first=p_first(says) if says else None,
        reason="" if verdict else votes.why_unread(principle.id),
    )
