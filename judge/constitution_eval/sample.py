"""A constitution tried on a sample: how often each principle speaks, decides and abstains, and where two disagree.

This module refuses to know how anything is asked (bench.py) and how it is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from judge.constitution.constitution import Constitution
from judge.constitution_eval.principle_votes import Heard
from judge.records import PairVerdict, spoken
from judge.verdicts import p_first


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
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
class Quarrel:
    """Two principles, and on how many pairs they prefer different responses, of those where both speak."""

    one: str
    other: str
    disagree: int
    both: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
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
class Sample:
    """What a trial found. verdicts: of the whole constitution; unreadable ones under "unreadable"."""

    constitution: str
    hash: str
    pairs: int
    verdicts: Mapping[str, int]
    conducts: tuple[Conduct, ...]
    quarrels: tuple[Quarrel, ...]
    sides: tuple[Side, ...]

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def sample(constitution: Constitution, heard: Sequence[Heard]) -> Sample:
    """Everything that is shown of a trial; quarrels and sides come with the worst first."""
    said = [one.verdict(constitution) for one in heard]
    names: tuple[PairVerdict | None, ...] = ("first", "second", "tie", None)
    quarrels = [_quarrel(one.id, other.id, heard) for one, other in combinations(constitution.principles, 2)]
    sides = [side for one in heard if (side := _side(constitution, one)).prefer_first and side.prefer_second]
    return Sample(
        constitution=constitution.name,
        hash=constitution.hash,
        pairs=len(heard),
        verdicts={name or "unreadable": said.count(name) for name in names},
        conducts=tuple(_conduct(constitution, name.id, heard, said) for name in constitution.principles),
        quarrels=tuple(sorted((q for q in quarrels if q.disagree), key=lambda q: (-q.disagree, q.one, q.other))),
        sides=tuple(sorted(sides, key=lambda side: -min(len(side.prefer_first), len(side.prefer_second)))),
    )


def _conduct(constitution: Constitution, name: str, heard: Sequence[Heard], said: Sequence[str | None]) -> Conduct:
    principle = constitution.principle(name)
    rest = constitution.without(name)
    alone = [one.alone(name) for one in heard]
    without = [one.verdict(rest) or "tie" for one in heard]
    spoken_for = [verdict in ("first", "second") for verdict in alone]
    return Conduct(
        id=name,
        text=principle.text,
        weight=principle.weight,
        speaks=sum(spoken_for),
        abstains=alone.count("tie"),
        unreadable=alone.count(None),
        decides=sum(whole is not None and whole != other for whole, other in zip(said, without, strict=True)),
        opposed=sum(speaks and whole != own for speaks, whole, own in zip(spoken_for, said, alone, strict=True)),
    )


def _quarrel(one: str, other: str, heard: Iterable[Heard]) -> Quarrel:
    both = [(a, b) for pair in heard if {a := pair.alone(one), b := pair.alone(other)} <= {"first", "second"}]
    return Quarrel(one=one, other=other, disagree=sum(a != b for a, b in both), both=len(both))


def _side(constitution: Constitution, heard: Heard) -> Side:
    merged = heard.merged(constitution)
    ids = [principle.id for principle in constitution.principles]
    return Side(
        id=heard.pair.id,
        prompt=spoken(heard.pair.prompt),
        first=spoken(heard.pair.first),
        second=spoken(heard.pair.second),
        verdict=heard.verdict(constitution),
        p_first=p_first(merged) if merged else None,
        principles={name: p_first(says) if (says := heard.says.get(name)) else None for name in ids},
        prefer_first=tuple(name for name in ids if heard.alone(name) == "first"),
        prefer_second=tuple(name for name in ids if heard.alone(name) == "second"),
    )
