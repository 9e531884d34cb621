"""From the verdicts of a judge, or of people, to what a reward model is to say: soft where they are soft.

A probability is never rounded, neutral is a class of its own, and what cannot be read is a reason in words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from judge.errors import InputError
from judge.judgements import Judgement, Order, Reading, Score, Shape, Steps, shape_of, shapes
from judge.records import HumanLabel, Pair, Ranking, Record, Response, Solution, response_of, spoken

StepProbabilities = tuple[float, float, float]
Made = dict[str, Any] | str
"""The fields of an example that its labels decide, or the reason why there is none."""

UNREADABLE = "verdict could not be read"
UNLABELLED = "no label"
EMPTY = "empty text"
ALIKE = "both responses are the same"


LEARNS: Mapping[str, tuple[str, ...]] = {
    "scalar": ("pair", "order", "scores"),
    "ensemble": ("pair", "order", "scores"),
    "multi": ("scores",),
    "outcome": ("label", "steps"),
    "process": ("steps",),
    "hierarchical": ("pair", "order", "label", "steps"),
}
"""Kind of model -> the forms of verdict that it can be made from; "pair" is a label on two responses."""


def teachers(kind: str) -> list[str]:
    """The tasks whose judgements a kind of model can be made from."""
    return [task for task, shape in shapes().items() if _form(shape) in LEARNS[kind]]


def _form(shape: Shape) -> str:
    if shape.nominal:
        return "categories"
    return "pair" if shape.paired else shape.form


def unfit(source: str, kind: str) -> str:
    """The reason of a row whose labels (of a task, or on a kind of record) say nothing that the model could learn."""
    return f"{source} does not teach {kind}"


# ---- by a judge ------------------------------------------------------------------------------------------------------


def by_judge(record: Record, judgement: Judgement | None, kind: str) -> Made:
    """What a judgement teaches a kind of model."""
    if judgement is None:
        return UNLABELLED
    shape = shape_of(judgement.task)
    if _form(shape) not in LEARNS[kind]:
        return unfit(judgement.task, kind)
    match judgement:
        case Order() if isinstance(record, Ranking):
            return _ordered(record, judgement.verdict)
        case Score() if isinstance(record, Response | Solution):
            return _scored(record, _scores(judgement), kind)
        case Steps() if isinstance(record, Solution) and kind == "outcome":
            p_correct = _all_right(judgement)
            return UNREADABLE if p_correct is None else _outcome(record, p_correct)
        case Steps() if isinstance(record, Solution):
            return _stepwise(record, _step_shares(judgement, len(record.steps)))
        case _ if shape.paired and isinstance(record, Pair):
            return _preferred(record, judgement, shape)
        case _ if shape.form == "label" and isinstance(record, Response | Solution):
            p_good = shape.p(judgement)
            return UNREADABLE if p_good is None else _outcome(record, p_good)
        case _:
            return unfit(judgement.task, kind)


def _preferred(pair: Pair, judgement: Judgement, shape: Shape) -> Made:
    p_first = shape.p(judgement)
    if p_first is None:
        return UNREADABLE
    (tie,) = shape.labels[2:] or ("",)
    p_tie = _mean_share_of(tie, judgement.readings)
    if p_tie is None and tie and judgement.verdict == tie:
        p_tie = 1.0
    return _pair(pair, p_first, p_tie)


def _mean_share_of(label: str, readings: Sequence[Reading]) -> float | None:
    """The mean probability of a label over the readings that have probabilities."""
    shares = [reading.probabilities.get(label, 0.0) for reading in readings if reading.probabilities]
    return fmean(shares) if shares else None


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
    if not all(spoken(response).strip() for response in responses):
        return EMPTY
    if len(responses) == 2:
        return {"responses": responses, "p_first": 1.0}
    # A response that the order leaves out has no place; those that stay keep the order in which the row names them.
    kept = sorted(order)
    return {
        "responses": tuple(ranking.responses[index] for index in kept),
        "order": tuple(kept.index(index) for index in order),
    }


def _scores(judgement: Score) -> dict[str, float]:
    """Objective -> the expected score, else the score given; what could not be read is left out."""
    expected = {name: judgement.expected.get(name) for name in judgement.verdict}
    best = {name: score if expected[name] is None else expected[name] for name, score in judgement.verdict.items()}
    return {name: float(value) for name, value in best.items() if value is not None}


def _scored(record: Response | Solution, scores: Mapping[str, float], kind: str) -> Made:
    if not scores:
        return UNREADABLE
    if kind != "multi":
        scores = {"": scores[""] if "" in scores else fmean(scores.values())}
    elif len(scores) > 1:
        scores = {name: value for name, value in scores.items() if name}  # the whole is made of the others
    return _emptiness(record) or {"responses": (response_of(record),), "scores": (dict(scores),)}


def _outcome(record: Response | Solution, p_correct: float) -> Made:
    return _emptiness(record) or {"responses": (response_of(record),), "p_correct": p_correct}


def _emptiness(record: Response | Solution) -> str:
    """The reason of a response that has no text, "" for one that has."""
    return "" if spoken(response_of(record)).strip() else EMPTY


def _all_right(judgement: Steps) -> float | None:
    """P(no step is wrong), by the product over steps; None when a step before the first wrong one is unreadable."""
    if judgement.first_wrong is None:
        return None
    product = 1.0
    for index, verdict in enumerate(judgement.verdict):
        p_right = judgement.p_right[index] if index < len(judgement.p_right) else None
        if p_right is None:
            p_right = {"right": 1.0, "neutral": 1.0, "wrong": 0.0}.get(verdict or "", 1.0)
        product *= p_right
    return product


def _step_shares(judgement: Steps, count: int) -> list[StepProbabilities | None]:
    """(right, wrong, neutral) of each step: what is not wrong is shared as the readings share it."""
    verdicts = [*judgement.verdict, *[None] * count][:count]
    p_right = [*judgement.p_right, *[None] * count][:count]
    by_step: dict[str, list[Reading]] = {f"step {index}": [] for index in range(1, count + 1)}
    for reading in judgement.readings:
        by_step.get(reading.asked, []).append(reading)
    return [
        None if verdict is None else _share(verdict, chance, by_step[f"step {index}"])
        for index, (verdict, chance) in enumerate(zip(verdicts, p_right, strict=True), start=1)
    ]


def _share(verdict: str, p_right: float | None, readings: Sequence[Reading]) -> StepProbabilities:
    if p_right is None:
        p_right = 0.0 if verdict == "wrong" else 1.0
    right, neutral = _mean_share_of("right", readings), _mean_share_of("neutral", readings)
    if right is None or neutral is None:
        right, neutral = float(verdict != "neutral"), float(verdict == "neutral")
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
    compares, scores = "pair" in LEARNS[kind], "scores" in LEARNS[kind]
    match record:
        case Pair() if compares:
            verdicts = [label.verdict for label in record.human if not label.criterion]
            values = [{"first": 1.0, "tie": 0.5, "second": 0.0}[str(verdict)] for verdict in verdicts]
            ties = sum(verdict == "tie" for verdict in verdicts)
            return _voted(_pair(record, fmean(values), ties / len(values)), [len(values)]) if values else UNLABELLED
        case Ranking() if compares:
            verdicts = [label.verdict for label in record.human if not label.criterion]
            orders = [verdict for verdict in verdicts if isinstance(verdict, tuple)]
            return _ordered(record, _borda(orders)) if orders else UNLABELLED
        case Response() | Solution() if kind == "outcome":
            values = correctness(record)
            return _voted(_outcome(record, fmean(values)), [len(values)]) if values else UNLABELLED
        case Response() if scores:
            return _scored(record, _means(record.human), kind) if record.human else UNLABELLED
        case Solution() if kind in ("process", "hierarchical"):
            return _marked(record)
        case _:
            return unfit(record.kind, kind)


def _voted(made: Made, votes: Sequence[int]) -> Made:
    """The fields of an example with the number of people behind each of its labels."""
    return made if isinstance(made, str) else made | {"votes": tuple(votes)}


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


def correctness(record: Response | Solution) -> list[float]:
    """What each person says of P(correct); of a solution, that no step is wrong where nobody said more."""
    verdicts = [label.verdict for label in record.human if label.criterion == "correct"]
    if not verdicts and isinstance(record, Solution):
        verdicts = [float(label.verdict == -1) for label in record.human if not label.criterion]
    elif not verdicts:
        verdicts = [label.verdict for label in record.human if not label.criterion]
    verdicts = [_RIGHT.get(verdict, verdict) if isinstance(verdict, str) else verdict for verdict in verdicts]
    values = [float(verdict) for verdict in verdicts if isinstance(verdict, int | float)]
    if not all(0 <= value <= 1 for value in values):
        raise InputError(f"row {record.id}: a score of {max(values):g} is no outcome (accepted: 0 to 1)")
    return values


_RIGHT = {"right": 1.0, "wrong": 0.0}
_RATED: dict[object, StepProbabilities] = {1: (1.0, 0.0, 0.0), -1: (0.0, 1.0, 0.0), 0: (0.0, 0.0, 1.0)}


def _marked(solution: Solution) -> Made:
    """Steps by `meta`, where every one was rated (PRM800K's `ratings`, our `right`, TRL's soft `labels`); else by the
    first wrong step: those before it are right, those after it were not judged."""
    count = len(solution.steps)
    for name, read in _STEP_LABELS.items():
        rated = solution.meta.get(name)
        if isinstance(rated, list | tuple) and len(rated) == count:
            return _stepwise(solution, [read(rating) for rating in rated])
    verdicts = [label.verdict for label in solution.human if not label.criterion]
    firsts = [int(verdict) for verdict in verdicts if isinstance(verdict, int | float)]
    if not firsts:
        return UNLABELLED
    people: list[list[StepProbabilities]] = [[] for _ in range(count)]
    for first in firsts:
        for index in range(count if first < 0 else first + 1):
            people[index].append(_RATED[-1] if index == first else _RATED[1])
    made = _stepwise(solution, [_mean_share(shares) if shares else None for shares in people])
    return _voted(made, [len(shares) for shares in people])


def _mean_share(shares: Sequence[StepProbabilities]) -> StepProbabilities:
    right, wrong, neutral = zip(*shares, strict=True)
    return fmean(right), fmean(wrong), fmean(neutral)


def _truth(value: object) -> StepProbabilities | None:
    """True, false or P(right)."""
    return (float(value), 1.0 - float(value), 0.0) if isinstance(value, int | float) else None


_STEP_LABELS: dict[str, Callable[[object], StepProbabilities | None]] = {
    "ratings": _RATED.get,
    "right": _truth,
    "labels": _truth,
}
