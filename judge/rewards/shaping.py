"""Shaping: what becomes of a reward before it is trained on, one implementation for scores, hooks and servers.

    r   the source's reward            σ      its standard deviation
    m, s  the mean and deviation to normalise by
    L   the response's length in characters
    t   its truth                      KL     how far the policy is from its reference on this response

The steps, in this order; each is left out unless it is asked for:

    1. lower            r ← r - λ σ                        a cautious reward (Coste et al. 2023, "Reward Model
                                                           Ensembles Help Mitigate Overoptimization", eq. 4 with σ)
    2. normalize        r ← (r - m) / s                    (Stiennon et al. 2020, section 3.4, who subtract m)
    3. clip             r ← min(max(r, low), high)         (Gao et al. 2024, "On Designing Effective RL Reward")
    4. truth_weight     r ← α r + (1 - α) t,  w = 1 - α    a reward that can be verified beside one that is learnt
    5. length_penalty   r ← r - c max(0, L - target)       (DAPO, Yu et al. 2025, eq. 13, linear and without a floor)
    6. kl_coefficient   r ← r - β KL                       (Stiennon et al. 2020, section 3.4: KL = log π - log π_ref)

A step that is asked for and whose input is missing leaves no reward and says what is missing: a number made without it
would be compared with others that have it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from judge.errors import ConfigError, InputError, unknown
from judge.rewards.reward import Reward, RewardSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """How rewards are shaped; the module's docstring has the order and the formulas.

    Attributes:
        lower: λ, how many standard deviations are taken off.
        normalize: whether rewards have mean 0 and deviation 1: True by the source's own calibration data, or (m, s).
        clip: (low, high), the bounds of a reward; a text is LOW:HIGH.
        truth_weight: w = 1 - α, the share of the truth in the reward; 0 is the source alone, 1 the truth alone.
        length_penalty: c, what each character beyond `length_target` costs.
        length_target: how many characters are free.
        kl_coefficient: β, what a nat of divergence from the reference costs.
    """

    lower: float = 0.0
    normalize: bool | tuple[float, float] = False
    clip: tuple[float, float] | str | None = None
    truth_weight: float = 0.0
    length_penalty: float = 0.0
    length_target: int = 0
    kl_coefficient: float = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a number out of its range."""
        if isinstance(self.clip, str):
            object.__setattr__(self, "clip", _bounds(self.clip))
        for name in ("lower", "length_penalty", "length_target", "kl_coefficient"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"shaping: {name} is {getattr(self, name)} (accepted: 0 and above)")
        if not 0 <= self.truth_weight <= 1:
            raise ConfigError(f"shaping: truth_weight is {self.truth_weight} (accepted: 0 to 1)")
        if self.clip is not None and not float(self.clip[0]) < float(self.clip[1]):
            raise ConfigError(f"shaping: clip is {self.clip[0]}:{self.clip[1]} (accepted: LOW:HIGH, LOW below HIGH)")
        if isinstance(self.normalize, Sequence) and not (len(self.normalize) == 2 and self.normalize[1] > 0):
            raise ConfigError(f"shaping: normalize is {self.normalize} (accepted: true, or mean and deviation above 0)")

    @classmethod
    def of(cls, shaping: "Shaping | Mapping[str, Any] | None") -> "Shaping":
        """A shaping; a mapping has the names of its fields.

        Raises:
            UnknownNameError: for another name. ConfigError: for a number out of its range.
        """
        if isinstance(shaping, Shaping):
            return shaping
        names = [field.name for field in fields(cls)]
        for name in shaping or {}:
            if name not in names:
                raise unknown("part of a shaping", name, names)
        return cls(**(shaping or {}))

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self != Shaping(length_target=self.length_target)

    def to_dict(self) -> dict[str, Any]:
        """What is asked for, as plain values."""
        default = asdict(Shaping())
        return {name: value for name, value in asdict(self).items() if value != default[name]}

    def bound_to(self, source: RewardSource) -> "Shaping":
        """The same with numbers for `normalize=True`: mean and deviation over the source's calibration data.

        Raises:
            ConfigError: for a source that has none.
        """
        if self.normalize is not True:
            return self
        moments = getattr(source, "reward_moments", None)
        if moments is None:
            raise ConfigError(
                f"shaping: {source.name} has no calibration data to normalize by (accepted: (mean, deviation))"
            )
        return replace(self, normalize=tuple(moments))

    def shape(
        self, reward: Reward, *, length: int | None = None, truth: float | None = None, kl: float | None = None
    ) -> Reward:
        """A reward after all steps.

        Args:
            reward: as the source gives it.
            length: of the response, in characters.
            truth: of the response, 1 right, 0 wrong.
            kl: the divergence on this response, see `sequence_kl`.

        Returns:
            The shaped reward, with `std` in its units and `lower` one of these below it; members, objectives, steps,
            probability and novelty stay as the source gave them. A reward without a value stays as it is; so does one
            that is no finite number, or lacks what a step needs, with the reason.

        Raises:
            ConfigError: where `normalize=True` was not bound to a source.
        """
        reason = self._lacking(reward, length, truth, kl)
        if reward.value is None or reason:
            return replace(reward, value=None, lower=None, reason=reward.reason or reason)
        mean, scale = self._moments()
        std = reward.std or 0.0
        value = standardized(cautious(reward.value, std, self.lower), mean, scale)
        if self.clip is not None:
            value = min(max(value, float(self.clip[0])), float(self.clip[1]))
        share = 1 - self.truth_weight
        value = share * value + self.truth_weight * (truth or 0.0)
        value -= self.length_penalty * max(0, (length or 0) - self.length_target)
        value -= self.kl_coefficient * (kl or 0.0)
        if reward.std is None:
            return replace(reward, value=value, lower=None)
        std *= share / scale
        return replace(reward, value=value, std=std, lower=value - std)

    def _moments(self) -> tuple[float, float]:
        if self.normalize is True:
            raise ConfigError(
                "shaping: normalize=True is not bound to a source (accepted: normalize=(mean, deviation))"
            )
        return self.normalize or (0.0, 1.0)

    def _lacking(self, reward: Reward, length: int | None, truth: float | None, kl: float | None) -> str:
        """Why there is no shaped reward, "" where there is one."""
        if reward.value is not None and not math.isfinite(reward.value):
            return f"the reward is {reward.value}"
        needs = (
            ("lower", self.lower, reward.std, "a standard deviation"),
            ("truth_weight", self.truth_weight, truth, "a truth"),
            ("length_penalty", self.length_penalty, length, "a length"),
            ("kl_coefficient", self.kl_coefficient, kl, "log-probabilities of policy and reference"),
        )
        return next((f"{name} needs {need}" for name, weight, given, need in needs if weight and not _known(given)), "")


def cautious(value: float, std: float, lower: float) -> float:
    """r - λ σ, step 1."""
    return value - lower * std


def standardized(value: float, mean: float, scale: float) -> float:
    """(r - m) / s, step 2."""
    return (value - mean) / scale


def sequence_kl(logprobs: Sequence[float], reference_logprobs: Sequence[float]) -> float:
    """log π(y|x) - log π_ref(y|x) of one response y, the single-sample estimate of KL(π || π_ref).

    Args:
        logprobs: of the response's tokens under the policy that wrote it.
        reference_logprobs: of the same tokens under the reference.

    Raises:
        InputError: for different numbers of tokens.
    """
    if len(logprobs) != len(reference_logprobs):
        raise InputError(f"{len(logprobs)} log-probabilities of the policy, {len(reference_logprobs)} of the reference")
    return math.fsum(logprobs) - math.fsum(reference_logprobs)


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _bounds(text: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return float(low), float(high)
    except ValueError:
        raise ConfigError(f"shaping: clip is {text!r} (accepted: LOW:HIGH, such as -3:3)") from None
