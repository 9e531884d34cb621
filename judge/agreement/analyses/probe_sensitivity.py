"""How often a verdict moved when something changed that should not matter.

Takes verdicts by id and the links between a record and its probes; a row without two readable verdicts is counted
apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from judge.agreement.analyses.judge_metrics import ratio
from judge.agreement.schema import Figure, ProbeResult
from judge.agreement.statistics.bootstrap import Resampler
from judge.judgements import shape_of

_TURNED = {"first": "second", "second": "first", "tie": "tie"}
_WORTH = {"first": 1.0, "tie": 0.0, "second": -1.0}


class Link(NamedTuple):
    """A record, its probe, and the id of the changed record; side: the response that was changed."""

    of: str
    probe: str
    side: str
    changed: str


def verdict_of(judgement: Mapping[str, Any]) -> Any:
    """What counts as the verdict of a judgement row: None when it could not be read."""
    form = shape_of(judgement["task"]).form
    if form == "steps":
        return judgement.get("first_wrong")
    if form == "scores":
        values = dict(judgement["verdict"])
        return None if None in values.values() else values
    return judgement["verdict"]


def moved(
    verdicts: Mapping[str, Any], links: Iterable[Link], about: Mapping[str, str], *, seed: int, resamples: int = 1_000
) -> tuple[ProbeResult, ...]:
    """Each probe's figures, rows clustered by the record they come from (one a probe, so a plain bootstrap), the probe
    that moves most verdicts first. about: what each probe changes, in words."""
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    lost: dict[str, int] = defaultdict(int)
    for link in links:
        before, after = verdicts.get(link.of), verdicts.get(link.changed)
        if before is None or after is None:
            lost[link.probe] += 1
            rows[link.probe] += []
            continue
        rows[link.probe].append(_compare(before, after, link))
    results = [_figures(probe, about[probe], changes, lost[probe], seed, resamples) for probe, changes in rows.items()]
    return tuple(sorted(results, key=lambda result: -(result.moved.value or 0.0)))


def _compare(before: Any, after: Any, link: Link) -> tuple[float, float]:
    """Whether the verdict changed, and whether in favour of the changed response."""
    if link.probe == "swap":
        return float(_TURNED[after] != before), 0.0
    changed = float(after != before)
    if not changed:
        return 0.0, 0.0
    if link.side:
        gain = (_WORTH[after] - _WORTH[before]) * (1 if link.side == "first" else -1)
    elif isinstance(after, dict):
        gain = _total(after) - _total(before)
    elif isinstance(after, str):
        gain = (after == "right") - (before == "right")
    else:  # the first wrong step: later, or none, is kinder
        gain = (float("inf") if after < 0 else after) - (float("inf") if before < 0 else before)
    return changed, float(gain > 0)


def _total(scores: Mapping[str, float]) -> float:
    """The score of the whole, else that of all criteria together; a criterion of a checklist may count against it."""
    return float(scores.get("", sum(scores.values())))


def _figures(
    probe: str, about: str, changes: list[tuple[float, float]], lost: int, seed: int, resamples: int
) -> ProbeResult:
    count = len(changes)
    draw = Resampler(np.arange(count), resamples=resamples, seed=seed)
    told: list[Figure] = []
    for part, (name, title) in enumerate(
        (("moved", "Verdict moved"), ("toward", "Moved in favour of what was changed"))
    ):
        hit = np.array([row[part] for row in changes])
        sums = draw.by_block(np.column_stack([hit, np.ones(count)])) if count else np.zeros((1, 2))
        told.append(draw.figure(name, title, sums, ratio, rows=count, clusters=count, of=probe))
    return ProbeResult(probe=probe, about=about, moved=told[0], toward=told[1], lost=lost)
