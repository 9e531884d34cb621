"""What decides an iteration, checked before anything is sampled."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from judge.errors import ConfigError, unknown
from judge.rewards.registry import KINDS
from judge.rewards.shaping import Shaping

LABELS = ("judge", "human", "truth")
IMPROVE = ("best-of", "grpo")
TASKS = {"outcome": "outcome", "process": "steps", "scalar": "score", "ensemble": "score", "multi": "score"}
"""Kind of reward model -> what a judge is asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationConfig:
    """The settings of all rounds; `judge.iterate` says what they mean."""

    policy: str
    judges: tuple[str, ...] = ()
    labels: str = "judge"
    task: str = ""
    kind: str = "outcome"
    backbone: str = "tiny"
    improve: str = "best-of"
    n: int = 8
    held_out: float = 0.25
    tolerance: float = 0.05
    engine: str = "hf"
    answer_prompt: str = ""
    temperature: float = 1.0
    max_tokens: int = 1024
    learning_rate: float = 1e-5
    epochs: float = 1.0
    batch_size: int = 8
    shaping: Shaping = field(default_factory=Shaping)
    reward_settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ConfigError for settings that are wrong or do not fit together."""
        for what, name, accepted in (
            ("labels", self.labels, LABELS),
            ("way to improve", self.improve, IMPROVE),
            ("kind", self.kind, KINDS),
        ):
            if name not in accepted:
                raise unknown(what, name, accepted)
        if self.labels == "judge" and not self.judges:
            raise ConfigError("iterate needs a judge, --judge (or labels=human, labels=truth)")
        if self.labels == "truth" and self.kind == "process":
            raise ConfigError("the truth of an answer labels no steps (accepted: kind=outcome, scalar or ensemble)")
        if self.labels == "judge" and not (self.task or self.kind in TASKS):
            raise ConfigError(f"kind {self.kind} needs the task that the judge is asked, --task")
        if self.n < 2 or not 0 < self.held_out < 1 or self.temperature <= 0:
            raise ConfigError(
                f"n {self.n}, held_out {self.held_out}, temperature {self.temperature} "
                "(accepted: n 2 and more, held_out between 0 and 1, temperature above 0)"
            )
        if self.improve == "grpo" and self.batch_size % self.n:
            raise ConfigError(
                f"batch_size {self.batch_size} is no number of whole groups (accepted: multiples of {self.n})"
            )

    @property
    def asked(self) -> str:
        """The task that the judge is asked."""
        return self.task or TASKS.get(self.kind, "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for iterate.json."""
        return {**asdict(self), "judges": list(self.judges), "shaping": self.shaping.to_dict()}
