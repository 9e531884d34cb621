"""Everything that decides what a reward model is and how it is trained: nested groups of plain values.

    RewardConfig(model=ModelConfig(…), loss=LossConfig(…), data=DataConfig(…), training=…, calibration=…)
    RewardConfig.of(kind="ensemble", learning_rate=1e-5, batch_size=16)        the same by flat names

A flat name is the name of a field; `OTHER_NAMES` lists what else is accepted. A configuration that was made holds
together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from judge.errors import ConfigError, unknown
from judge.rewards.registry import AGGREGATIONS, ENCODERS, FEATURE_BANKS, HEADS, KINDS, LOSSES, OPTIMIZERS, SCHEDULES
from judge.rewards.settings import typed

MEMBER_KINDS = ("heads", "adapters")
UNCERTAINTIES = ("auto", "members", "refit", "laplace", "dropout", "none")
DTYPES = ("auto", "float32", "bfloat16", "float16")
ATTENTIONS = ("auto", "flex", "flash", "sdpa", "products", "eager")
QUANTIZATIONS = ("", "8bit", "4bit")
LAYOUTS = ("auto", "packed", "padded")
EXAMPLE_WEIGHTS = ("", "confidence", "agreement")
CALIBRATION_METHODS = ("auto", "temperature", "isotonic", "none")
TRACKERS = ("tensorboard", "wandb", "comet_ml", "mlflow", "aim", "clearml", "dvclive", "swanlab", "trackio")

OTHER_NAMES: dict[str, str] = {
    # Names of earlier versions: in saved reward.json files, and accepted wherever a setting is named.
    "accumulate": "gradient_accumulation_steps",
    "bank": "feature_bank",
    "bank_size": "feature_bank_size",
    "batch": "batch_size",
    "calibration": "brier_coefficient",
    "centre": "center_rewards_coefficient",
    "checkpointing": "gradient_checkpointing",
    "classes": "step_classes",
    "clip": "max_grad_norm",
    "diversity": "diversity_coefficient",
    "evaluations": "evaluations_per_epoch",
    "floor": "min_lr_ratio",
    "freeze": "freeze_backbone",
    "head_rate": "head_lr_multiplier",
    "l2": "l2_coefficient",
    "lora_targets": "lora_target_modules",
    "patience": "early_stopping_patience",
    "rate": "learning_rate",
    "save_every": "save_steps",
    "schedule": "lr_scheduler_type",
    "trackers": "report_to",
    "validation": "validation_fraction",
    "warmup": "warmup_ratio",
    # Names of transformers, TRL and peft.
    "center_rewards": "center_rewards_coefficient",
    "lora_r": "lora_rank",
    "lr": "learning_rate",
    "model_name_or_path": "backbone",
    "num_train_epochs": "epochs",
    "optim": "optimizer",
    "per_device_train_batch_size": "batch_size",
}

PRESETS: dict[str, dict[str, Any]] = {
    # Shared extractor, K heads with LayerNorm drawn apart, a feature bank, diversity and calibration terms, warm-up.
    "enhanced": {
        "kind": "ensemble",
        "head": "mlp",
        "members": 5,
        "feature_bank": "fifo",
        "diversity_coefficient": 0.1,
        "brier_coefficient": 0.1,
        "dropout": 0.1,
        "warmup_ratio": 0.1,
    },
    # Llama 2 (Touvron et al. 2023): margin by how much better, cosine to a tenth.
    "llama-2": {"kind": "scalar", "loss": "margin", "lr_scheduler_type": "cosine", "epochs": 1, "warmup_ratio": 0.03},
}

_MANY = 1e12


def _one_of(default: str, names: Iterable[str]) -> Any:
    """A field whose value is one of a few names; "" where the default is ""."""
    return field(default=default, metadata={"names": names})


def _between(default: float, low: float, high: float) -> Any:
    """A field whose value is a number within bounds."""
    return field(default=default, metadata={"range": (low, high)})


class _Checked:
    """A group of settings whose values are checked against what their fields accept."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for setting in fields(self):  # type: ignore[arg-type]
            value = getattr(self, setting.name)
            names = setting.metadata.get("names")
            if names is not None and value not in names and not (value == "" and setting.default == ""):
                raise unknown(setting.name, str(value), names)
            low, high = setting.metadata.get("range", (value, value))
            if "range" in setting.metadata and not low <= value <= high:
                raise ConfigError(f"{setting.name}: found {value} (accepted: {low:g} to {high:g})")
        self._check()

    def _check(self) -> None:
        """Raise ConfigError for values that do not go together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(_Checked):
    """What the model is: its backbone, what stands on it, and which weights learn."""

    kind: str = _one_of("scalar", KINDS)
    """scalar, multi, outcome, process, ensemble or hierarchical."""
    backbone: str = ""
    """A model directory or a name on the hub."""
    encoder: str = _one_of("joint", ENCODERS)
    """joint (one sequence), fusion (two encoders) or cross (the response attends to the prompt)."""
    separate_encoders: bool = False
    """Whether prompts are read by an encoder with weights of its own (fusion and cross); else both sides share one."""
    head: str = _one_of("linear", HEADS)
    """linear, mlp, or likelihood (causal backbones: what their own language model thinks of every token)."""
    members: int = _between(5, 1, 1000)
    """How many members an ensemble has."""
    member_kind: str = _one_of("heads", MEMBER_KINDS)
    """Members are heads on shared features, or low-rank adapters of their own."""
    uncertainty: str = _one_of("auto", UNCERTAINTIES)
    """Where σ comes from: members (of an ensemble), refit, laplace, dropout, none; auto is laplace where it fits."""
    objectives: tuple[str, ...] = ()
    """Of a multi-objective model; empty for all that are scored."""
    objective_weights: tuple[float, ...] = ()
    """Their weights in the combined reward; empty for equal ones."""
    gated: bool = False
    """Whether a gate weighs the objectives by the prompt."""
    step_classes: int = 2
    """Classes of a step: 2 (right, wrong) or 3 (neutral too)."""
    aggregation: str = _one_of("min", AGGREGATIONS)
    """How the steps of a solution become one score: min, product, last or mean."""
    feature_bank: str = _one_of("", FEATURE_BANKS)
    """A memory of training features: fifo, reservoir, surprising, or "" for none."""
    feature_bank_size: int = _between(1024, 1, _MANY)
    """How many features the memory holds."""
    lora_rank: int = _between(0, 0, 4096)
    """Rank of low-rank adapters; 0 trains every weight."""
    lora_alpha: float = _between(16.0, 0, _MANY)
    """Scale of the adapters' product, over the rank."""
    lora_dropout: float = _between(0.0, 0, 0.99)
    """Dropout before an adapter."""
    lora_target_modules: tuple[str, ...] = ()
    """Modules that get adapters; empty for all linear ones."""
    quantization: str = _one_of("", QUANTIZATIONS)
    """Of the weights under low-rank adapters: 8bit, 4bit, or "" for none."""
    freeze_backbone: bool = False
    """Whether the head alone learns."""
    dropout: float = _between(0.0, 0, 0.99)
    """Dropout of backbone and head."""
    dtype: str = _one_of("auto", DTYPES)
    """Arithmetic: auto (bf16 where the hardware has it), float32, bfloat16 or float16."""
    attention: str = _one_of("auto", ATTENTIONS)
    """Attention kernel: auto, flex, flash, sdpa, products (CPU) or eager."""

    def _check(self) -> None:
        if self.step_classes not in (2, 3):
            raise ConfigError(f"step_classes: found {self.step_classes} (accepted: 2, right and wrong; 3, neutral too)")
        if self.objective_weights and len(self.objective_weights) != len(self.objectives):
            counts = f"{len(self.objective_weights)} objective_weights for {len(self.objectives)} objectives"
            raise ConfigError(f"{counts} (accepted: one each, or none)")
        if len(set(self.objectives)) != len(self.objectives):
            raise ConfigError(f"objectives: {', '.join(self.objectives)} name one twice")
        if self.member_kind == "adapters" and not self.lora_rank:
            raise ConfigError("member_kind adapters needs a lora_rank above 0")
        if self.kind == "ensemble" and self.members < 2:
            raise ConfigError(f"members: found {self.members} (accepted: 2 or more for an ensemble)")
        if self.freeze_backbone and self.lora_rank:
            raise ConfigError("freeze_backbone trains the head alone; it takes no lora_rank")
        if self.quantization and not self.lora_rank:
            raise ConfigError(f"quantization {self.quantization} needs a lora_rank above 0: such weights do not learn")
        if self.head == "likelihood":
            self._check_likelihood()
        self._check_uncertainty()
        if self.encoder != "joint" and self.kind in ("process", "hierarchical"):
            raise ConfigError(f"kind {self.kind} reads one sequence; it takes encoder joint, not {self.encoder}")
        if self.separate_encoders and self.encoder == "joint":
            raise ConfigError("separate_encoders: encoder joint reads one sequence (accepted: encoder fusion, cross)")

    def _check_likelihood(self) -> None:
        if self.encoder != "joint" or self.kind in ("multi", "hierarchical"):
            raise ConfigError(f"head likelihood reads one sequence, for one verdict: not {self.encoder}, {self.kind}")
        if self.kind == "process" and self.step_classes == 3:
            raise ConfigError("head likelihood tells right from wrong; it takes step_classes 2")
        if self.kind == "ensemble" and self.member_kind == "adapters":
            raise ConfigError("head likelihood has members of its own; it takes no adapters as members")

    def _check_uncertainty(self) -> None:
        if self.uncertainty in ("auto", "none"):
            return
        if self.kind == "process" or self.has_gate:
            why = "kind process says a verdict a step" if self.kind == "process" else "a gate weighs text by text"
            raise ConfigError(f"uncertainty {self.uncertainty}: {why} (accepted: auto, none)")
        if self.uncertainty == "members" and self.kind != "ensemble":
            raise ConfigError(f"uncertainty members needs kind ensemble, not {self.kind} (accepted: refit, laplace)")
        if self.uncertainty == "dropout" and (self.head == "likelihood" or self.kind == "hierarchical"):
            raise ConfigError("uncertainty dropout needs head linear or mlp, of a kind that reads one state a text")

    @property
    def has_gate(self) -> bool:
        """Whether a gate weighs the objectives: `gated` of a multi-objective model."""
        return self.gated and self.kind == "multi"

    @property
    def uncertainty_method(self) -> str:
        """The method of a new model: what was named, else laplace (of adapters members, of steps and gates none)."""
        if self.uncertainty != "auto":
            return self.uncertainty
        if self.kind == "process" or self.has_gate:
            return "none"
        return "members" if self.kind == "ensemble" and self.member_kind == "adapters" else "laplace"

    @property
    def saved_uncertainty(self) -> str:
        """The method of a saved model; those of earlier versions name none, and ensembles had their members'."""
        if self.uncertainty != "auto":
            return self.uncertainty
        return "members" if self.kind == "ensemble" else "none"

    @property
    def outputs(self) -> int:
        """How many numbers the head gives at each place where it reads: C."""
        match self.kind:
            case "multi":
                return max(1, len(self.objectives))
            case "ensemble":
                return self.members
            case "process":
                return self.step_classes
            case _:
                return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig(_Checked):
    """What the training minimises: a loss and the terms added to it."""

    name: str = ""
    """A loss of `judge.rewards.registry.LOSSES`; "" for the kind's own. Its flat name is `loss`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the loss. Their flat names are `loss.NAME`, all together `loss_arguments`."""
    center_rewards_coefficient: float = _between(0.0, 0, _MANY)
    """Of the mean squared sum of a pair's rewards (Eisenstein et al. 2023); 0.01 is usual."""
    l2_coefficient: float = _between(0.0, 0, _MANY)
    """Of the mean squared reward."""
    diversity_coefficient: float = _between(0.0, 0, _MANY)
    """Of the members' agreement in an ensemble (Liu & Yao 1999)."""
    brier_coefficient: float = _between(0.0, 0, _MANY)
    """Of the Brier score (1950), which pulls back probabilities that are too sure."""
    contrastive_coefficient: float = _between(0.0, 0, _MANY)
    """Of the contrast between features of good and of bad texts in the feature bank (Wu et al. 2018)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig(_Checked):
    """How examples become batches, and which of them are held out."""

    max_length: int = _between(2048, 8, _MANY)
    """Tokens of prompt and response together; longer prompts are cut on their left."""
    layout: str = _one_of("auto", LAYOUTS)
    """packed (all texts in one row, no padding), padded, or auto: packed where the backbone can."""
    shared_prefix: bool = True
    """Whether a prompt is computed once for all its responses (packed batches alone)."""
    validation_fraction: float = _between(0.1, 0, 0.9)
    """Share of the examples held out, whole prompts at a time."""
    bootstrap: bool = True
    """Whether each member of an ensemble sees each prompt with a weight of its own."""
    example_weights: str = _one_of("", EXAMPLE_WEIGHTS)
    """Weights of training examples: confidence (of soft labels), agreement (of several people), or "" for none; the
    formulas stand in data/weights.py."""
    class_balance: bool = False
    """Whether the classes of outcomes or steps have the same share of the loss."""
    split_seed: int = -1
    """Which prompts are held out; -1 takes `seed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(_Checked):
    """How long, how fast and by which optimizer the weights are trained."""

    seed: int = 0
    """Every draw follows from it."""
    epochs: float = _between(1.0, 1e-9, 1e6)
    """How often every example is seen."""
    batch_size: int = _between(8, 1, _MANY)
    """Examples a forward pass and device."""
    batch_tokens: int = _between(0, 0, _MANY)
    """Most tokens of a forward pass: a batch of more is computed in parts, whose gradients add up; 0 for no limit."""
    gradient_accumulation_steps: int = _between(1, 1, _MANY)
    """Forward passes an optimizer step."""
    optimizer: str = _one_of("adamw", OPTIMIZERS)
    """adamw, adamw_8bit (its moments in 8 bits), or muon for the hidden matrices."""
    learning_rate: float = _between(0.0, 0, 10)
    """The highest rate; 0 takes one by the backbone's width, see training/optimizers.py."""
    head_lr_multiplier: float = _between(1.0, 0, 1e6)
    """The head's rate, as a multiple of the learning rate."""
    warmup_ratio: float = _between(0.05, 0, 1)
    """Share of the steps over which the rate rises."""
    lr_scheduler_type: str = _one_of("cosine", SCHEDULES)
    """cosine, linear or constant."""
    min_lr_ratio: float = _between(0.0, 0, 1)
    """Where the schedule ends, as a share of the learning rate."""
    weight_decay: float = _between(0.0, 0, 10)
    """Of the backbone's matrices; vectors, embeddings and heads do not decay."""
    l2_sp: float = _between(0.0, 0, _MANY)
    """Pull of the backbone's weights to where they began, per unit of the rate (L2-SP, Li et al. 2018)."""
    max_grad_norm: float = _between(1.0, 0, _MANY)
    """Longer gradients are shortened to it; 0 leaves them as they are."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass, which saves memory."""
    early_stopping_patience: int = _between(0, 0, _MANY)
    """Validations without a lower loss before training stops; 0 never stops it."""
    evaluations_per_epoch: int = _between(2, 1, _MANY)
    """How many times an epoch the validation part is looked at."""
    best_by: str = ""
    """The figure that the kept weights and early stopping go by: a figure of the validation part (accuracy), or of
    `--eval` data (its name, or NAME_figure); "" for the validation loss, and for early stopping alone."""
    save_steps: int = _between(0, 0, _MANY)
    """Steps between checkpoints; 0 writes one at each evaluation."""
    save_minutes: float = _between(5.0, 0, _MANY)
    """Minutes after which a checkpoint is written besides; 0 for none."""
    report_to: tuple[str, ...] = ()
    """Trackers of accelerate: tensorboard, wandb, …"""

    def _check(self) -> None:
        for tracker in self.report_to:
            if tracker not in TRACKERS:
                raise unknown("tracker", tracker, TRACKERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationConfig(_Checked):
    """How rewards become probabilities after training."""

    method: str = _one_of("auto", CALIBRATION_METHODS)
    """auto, temperature, isotonic or none. Its flat name is `calibration_method`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardConfig:
    """One reward model and its training."""

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    preset: str = ""
    """The preset whose values stand below those that were given, "" for none."""

    def __post_init__(self) -> None:
        if self.preset and self.preset not in PRESETS:
            raise unknown("preset", self.preset, PRESETS)
        if self.model.encoder != "joint" and self.data.layout == "packed":
            raise ConfigError(f"encoder {self.model.encoder} reads padded batches; leave out layout packed")
        if self.loss.contrastive_coefficient and not self.model.feature_bank:
            raise ConfigError("contrastive_coefficient needs a memory to compare with (accepted: feature_bank fifo, …)")
        if self.loss.contrastive_coefficient and self.training.batch_tokens:
            raise ConfigError("contrastive_coefficient compares whole batches with the memory: no batch_tokens")
        if self.training.l2_sp and (self.model.lora_rank or self.model.freeze_backbone):
            raise ConfigError(
                "l2_sp pulls the backbone's own weights, which do not move here (no lora_rank, no freeze)"
            )

    @classmethod
    def of(cls, **values: Any) -> "RewardConfig":
        """A configuration by flat names: `RewardConfig.of(kind="scalar", learning_rate=1e-5)`.

        Raises:
            ConfigError: for a value of the wrong type, out of bounds, or that does not go with the others.
            UnknownNameError: for a name that is no setting.
        """
        return cls().updated(**values)

    def updated(self, **values: Any) -> "RewardConfig":
        """A copy with some settings changed, by flat names; texts are read as their field's type.

        A preset's values stand below those given with it: `preset="enhanced", members=7` has seven heads.

        Raises:
            ConfigError: for a value of the wrong type, out of bounds, or that does not go with the others.
            UnknownNameError: for a name that is no setting.
        """
        named = canonical_settings(values)
        preset = named.pop("preset", "") or ""
        if preset and preset not in PRESETS:
            raise unknown("preset", str(preset), PRESETS)
        changes: dict[str, dict[str, Any]] = {}
        for name, value in {**PRESETS.get(preset, {}), **named}.items():
            group, setting = _PLACES[name]
            changes.setdefault(group, {})[setting] = typed(name, value, _DEFAULTS[name])
        groups = {group: replace(getattr(self, group), **changed) for group, changed in changes.items()}
        return replace(self, preset=preset or self.preset, **groups)

    @property
    def loss_name(self) -> str:
        """The loss, the kind's own where none was named."""
        return LOSSES.canonical(self.loss.name) if self.loss.name else KINDS[self.model.kind].loss

    @property
    def split_seed(self) -> int:
        """The seed that draws the validation part."""
        return self.training.seed if self.data.split_seed < 0 else self.data.split_seed

    def flat(self) -> dict[str, Any]:
        """Plain JSON values of every setting by its flat name."""
        values = {name: _plain(getattr(getattr(self, group), own)) for name, (group, own) in _PLACES.items()}
        return {**values, "preset": self.preset}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values of every setting, group by group."""
        groups = {
            group: {key: _plain(value) for key, value in asdict(getattr(self, group)).items()} for group in GROUPS
        }
        return {**groups, "preset": self.preset}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "RewardConfig":
        """A configuration from plain values, group by group, or flat with the names of earlier versions.

        Raises:
            ConfigError: for a value that its setting does not accept.
            UnknownNameError: for a name that is no setting.
        """
        if not isinstance(row.get("model"), Mapping):
            return _without_preset(row)
        values: dict[str, Any] = {}
        for group in GROUPS:
            for name, value in row.get(group, {}).items():
                values[_FLAT.get((group, name), name)] = value
        return _without_preset({**values, "preset": row.get("preset", "")})


GROUPS: dict[str, type[_Checked]] = {
    "model": ModelConfig,
    "loss": LossConfig,
    "data": DataConfig,
    "training": TrainingConfig,
    "calibration": CalibrationConfig,
}
# Where a field's own name would say too little, or stands for two.
_FLAT = {
    ("loss", "name"): "loss",
    ("loss", "arguments"): "loss_arguments",
    ("calibration", "method"): "calibration_method",
}
_PLACES: dict[str, tuple[str, str]] = {
    _FLAT.get((group, setting.name), setting.name): (group, setting.name)
    for group, kind in GROUPS.items()
    for setting in fields(kind)  # type: ignore[arg-type]
}
_DEFAULTS: dict[str, Any] = {name: getattr(GROUPS[group](), own) for name, (group, own) in _PLACES.items()}


def canonical_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names of today; ConfigError for a setting that is named twice, by two of its names."""
    named: dict[str, Any] = {}
    for name, value in values.items():
        setting = OTHER_NAMES.get(name, name)
        if setting not in _PLACES and setting != "preset":
            raise unknown("setting", name, [*_PLACES, *OTHER_NAMES, "preset"])
        if setting in named:
            names = [given for given in values if OTHER_NAMES.get(given, given) == setting]
            raise ConfigError(f"{setting} is given twice, as {' and as '.join(names)}")
        named[setting] = value
    if named.get("loss"):
        named["loss"] = LOSSES.canonical(str(named["loss"]))
    return named


def _without_preset(row: Mapping[str, Any]) -> RewardConfig:
    """All values were written out when they were saved, so a preset is a name alone."""
    config = RewardConfig.of(**{name: value for name, value in row.items() if name != "preset"})
    return replace(config, preset=str(row.get("preset") or ""))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
