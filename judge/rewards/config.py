"""Everything that decides what a reward model is and how it is trained: one flat row of plain values.

A row that was checked here holds together; what a loss takes as arguments is known to losses.py alone. This module
refuses to know torch, models and files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from judge.errors import ConfigError, unknown

KINDS = ("scalar", "multi", "outcome", "process", "ensemble", "hierarchical")
ENCODERS = ("joint", "fusion", "cross")
HEADS = ("linear", "mlp", "likelihood")
MEMBERS = ("heads", "adapters")
AGGREGATIONS = ("min", "product", "last", "mean")
DTYPES = ("auto", "float32", "bfloat16", "float16")
ATTENTIONS = ("auto", "flex", "flash", "sdpa", "products", "eager")
LAYOUTS = ("auto", "packed", "padded")
SCHEDULES = ("cosine", "linear", "constant")
OPTIMIZERS = ("adamw", "muon")
BANKS = ("", "fifo", "reservoir")
TRACKERS = ("tensorboard", "wandb", "comet_ml", "mlflow", "aim", "clearml", "dvclive", "swanlab", "trackio")

LOSS = {  # what a kind is trained by unless told otherwise
    "scalar": "bradley-terry",
    "multi": "regression",
    "outcome": "outcome",
    "process": "steps",
    "ensemble": "bradley-terry",
    "hierarchical": "bradley-terry",
}

PRESETS: dict[str, dict[str, Any]] = {
    # Shared extractor, K heads with LayerNorm drawn apart, a feature bank, diversity and calibration terms, warm-up.
    "enhanced": {
        "kind": "ensemble",
        "head": "mlp",
        "members": 5,
        "bank": "fifo",
        "diversity": 0.1,
        "calibration": 0.1,
        "dropout": 0.1,
        "warmup": 0.1,
    },
    # Llama 2 (Touvron et al. 2023): margin by how much better, cosine to a tenth.
    "llama-2": {"kind": "scalar", "loss": "margin", "schedule": "cosine", "epochs": 1, "warmup": 0.03},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One reward model and its training. Shares are in [0, 1]; an empty name means the kind's own default.

    kind: scalar | multi | outcome | process | ensemble | hierarchical. backbone: a directory or a hub name.
    encoder: joint (one sequence), fusion (two encoders), cross (the response attends to the prompt). head: linear, mlp,
    or likelihood (causal backbones: what their own language model thinks of every token).
    members, member_kind: of an ensemble; `heads` on shared features or low-rank `adapters`; bootstrap: whether a member
    sees each group with a weight of its own. objectives, objective_weights, gated: of a multi-objective model; no
    weights are equal ones. classes: of a step, 2 (right, wrong) or 3 (neutral too). aggregation: of steps to one score.
    loss, loss_arguments: see losses.py; centre, l2, diversity, calibration: coefficients of what is added to it, see
    penalties.py.
    lora_rank: 0 trains every weight. freeze: only the head learns.
    max_length: tokens of prompt and response together. layout: packed (no padding) or padded; shared_prefix: a prompt
    is computed once for all its responses (packed causal backbones alone).
    batch: examples a step and device, times accumulate. optimizer: adamw, or muon for the hidden matrices. rate: 0
    takes one by the backbone's width (train.py says which); head_rate: the head's, as a multiple. warmup: share of the
    steps. floor: where the schedule ends, as a share of the rate.
    patience: validations without a better figure before training stops, 0 never; evaluations: how many an epoch.
    validation: share of the groups held out. save_every: steps between checkpoints, 0 for one at each evaluation.
    """

    kind: str = "scalar"
    backbone: str = ""
    encoder: str = "joint"
    head: str = "linear"
    members: int = 5
    member_kind: str = "heads"
    bootstrap: bool = True
    objectives: tuple[str, ...] = ()
    objective_weights: tuple[float, ...] = ()
    gated: bool = False
    classes: int = 2
    aggregation: str = "min"
    loss: str = ""
    loss_arguments: Mapping[str, Any] = field(default_factory=dict)
    centre: float = 0.0
    l2: float = 0.0
    diversity: float = 0.0
    calibration: float = 0.0
    bank: str = ""
    bank_size: int = 1024
    lora_rank: int = 0
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ()
    freeze: bool = False
    preset: str = ""
    max_length: int = 2048
    dtype: str = "auto"
    attention: str = "auto"
    layout: str = "auto"
    shared_prefix: bool = True
    checkpointing: bool = False
    seed: int = 0
    epochs: float = 1.0
    batch: int = 8
    accumulate: int = 1
    optimizer: str = "adamw"
    rate: float = 0.0
    head_rate: float = 1.0
    warmup: float = 0.05
    schedule: str = "cosine"
    floor: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    dropout: float = 0.0
    patience: int = 0
    evaluations: int = 2
    validation: float = 0.1
    save_every: int = 0
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, accepted in _CHOICES.items():
            if getattr(self, name) not in accepted:
                raise unknown(name, str(getattr(self, name)), [one for one in accepted if one])
        for tracker in self.trackers:
            if tracker not in TRACKERS:
                raise unknown("tracker", tracker, TRACKERS)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name}: found {value} (accepted: {low:g} to {high:g})")
        self._fit()

    def _fit(self) -> None:
        """Raise ConfigError for values that do not go together."""
        if self.classes not in (2, 3):
            raise ConfigError(f"classes: found {self.classes} (accepted: 2, right and wrong; 3, neutral too)")
        if self.objective_weights and len(self.objective_weights) != len(self.objectives):
            found = f"{len(self.objective_weights)} objective_weights for {len(self.objectives)} objectives"
            raise ConfigError(f"{found} (accepted: one each, or none)")
        if len(set(self.objectives)) != len(self.objectives):
            raise ConfigError(f"objectives: {', '.join(self.objectives)} name one twice")
        if self.member_kind == "adapters" and not self.lora_rank:
            raise ConfigError("member_kind adapters needs a lora_rank above 0")
        if self.kind == "ensemble" and self.members < 2:
            raise ConfigError(f"members: found {self.members} (accepted: 2 or more for an ensemble)")
        if self.freeze and self.lora_rank:
            raise ConfigError("freeze trains the head alone; it takes no lora_rank")
        if self.head == "likelihood":
            self._fit_likelihood()
        if self.encoder != "joint" and self.layout == "packed":
            raise ConfigError(f"encoder {self.encoder} reads padded batches; leave out layout packed")
        if self.encoder != "joint" and self.kind in ("process", "hierarchical"):
            raise ConfigError(f"kind {self.kind} reads one sequence; it takes encoder joint, not {self.encoder}")

    def _fit_likelihood(self) -> None:
        if self.encoder != "joint" or self.kind in ("multi", "hierarchical"):
            raise ConfigError(f"head likelihood reads one sequence, for one verdict: not {self.encoder}, {self.kind}")
        if self.kind == "process" and self.classes == 3:
            raise ConfigError("head likelihood tells right from wrong; it takes classes 2")
        if self.kind == "ensemble" and self.member_kind == "adapters":
            raise ConfigError("head likelihood has members of its own; it takes no adapters as members")

    @property
    def loss_name(self) -> str:
        """The loss, the kind's own where none was named."""
        return self.loss or LOSS[self.kind]

    @property
    def outputs(self) -> int:
        """How many numbers the head gives at each place where it reads: C."""
        match self.kind:
            case "multi":
                return max(1, len(self.objectives))
            case "ensemble":
                return self.members
            case "process":
                return self.classes
            case _:
                return 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, every field."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Settings":
        """Settings from plain values; ConfigError or UnknownNameError for a field or value that is none."""
        return settings_with(cls(), row)


def settings_with(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Settings with some fields changed; a value of the wrong type or name is refused in one line.

    A preset's values stand below those given with it: `{"preset": "enhanced", "members": 7}` has seven heads.
    """
    known = {one.name for one in fields(Settings)}
    for name in values:
        if name not in known:
            raise unknown("setting", name, known)
    preset = values.get("preset") or ""
    if preset and preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    return replace(
        settings, **{name: _typed(name, value) for name, value in {**PRESETS.get(preset, {}), **values}.items()}
    )


def _typed(name: str, value: Any) -> Any:
    """A value as its field has it: whole numbers as fractions, lists and comma-separated texts as tuples."""
    default = getattr(_DEFAULTS, name)
    if isinstance(default, bool):
        accepted, fits = "true or false", isinstance(value, bool)
    elif isinstance(default, int):
        accepted, fits = "a whole number", isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, float):
        accepted, fits = "a number", isinstance(value, int | float) and not isinstance(value, bool)
        value = float(value) if fits else value
    elif isinstance(default, tuple):
        accepted = "a list of numbers" if name == "objective_weights" else "a list of names"
        value = tuple(_listed(value))
        if name == "objective_weights":
            fits = all(isinstance(one, int | float) for one in value)
        else:
            fits = all(isinstance(one, str) for one in value)
    elif isinstance(default, Mapping):
        accepted, fits = "an object", isinstance(value, Mapping)
    else:
        value = "" if value is None else value
        accepted, fits = "a name", isinstance(value, str)
    if not fits:
        raise ConfigError(f"{name}: found {value!r} (accepted: {accepted})")
    return value


def _listed(value: Any) -> Iterable[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value if isinstance(value, list | tuple) else [value]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


_MANY = 1e12
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "encoder": ENCODERS,
    "head": HEADS,
    "member_kind": MEMBERS,
    "aggregation": AGGREGATIONS,
    "dtype": DTYPES,
    "attention": ATTENTIONS,
    "layout": LAYOUTS,
    "schedule": SCHEDULES,
    "optimizer": OPTIMIZERS,
    "bank": BANKS,
    "preset": ("", *PRESETS),
}
_RANGES: dict[str, tuple[float, float]] = {
    "members": (1, 1000),
    "bank_size": (1, _MANY),
    "lora_rank": (0, 4096),
    "lora_alpha": (0, _MANY),
    "max_length": (8, _MANY),
    "epochs": (1e-9, 1e6),
    "batch": (1, _MANY),
    "accumulate": (1, _MANY),
    "rate": (0, 10),
    "head_rate": (0, 1e6),
    "warmup": (0, 1),
    "floor": (0, 1),
    "weight_decay": (0, 10),
    "clip": (0, _MANY),
    "dropout": (0, 0.99),
    "lora_dropout": (0, 0.99),
    "patience": (0, _MANY),
    "evaluations": (1, _MANY),
    "validation": (0, 0.9),
    "save_every": (0, _MANY),
    "centre": (0, _MANY),
    "l2": (0, _MANY),
    "diversity": (0, _MANY),
    "calibration": (0, _MANY),
}
_DEFAULTS = Settings()
