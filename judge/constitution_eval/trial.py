"""A constitution tried on a sample: how often each principle speaks, decides and abstains, and where two disagree."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from judge.constitution.constitution import Constitution
from judge.constitution_eval.principle_votes import PrincipleVotes
from judge.records import PairVerdict, spoken
from judge.verdicts import p_first


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleSummary:
    """How one principle fared over a sample of pairs, in numbers of pairs.

    speaks: it prefers a response. abstains: it does not tell them apart. unreadable: it gave no verdict.
    decides: the verdict of the whole would be another one without it. opposed: it speaks, and the whole says otherwise.
    """

    id: str
    text: str
    weight: float
    speaks: int
    abstains: int
    unreadable: int
    decides: int
    opposed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two principles, and on how many pairs they prefer different responses, of those where both speak."""

    principle: str
    other: str
    disagree: int
    both: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputedPair:
    """A pair on which principles disagree. p_first: of each principle on its own, None where unreadable."""

    id: str
    prompt: str
    first: str
    second: str
    verdict: str | None
    p_first: float | None
    principles: Mapping[str, float | None]
    prefer_first: tuple[str, ...]
    prefer_second: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstitutionTrial:
    """What a trial came to. verdicts: of the whole constitution; unreadable ones under "unreadable". skipped: rows of
    the data that could not be read."""

    constitution: str
    hash: str
    pairs: int
    verdicts: Mapping[str, int]
    principles: tuple[PrincipleSummary, ...]
    conflicts: tuple[Conflict, ...]
    disputed: tuple[DisputedPair, ...]
    skipped: int = 0

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def summarize(constitution: Constitution, votes: Sequence[PrincipleVotes]) -> ConstitutionTrial:
    """Everything that is shown of a trial; conflicts and disputed pairs come with the worst first."""
    verdicts = [vote.verdict(constitution) for vote in votes]
    names: tuple[PairVerdict | None, ...] = ("first", "second", "tie", None)
    conflicts = [_conflict(first.id, second.id, votes) for first, second in combinations(constitution.principles, 2)]
    pairs = (_disputed(constitution, vote) for vote in votes)
    disputed = [pair for pair in pairs if pair.prefer_first and pair.prefer_second]
    return ConstitutionTrial(
        constitution=constitution.name,
        hash=constitution.hash,
        pairs=len(votes),
        verdicts={name or "unreadable": verdicts.count(name) for name in names},
        principles=tuple(_principle(constitution, name.id, votes, verdicts) for name in constitution.principles),
        conflicts=tuple(
            sorted((c for c in conflicts if c.disagree), key=lambda c: (-c.disagree, c.principle, c.other))
        ),
        disputed=tuple(sorted(disputed, key=lambda pair: -min(len(pair.prefer_first), len(pair.prefer_second)))),
    )


def _principle(
    constitution: Constitution, name: str, votes: Sequence[PrincipleVotes], verdicts: Sequence[str | None]
) -> PrincipleSummary:
    principle = constitution.principle(name)
    others = constitution.without(name)
    alone = [vote.alone(name) for vote in votes]
    without = [vote.verdict(others) or "tie" for vote in votes]
    speaks = [verdict in ("first", "second") for verdict in alone]
    return PrincipleSummary(
        id=name,
        text=principle.text,
        weight=principle.weight,
        speaks=sum(speaks),
        abstains=alone.count("tie"),
        unreadable=alone.count(None),
        decides=sum(verdict is not None and verdict != rest for verdict, rest in zip(verdicts, without, strict=True)),
        opposed=sum(
            voiced and verdict != preferred for voiced, verdict, preferred in zip(speaks, verdicts, alone, strict=True)
        ),
    )


def _conflict(principle: str, other: str, votes: Iterable[PrincipleVotes]) -> Conflict:
    preferences = [
        (a, b) for vote in votes if {a := vote.alone(principle), b := vote.alone(other)} <= {"first", "second"}
    ]
    differ = sum(a != b for a, b in preferences)
    return Conflict(principle=principle, other=other, disagree=differ, both=len(preferences))


def _disputed(constitution: Constitution, votes: PrincipleVotes) -> DisputedPair:
    merged = votes.merged(constitution)
    ids = [principle.id for principle in constitution.principles]
    return DisputedPair(
        id=votes.pair.id,
        prompt=spoken(votes.pair.prompt),
        first=spoken(votes.pair.first),
        second=spoken(votes.pair.second),
        verdict=votes.verdict(constitution),
        p_first=p_first(merged) if merged else None,
        principles={name: p_first(says) if (says := votes.says.get(name)) else None for name in ids},
        prefer_first=tuple(name for name in ids if votes.alone(name) == "first"),
        prefer_second=tuple(name for name in ids if votes.alone(name) == "second"),
    )
