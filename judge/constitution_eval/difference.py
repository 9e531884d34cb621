"""What changed between two constitutions: in words, and in verdicts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from typing import Any, Literal

from judge.constitution.constitution import Constitution, Principle
from judge.constitution_eval.principle_votes import PrincipleJudge, PrincipleVotes
from judge.records import Pair, spoken
from judge.runs.counts import Counts
from judge.verdicts import p_first

Parts = Mapping[str, Mapping[str, str]]
"""Id -> field -> its text, that of "text" always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChange:
    """One thing that changed. what: the principle's id, or a key of the constitution. field: which part of the
    principle, "" for the whole of it or a key. words: before and after in one, with [-gone-] and {+new+}."""

    kind: Literal["added", "removed", "changed"]
    what: str
    field: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """A pair whose verdict changed; its probabilities before and after, None where unreadable."""

    id: str
    prompt: str
    before: str | None
    after: str | None
    p_before: float | None
    p_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstitutionDiff:
    """What changed in words, and, where pairs were judged, in verdicts. pairs: None when none were judged. skipped:
    rows of the data that could not be read."""

    before: str
    after: str
    changes: tuple[TextChange, ...]
    pairs: int | None = None
    verdict_changes: tuple[VerdictChange, ...] = ()
    skipped: int = 0

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def changes(before: Constitution, after: Constitution) -> tuple[TextChange, ...]:
    """What changed in words: the head, then principle by principle in the order of the new file."""
    return tuple(_changes(before, after))


def _changes(before: Constitution, after: Constitution) -> Iterator[TextChange]:
    for key in ("name", "version", "description", "based_on", "sampling"):
        old, new = str(getattr(before, key)), str(getattr(after, key))
        if old != new:
            yield TextChange(kind="changed", what=key, words=word_diff(old, new))
    old_parts, new_parts = ({p.id: _fields(p) for p in constitution.principles} for constitution in (before, after))
    yield from part_changes(old_parts, new_parts)


def part_changes(before: Parts, after: Parts) -> Iterator[TextChange]:
    """What changed in principles or criteria: those that are gone, then those of the new file, in their order."""
    for name, fields in before.items():
        if name not in after:
            yield TextChange(kind="removed", what=name, words=word_diff(fields["text"], ""))
    for name, fields in after.items():
        if name not in before:
            yield TextChange(kind="added", what=name, words=word_diff("", fields["text"]))
            continue
        for field, text in fields.items():
            if before[name][field] != text:
                yield TextChange(kind="changed", what=name, field=field, words=word_diff(before[name][field], text))


def _fields(principle: Principle) -> dict[str, str]:
    examples = " | ".join(f"{e.prompt} / {e.first} / {e.second} / {e.verdict}" for e in principle.examples)
    return {
        "text": principle.text,
        "critique_request": principle.critique_request,
        "revision_request": principle.revision_request,
        "weight": f"{principle.weight:g}",
        "tags": ", ".join(principle.tags),
        "examples": examples,
    }


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
    judge: PrincipleJudge | None = None,
    pairs: Sequence[Pair] = (),
    watch: Callable[[Counts], None] = lambda counts: None,
) -> ConstitutionDiff:
    """What changed; with a judge and pairs also in verdicts. What both say in the same words is asked once."""
    in_words = ConstitutionDiff(before=before.name, after=after.name, changes=changes(before, after))
    if judge is None:
        return in_words
    numbers: dict[str, str] = {}
    for principle in (*before.principles, *after.principles):
        numbers.setdefault(principle.text, f"p{len(numbers) + 1}")
    principles = tuple(Principle(id=name, text=text) for text, name in numbers.items())
    old, new = (_renumbered(constitution, numbers) for constitution in (before, after))
    votes = judge.vote(pairs, Constitution(name="both", principles=principles), watch=watch)
    changed = [_verdict_change(vote, old, new) for vote in votes if vote.verdict(old) != vote.verdict(new)]
    return replace(in_words, pairs=len(votes), verdict_changes=tuple(changed))


def _renumbered(constitution: Constitution, numbers: Mapping[str, str]) -> Constitution:
    """The constitution with its principles named by the number of their text."""
    principles = (replace(principle, id=numbers[principle.text]) for principle in constitution.principles)
    return replace(constitution, principles=tuple(principles))


def _verdict_change(votes: PrincipleVotes, before: Constitution, after: Constitution) -> VerdictChange:
    old, new = votes.merged(before), votes.merged(after)
    return VerdictChange(
        id=votes.pair.id,
        prompt=spoken(votes.pair.prompt),
        before=votes.verdict(before),
        after=votes.verdict(after),
        p_before=p_first(old) if old else None,
        p_after=p_first(new) if new else None,
    )
