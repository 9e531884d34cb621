"""docs/rewards.md names every loss and its arguments."""

from pathlib import Path

from judge.rewards.losses.registry import LOSSES, loss_arguments


def test_the_documentation_names_every_loss_and_argument() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "rewards.md").read_text("utf-8")
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| `")}
    for name in LOSSES:
        assert name in rows
        assert [argument for argument in loss_arguments(name) if f"`{argument}`" not in rows[name]] == []
