"""A loss is one function and one line of a table, here or in another package."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from judge.errors import ConfigError, UnknownNameError
from judge.records import Message
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.losses.pairwise import Loss, reads
from judge.rewards.losses.registry import get_loss, loss_arguments, training_loss
from judge.rewards.registry import LOSSES, PartTable

PAIR = Example(
    id="1",
    group="g",
    responses=((Message("assistant", "a"),), (Message("assistant", "b"),)),
    prompt=(Message("user", "p"),),
    p_first=1.0,
)
PLUGIN = '''
def squared_margin(*, wanted: float = 1.0):
    """(d - wanted)^2 over pairs."""
    def loss(rewards, targets):
        return (targets.pairs(rewards).difference - wanted).square().mean()
    return loss
'''


def absolute_margin(*, wanted: float = 1.0) -> Loss:
    """|d - wanted|."""

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        return (targets.pairs(rewards).difference - wanted).abs().mean()

    return loss


@reads("scores")
def of_scores() -> Loss:
    return lambda rewards, targets: rewards.sum()


@pytest.fixture
def table() -> Iterator[None]:
    LOSSES.register("absolute_margin", f"{__name__}:absolute_margin")
    LOSSES.register("of_scores", of_scores)
    yield
    LOSSES.unregister("absolute_margin")
    LOSSES.unregister("of_scores")


def test_a_loss_is_a_function_and_a_line(table: None) -> None:
    config = RewardConfig.of(kind="scalar", loss="absolute-margin", loss_arguments={"wanted": "2.5"})
    loss = training_loss(config)
    assert float(loss(torch.tensor([[1.0], [0.0]]), Targets.of([PAIR], "scalar"))) == pytest.approx(1.5)  # |1 - 2.5|
    assert loss_arguments("absolute_margin") == {"wanted": 1.0}


def test_a_loss_says_what_it_reads(table: None) -> None:
    training_loss(RewardConfig.of(kind="multi", loss="of_scores"))
    with pytest.raises(ConfigError, match="kind process is not trained by loss of_scores"):
        training_loss(RewardConfig.of(kind="process", loss="of_scores"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PartTable]:
    """A package with two losses, one of which cannot be imported, as pip leaves it on sys.path."""
    (tmp_path / "toy_losses.py").write_text(PLUGIN)
    about = tmp_path / "toy_losses-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-losses\nVersion: 1.0\n")
    lines = ["[rmjudge.losses]", "squared_margin = toy_losses:squared_margin", "broken = toy_losses:nothing"]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield PartTable("loss", {"focal": LOSSES._targets["focal"]}, group=LOSSES.group)  # read anew, as a new process does
    sys.modules.pop("toy_losses", None)


def test_a_package_brings_a_loss(installed: PartTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judge.rewards.losses.registry.LOSSES", installed)
    loss = get_loss("squared_margin", wanted=3.0)
    assert float(loss(torch.tensor([[1.0], [0.0]]), Targets.of([PAIR], "scalar"))) == pytest.approx(4.0)  # (1 - 3)^2
    with pytest.raises(UnknownNameError, match="did you mean 'squared_margin'"):
        get_loss("squared_margn")


def test_a_package_that_cannot_be_imported_is_named(installed: PartTable) -> None:
    with pytest.raises(ConfigError, match=r"toy-losses.*cannot be used: AttributeError"):
        installed.load("broken")
