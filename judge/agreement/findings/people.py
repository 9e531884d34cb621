"""What people among themselves come to in one sentence, and what is wrong with their labels."""

from collections.abc import Mapping

from judge.agreement.findings.red_flags import FEW, not_listed, off_flag, repeated_votes, shown
from judge.agreement.schema import Figure, Flag, Headline, Level, People

RELIABLE = 0.8
TENTATIVE = 0.667
"""Krippendorff's α from which conclusions may be drawn, and tentative ones (Krippendorff 2004, §11.4.2)."""


def people_headline(people: People) -> Headline:
    """Whether people agree enough for their labels to measure anything by, after the lowest α of the criteria."""
    alphas = [figure for figure in people.among if figure.name.startswith("alpha") and figure.value is not None]
    why = [f"{people.human.title}: {shown(people.human) if people.human.value is not None else people.human.note}."]
    why += [f"{figure.title}{f' ({figure.of})' if figure.of else ''}: {shown(figure)}." for figure in alphas]
    if people.annotators_total < 2 or not people.shared:
        sentence = "No row has two people's labels, so nobody knows how far people agree."
        return Headline(level="unknown", sentence=sentence, why=(f"{people.labelled:,} rows have a label.",))
    if people.shared < FEW or not alphas:
        sentence = "Too few rows with two people's labels to say how far people agree."
        return Headline(level="unknown", sentence=sentence, why=tuple(why))
    level, sentence = _level(min(alphas, key=_value))
    return Headline(level=level, sentence=sentence, why=tuple(why))


def _value(figure: Figure) -> float:
    return figure.value or 0.0


def _level(alpha: Figure) -> tuple[Level, str]:
    if _value(alpha) >= RELIABLE:
        return "good", "People agree well: their labels can measure a judge."
    if _value(alpha) >= TENTATIVE:
        return "fair", "People agree fairly: conclusions from their labels are tentative."
    return "poor", "People agree little beyond chance: a judge can hardly be measured by these labels."


def people_flags(people: People, others: Mapping[str, int]) -> tuple[Flag, ...]:
    """What is to be known of the labels before they are used. others: labels of another kind, by what they are."""
    found = (
        off_flag(people.annotators),
        not_listed(len(people.annotators), people.annotators_total),
        _pairs_not_listed(people),
        repeated_votes(people.repeated_votes),
        _other(people.task, others),
    )
    return tuple(flag for flag in found if flag is not None)


def _pairs_not_listed(people: People) -> Flag | None:
    if people.pairs_total <= len(people.pairs):
        return None
    return Flag(
        name="pairs_not_listed",
        severity="note",
        what=f"Only the {len(people.pairs):,} pairs of annotators with most rows in common are compared one by one.",
        evidence=f"{people.pairs_total:,} pairs have rows in common; all of them count in the figures of everyone",
        sure="a plain count",
        advice="To see others, give the labels of those people in a file of their own.",
    )


def _other(task: str, others: Mapping[str, int]) -> Flag | None:
    if not others:
        return None
    return Flag(
        name="other_labels",
        severity="note",
        what=f"Labels of another kind than those of the task {task} are left out.",
        evidence=", ".join(f"{number:,} × {what}" for what, number in others.items()),
        sure="a plain count",
        advice="The first label of the data says which kind is compared; give each kind in a file of its own.",
    )
