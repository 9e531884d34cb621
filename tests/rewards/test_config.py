"""A configuration holds together, or says in one line what does not."""

import json
from dataclasses import fields
from typing import Any

import pytest

from judge.errors import ConfigError, UnknownNameError
from judge.rewards.config import GROUPS, OTHER_NAMES, PRESETS, RewardConfig
from judge.rewards.registry import KINDS


def test_a_configuration_survives_json() -> None:
    config = RewardConfig.of(
        kind="multi", objectives=("help", "harm"), objective_weights=(1.0, 2.0), report_to=("wandb",), loss="regression"
    )
    row = json.loads(json.dumps(config.to_dict()))
    assert row["model"]["objectives"] == ["help", "harm"]
    assert row["loss"]["name"] == "regression"
    assert RewardConfig.from_dict(row) == config


def test_flat_values_of_earlier_versions_are_read() -> None:
    """As a reward.json of format 1 has them, a preset already written out."""
    saved = {"kind": "ensemble", "preset": "enhanced", "members": 3, "bank": "fifo", "rate": 1e-4, "batch": 4}
    saved |= {"accumulate": 2, "clip": 0.5, "calibration": 0.1, "loss": "forward", "trackers": ["tensorboard"]}
    config = RewardConfig.from_dict(saved)
    assert (config.preset, config.model.members, config.model.feature_bank) == ("enhanced", 3, "fifo")
    assert config.model.head == "linear"  # what the file says, not what the preset would
    training = config.training
    assert (training.learning_rate, training.batch_size, training.gradient_accumulation_steps) == (1e-4, 4, 2)
    assert (training.max_grad_norm, training.report_to) == (0.5, ("tensorboard",))
    assert (config.loss.brier_coefficient, config.loss_name) == (0.1, "forward_correction")


def test_every_other_name_stands_for_a_setting() -> None:
    settings = RewardConfig().flat()
    assert set(OTHER_NAMES.values()) <= set(settings)
    assert not set(OTHER_NAMES) & set(settings)


def test_flat_names_are_unique_and_complete() -> None:
    count = sum(len(fields(group)) for group in GROUPS.values())  # type: ignore[arg-type]
    assert len(RewardConfig().flat()) == count + 1  # and the preset


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [("scalar", 1), ("multi", 2), ("outcome", 1), ("process", 3), ("ensemble", 4), ("hierarchical", 1)],
)
def test_outputs_are_what_the_kind_says(kind: str, outputs: int) -> None:
    config = RewardConfig.of(kind=kind, objectives=("a", "b"), members=4, step_classes=3)
    assert config.model.outputs == outputs


def test_every_kind_has_a_loss_of_its_own_and_a_named_one_wins() -> None:
    assert all(RewardConfig.of(kind=kind).loss_name for kind in KINDS)
    assert RewardConfig.of(kind="scalar", loss="focal").loss_name == "focal"
    assert RewardConfig.of(kind="scalar", loss="bradley-terry").loss_name == "bradley_terry"


def test_a_preset_stands_below_what_is_given_with_it() -> None:
    model = RewardConfig.of(preset="enhanced", members=7).model
    assert (model.kind, model.head, model.feature_bank, model.members) == ("ensemble", "mlp", "fifo", 7)
    for name in PRESETS:
        RewardConfig.of(preset=name)


@pytest.mark.parametrize(
    ("values", "group", "name", "value"),
    [
        ({"learning_rate": "1e-4"}, "training", "learning_rate", 1e-4),
        ({"rate": "1e-4"}, "training", "learning_rate", 1e-4),
        ({"rate": 1}, "training", "learning_rate", 1.0),
        ({"batch": "16"}, "training", "batch_size", 16),
        ({"per_device_train_batch_size": 16}, "training", "batch_size", 16),
        ({"num_train_epochs": 2}, "training", "epochs", 2.0),
        ({"lora_r": 8}, "model", "lora_rank", 8),
        ({"gradient_checkpointing": "true"}, "training", "gradient_checkpointing", True),
        ({"bootstrap": "no"}, "data", "bootstrap", False),
        ({"objectives": "help, harm"}, "model", "objectives", ("help", "harm")),
        ({"trackers": "tensorboard"}, "training", "report_to", ("tensorboard",)),
        ({"objectives": "a,b", "objective_weights": "1, 2e-1"}, "model", "objective_weights", (1.0, 0.2)),
    ],
)
def test_values_are_taken_as_their_fields_have_them(values: dict[str, Any], group: str, name: str, value: Any) -> None:
    assert getattr(getattr(RewardConfig.of(**values), group), name) == value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "scaler"}, "did you mean 'scalar'"),
        ({"rte": 1.0}, "did you mean 'rate'"),
        ({"lerning_rate": 1.0}, "did you mean 'learning_rate'"),
        ({"preset": "enhance"}, "did you mean 'enhanced'"),
        ({"report_to": ["tensorbord"]}, "did you mean 'tensorboard'"),
        ({"epochs": "two"}, "epochs: found 'two' (accepted: a number)"),
        ({"batch": 1.5}, "batch_size: found 1.5 (accepted: a whole number)"),
        ({"batch_size": True}, "batch_size: found True (accepted: a whole number)"),
        ({"gated": "maybe"}, "gated: found 'maybe' (accepted: true or false)"),
        ({"batch_size": 0}, "batch_size: found 0 (accepted: 1 to"),
        ({"epochs": float("nan")}, "epochs: found nan"),
        ({"validation": 1.0}, "validation_fraction: found 1.0 (accepted: 0 to 0.9)"),
        ({"rate": 1.0, "learning_rate": 2.0}, "learning_rate is given twice, as rate and as learning_rate"),
        ({"step_classes": 4}, "step_classes: found 4"),
        ({"objectives": ["a"], "objective_weights": [1, 2]}, "2 objective_weights for 1 objectives"),
        ({"objectives": ["a", "a"]}, "name one twice"),
        ({"member_kind": "adapters"}, "needs a lora_rank"),
        ({"kind": "ensemble", "members": 1}, "2 or more for an ensemble"),
        ({"kind": "process", "encoder": "cross"}, "takes encoder joint"),
        ({"encoder": "cross", "layout": "packed"}, "leave out layout packed"),
        ({"separate_encoders": True}, "joint reads one sequence (accepted: encoder fusion, cross)"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RewardConfig.of(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_name_is_a_lookup_error() -> None:
    with pytest.raises(UnknownNameError):
        RewardConfig.of(kind="scaler")
