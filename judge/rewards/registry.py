"""What the reward wing can be made of, each list declared once: losses, encoders, heads, feature banks, optimizers, …

A part is named by its home, `module:attribute`, as in an entry point. So names are known, and a wrong one is refused,
without importing torch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Any, NamedTuple

from judge.errors import unknown
from judge.registry import Registry


class PartTable(Registry[Any]):
    """Names of parts and what they stand for, imported when it is asked for.

    Attributes:
        what: what is registered, for messages: "loss", "head".
        renamed: earlier names and the names of today; both are accepted.
    """

    def __init__(
        self, what: str, homes: Mapping[str, str], *, renamed: Mapping[str, str] | None = None, group: str = ""
    ) -> None:
        super().__init__(group, homes, lambda name, part: part)
        self.what = what
        self.renamed = MappingProxyType(dict(renamed or {}))

    def canonical(self, name: str) -> str:
        """The name of today.

        Raises:
            UnknownNameError: for a name that is not registered.
        """
        spelled = name.replace("-", "_")
        for candidate in (name, spelled, self.renamed.get(spelled, "")):
            if candidate and candidate in self:
                return candidate
        raise unknown(self.what, name, self)

    def load(self, name: str) -> Any:
        """What a name stands for.

        Raises:
            UnknownNameError: for a name that is not registered.
            ConfigError: for a part of another package that cannot be imported.
        """
        return self[self.canonical(name)]


LOSSES = PartTable(
    "loss",
    {
        "adjacent_pairs": "judge.rewards.losses.listwise:adjacent_pairs",
        "bradley_terry": "judge.rewards.losses.pairwise:bradley_terry",
        "davidson": "judge.rewards.losses.pairwise:davidson",
        "focal": "judge.rewards.losses.pairwise:focal",
        "forward_correction": "judge.rewards.losses.noise_robust:forward_correction",
        "generalized_cross_entropy": "judge.rewards.losses.noise_robust:generalized_cross_entropy",
        "info_nce": "judge.rewards.losses.listwise:info_nce",
        "margin": "judge.rewards.losses.pairwise:margin",
        "outcome_cross_entropy": "judge.rewards.losses.pointwise:outcome_cross_entropy",
        "plackett_luce": "judge.rewards.losses.listwise:plackett_luce",
        "rao_kupper": "judge.rewards.losses.pairwise:rao_kupper",
        "ranknet": "judge.rewards.losses.pairwise:ranknet",
        "rdpo": "judge.rewards.losses.noise_robust:rdpo",
        "regression": "judge.rewards.losses.pointwise:regression",
        "scaled_bradley_terry": "judge.rewards.losses.pairwise:scaled_bradley_terry",
        "step_cross_entropy": "judge.rewards.losses.pointwise:step_cross_entropy",
        "symmetric_cross_entropy": "judge.rewards.losses.noise_robust:symmetric_cross_entropy",
        "triplet": "judge.rewards.losses.pairwise:triplet",
        "trimmed": "judge.rewards.losses.noise_robust:trimmed",
    },
    renamed={
        "adjacent": "adjacent_pairs",
        "contrastive": "info_nce",
        "forward": "forward_correction",
        "generalized": "generalized_cross_entropy",
        "log1p_exp": "ranknet",
        "margin_scaled": "scaled_bradley_terry",
        "outcome": "outcome_cross_entropy",
        "steps": "step_cross_entropy",
        "symmetric": "symmetric_cross_entropy",
        "unbiased": "rdpo",
    },
    group="rmjudge.losses",
)

ENCODERS = PartTable(
    "encoder",
    {
        "joint": "judge.rewards.modeling.encoders:JointEncoder",
        "fusion": "judge.rewards.modeling.encoders:FusionEncoder",
        "cross": "judge.rewards.modeling.encoders:CrossEncoder",
    },
)

HEADS = PartTable(
    "head",
    {
        "linear": "judge.rewards.modeling.heads:LinearHead",
        "mlp": "judge.rewards.modeling.heads:MlpHead",
        "likelihood": "judge.rewards.modeling.likelihood_head:LikelihoodHead",
    },
)

OPTIMIZERS = PartTable(
    "optimizer",
    {
        "adamw": "judge.rewards.training.optimizers:adamw",
        "adamw_8bit": "judge.rewards.training.optimizers:adamw_8bit",
        "muon": "judge.rewards.training.optimizers:muon",
    },
)

SCHEDULES = PartTable(
    "lr_scheduler_type",
    {
        "cosine": "judge.rewards.training.optimizers:cosine",
        "linear": "judge.rewards.training.optimizers:linear",
        "constant": "judge.rewards.training.optimizers:constant",
    },
)

FEATURE_BANKS = PartTable(
    "feature_bank",
    {
        "fifo": "judge.rewards.modeling.feature_bank:newest",
        "reservoir": "judge.rewards.modeling.feature_bank:even_sample",
        "surprising": "judge.rewards.modeling.feature_bank:surprising",
    },
)

EXTERNAL_PRMS = PartTable(
    "convention",
    {
        "trl": "judge.rewards.inference.external_prms:TRL",
        "math-shepherd": "judge.rewards.inference.external_prms:MATH_SHEPHERD",
        "rlhflow": "judge.rewards.inference.external_prms:RLHFLOW",
        "qwen": "judge.rewards.inference.external_prms:QWEN",
        "skywork": "judge.rewards.inference.external_prms:SKYWORK",
    },
)


class Kind(NamedTuple):
    """A kind of reward model.

    Attributes:
        loss: the loss that trains it unless another is named.
        learns_from: what its losses may read: comparisons, scores, outcomes, steps.
        gives: what its numbers are, in words.
    """

    loss: str
    learns_from: tuple[str, ...]
    gives: str


KINDS: dict[str, Kind] = {
    "scalar": Kind("bradley_terry", ("comparisons", "scores"), "one reward for a response"),
    "multi": Kind("regression", ("scores",), "a reward for each objective"),
    "outcome": Kind("outcome_cross_entropy", ("outcomes",), "the logit of P(the answer is correct)"),
    "process": Kind("step_cross_entropy", ("steps",), "a verdict after each step of a solution"),
    "ensemble": Kind(
        "bradley_terry",
        ("comparisons", "scores"),
        "{members} rewards for a response; their mean is the reward, their deviation its uncertainty",
    ),
    "hierarchical": Kind(
        "bradley_terry",
        ("comparisons", "outcomes"),
        "a reward from token, segment and response level",
    ),
}


def _last(values: Sequence[float]) -> float:
    return values[-1]


AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,  # a chain is as strong as its weakest step (Lightman et al. 2023 use both this and the product)
    "product": math.prod,  # P(all are right), were they independent
    "last": _last,  # a model that reads the whole so far (Snell et al. 2024)
    "mean": fmean,
}
