"""reward.json: its schema, its keys, and what earlier versions wrote."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from judge.errors import InputError
from judge.rewards.checkpoint.metadata import FORMAT, REWARD_FILE, read_metadata
from judge.rewards.config import GROUPS, RewardConfig
from judge.rewards.distill import distill
from judge.rewards.preparation import prepare
from tests.rewards.training.test_loop import outcomes, pairs, solutions

KEY = re.compile(r"[a-z][a-z0-9_]*")
OF_DATA = {"weights", "objectives"}  # mappings whose keys are names of files


def schema() -> dict[str, Any]:
    text = files("judge").joinpath("schemas", "reward.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            if name not in OF_DATA:
                yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


@pytest.mark.parametrize(
    ("labelled", "values"),
    [(pairs, {"kind": "ensemble"}), (outcomes, {"kind": "outcome"}), (solutions, {"kind": "process", "lora_rank": 2})],
)
def test_what_is_written_fits_the_schema(labelled: Any, values: dict[str, Any], llama: Path, tmp_path: Path) -> None:
    config = RewardConfig.of(backbone=str(llama), validation_fraction=0.3, **values)
    distill(prepare(labelled(40), config), tmp_path / "model")
    written = json.loads((tmp_path / "model" / REWARD_FILE).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.Draft202012Validator(schema()).validate(written)
    assert [key for key in keys(written) if not KEY.fullmatch(key)] == []


def test_the_schema_names_every_setting() -> None:
    described = schema()["properties"]["config"]["properties"]
    for group, kind in GROUPS.items():
        assert list(described[group]["properties"]) == [field.name for field in fields(kind)]  # type: ignore[arg-type]
        assert all(setting["description"] for setting in described[group]["properties"].values())


def test_the_flat_settings_of_format_1_are_read(tmp_path: Path) -> None:
    settings = {"kind": "process", "backbone": "b", "classes": 3, "rate": 1e-4, "centre": 0.01, "loss": "steps"}
    old = {"format": 1, "kind": "process", "loads_as": "rmjudge", "settings": settings}
    (tmp_path / REWARD_FILE).write_text(json.dumps(old))
    config = RewardConfig.from_dict(read_metadata(tmp_path)["config"])
    assert (config.model.step_classes, config.training.learning_rate) == (3, 1e-4)
    assert (config.loss.center_rewards_coefficient, config.loss_name) == (0.01, "step_cross_entropy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "it is no object"),
        ("{}", "has no 'config'"),
        (json.dumps({"format": FORMAT + 1, "config": {}}), "is newer than this rmjudge reads"),
        (json.dumps({"config": {"model": {"kind": "scaler"}}}), "did you mean 'scalar'"),
    ],
)
def test_a_wrong_description_is_one_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / REWARD_FILE).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_metadata(tmp_path)
    assert "\n" not in str(caught.value)
