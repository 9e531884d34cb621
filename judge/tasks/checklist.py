"""A rubric's criteria, each judged on its own after one shared prefix, merged to one score in 0 to 1.

A criterion on which the judge abstains is left out of the score and named; it is never taken for one that is not met.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from judge.judgements import Checklist, Reading, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Response, Rubric, RubricItem, Solution
from judge.tasks.base import Options, Program
from judge.tasks.queries import ask, gather, questions
from judge.tasks.spec import TaskSpec, always
from judge.tasks.views import as_response, responses, shown
from judge.verdicts import distribution, largest, mean, unread

WHOLE = ""
MET, UNMET, ABSTAIN = "met", "unmet", "abstain"


class Decision(NamedTuple):
    """What was decided of a criterion.

    Attributes:
        item: the criterion.
        met: whether the response meets it.
        p_met: P(met), given that it is met or not.
    """

    item: RubricItem
    met: bool
    p_met: float


def checklist(record: Response | Solution, template: Template, options: Options) -> Program[Checklist]:
    """Every criterion, vote and juror in one batch; the requests of a record are alike up to the criterion."""
    response = as_response(record)
    rubric = response.rubric or options.checklist
    prompt, (text,) = shown(response.prompt, (response.response,), options)
    texts = {
        "prompt": prompt,
        "response": text,
        "reference": response.reference if options.reference else "",
    }
    batch = [
        question
        for item in rubric
        for question in questions(
            record.id, item.label, template.render(**texts, criterion=item.text), template, options
        )
    ]
    readings = yield from gather([ask(question, options) for question in batch])
    return merge(rubric, readings)


def merge(rubric: Rubric, readings: Sequence[Reading]) -> Checklist:
    """One judgement of the readings of all criteria."""
    verdict: dict[str, float | None] = {WHOLE: None}
    expected: dict[str, float | None] = {WHOLE: None}
    decisions, abstained, unreadable = list[Decision](), list[str](), list[Reading]()
    for item in rubric:
        answers = [reading for reading in readings if reading.asked == item.label]
        shares = mean(distribution(reading) for reading in answers)
        likeliest = largest(shares) if shares else None
        if likeliest == ABSTAIN:
            abstained.append(item.label)
            continue
        p_met = probability(shares)
        verdict[item.label] = None if likeliest is None else int(likeliest == MET)
        expected[item.label] = p_met
        if likeliest is None or p_met is None:
            unreadable += answers
        else:
            decisions.append(Decision(item, likeliest == MET, p_met))
    if not unreadable and decisions:
        verdict[WHOLE] = score((decision.item, float(decision.met)) for decision in decisions)
        expected[WHOLE] = score((decision.item, decision.p_met) for decision in decisions)
    reason = unread(unreadable) if unreadable else "" if decisions else "the judge abstains on every criterion"
    return Checklist(
        verdict=verdict,
        reason=reason,
        expected=expected,
        points={item.label: item.points for item in rubric},
        abstained=tuple(abstained),
        readings=tuple(readings),
    )


def probability(shares: Mapping[str, float]) -> float | None:
    """P(met), given that the criterion is met or not; None where nothing says either."""
    decided = shares.get(MET, 0.0) + shares.get(UNMET, 0.0)
    return shares.get(MET, 0.0) / decided if decided else None


def score(met: Iterable[tuple[RubricItem, float]]) -> float:
    """The score of decided criteria: the points that were earned, as a share of those on offer, held to 0 to 1.

        score = Π_gates m_k · clip((Σ w_k m_k) / Σ max(w_k, 0), 0, 1)

    m_k is 1 or 0, or P(met): then the score is that of the expected points. This is HealthBench's score of an example
    (Arora et al. 2025), held to 0 to 1 for each response. Of criteria that all count against a response the score is
    1 − (Σ |w_k| m_k) / Σ |w_k|.
    """
    decided = list(met)
    on_offer = math.fsum(max(item.points, 0.0) for item, _ in decided)
    earned = math.fsum(item.points * share for item, share in decided)
    against = math.fsum(-min(item.points, 0.0) for item, _ in decided)
    gates = math.prod(share for item, share in decided if item.gate)
    if on_offer:
        points = earned / on_offer
    else:
        points = 1.0 + earned / against if against else 1.0  # gates alone
    return gates * min(max(points, 0.0), 1.0)


def expected_score(judgement: Checklist, rubric: Rubric) -> float | None:
    """The score that a part of a judged rubric, or the same criteria with other points, would have given.

    None where a criterion of it could not be read, or none is decided.
    """
    decided = []
    for item in rubric:
        p_met = judgement.expected.get(item.label)
        if p_met is not None:
            decided.append((item, p_met))
        elif item.label not in judgement.abstained:
            return None
    return score(decided) if decided else None


def _unfit(record: Any, options: Options) -> str:
    if record.rubric or options.checklist:
        return ""
    return "no rubric (a column 'rubric' with a list of criteria, or --rubric FILE for all rows)"


def _tally(row: Mapping[str, Any]) -> list[str]:
    """Criteria by what became of them: their names are as many as there are rows with rubrics of their own."""
    decided = [value for name, value in (row.get("verdict") or {}).items() if name != WHOLE and value is not None]
    words = [MET if value else UNMET for value in decided]
    return words + [ABSTAIN] * len(row.get("abstained") or ())


TASK = TaskSpec(
    name="checklist",
    about="the criteria of a rubric, each met or not, and one score of them all",
    kinds=("response", "solution", "pair", "ranking"),
    split=responses,
    build=checklist,
    prompt=always("checklist"),
    prompts={
        "checklist": PromptKind(
            variables=("prompt", "response", "reference", "criterion"), labels=(MET, UNMET), third_label=ABSTAIN
        )
    },
    shape=Shape(judgement=Checklist, form="scores", records=("response", "solution"), tally=_tally),
    exports=("rubric",),
    takes_rubric=True,
    unfit=_unfit,
)
