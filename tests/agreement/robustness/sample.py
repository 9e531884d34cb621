"""Pairs of known length and quality, and scripted reward models whose behaviour is known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from judge.agreement.robustness.build import RobustnessConfig, examine
from judge.agreement.robustness.comparisons import Comparisons, compare
from judge.agreement.robustness.rewards import RewardTable
from judge.agreement.robustness.schema import Robustness
from judge.agreement.statistics.bootstrap import Resampler
from judge.records import HumanLabel, Message, Pair, Response, spoken

GOOD = "good answer. It is as it should be."
POOR = "poor answer. It is not what it says."


def pair(number: int, better: str, worse: str, *, prompt: str = "", **meta: Any) -> Pair:
    """A pair; every second one has its better response in the second place."""
    first, second, verdict = (worse, better, "second") if number % 2 else (better, worse, "first")
    return Pair(
        prompt=(Message("user", prompt or f"number {number}, tell me of the weather"),),
        first=(Message("assistant", first),),
        second=(Message("assistant", second),),
        human=(HumanLabel(annotator="ann", verdict=verdict),),
        meta=meta,
    )


def comparisons(rows: Iterable[Pair]) -> Comparisons:
    return compare(("rows", record) for record in rows)


def by_text(reward: Callable[[str], float | None]) -> Callable[[Sequence[Response]], list[float | None]]:
    """A scorer that sees the response alone."""
    return lambda answers: [reward(spoken(answer.response)) for answer in answers]


def examined(
    rows: Iterable[Pair],
    reward: Callable[[str], float | None],
    shifted: Iterable[Pair] | None = None,
    **config: Any,
) -> Robustness:
    outside = None if shifted is None else comparisons(shifted)
    return examine("model", by_text(reward), comparisons(rows), outside, RobustnessConfig(**config))


def names(report: Robustness) -> set[str]:
    return {finding.name for finding in report.findings}


def drawn_table(margins: Mapping[bool, Any], *, prompts: Mapping[bool, Any], seed: int) -> RewardTable:
    """A table of drawn margins, of the data (False) and of shifted data (True); prompts: the prompt of each pair."""
    margin = np.concatenate([margins[False], margins[True]])
    group = np.concatenate([prompts[False], prompts[True]])
    count = len(margin)
    is_shifted = np.concatenate([np.zeros(len(margins[False]), bool), np.ones(len(margins[True]), bool)])
    return RewardTable(
        answers=[],
        reward=np.concatenate([margin, np.zeros(count)]),
        length=np.zeros(2 * count),
        group=np.concatenate([group, group]),
        better=np.arange(count),
        worse=np.arange(count) + count,
        places=np.arange(count),
        shifted=np.concatenate([is_shifted, is_shifted]),
        draw=Resampler(np.concatenate([group, group]), resamples=300, seed=seed),
    )
