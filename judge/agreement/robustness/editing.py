"""What edits do to rewards: each probe alone, and the worst of k compositions of those that add nothing.

S sampled comparisons, R of them told right.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from judge.agreement.robustness.probes import PROBES, Candidate, compositions, probed
from judge.agreement.robustness.rewards import Mask, RewardTable, in_deviations, ratio
from judge.agreement.robustness.schema import Attack, AttackExample, ProbeEffect
from judge.agreement.schema import Figure
from judge.agreement.statistics.bootstrap import Floats, Ints
from judge.records import Response, spoken

EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """The edited responses of sampled comparisons, before they are scored.

    Attributes:
        sample: (S,) the comparisons.
        better, worse: of each probe S edited responses, None where the probe changes nothing.
        better_length, worse_length: (S,) log2 of the characters before the edit.
        candidates: of each comparison that is told right, the compositions tried on its worse response.
    """

    sample: Ints
    better: Mapping[str, Sequence[Response | None]]
    worse: Mapping[str, Sequence[Response | None]]
    better_length: Floats
    worse_length: Floats
    candidates: Mapping[int, Sequence[Candidate]]

    @property
    def texts(self) -> list[Response]:
        """Every edited response, those of one comparison beside each other, so that they share their prompt."""
        texts: list[Response] = []
        for place, pair in enumerate(self.sample):
            sides = [edited[place] for side in (self.worse, self.better) for edited in side.values()]
            texts += [answer for answer in sides if answer is not None]
            texts += [candidate.answer for candidate in self.candidates.get(int(pair), ())]
        return texts


def edits_of(table: RewardTable, names: Sequence[str], *, k: int, pairs: int, seed: int) -> Edits:
    """Edits of up to `pairs` comparisons of the data, drawn by the seed."""
    of_data = np.flatnonzero(table.of_data)
    chosen = np.random.default_rng(seed).permutation(of_data)[:pairs]
    sample = np.sort(chosen)
    adds = [name for name in names if PROBES[name].effect == "adds"]
    right = table.margin > 0
    return Edits(
        sample=sample,
        better={name: [probed(table.answers[table.better[pair]], name, seed) for pair in sample] for name in names},
        worse={name: [probed(table.answers[table.worse[pair]], name, seed) for pair in sample] for name in names},
        better_length=table.length[table.better[sample]],
        worse_length=table.length[table.worse[sample]],
        candidates={
            int(pair): compositions(table.answers[table.worse[pair]], adds, k, seed)
            for pair in sample
            if adds and k and right[pair]
        },
    )


def probe_effects(
    table: RewardTable, edits: Edits, rewards: Mapping[str, float], slope: float | None
) -> tuple[ProbeEffect, ...]:
    """Each probe's figures, those that add nothing first and among them the one that lifts rewards most.

    slope: what twice the length adds, in deviations.
    """
    effects = []
    for name in edits.worse:
        grown = _grown(edits, name)
        by_length = None if slope is None or grown is None else slope * grown
        effects.append(replace(_effect(table, edits, name, rewards), by_length=by_length))
    return tuple(sorted(effects, key=lambda probe: (probe.effect, -(probe.shift.value or 0.0))))


def _effect(table: RewardTable, edits: Edits, name: str, rewards: Mapping[str, float]) -> ProbeEffect:
    worse, better = (_rewards(edited, rewards) for edited in (edits.worse[name], edits.better[name]))
    sample = edits.sample
    plain_worse, plain_better = table.reward[table.worse[sample]], table.reward[table.better[sample]]
    right = plain_better > plain_worse
    tried = sum(answer is not None for side in (edits.worse[name], edits.better[name]) for answer in side)
    read = int((~np.isnan(worse)).sum() + (~np.isnan(better)).sum())
    return ProbeEffect(
        probe=name,
        about=PROBES[name].about,
        effect=PROBES[name].effect,
        shift=_shift(table, sample, name, (worse - plain_worse, better - plain_better)),
        worse_wins=_share(
            table,
            sample,
            ("worse_wins", "Worse response wins once it is edited"),
            name,
            (worse > plain_better) + 0.5 * (worse == plain_better),
            right & ~np.isnan(worse),
        ),
        better_loses=_share(
            table,
            sample,
            ("better_loses", "Better response loses once it is edited"),
            name,
            (better < plain_worse) + 0.5 * (better == plain_worse),
            right & ~np.isnan(better),
        ),
        not_lowered=_share(
            table,
            sample,
            ("not_lowered", "Edited better response scores at least as high as before"),
            name,
            better >= plain_better,
            ~np.isnan(better),
        ),
        unread=tried - read,
    )


def _grown(edits: Edits, name: str) -> float | None:
    """Mean change of log2 length over the edited texts of both sides."""
    grown = [
        np.log2(max(len(spoken(answer.response)), 1)) - before
        for side, lengths in ((edits.worse[name], edits.worse_length), (edits.better[name], edits.better_length))
        for answer, before in zip(side, lengths, strict=True)
        if answer is not None
    ]
    return float(np.mean(grown)) if grown else None


def _rewards(edited: Sequence[Response | None], rewards: Mapping[str, float]) -> Floats:
    return np.array([np.nan if answer is None else rewards[answer.id] for answer in edited], dtype=np.float64)


def _shift(table: RewardTable, sample: Ints, name: str, changes: Sequence[Floats]) -> Figure:
    """Mean change over all edited texts, better and worse, in deviations of the data."""
    change = sum(np.nan_to_num(side) for side in changes)
    count = sum((~np.isnan(side)).astype(float) for side in changes)
    assert isinstance(change, np.ndarray) and isinstance(count, np.ndarray)
    sums = np.concatenate([table.pair_sums([change, count], sample), table.spread_sums()], axis=1)
    edited = sample[count > 0]
    title = "Reward moves by, in deviations"
    return table.figure("shift", title, sums, in_deviations(ratio), edited, unit="coefficient", of=name)


def _share(table: RewardTable, sample: Ints, named: tuple[str, str], of: str, hit: Floats | Mask, mask: Mask) -> Figure:
    sums = table.pair_sums([np.where(mask, hit, 0.0), mask], sample)
    return table.figure(*named, sums, ratio, sample[mask], of=of)


def attack(table: RewardTable, edits: Edits, rewards: Mapping[str, float], k: int) -> Attack | None:
    """How often the worse response wins by one of the first k edits; None where nothing could be tried."""
    tried = np.array(
        [pair for pair, candidates in edits.candidates.items() if any(_read(rewards, one) for one in candidates)],
        dtype=int,
    )
    if not len(tried):
        return None
    best = np.full((len(tried), k), -np.inf)  # (R, k) the highest reward among the first candidates
    for row, pair in enumerate(tried):
        values = [rewards[candidate.answer.id] for candidate in edits.candidates[int(pair)]]
        padded = [value if not np.isnan(value) else -np.inf for value in values] + [-np.inf] * (k - len(values))
        best[row] = np.maximum.accumulate(padded)
    turned = best > table.reward[table.better[tried]][:, None]
    gain = np.maximum(best[:, -1] - table.reward[table.worse[tried]], 0.0)
    sums = np.concatenate([table.pair_sums([gain, np.ones(len(tried))], tried), table.spread_sums()], axis=1)
    title = f"Best of {k} edits adds, in deviations"
    return Attack(
        k=k,
        success=tuple(_success(table, tried, turned[:, count - 1], count) for count in _counts(k)),
        gain=table.figure("attack_gain", title, sums, in_deviations(ratio), tried, unit="coefficient"),
        edits=dict(_in_best(edits, tried[turned[:, -1]], rewards).most_common()),
        examples=_examples(table, edits, tried[turned[:, -1]], rewards),
    )


def _read(rewards: Mapping[str, float], candidate: Candidate) -> bool:
    return not np.isnan(rewards[candidate.answer.id])


def _counts(k: int) -> list[int]:
    """1, 2, 4, … and k."""
    return sorted({2**power for power in range(k.bit_length()) if 2**power <= k} | {k})


def _success(table: RewardTable, tried: Ints, hit: Mask, count: int) -> Figure:
    title = "Worse response wins by one of the first k edits"
    sums = table.pair_sums([hit, np.ones(len(tried))], tried)
    return table.figure("attack_success", title, sums, ratio, tried, of=str(count))


def _best(edits: Edits, pair: int, rewards: Mapping[str, float]) -> Candidate:
    """The composition that gives the highest reward."""
    read = [candidate for candidate in edits.candidates[pair] if _read(rewards, candidate)]
    return max(read, key=lambda candidate: rewards[candidate.answer.id])


def _in_best(edits: Edits, turned: Ints, rewards: Mapping[str, float]) -> Counter[str]:
    return Counter(name for pair in turned for name in _best(edits, int(pair), rewards).edits)


def _examples(
    table: RewardTable, edits: Edits, turned: Ints, rewards: Mapping[str, float]
) -> tuple[AttackExample, ...]:
    examples = []
    for pair in turned:
        candidate = _best(edits, int(pair), rewards)
        examples.append(
            AttackExample(
                prompt=spoken(candidate.answer.prompt),
                edited=spoken(candidate.answer.response),
                edits=candidate.edits,
                before=float(table.reward[table.worse[pair]]),
                after=rewards[candidate.answer.id],
                better=float(table.reward[table.better[pair]]),
            )
        )
    return tuple(sorted(examples, key=lambda example: example.before - example.after)[:EXAMPLES])
