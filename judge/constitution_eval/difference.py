"""What changed between two constitutions: in words, and in verdicts.

This module refuses to know how anything is asked (bench.py) and how it is shown.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from typing import Any, Literal

from judge.constitution.constitution import Constitution, Principle
from judge.constitution_eval.principle_votes import Bench, Heard
from judge.records import Pair, spoken
from judge.runs.counts import Counts
from judge.verdicts import p_first

_FIELDS = ("text", "critique_request", "revision_request", "weight", "tags", "examples")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that changed. what: the principle's id, or a key of the constitution. field: which part of the
    principle, "" for the whole of it or a key. words: before and after in one, with [-gone-] and {+new+}."""

    kind: Literal["added", "removed", "changed"]
    what: str
    field: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A pair whose verdict changed; its probabilities before and after, None where unreadable."""

    id: str
    prompt: str
    before: str | None
    after: str | None
    p_before: float | None
    p_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changed in words, and, where pairs were judged, in verdicts. pairs: None when none were judged."""

    before: str
    after: str
    changes: tuple[Change, ...]
    pairs: int | None = None
    turns: tuple[Turn, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def changes(before: Constitution, after: Constitution) -> tuple[Change, ...]:
    """What changed in words: the head, then principle by principle in the order of the new file."""
    return tuple(_changes(before, after))


def _changes(before: Constitution, after: Constitution) -> Iterator[Change]:
    for key in ("name", "version", "description", "based_on", "sampling"):
        old, new = str(getattr(before, key)), str(getattr(after, key))
        if old != new:
            yield Change(kind="changed", what=key, words=word_diff(old, new))
    earlier = {principle.id: principle for principle in before.principles}
    later = {principle.id: principle for principle in after.principles}
    for principle in before.principles:
        if principle.id not in later:
            yield Change(kind="removed", what=principle.id, words=word_diff(principle.text, ""))
    for principle in after.principles:
        if principle.id not in earlier:
            yield Change(kind="added", what=principle.id, words=word_diff("", principle.text))
        else:
            yield from _parts(earlier[principle.id], principle)


def _parts(old: Principle, new: Principle) -> Iterator[Change]:
    for name in _FIELDS:
        was, now = _said(old, name), _said(new, name)
        if was != now:
            yield Change(kind="changed", what=new.id, field=name, words=word_diff(was, now))


def _said(principle: Principle, name: str) -> str:
    match name:
        case "weight":
            return f"{principle.weight:g}"
        case "tags":
            return ", ".join(principle.tags)
        case "examples":
            return " | ".join(f"{e.prompt} / {e.first} / {e.second} / {e.verdict}" for e in principle.examples)
        case _:
            return str(getattr(principle, name))


def word_diff(before: str, after: str) -> str:
    """Both texts in one: words that are gone as [-…-], new ones as {+…+}."""
    old, new = before.split(), after.split()
    parts: list[str] = []
    for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            parts += old[a:b]
            continue
        parts += [f"[-{' '.join(old[a:b])}-]"] * (b > a) + [f"{{+{' '.join(new[c:d])}+}}"] * (d > c)
    return " ".join(parts)


def difference(
    before: Constitution,
    after: Constitution,
    *,
    bench: Bench | None = None,
    pairs: Sequence[Pair] = (),
    watch: Callable[[Counts], None] = lambda counts: None,
) -> Difference:
    """What changed; with a judge and pairs also in verdicts. What both say in the same words is asked once."""
    found = Difference(before=before.name, after=after.name, changes=changes(before, after))
    if bench is None:
        return found
    numbers: dict[str, str] = {}
    for principle in (*before.principles, *after.principles):
        numbers.setdefault(principle.text, f"p{len(numbers) + 1}")
    asked = Constitution(name="both", principles=tuple(Principle(id=name, text=text) for text, name in numbers.items()))
    old, new = (
        replace(one, principles=tuple(replace(p, id=numbers[p.text]) for p in one.principles))
        for one in (before, after)
    )
    heard = bench.hear(pairs, asked, watch=watch)
    turns = [_turn(one, old, new) for one in heard if one.verdict(old) != one.verdict(new)]
    return replace(found, pairs=len(heard), turns=tuple(turns))


def _turn(heard: Heard, before: Constitution, after: Constitution) -> Turn:
    old, new = heard.merged(before), heard.merged(after)
    return Turn(
        id=heard.pair.id,
        prompt=spoken(heard.pair.prompt),
        before=heard.verdict(before),
        after=heard.verdict(after),
        p_before=p_first(old) if old else None,
        p_after=p_first(new) if new else None,
    )
