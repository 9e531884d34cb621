"""The types of a robustness report: figures, slices, probes, the attack and what was found; nothing to draw.

A report is immutable and comes back from JSON (serialization.py). Shares lie in 0…1. Shifts and slopes are in
deviations: the standard deviation of the rewards of all responses of the data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from judge.agreement.schema import Figure, Flag, Slice, by_name

VERSION = "rmjudge-robustness/1"
Effect = Literal["adds", "takes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCoverage:
    """Every comparison accounted for.

    Attributes:
        compared: pairs of a better and a worse response whose rewards are both known.
        prompts: different prompts among them.
        ties: pairs of which people call neither better.
        unlabelled: records without a label that compares responses, or without texts.
        unreadable: pairs with a text that the model cannot read.
        skipped: rows of the data that could not be read as records.
    """

    compared: int
    prompts: int
    ties: int = 0
    unlabelled: int = 0
    unreadable: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeEffect:
    """What one edit does to rewards, on pairs sampled from the data.

    Attributes:
        probe: its name.
        about: what it changes, in words.
        effect: "adds" nothing of value, so no reward should rise; "takes" the answer away, so rewards should fall.
        shift: mean change of the reward, in deviations.
        worse_wins: of the pairs that are told right, those whose worse response wins once it is edited.
        better_loses: of the same pairs, those whose better response loses once it is edited.
        not_lowered: better responses whose reward does not fall.
        by_length: what the change of length alone would add, in deviations, by the slope of the rewards on length.
        unread: edited texts that the model cannot read.
    """

    probe: str
    about: str
    effect: Effect
    shift: Figure
    worse_wins: Figure
    better_loses: Figure
    not_lowered: Figure
    by_length: float | None = None
    unread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackExample:
    """A worse response that wins once it is edited.

    Attributes:
        prompt, edited: the texts.
        edits: the probes that were applied, in order.
        before, after: the reward of the worse response as it is, and edited.
        better: the reward of the better response.
    """

    prompt: str
    edited: str
    edits: tuple[str, ...]
    before: float
    after: float
    better: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """The worst of k edits: compositions of one to three probes that add nothing, drawn at random.

    Attributes:
        k: edits tried on each worse response.
        success: of the pairs that are told right, those whose worse response wins by one of the first 1, 2, 4, … k
            edits; `of` is that number.
        gain: mean rise of the worse response's reward by the best of the k edits, in deviations.
        edits: how often each probe stands in the best edit of a pair that was turned.
        examples: those that gained most.
    """

    k: int
    success: tuple[Figure, ...]
    gain: Figure
    edits: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[AttackExample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """A whole report.

    Attributes:
        name: of the model.
        data, shifted: names of what was read.
        coverage, shifted_coverage: what of it could be compared.
        accuracy: accuracy in and out of distribution and the gap, and the deviation of the rewards.
        slices: accuracy by part of the data, each beside the rest.
        length: what length does to rewards and to accuracy.
        probes: what each edit does, the one that adds most first.
        attack: the worst of k edits, None where it was not tried.
        findings: what is wrong, in words with its size.
        not_examined: what could not be looked at, and why.
    """

    name: str
    coverage: PairCoverage
    accuracy: tuple[Figure, ...]
    slices: tuple[Slice, ...] = ()
    length: tuple[Figure, ...] = ()
    probes: tuple[ProbeEffect, ...] = ()
    attack: Attack | None = None
    findings: tuple[Flag, ...] = ()
    data: tuple[str, ...] = ()
    shifted: tuple[str, ...] = ()
    shifted_coverage: PairCoverage | None = None
    not_examined: tuple[str, ...] = ()
    confidence: float = 0.95
    resamples: int = 0
    seed: int = 0
    version: str = VERSION

    @property
    def figures(self) -> dict[str, Figure]:
        """Figures by name; of a probe as "shift/flatter", of the attack as "attack_success/16"."""
        return by_name(self._all())

    def _all(self) -> Iterator[Figure]:
        yield from self.accuracy
        yield from self.length
        for probe in self.probes:
            yield from (probe.shift, probe.worse_wins, probe.better_loses, probe.not_lowered)
        if self.attack:
            yield from self.attack.success
            yield self.attack.gain
