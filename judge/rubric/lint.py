"""What makes a rubric a bad one although it loads: criteria that say two things, twins, odd points, examples that
contradict, text that would break a prompt.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from judge.constitution.wording import check_breaks, check_statement, check_tags, earliest_twins, words_of
from judge.prompting.front_matter import Finding
from judge.rubric.parser import CriterionEntry, Draft, take_apart

HEAVY = 20.0
"""How many times the median the points of a criterion may be."""

_STATEMENT = "a criterion is a statement that a response meets or does not"


def lint(path: Path) -> list[Finding]:
    """Everything that is wrong with a rubric's file, or with the rubrics of data, in the order of lines.

    Raises:
        InputError: for a file that cannot be read.
    """
    draft = take_apart(path)
    for rubric in draft.rubrics:
        readable = [criterion for criterion in rubric if criterion.item is not None]
        for criterion in readable:
            check_breaks(draft, criterion.entry, ("criterion",))
            check_statement(draft, criterion.entry, "criterion", _STATEMENT, "criteria")
            _check_examples(draft, criterion)
        _check_twins(draft, readable)
        _check_points(draft, readable)
    check_tags(draft, [criterion.entry for rubric in draft.rubrics for criterion in rubric])
    return sorted(draft.findings, key=lambda finding: (finding.line, not finding.fatal, finding.message))


def _check_twins(draft: Draft, rubric: Sequence[CriterionEntry]) -> None:
    texts = [words_of(criterion.entry.values["criterion"]) for criterion in rubric]
    for index, other in earliest_twins(texts).items():
        line, earlier = rubric[index].entry.at("criterion"), rubric[other].entry
        name = _shortened(rubric[other])
        draft.add(line, f"says nearly the same as '{name}' (line {earlier.at('criterion')})", fatal=False)


def _shortened(criterion: CriterionEntry) -> str:
    assert criterion.item is not None
    label = criterion.item.label
    return label if len(label) <= 60 else f"{label[:57]}..."


def _check_points(draft: Draft, rubric: Sequence[CriterionEntry]) -> None:
    weighed = [criterion.item.points for criterion in rubric if criterion.item is not None and criterion.item.points]
    if not weighed:
        return
    middle = median(abs(points) for points in weighed)
    for criterion in rubric:
        points = criterion.entry.values["points"]
        line = criterion.entry.at("points")
        if abs(points) > HEAVY * middle:
            draft.add(line, f"{points:g} points drown the others (their median is {middle:g})", fatal=False)
        elif points and abs(points) * HEAVY < middle:
            draft.add(line, f"{points:g} points count for nothing (the median is {middle:g})", fatal=False)
    gates = any(criterion.item is not None and criterion.item.gate for criterion in rubric)
    if max(weighed) < 0 and not gates and len(weighed) > 1 and not draft.rows:
        message = "all points are below 0: a response that does nothing at all has the score 1"
        draft.add(rubric[0].entry.line, message, fatal=False)


def _check_examples(draft: Draft, criterion: CriterionEntry) -> None:
    """Examples that cannot both be right, or that say the same twice."""
    earlier: dict[tuple[str, ...], tuple[str, int]] = {}
    for example in criterion.examples:
        if not {"prompt", "response", "verdict"} <= example.values.keys():
            continue
        texts = tuple(" ".join(example.values.get(key, "").split()) for key in ("prompt", "response", "reference"))
        verdict, line = earlier.setdefault(texts, (example.values["verdict"], example.line))
        if line != example.line:
            same = verdict == example.values["verdict"]
            draft.add(example.line, f"{'repeats' if same else 'contradicts'} the example on line {line}", fatal=False)
