"""Shaped scores of a record: its responses' lengths, truths and divergences, and the shaping put to its numbers."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from judge.records import Pair, Ranking, Record, responses_of, spoken
from judge.rewards.data.label_conversion import correctness
from judge.rewards.reward import Reward
from judge.rewards.shaping import Shaping, sequence_kl


def shaped_numbers(numbers: Mapping[str, Any], record: Record, shaping: Shaping) -> dict[str, Any]:
    """A record's numbers with shaped `scores`; the scores before stay as `unshaped`, reasons where there is none.

    Args:
        numbers: as `inference.judgements.judged` makes them, already cautious and normalized.
        record: what was scored.
        shaping: without `lower` and `normalize`, which are in the numbers.
    """
    lengths = [len(spoken(response)) for response in responses_of(record)]
    columns = zip(numbers["scores"], lengths, truths_of(record), kls_of(record), strict=True)
    rewards = [shaping.shape(Reward(value=v), length=length, truth=t, kl=kl) for v, length, t, kl in columns]
    shown = {**numbers, "scores": [reward.value for reward in rewards], "unshaped": numbers["scores"]}
    reasons = [reward.reason for reward in rewards]
    return shown | ({"reasons": reasons} if any(reasons) else {})


def truths_of(record: Record) -> list[float | None]:
    """Of each response its truth by the people's labels, 1 right and 0 wrong; None where they do not say.

    Of a pair the better is 1 and the worse 0 (a tie: both 0.5); of a ranking those named right are 1.
    """
    match record:
        case Pair():
            values = [{"first": 1.0, "second": 0.0}.get(str(label.verdict), 0.5) for label in _whole(record)]
            return [fmean(values), 1 - fmean(values)] if values else [None, None]
        case Ranking():
            named = [label.verdict for label in record.human if label.criterion == "correct"]
            right = [verdict for verdict in named if isinstance(verdict, tuple)]
            return [
                fmean(float(index in verdict) for verdict in right) if right else None
                for index in range(len(record.responses))
            ]
        case _:
            votes = correctness(record)
            return [fmean(votes) if votes else None]


def kls_of(record: Record) -> list[float | None]:
    """Of each response its divergence: `meta["kl"]`, or `meta["logprobs"]` and `meta["reference_logprobs"]` of its
    tokens; of several responses a list of these."""
    count = len(responses_of(record))
    meta = record.meta
    if "kl" in meta:
        return _each(meta["kl"], count)
    policy, reference = meta.get("logprobs"), meta.get("reference_logprobs")
    if not policy or not reference:
        return [None] * count
    rows = ([policy], [reference]) if isinstance(policy[0], int | float) else (policy, reference)
    return [sequence_kl(*pair) for pair in zip(*rows, strict=True)]


def _each(value: float | Sequence[float], count: int) -> list[float | None]:
    values = [value] if isinstance(value, int | float) else list(value)
    return [float(entry) for entry in values] if len(values) == count else [None] * count


def _whole(record: Pair) -> list[Any]:
    return [label for label in record.human if not label.criterion]
