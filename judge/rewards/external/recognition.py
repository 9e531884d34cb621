"""What a directory of somebody else's reward model is, by its config and the headers of its weights.

No weights are loaded and no torch is imported, so that what cannot be read is refused at once, in one line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from judge.errors import ConfigError, InputError, unknown
from judge.files import file_hash
from judge.json_input import load_json
from judge.pretrained import tensor_shapes, weight_files
from judge.rewards.config import RewardConfig
from judge.rewards.external.makers import MAKERS, VALUE_HEAD, Maker, process_convention
from judge.rewards.registry import EXTERNAL_PRMS

CONFIG = "config.json"
Form = Literal["classifier", "head", "process", "remote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """Somebody else's reward model, known by its files.

    Attributes:
        folder: where it lies.
        name: what it was asked for by, a path or a name on the hub.
        form: a "classifier" of transformers, a plain backbone with a "head" of its makers' (`maker`), a "process" model
            (`convention`), or "remote": a class whose code lies in the directory.
        architecture: the class that config.json names.
        labels: what each output is called.
        problem_type: as config.json has it, "" where it says nothing.
        model_type: as config.json has it.
        tensors: the shapes of its weights by name.
        maker: of a head.
        convention: of a process model.
    """

    folder: Path
    name: str
    form: Form
    architecture: str
    labels: tuple[str, ...]
    problem_type: str
    model_type: str
    tensors: Mapping[str, tuple[int, ...]]
    maker: Maker | None = None
    convention: str = ""

    @property
    def kind(self) -> str:
        """scalar, multi (several outputs) or process."""
        if self.form == "process":
            return "process"
        return "multi" if len(self.labels) > 1 else "scalar"

    def hashes(self) -> dict[str, str]:
        """The hash of each file of its weights."""
        return {path.name: file_hash(path) for path in weight_files(self.folder, self.name)}

    def reward_config(self, weights: Mapping[str, float] | None = None) -> RewardConfig:
        """The model in our own terms.

        Args:
            weights: of the outputs by name, see `output_weights`.
        """
        if self.kind != "multi":
            return RewardConfig.of(kind=self.kind, backbone=str(self.folder), uncertainty="none")
        shares = output_weights(self, weights)
        return RewardConfig.of(
            kind="multi",
            backbone=str(self.folder),
            uncertainty="none",
            objectives=self.labels,
            objective_weights=tuple(shares[label] for label in self.labels),
        )


def output_weights(model: PublishedModel, weights: Mapping[str, float] | None = None) -> dict[str, float]:
    """How a model's several outputs become one reward: by weights, as named; those not named weigh nothing.

    Without any, outputs that are scores each (`problem_type` regression or multi_label_classification, or none with
    more than two) weigh the same. Classes of one softmax have no such mean.

    Raises:
        ConfigError: for classes without weights. UnknownNameError: for an output that the model has not got.
    """
    listed = ", ".join(model.labels)
    if weights:
        for label in weights:
            if label not in model.labels:
                raise unknown(f"objective of {model.name}", label, model.labels)
        if not any(weights.values()):
            raise ConfigError(f"objective: all weights are 0 (objectives: {listed})")
        return {label: float(weights.get(label, 0.0)) for label in model.labels}
    if model.problem_type == "single_label_classification" or (not model.problem_type and len(model.labels) == 2):
        raise ConfigError(
            f"{model.name}: {len(model.labels)} classes, none of which is said to be the reward; name it, "
            f"--objective {model.labels[-1]}, or weights, --objective {model.labels[-1]}=1 --objective "
            f"{model.labels[0]}=-1 (classes: {listed})"
        )
    return dict.fromkeys(model.labels, 1.0)


def recognize(folder: Path, *, name: str = "", convention: str = "", trust_remote_code: bool = False) -> PublishedModel:
    """What lies in a directory.

    Args:
        folder: of the model.
        name: what it was asked for by; a name on the hub may tell its convention.
        convention: read it as a process model in this way.
        trust_remote_code: run the code in the directory that its config names.

    Raises:
        InputError: for a directory that is none, a broken config, weights that are cut off or pickles.
        ConfigError: for a model that gives no rewards, or needs code that was not asked for.
        UnknownNameError: for a convention that is none.
    """
    name = name or _hub_name(folder) or str(folder)
    convention = EXTERNAL_PRMS.canonical(convention) if convention else ""
    config = _read_config(folder, name)
    tensors = _tensors(folder, name)
    architecture = str((config.get("architectures") or [""])[0])
    convention = convention or process_convention(name, architecture)
    if not convention and architecture.endswith("ForTokenClassification"):
        convention = "trl"
    maker = MAKERS.get(architecture) or (VALUE_HEAD if "vhead_layer_type" in config else None)
    form = _form(config, architecture, tensors, name, convention, maker, trust_remote_code)
    return PublishedModel(
        folder=folder,
        name=name,
        form=form,
        architecture=architecture,
        labels=("reward",) if form in ("head", "process") else _labels(config, tensors),
        problem_type=str(config.get("problem_type") or ""),
        model_type=(maker.model_type if maker else "") or str(config["model_type"]),
        tensors=tensors,
        maker=maker if form == "head" else None,
        convention=convention if form == "process" else "",
    )


def _form(
    config: Mapping[str, Any],
    architecture: str,
    tensors: Mapping[str, Any],
    name: str,
    convention: str,
    maker: Maker | None,
    trust_remote_code: bool,
) -> Form:
    if convention:
        return "process"
    if maker is not None:
        return "head"
    code = config.get("auto_map") or {}
    if trust_remote_code and code:
        return "remote"
    if "AutoModelForSequenceClassification" in code or (code and not _is_known(architecture, config)):
        raise ConfigError(
            f"{name}: its class {architecture or 'that is not named'} is code that lies in the directory, and none of "
            "it was run; read it, then say --trust-remote-code"
        )
    if architecture.endswith("ForSequenceClassification") or len(tensors.get("score.weight", ())) == 2:
        return "classifier"
    if "v_head.summary.weight" in tensors:
        raise ConfigError(f"{name}: a value head; if it judges steps, say so: --convention skywork")
    if architecture.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")):
        raise ConfigError(
            f"{name}: a language model ({architecture}), which gives no rewards; it may judge, --judge hf:{name}, or "
            "be a process model that answers + and -, --convention rlhflow or math-shepherd"
        )
    raise ConfigError(
        f"{name}: {architecture or 'config.json names no class, and its weights'} has no head that gives rewards "
        "(accepted: …ForSequenceClassification, …ForTokenClassification, and the conventions "
        f"{', '.join(EXTERNAL_PRMS)})"
    )


def _is_known(architecture: str, config: Mapping[str, Any]) -> bool:
    """Whether a class has the name that transformers gives those of its model type: gpt_neox -> GPTNeoX…."""
    return architecture.casefold().startswith(str(config["model_type"]).replace("_", "").casefold())


def _labels(config: Mapping[str, Any], tensors: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The outputs' names; LABEL_0 and so on where the config has none."""
    named = config.get("id2label") or {}
    labels = [str(named[key]) for key in sorted(named, key=int)] if all(str(key).isdigit() for key in named) else []
    heads = (tensors.get(f"{layer}.weight", ()) for layer in ("score", "classifier", "classifier.out_proj"))
    count = next((shape[0] for shape in heads if len(shape) == 2), len(labels) or int(config.get("num_labels", 2)))
    if len(labels) != count or len(set(labels)) != count:
        labels = [f"LABEL_{number}" for number in range(count)]
    return tuple(labels)


# -- files ------------------------------------------------------------------------------------------------------------


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        if not folder.is_dir():
            raise InputError(f"{name}: no such directory")
        if (folder / "adapter_config.json").is_file():
            raise InputError(
                f"{name}: a low-rank adapter without its base; load it by peft's "
                "AutoPeftModelForSequenceClassification, merge_and_unload() it and save the whole"
            )
        raise InputError(f"{name}: not a reward model (it has neither reward.json nor {CONFIG})")
    try:
        config = load_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(config, dict) or not config.get("model_type"):
        raise InputError(f"{path}: no model's config (it has no 'model_type')")
    return config


def _tensors(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor; InputError where there are no weights, or none that can be read."""
    if not weight_files(folder, name):
        raise InputError(f"{name}: it has no weights (*.safetensors)")
    return tensor_shapes(folder, name)


def _hub_name(folder: Path) -> str:
    """The name on the hub of a snapshot in its cache, "" for any other directory."""
    parts = folder.resolve().parts
    if len(parts) > 2 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        return parts[-3].removeprefix("models--").replace("--", "/")
    return ""
