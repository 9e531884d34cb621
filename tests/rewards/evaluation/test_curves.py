"""The picture of a training: it parses, holds what the history holds, and is the same for the same history."""

import math
from xml.etree import ElementTree

import pytest

from judge.rewards.evaluation.curves import curves, smoothed

HISTORY = [
    {"step": 1, "loss": 0.7, "accuracy": 0.5, "margin": 0.0},
    {"step": 2, "loss": 0.5, "accuracy": 0.75, "margin": 0.4},
    {"step": 2, "validation_loss": 0.6, "validation_accuracy": 0.7},
]


def words(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_panels_for_what_there_is() -> None:
    text = words(curves(HISTORY))
    for word in ("loss", "accuracy", "margin", "training", "validation", "step"):
        assert word in text
    assert "correlation" not in text
    text = words(curves([{"step": 1, "loss": 0.7, "correlation": 0.2}]))
    assert "correlation" in text and "accuracy" not in text and "validation" not in text


def test_evaluation_data_have_lines_of_their_own() -> None:
    """A benchmark's score stands with the accuracies; its parts, and figures without a panel, are not drawn."""
    figures = {
        "eval_rewardbench_score": 0.6,
        "eval_rewardbench_section/Chat": 0.9,
        "eval_hh_accuracy": 0.7,
        "eval_hh_loss": 0.5,
    }
    text = words(curves([*HISTORY, {"step": 2, **figures}]))
    assert text.count("rewardbench") == 1 and text.count("hh") == 2  # hh: loss and accuracy
    assert "Chat" not in text


def test_the_same_history_makes_the_same_file() -> None:
    assert curves(HISTORY) == curves(HISTORY)


def test_nothing_to_draw() -> None:
    assert curves([]) == ""
    assert curves([{"step": 1, "loss": math.nan}]) == ""


def test_means_over_a_tenth() -> None:
    """Of 20 values each mean is over two, the first over itself."""
    assert smoothed([float(at) for at in range(20)])[:3] == pytest.approx([0.0, 0.5, 1.5])
    assert smoothed([3.0]) == [3.0]
