"""The figures of all rounds as one chart: truth and best of n above, agreement and gap below."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from judge.files import write_atomic
from judge.iteration.figures import RoundFigures


def draw(figures: Sequence[RoundFigures], path: Path, *, n: int) -> None:
    """Write the chart as SVG.

    Args:
        figures: of each round.
        path: the file.
        n: answers to a prompt.
    """
    from matplotlib.figure import Figure

    rounds = [row.round for row in figures]
    figure = Figure(figsize=(6.0, 6.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    best = [row.best_of for row in figures]
    errors = [
        [row.best_of - row.best_of_low for row in figures],
        [row.best_of_high - row.best_of for row in figures],
    ]
    above.errorbar(rounds, best, yerr=errors, marker="o", capsize=3, label=f"best of {n} by the reward")
    above.plot(rounds, [row.any_of for row in figures], marker="^", linestyle=":", label=f"any of {n}")
    above.plot(rounds, [row.truth for row in figures], marker="s", label="one answer")
    above.set(ylabel="truth, held-out prompts", ylim=(0, 1.02))
    for name, label in (("agreement", "agreement of reward and truth"), ("gap", "reward minus truth of the picks")):
        known = [(row.round, value) for row in figures if (value := getattr(row, name)) is not None]
        if known:
            below.plot(*zip(*known, strict=True), marker="o", label=label)
    below.set(xlabel="round", xticks=rounds)
    below.axhline(0, color="0.7", linewidth=0.8)
    for panel in (above, below):
        panel.legend(frameon=False, fontsize=9)
    drawing = BytesIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    write_atomic(path, drawing.getvalue())
