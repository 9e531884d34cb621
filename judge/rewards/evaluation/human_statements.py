"""What a model or a judge said of records that people labelled, as statements that are true or not.

A pair is a statement about its first response, a ranking one about each two responses that people ordered, responses to
one prompt with scores one about each two that differ, an answer one about being correct, a step one about being right.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from judge.errors import InputError
from judge.judgements import Judgement, Order, Outcome, Preference, Score, Steps
from judge.records import Pair, Ranking, Record, Response, Solution, content_id, plain
from judge.rewards.data.label_conversion import by_people
from judge.rewards.evaluation.statements import Statements

_SURE = 1e-6  # how near to 0 and 1 a stated probability is taken to be


class Said(NamedTuple):
    """What was said of a record, and the record with people's labels.

    Attributes:
        record: with its labels.
        judgement: on it.
        scores: raw rewards, one a response; empty where only the judgement is known.
    """

    record: Record
    judgement: Judgement
    scores: Sequence[float] = ()


class _Statement(NamedTuple):
    """log-odds of the statement, the share of people for it, and the prompt it belongs to."""

    logit: float
    label: float
    prompt: str


def human_statements(said: Iterable[Said]) -> Statements:
    """Statements of all that was said and labelled; what could not be read, or has no label, makes none.

    Raises:
        InputError: where nothing was said of anything that people labelled.
    """
    made: dict[str, list[_Statement]] = {"pair": [], "outcome": [], "step": []}
    rated: dict[str, list[tuple[float, float]]] = {}  # by prompt: reward and people's score of each response
    for part in said:
        prompt = content_id(plain(part.record.prompt))
        match part.record, part.judgement:
            case Pair(), Preference():
                made["pair"] += _pair(part, prompt)
            case Ranking(), Order():
                made["pair"] += _ranking(part, prompt)
            case Response() | Solution(), Outcome():
                made["outcome"] += _outcome(part, prompt)
            case Solution(), Steps():
                made["step"] += _steps(part, prompt)
            case Response(), Score():
                rated.setdefault(prompt, []).extend(_rated(part))
            case _:
                continue
    made["pair"] += [statement for prompt, rows in rated.items() for statement in _of_rated(prompt, rows)]
    about = max(made, key=lambda name: len(made[name]))
    if not made[about]:
        raise InputError("people labelled nothing of what was judged: no pair, order, outcome or step has both")
    return _statements(about, made[about])


def _pair(part: Said, prompt: str) -> list[_Statement]:
    targets = by_people(part.record, "scalar")
    if isinstance(targets, str) or part.judgement.verdict is None:
        return []
    if part.scores:
        return [_Statement(part.scores[0] - part.scores[1], targets["p_first"], prompt)]
    p_first = getattr(part.judgement, "p_first", None)
    if p_first is None:
        p_first = {"first": 1.0, "second": 0.0}.get(str(part.judgement.verdict), 0.5)
    return [_Statement(_logit(p_first), targets["p_first"], prompt)]


def _ranking(part: Said, prompt: str) -> list[_Statement]:
    strengths = part.scores or getattr(part.judgement, "strengths", ())
    orders = [label.verdict for label in part.record.human if isinstance(label.verdict, tuple) and not label.criterion]
    if not strengths or not orders:
        return []
    places = [{index: place for place, index in enumerate(order)} for order in orders]
    pairs = []
    for one, other in combinations(range(len(strengths)), 2):
        votes = [float(place[one] < place[other]) for place in places if one in place and other in place]
        if votes:
            pairs.append(_Statement(strengths[one] - strengths[other], sum(votes) / len(votes), prompt))
    return pairs


def _outcome(part: Said, prompt: str) -> list[_Statement]:
    targets = by_people(part.record, "outcome")
    p_correct = getattr(part.judgement, "p_correct", None)
    if isinstance(targets, str) or part.judgement.verdict is None:
        return []
    if p_correct is None:
        p_correct = float(part.judgement.verdict == "right")
    return [_Statement(_logit(p_correct), targets["p_correct"], prompt)]


def _steps(part: Said, prompt: str) -> list[_Statement]:
    targets = by_people(part.record, "process")
    if isinstance(targets, str) or not isinstance(part.judgement, Steps):
        return []
    shares, p_right = targets["step_probabilities"], part.judgement.p_right
    return [
        _Statement(_logit(1 - p), 1 - share[0] - share[2], prompt)  # the statement of a step is that it is wrong
        for share, p in zip(shares, p_right, strict=False)
        if share is not None and p is not None
    ]


def _rated(part: Said) -> list[tuple[float, float]]:
    targets = by_people(part.record, "scalar")
    if isinstance(targets, str) or not part.scores:
        return []
    return [(part.scores[0], targets["scores"][0][""])]


def _of_rated(prompt: str, rows: Sequence[tuple[float, float]]) -> list[_Statement]:
    """Each two responses to a prompt that people scored differently."""
    return [
        _Statement(one[0] - other[0], float(one[1] > other[1]), prompt)
        for one, other in combinations(rows, 2)
        if one[1] != other[1]
    ]


def _statements(about: str, made: Sequence[_Statement]) -> Statements:
    codes = {prompt: number for number, prompt in enumerate(dict.fromkeys(part.prompt for part in made))}
    half = np.array([part.logit / 2 for part in made])
    label = np.array([part.label for part in made])
    columns = (1, 0) if about == "step" else (0, 1)  # a step's side, the wrong one, is the second column
    return Statements(
        about,
        np.stack([half, -half], axis=1)[:, columns],
        np.stack([label, 1 - label], axis=1)[:, columns],
        np.array([codes[part.prompt] for part in made], dtype=np.int64),
    )


def _logit(p: float) -> float:
    p = min(max(p, _SURE), 1 - _SURE)
    return math.log(p) - math.log1p(-p)
