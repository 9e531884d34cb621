"""From the verdicts of a judge, or of people, to what a reward model is to say: soft where they are soft.

A probability is never rounded, neutral is a class of its own, and what cannot be read is a reason in words. This module
refuses to know examples, files and models.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from judge.errors import InputError
from judge.judgements import Judgement, Order, Outcome, Preference, Reading, Score, Steps
from judge.records import Conversation, HumanLabel, Message, Pair, Ranking, Record, Response, Solution, spoken

StepProbabilities = tuple[float, float, float]
Made = dict[str, Any] | str
"""The fields of an example that its labels decide, or the reason why there is none."""

UNREADABLE = "verdict could not be read"
UNLABELLED = "no label"
EMPTY = "empty text"
ALIKE = "both responses are the same"


def unfit(found: str, kind: str) -> str:
    """The reason of a row whose labels say nothing that the kind of model could learn."""
    return f"{found} does not teach {kind}"


# ---- by a judge ------------------------------------------------------------------------------------------------------


def by_judge(record: Record, judgement: Judgement | None, kind: str) -> Made:
    """What a judgement teaches a kind of model."""
    match judgement:
        case None:
            return UNLABELLED
        case Preference() if isinstance(record, Pair) and kind in ("scalar", "ensemble", "hierarchical"):
            return _preferred(record, judgement)
        case Order() if isinstance(record, Ranking) and kind in ("scalar", "ensemble", "hierarchical"):
            return _ordered(record, judgement.verdict)
        case Score() if not isinstance(record, Pair | Ranking) and kind in ("scalar", "ensemble", "multi"):
            return _scored(record, _scores(judgement), kind)
        case Outcome() if not isinstance(record, Pair | Ranking) and kind in ("outcome", "hierarchical"):
            return UNREADABLE if judgement.p_correct is None else _outcome(record, judgement.p_correct)
        case Steps() if isinstance(record, Solution) and kind == "outcome":
            p_correct = _all_right(judgement)
            return UNREADABLE if p_correct is None else _outcome(record, p_correct)
        case Steps() if isinstance(record, Solution) and kind in ("process", "hierarchical"):
            return _stepwise(record, _step_shares(judgement, len(record.steps)))
        case _:
            return unfit(judgement.task, kind)


def _preferred(pair: Pair, said: Preference) -> Made:
    if said.p_first is None:
        return UNREADABLE
    tie = _mean_tie(said.readings)
    if tie is None and said.verdict == "tie":
        tie = 1.0
    return _pair(pair, said.p_first, tie)


def _mean_tie(readings: Sequence[Reading]) -> float | None:
    """The mean of P(tie) over the readings that have probabilities."""
    given = [reading.probabilities.get("tie", 0.0) for reading in readings if reading.probabilities]
    return fmean(given) if given else None


def _pair(pair: Pair, p_first: float, p_tie: float | None) -> Made:
    if not spoken(pair.first).strip() or not spoken(pair.second).strip():
        return EMPTY
    if pair.first == pair.second:
        return ALIKE
    margin = pair.meta.get("margin")
    return {
        "responses": (pair.first, pair.second),
        "p_first": p_first,
        "p_tie": None if p_tie is None else min(p_tie, 2 * min(p_first, 1 - p_first)),
        "margin": float(margin) if isinstance(margin, int | float) and not isinstance(margin, bool) else None,
    }


def _ordered(ranking: Ranking, order: tuple[int, ...] | None) -> Made:
    if order is None:
        return UNREADABLE
    responses = tuple(ranking.responses[index] for index in order)
    if len(responses) < 2:
        return UNLABELLED
    if not all(spoken(one).strip() for one in responses):
        return EMPTY
    if len(responses) == 2:
        return {"responses": responses, "p_first": 1.0}
    # A response that the order leaves out has no place; those that stay keep the order in which the row names them.
    kept = sorted(order)
    return {
        "responses": tuple(ranking.responses[index] for index in kept),
        "order": tuple(kept.index(index) for index in order),
    }


def _scores(said: Score) -> dict[str, float]:
    """Objective -> the expected score, else the score given; what could not be read is left out."""
    expected = {name: said.expected.get(name) for name in said.verdict}
    best = {name: given if expected[name] is None else expected[name] for name, given in said.verdict.items()}
    return {name: float(value) for name, value in best.items() if value is not None}


def _scored(record: Response | Solution, scores: Mapping[str, float], kind: str) -> Made:
    if not scores:
        return UNREADABLE
    if kind != "multi":
        scores = {"": fmean(scores.values())}
    return _one(record) or {"responses": (_response(record),), "scores": (dict(scores),)}


def _outcome(record: Response | Solution, p_correct: float) -> Made:
    return _one(record) or {"responses": (_response(record),), "p_correct": p_correct}


def _one(record: Response | Solution) -> str:
    return "" if spoken(_response(record)).strip() else EMPTY


def _response(record: Response | Solution) -> Conversation:
    """A solution as one response: a step a line."""
    return record.response if isinstance(record, Response) else (Message("assistant", "\n".join(record.steps)),)


def _all_right(said: Steps) -> float | None:
    """P(no step is wrong), by the product over steps; None when a step before the first wrong one is unreadable."""
    if said.first_wrong is None:
        return None
    product = 1.0
    for index, verdict in enumerate(said.verdict):
        p_right = said.p_right[index] if index < len(said.p_right) else None
        if p_right is None:
            p_right = {"right": 1.0, "neutral": 1.0, "wrong": 0.0}.get(verdict or "", 1.0)
        product *= p_right
    return product


def _step_shares(said: Steps, count: int) -> list[StepProbabilities | None]:
    """(right, wrong, neutral) of each step: what is not wrong is shared as the readings share it."""
    verdicts = [*said.verdict, *[None] * count][:count]
    p_right = [*said.p_right, *[None] * count][:count]
    return [
        None if verdict is None else _share(verdict, chance, [r for r in said.readings if r.asked == f"step {index}"])
        for index, (verdict, chance) in enumerate(zip(verdicts, p_right, strict=True), start=1)
    ]


def _share(verdict: str, p_right: float | None, readings: Sequence[Reading]) -> StepProbabilities:
    if p_right is None:
        p_right = 0.0 if verdict == "wrong" else 1.0
    given = [reading.probabilities for reading in readings if reading.probabilities]
    right = fmean(one.get("right", 0.0) for one in given) if given else float(verdict != "neutral")
    neutral = fmean(one.get("neutral", 0.0) for one in given) if given else float(verdict == "neutral")
    share = neutral / (right + neutral) if right + neutral > 0 else 0.0
    return (p_right * (1 - share), 1 - p_right, p_right * share)


def _stepwise(solution: Solution, shares: Sequence[StepProbabilities | None]) -> Made:
    if not solution.steps or not all(step.strip() for step in solution.steps):
        return EMPTY
    if not any(shares):
        return UNREADABLE
    return {"steps": solution.steps, "step_probabilities": tuple(shares)}


# ---- by people -------------------------------------------------------------------------------------------------------


def by_people(record: Record, kind: str) -> Made:
    """What the people's labels of a record teach a kind of model; several people count alike."""
    compares, scores = kind in ("scalar", "ensemble", "hierarchical"), kind in ("scalar", "ensemble", "multi")
    match record:
        case Pair() if compares:
            verdicts = [label.verdict for label in record.human if not label.criterion]
            values = [{"first": 1.0, "tie": 0.5, "second": 0.0}[str(verdict)] for verdict in verdicts]
            ties = sum(verdict == "tie" for verdict in verdicts)
            return _pair(record, fmean(values), ties / len(values)) if values else UNLABELLED
        case Ranking() if compares:
            orders = [one.verdict for one in record.human if isinstance(one.verdict, tuple) and not one.criterion]
            return _ordered(record, _borda(orders)) if orders else UNLABELLED
        case Response() | Solution() if kind == "outcome":
            p_correct = _correct(record)
            return UNLABELLED if p_correct is None else _outcome(record, p_correct)
        case Response() if scores:
            return _scored(record, _means(record.human), kind) if record.human else UNLABELLED
        case Solution() if kind in ("process", "hierarchical"):
            return _marked(record)
        case _:
            return unfit(record.kind, kind)


def _borda(orders: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Several orders as one, by the mean place among the responses that all of them name (Borda count)."""
    shared = set(orders[0]).intersection(*orders)
    place = {index: sum(order.index(index) for order in orders) for index in shared}
    return tuple(sorted(shared, key=lambda index: (place[index], index)))


def _means(labels: Iterable[HumanLabel]) -> dict[str, float]:
    """Criterion -> the mean of the people's scores."""
    by_name: dict[str, list[float]] = {}
    for label in labels:
        if isinstance(label.verdict, int | float):
            by_name.setdefault(label.criterion, []).append(float(label.verdict))
    return {name: fmean(values) for name, values in by_name.items()}


def _correct(record: Response | Solution) -> float | None:
    """The share of people who call the answer correct; of a solution, that no step is wrong where nobody said more."""
    told = [label.verdict for label in record.human if label.criterion == "correct"]
    if not told and isinstance(record, Solution):
        told = [float(label.verdict == -1) for label in record.human if not label.criterion]
    elif not told:
        told = [label.verdict for label in record.human if not label.criterion]
    values = [float(verdict) for verdict in told if isinstance(verdict, int | float)]
    if not values:
        return None
    if not all(0 <= value <= 1 for value in values):
        raise InputError(f"row {record.id}: a score of {max(values):g} is no outcome (accepted: 0 to 1)")
    return fmean(values)


_RATED: dict[object, StepProbabilities] = {1: (1.0, 0.0, 0.0), -1: (0.0, 1.0, 0.0), 0: (0.0, 0.0, 1.0)}


def _marked(solution: Solution) -> Made:
    """Steps by `meta`, where every one was rated (PRM800K's `ratings`, our `right`, TRL's soft `labels`); else by the
    first wrong step: those before it are right, those after it were not judged."""
    count = len(solution.steps)
    for name, read in _STEP_LABELS.items():
        rated = solution.meta.get(name)
        if isinstance(rated, list | tuple) and len(rated) == count:
            return _stepwise(solution, [read(one) for one in rated])
    given = [label.verdict for label in solution.human if not label.criterion]
    firsts = [int(verdict) for verdict in given if isinstance(verdict, int | float)]
    if not firsts:
        return UNLABELLED
    people: list[list[StepProbabilities]] = [[] for _ in range(count)]
    for first in firsts:
        for index in range(count if first < 0 else first + 1):
            people[index].append(_RATED[-1] if index == first else _RATED[1])
    return _stepwise(solution, [_mean_share(said) if said else None for said in people])


def _mean_share(said: Sequence[StepProbabilities]) -> StepProbabilities:
    return (fmean(one[0] for one in said), fmean(one[1] for one in said), fmean(one[2] for one in said))


def _truth(value: object) -> StepProbabilities | None:
    """True, false or P(right)."""
    return (float(value), 1.0 - float(value), 0.0) if isinstance(value, int | float) else None


_STEP_LABELS: dict[str, Callable[[object], StepProbabilities | None]] = {
    "ratings": _RATED.get,
    "right": _truth,
    "labels": _truth,
}
