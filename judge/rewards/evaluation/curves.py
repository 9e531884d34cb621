"""The curves of a training as one SVG that stands alone: loss, and accuracy or correlation, over the steps.

Training is a thin line with its mean over a tenth of the steps, validation is dots.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

CURVES = "curves.svg"
_TRAINING, _VALIDATION, _MUTED = "#3b6fb5", "#c0562b", "#6b7280"
_EVALUATIONS = ("#3f8f5f", "#8a5fb0", "#b08a2e", "#4f9aa8")
_PANELS = (("loss",), ("accuracy", "correlation"), ("margin",))
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rmjudge",  # the same history makes the same file
    "text.parse_math": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def curves(history: Sequence[Mapping[str, Any]]) -> str:
    """The SVG of a history; "" where it has no loss. Rows of a validation have `validation_…` figures."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = [next((name for name in panel if _has(history, name)), "") for panel in _PANELS]
    names = [name for name in names if name]
    if not names:
        return ""
    out = io.StringIO()
    with rc_context(_SETTINGS):
        figure = Figure(figsize=(3.4 * len(names), 2.8), layout="constrained", facecolor="white")
        for place, name in enumerate(names, 1):
            _panel(figure.add_subplot(1, len(names), place), history, name, legend=place == 1)
        figure.savefig(out, format="svg", metadata={"Date": None, "Title": "training of a reward model"})
    return out.getvalue()


def smoothed(values: Sequence[float]) -> list[float]:
    """Means over the tenth of the values that ends at each, the value itself at the beginning."""
    width = max(1, len(values) // 10)
    means = []
    for end in range(1, len(values) + 1):
        window = values[max(0, end - width) : end]
        means.append(sum(window) / len(window))
    return means


def _panel(axes: Any, history: Sequence[Mapping[str, Any]], name: str, *, legend: bool) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    steps, values = _points(history, name)
    if steps:
        axes.plot(steps, values, color=_TRAINING, linewidth=0.7, alpha=0.35)
        axes.plot(steps, smoothed(values), color=_TRAINING, linewidth=1.8, label="training")
    steps, values = _points(history, f"validation_{name}")
    if steps:
        axes.plot(steps, values, color=_VALIDATION, linewidth=1.2, marker="o", markersize=4.5, label="validation")
    evaluated = _evaluated(history, name)
    for (key, data), color in zip(evaluated.items(), cycle(_EVALUATIONS), strict=False):
        steps, values = _points(history, key)
        axes.plot(steps, values, color=color, linewidth=1.0, marker="s", markersize=3.5, label=data)
    axes.set_title(name, loc="left", fontsize=10)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    if name == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if legend or evaluated:
        axes.legend(fontsize=9 if legend else 7)


def _evaluated(history: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    """The figures of a panel's name that were taken on evaluation data, with the name of the data: `eval_DATA_NAME`.

    A benchmark's score is a share of rows told right, or a mean of such shares: it stands with the accuracies.
    """
    endings = (name, "score") if name == "accuracy" else (name,)
    keys = dict.fromkeys(key for row in history for key in row if key.startswith("eval_"))
    return {
        key: key.removeprefix("eval_").removesuffix(f"_{ending}")
        for key in keys
        for ending in endings
        if key.endswith(f"_{ending}")
    }


def _points(history: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of the rows that have a finite one."""
    points = [(int(row["step"]), float(row[name])) for row in history if isinstance(row.get(name), int | float)]
    finite = [(step, value) for step, value in points if abs(value) < float("inf")]
    return [step for step, _ in finite], [value for _, value in finite]


def _has(history: Sequence[Mapping[str, Any]], name: str) -> bool:
    return bool(_points(history, name)[0] or _points(history, f"validation_{name}")[0])
