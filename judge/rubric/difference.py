"""What changed between two rubrics: in words, and in the scores of answers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from judge.constitution_eval.difference import TextChange, part_changes, word_diff
from judge.records import Pair, PairVerdict, Record, Rubric, RubricItem, spoken
from judge.rubric.criterion_votes import SAME, CriterionJudge, JudgedAnswer, votes_on
from judge.rubric.rubric_file import RubricFile
from judge.runs.counts import Counts
from judge.tasks.checklist import expected_score


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChange:
    """An answer whose score changed; None where there is no score."""

    id: str
    prompt: str
    response: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairChange:
    """A pair of answers of which another one has the higher score now; None where one has no score."""

    id: str
    prompt: str
    before: PairVerdict | None
    after: PairVerdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricDiff:
    """What changed in words, and, where answers were judged, in scores.

    Attributes:
        before, after: the names of both.
        changes: in words, criterion by criterion.
        answers: how many were judged, None when none were. pairs: how many pairs of the data they belong to.
        score_changes: answers whose score changed, the largest change first.
        pair_changes: pairs whose better answer changed.
        skipped: rows of the data that could not be read.
    """

    before: str
    after: str
    changes: tuple[TextChange, ...]
    answers: int | None = None
    pairs: int = 0
    score_changes: tuple[ScoreChange, ...] = ()
    pair_changes: tuple[PairChange, ...] = ()
    skipped: int = 0

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def difference(
    before: RubricFile,
    after: RubricFile,
    *,
    judge: CriterionJudge | None = None,
    records: Iterable[Record] = (),
    watch: Callable[[Counts], None] = lambda counts: None,
) -> RubricDiff:
    """What changed; with a judge and answers also in scores. What both say in the same words is asked once."""
    in_words = RubricDiff(before=before.name, after=after.name, changes=tuple(_changes(before, after)))
    if judge is None:
        return in_words
    names: dict[str, str] = {}
    for item in (*before, *after):
        names.setdefault(item.text, f"c{len(names) + 1}")
    both = tuple(RubricItem(text=text, name=name) for text, name in names.items())
    old, new = (_renamed(rubric, names) for rubric in (before, after))
    records = list(records)
    judged = judge.answers(records, both, watch=watch)
    votes = votes_on([record for record in records if isinstance(record, Pair)], judged)
    scores = [_score_change(answer, old, new) for answer in judged]
    verdicts = [(vote.pair, vote.under(old), vote.under(new)) for vote in votes]
    return replace(
        in_words,
        answers=len(judged),
        pairs=len(votes),
        score_changes=tuple(sorted((change for change in scores if _moved(change)), key=lambda change: -_size(change))),
        pair_changes=tuple(
            PairChange(id=pair.id, prompt=spoken(pair.prompt), before=earlier, after=later)
            for pair, earlier, later in verdicts
            if earlier != later
        ),
    )


def _changes(before: RubricFile, after: RubricFile) -> Iterable[TextChange]:
    for key in ("name", "description"):
        old, new = getattr(before, key), getattr(after, key)
        if old != new:
            yield TextChange(kind="changed", what=key, words=word_diff(old, new))
    yield from part_changes(_parts(before), _parts(after))


def _parts(rubric: RubricFile) -> dict[str, Mapping[str, str]]:
    return {item.label: _fields(rubric, item) for item in rubric}


def _fields(rubric: RubricFile, item: RubricItem) -> dict[str, str]:
    examples = rubric.examples.get(item.label, ())
    return {
        "text": item.text,
        "points": f"{item.points:g}",
        "gate": "yes" if item.gate else "no",
        "tags": ", ".join(item.tags),
        "examples": " | ".join(f"{e.prompt} / {e.response} / {e.verdict}" for e in examples),
    }


def _renamed(rubric: RubricFile, names: Mapping[str, str]) -> Rubric:
    """The criteria named by the number of their text."""
    return tuple(replace(item, name=names[item.text]) for item in rubric)


def _score_change(answer: JudgedAnswer, old: Rubric, new: Rubric) -> ScoreChange:
    return ScoreChange(
        id=answer.record.id,
        prompt=spoken(answer.record.prompt),
        response=spoken(answer.record.response),
        before=expected_score(answer.judgement, old),
        after=expected_score(answer.judgement, new),
    )


def _moved(change: ScoreChange) -> bool:
    if change.before is None or change.after is None:
        return change.before is not change.after
    return abs(change.before - change.after) > SAME


def _size(change: ScoreChange) -> float:
    return 1.0 if change.before is None or change.after is None else abs(change.before - change.after)
