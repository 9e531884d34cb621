"""The human ceiling: what people reach among themselves, and the judge measured the same way.

Also the audit of annotators: who is off, who drifts, who is fast.
"""

import numpy as np

from judge.agreement.analyses.alt_test import AnnotatorTest, alt_test, equivalence
from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.people import (
    drift,
    line_sums,
    most_labels,
    off,
    pooled,
    reliability,
    seconds_spent,
    skill,
    skills,
)
from judge.agreement.data.alignment import Alignment, aligned
from judge.agreement.schema import AnnotatorRow, Ceiling, Figure, Unit
from judge.agreement.statistics.dawid_skene import Estimated


def ceiling(measure: Measure, *, epsilon: float, margin: float) -> Ceiling:
    """People among themselves and the judge beside them, over all lines and annotator by annotator."""
    table = measure.table
    lines = aligned(table, measure.judge)
    share = table.form != "scores"
    unit: Unit = "share" if share else "number"
    what = "agreement with another person's vote" if share else "minus the distance to the others' scores"
    human = pooled(measure, "human_agreement", f"People's {what}", lines, lines.person, unit)
    judge = pooled(measure, "judge_agreement", f"Judge's {what}, same votes", lines, lines.judge, unit)
    test, replaced = alt_test(lines, len(table.votes.names), epsilon)
    sums = line_sums(measure, lines, [lines.judge, lines.person])
    skilled = skills(measure)
    return Ceiling(
        human=human,
        judge=judge,
        annotators=_annotators(measure, lines, replaced, skilled, unit),
        annotators_total=len(table.votes.names),
        alt_test=test,
        equivalence=equivalence(measure.draw, sums, margin, human.clusters),
        among=_among(measure),
        aggregation=_aggregation(measure, skilled),
    )


def _annotators(
    measure: Measure, lines: Alignment, replaced: list[AnnotatorTest], skilled: Estimated | None, unit: Unit
) -> tuple[AnnotatorRow, ...]:
    votes = measure.table.votes
    many = np.bincount(votes.who, minlength=len(votes.names))
    listed = most_labels(measure)
    are_off = off(lines, listed)
    annotators = []
    for who in listed:
        kept = lines.who == who
        test = replaced[who]
        title = votes.names[who]
        annotators.append(
            AnnotatorRow(
                name=title,
                n=int(many[who]),
                agreement=pooled(measure, "human_agreement", title, lines, lines.person, unit, kept),
                judge=pooled(measure, "judge_agreement", f"judge beside {title}", lines, lines.judge, unit, kept),
                judge_with=_judge_with(measure, who),
                advantage=test.advantage if test.n else None,
                p_value=test.p_value,
                wins=test.wins,
                accuracy=skill(measure, skilled, who, int(many[who])),
                off=who in are_off,
                drift=drift(measure, lines, who, unit),
                seconds=seconds_spent(measure, who),
            )
        )
    return tuple(annotators)


def _judge_with(measure: Measure, who: int) -> Figure:
    """The judge against this person's votes alone: the share equal, or Pearson-free distance for scores."""
    votes, judge = measure.table.votes, measure.judge
    of_person = (votes.who == who) & judge.read[votes.row]
    row, value = votes.row[of_person], votes.value[of_person]
    mask = np.zeros(len(measure.table), dtype=bool)
    mask[row] = True
    score = measure.table.form == "scores"
    vote_count = np.zeros(len(mask))
    vote_count[row] = -np.abs(judge.verdict[row] - value) if score else judge.verdict[row] == value
    title = f"Judge with {votes.names[who]}"
    if score:
        return measure.mean("judge_with", title, vote_count, mask)
    return measure.share("judge_with", title, vote_count, mask)


def _among(measure: Measure) -> tuple[Figure, ...]:
    """Statistics among the people, and with the judge as one more rater, both on the rows that have two people's votes
    and a readable verdict: a judge as good as a person leaves them where they are."""
    table, judge = measure.table, measure.judge
    vote_count = np.bincount(table.votes.row, minlength=len(table))
    mask = (vote_count > 1) & judge.read
    if not mask.any() or table.form == "order":
        return ()
    votes = [(table.votes.row, table.votes.value)]
    with_judge = [*votes, (np.flatnonzero(mask), judge.verdict[mask])]
    figures = []
    for who, raters_of in (("", votes), (_WITH_JUDGE, with_judge)):
        row, value = (np.concatenate(parts) for parts in zip(*raters_of, strict=True))
        kept = mask[row]
        figures.append(reliability(measure, row[kept], value[kept], mask, who))
    return tuple(figure for pair in zip(*figures, strict=True) for figure in pair)


_WITH_JUDGE = "with_judge"


def _aggregation(measure: Measure, skilled: Estimated | None) -> tuple[Figure, ...]:
    """The judge against the majority, and against the class that Dawid and Skene's model finds most likely."""
    if skilled is None:
        return ()
    table, judge = measure.table, measure.judge
    voted = skilled.posterior.sum(axis=1) > 0
    likely = skilled.posterior.argmax(axis=1)
    both = voted & judge.read
    return (
        measure.share("accuracy_majority", "Judge against the majority", table.truth == judge.verdict, measure.rows),
        measure.share("accuracy_dawid_skene", "Judge against Dawid and Skene's labels", likely == judge.verdict, both),
        measure.share(
            "majority_is_dawid_skene", "Rows where those two labels are the same", likely == table.truth, both
        ),
    )
