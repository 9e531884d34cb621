"""The answer in one sentence, from the finished parts; and what changed since a saved report."""

from collections.abc import Sequence

from judge.agreement.findings.red_flags import FEW, shown
from judge.agreement.schema import AgreementReport, BaselineChange, Figure, Flag, Headline, JudgeReport, Level, by_name


def headline(judges: Sequence[JudgeReport], flags: Sequence[Flag]) -> Headline:
    """The verdict on the best judge by its main figure."""
    best = max(judges, key=lambda judge: (judge.agreement[0].value or 0.0) if judge.agreement else 0.0)
    of_best = [flag for flag in flags if flag.judge in ("", best.name)]
    level, sentence, why = _said(best, of_best)
    name = f"{best.name}, the best of {len(judges)}: " if len(judges) > 1 else ""
    return Headline(level=level, sentence=name + sentence, why=why)


def _said(judge: JudgeReport, flags: Sequence[Flag]) -> tuple[Level, str, tuple[str, ...]]:
    main = judge.agreement[0]
    agreed = f"{main.title}: {shown(main)}." if main.value is not None else f"{main.title}: {main.note}."
    if main.value is None or judge.coverage.readable < FEW:
        return "unknown", "Too few rows to say whether this judge can stand in for people.", (agreed,)
    stops = [flag for flag in flags if flag.severity == "stop"]
    if stops:
        return "poor", f"This judge cannot stand in for people. {stops[0].what}", (agreed, stops[0].evidence)
    ceiling = judge.ceiling
    if ceiling is None or ceiling.human.value is None or ceiling.judge.value is None:
        why = (agreed, "No row has two people's votes, so nobody knows how far people agree among themselves.")
        return "unknown", "One annotator a row: agreement is measured, but not against what people reach.", why
    beside = f"Judge with people {shown(ceiling.judge)}, people with each other {shown(ceiling.human)}."
    test, equal = ceiling.alt_test, ceiling.equivalence
    told = [beside, agreed]
    if test.passed is not None:
        told.append(
            f"Alternative-annotator test (ε = {test.epsilon}): wins against {test.winning_rate or 0:.0%} of "
            f"{test.tested} annotators, {'passed' if test.passed else 'not passed'}."
        )
    if equal.not_worse is not None:
        word = "equivalent" if equal.equivalent else "not worse" if equal.not_worse else "not shown to be as good"
        told.append(f"Within a margin of {equal.margin:g} of people's agreement: {word}.")
    warned = any(flag.severity == "warn" for flag in flags)
    if test.passed and equal.not_worse:
        if warned:
            return "fair", "This judge can stand in for one person, with the care that the flags name.", tuple(told)
        return "good", "This judge can stand in for one person.", tuple(told)
    if test.passed or equal.not_worse:
        return "fair", "This judge comes near to one person; one of two tests says it may stand in.", tuple(told)
    if ceiling.judge.high is not None and ceiling.human.low is not None and ceiling.judge.high < ceiling.human.low:
        return "poor", "This judge cannot stand in for people: it agrees with them less than they do.", tuple(told)
    return "fair", "Not shown: this judge may be as good as a person, but these rows do not prove it.", tuple(told)


def changes(after: AgreementReport, before: AgreementReport) -> tuple[BaselineChange, ...]:
    """Every figure of agreement beside the same one of a saved report. A change counts when the old value lies outside
    the new interval (or the other way round where the new one has none); judges meet by name, or the only ones."""
    changed = []
    for judge in after.judges:
        old = next((candidate for candidate in before.judges if candidate.name == judge.name), None)
        if old is None and len(after.judges) == len(before.judges) == 1:
            old = before.judges[0]
        if old is None:
            continue
        old_figures = {(figure.name, figure.of): figure for figure in old.agreement}
        for figure in judge.agreement:
            same = old_figures.get((figure.name, figure.of))
            if same is not None:
                changed.append(_change(judge.name, same, figure))
    if after.people and before.people:
        old_of_people = by_name((before.people.human, *before.people.among))
        for name, figure in by_name((after.people.human, *after.people.among)).items():
            if name in old_of_people:
                changed.append(_change("people", old_of_people[name], figure))
    return tuple(changed)


NEUTRAL = ("mean_difference", "accuracy_forward", "accuracy_swapped")
"""Figures of which neither more nor less is worse by itself."""


def _change(judge: str, old: Figure, new: Figure) -> BaselineChange:
    moved = 0.0 if old.value is None or new.value is None else new.value - old.value
    outside = _outside(old, new)
    better_up = new.unit != "loss"
    counts = outside and new.name not in NEUTRAL
    return BaselineChange(
        judge=judge,
        name=new.name,
        title=new.title,
        before=old.value,
        now=new.value,
        low=new.low,
        high=new.high,
        worse=(counts and (moved < 0) == better_up) or (old.value is not None and new.value is None),
        better=counts and (moved > 0) == better_up,
        of=new.of,
    )


def _outside(old: Figure, new: Figure) -> bool:
    if old.value is None or new.value is None or old.value == new.value:
        return False
    if new.low is not None and new.high is not None:
        return not new.low <= old.value <= new.high
    if old.low is not None and old.high is not None:
        return not old.low <= new.value <= old.high
    return True
