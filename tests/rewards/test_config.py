"""Settings hold together, or say in one line what does not."""

from typing import Any

import pytest

from judge.errors import ConfigError, UnknownNameError
from judge.rewards.config import KINDS, PRESETS, RewardConfig, settings_with


def test_settings_survive_json() -> None:
    config = RewardConfig.of(kind="multi", objectives=("help", "harm"), objective_weights=(1.0, 2.0), trackers=("wandb",))
    row = config.to_dict()
    assert row["objectives"] == ["help", "harm"]
    assert RewardConfig.from_dict(row) == config


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [("scalar", 1), ("multi", 2), ("outcome", 1), ("process", 3), ("ensemble", 4), ("hierarchical", 1)],
)
def test_outputs_are_what_the_kind_says(kind: str, outputs: int) -> None:
    assert RewardConfig.of(kind=kind, objectives=("a", "b"), members=4, classes=3).outputs == outputs


def test_every_kind_has_a_loss_of_its_own_and_a_named_one_wins() -> None:
    assert all(RewardConfig.of(kind=kind).loss_name for kind in KINDS)
    assert RewardConfig.of(kind="scalar", loss="focal").loss_name == "focal"


def test_a_preset_stands_below_what_is_given_with_it() -> None:
    made = settings_with(RewardConfig.of(), {"preset": "enhanced", "members": 7})
    assert (made.kind, made.head, made.bank, made.members) == ("ensemble", "mlp", "fifo", 7)
    for name in PRESETS:
        settings_with(RewardConfig.of(), {"preset": name})


def test_values_are_taken_as_their_fields_have_them() -> None:
    made = settings_with(RewardConfig.of(), {"objectives": "help, harm", "rate": 1, "trackers": "tensorboard"})
    assert (made.objectives, made.rate, made.trackers) == (("help", "harm"), 1.0, ("tensorboard",))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "scaler"}, "did you mean 'scalar'"),
        ({"rte": 1.0}, "did you mean 'rate'"),
        ({"preset": "enhance"}, "did you mean 'enhanced'"),
        ({"trackers": ["tensorbord"]}, "did you mean 'tensorboard'"),
        ({"epochs": "two"}, "epochs: found 'two' (accepted: a number)"),
        ({"batch": 1.5}, "batch: found 1.5 (accepted: a whole number)"),
        ({"gated": "no"}, "gated: found 'no' (accepted: true or false)"),
        ({"batch": 0}, "batch: found 0 (accepted: 1 to"),
        ({"epochs": float("nan")}, "epochs: found nan"),
        ({"validation": 1.0}, "validation: found 1.0 (accepted: 0 to 0.9)"),
        ({"classes": 4}, "classes: found 4"),
        ({"objectives": ["a"], "objective_weights": [1, 2]}, "2 objective_weights for 1 objectives"),
        ({"objectives": ["a", "a"]}, "name one twice"),
        ({"member_kind": "adapters"}, "needs a lora_rank"),
        ({"kind": "ensemble", "members": 1}, "2 or more for an ensemble"),
        ({"kind": "process", "encoder": "cross"}, "takes encoder joint"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_with(RewardConfig.of(), values)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_name_is_a_lookup_error() -> None:
    with pytest.raises(UnknownNameError):
        RewardConfig.of(kind="scaler")
