"""Reward models from the embedded judge's labels, each beside the judge and the truth.

`python benchmarks/distill.py --out DIR [--only psoe] [--pairs 1200] [--solutions 1500] [--test 400]` makes problems
(half of them solved in the judge's own neat way, half as many hands write; `--hands` takes others), labels them
with the judge (`rmjudge label`; kept in DIR and taken up again), trains a model of each kind on the labels with the
judge's own backbone (`rmjudge distill`), scores problems that neither saw (`rmjudge score`), and prints a table: the
truth, the judge, seconds. The process model is also put to BIG-Bench Mistake's multistep arithmetic.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from judge.files import write_rows
from judge.formats import to_row
from judge.records import Record
from judge.tiny.samples import pairs, responses, solutions

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "big-bench-mistake" / "multistep_arithmetic.dev.jsonl"
# A linear head on the last token has to work everything out again that the judge's own language model knows only in its
# last layer; the likelihood head looks there. `--head linear` shows the difference.
RECIPE = [
    "--set",
    "optimizer=muon",
    "--learning-rate",
    "1e-4",
    "--set",
    "head_lr_multiplier=50",
    "--set",
    "dtype=bfloat16",
]
BATCH = {"process": "12", "outcome": "12", "scalar": "8", "ensemble": "8"}
LETTERS = {"p": "process", "o": "outcome", "s": "scalar", "e": "ensemble"}
WANTED = {"process": 93.0, "outcome": 0.95, "scalar": 93.0, "ensemble": 93.0}
HANDS = ("neat", "usual", "various", "both")
Row = dict[str, Any]


class Figure(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g}, n {self.n:,})"


# ---- runs ------------------------------------------------------------------------------------------------------------


def rmjudge(*words: object, quiet: bool = True) -> float:
    """Run a command; how many seconds it took."""
    command = [str(word) for word in words]
    print(f"$ rmjudge {shlex.join(command)}", file=sys.stderr, flush=True)
    started = time.monotonic()
    out = subprocess.DEVNULL if quiet else None
    subprocess.run([sys.executable, "-m", "judge.cli.main", *command], check=True, stdout=out)
    return time.monotonic() - started


def rows_of(run: Path) -> Iterator[Row]:
    """The rows of a run, the unreadable ones too."""
    for name in ("labels.jsonl", "failures.jsonl"):
        if (run / name).exists():
            with (run / name).open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)


def made(path: Path, records: Callable[[], Iterable[Record]]) -> Path:
    """A data file, written once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, map(to_row, records()))
    return path


def drawn(
    draw: Callable[..., Iterator[Record]], count: int, hands: str, *, seed: int, **how: float
) -> Iterator[Record]:
    """Records whose solutions are neat, of the usual hands, of various ones, or half neat and half of various hands."""
    neat = {"neat": count, "both": count // 2}.get(hands, 0)
    yield from draw(neat, seed=seed, neat=True, **how)
    yield from draw(count - neat, seed=seed + 1_000_000, various=hands != "usual", **how)


def labelled(data: Path, task: str, judge: str, run: Path, extra: Sequence[str]) -> Path:
    """The judge's labels on a data file; an unfinished run is taken up again, a finished one is left as it is."""
    manifest = run / "manifest.json"
    if not manifest.exists() or not json.loads(manifest.read_text("utf-8")).get("finished", True):
        rmjudge("label", data, "--task", task, "--judge", judge, "--out", run, *extra)
    return run


def scored(model: Path, data: Path, run: Path) -> list[Row]:
    """A model's scores of a data file, made anew."""
    for name in ("labels.jsonl", "failures.jsonl", "manifest.json"):
        (run / name).unlink(missing_ok=True)
    rmjudge("score", model, data, "--out", run, "--quiet")
    return list(rows_of(run))


# ---- figures ---------------------------------------------------------------------------------------------------------


def share(hits: Iterable[bool], groups: Iterable[object] | None = None) -> Figure:
    """Per cent of hits, its interval by the bootstrap over groups (a solution's steps are one)."""
    values = np.array(list(hits), dtype=float)
    codes = np.arange(len(values)) if groups is None else np.unique(list(map(str, groups)), return_inverse=True)[1]
    sums, sizes = np.bincount(codes, weights=values), np.bincount(codes).astype(float)
    drawn = _draws(len(sums))
    figures = (drawn @ sums) / (drawn @ sizes)
    low, high = np.quantile(figures, [0.025, 0.975])
    return Figure(100 * values.mean(), 100 * low, 100 * high, len(values))


def _draws(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=1000).astype(float)


def area(scores: Iterable[float], truth: Iterable[bool]) -> Figure:
    """Area under the ROC curve, its interval by the bootstrap."""
    from sklearn.metrics import roc_auc_score

    said, right = np.array(list(scores)), np.array(list(truth))
    draw = np.random.default_rng(0)
    places = [draw.integers(0, len(said), len(said)) for _ in range(500)]
    found = [roc_auc_score(right[at], said[at]) for at in places if len(set(right[at])) == 2]
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(float(roc_auc_score(right, said)), float(low), float(high), len(said))


def right_pairs(rows: Iterable[Row]) -> Figure:
    """Pairs of which one side is right: how often it gets the higher probability. Unreadable counts as wrong."""
    truth = [(row["judgement"].get("p_first"), row["human"][0]["verdict"]) for row in rows]
    return share(p is not None and (p > 0.5) == (said == "first") for p, said in truth if said != "tie")


def right_steps(rows: Iterable[Row]) -> Figure:
    """Steps told right from wrong."""
    told = [
        (said is not None and (said != "wrong") == right, row["id"])
        for row in rows
        for said, right in zip(row["judgement"]["verdict"], row["meta"]["right"], strict=True)
    ]
    return share([hit for hit, _ in told], [group for _, group in told])


def first_wrong(rows: Iterable[Row]) -> Figure:
    """Solutions whose first wrong step is told exactly."""
    return share(row["judgement"].get("first_wrong") == row["human"][0]["verdict"] for row in rows)


def outcome_area(rows: Iterable[Row]) -> Figure:
    """Right answers before wrong ones; an unreadable one lies in the middle."""
    told = [(row["judgement"].get("p_correct"), row["human"][0]["verdict"] > 0.5) for row in rows]
    return area([0.5 if p is None else p for p, _ in told], [right for _, right in told])


FIGURES = {"process": right_steps, "outcome": outcome_area, "scalar": right_pairs, "ensemble": right_pairs}
TASKS = {"process": "steps", "outcome": "outcome", "scalar": "preference", "ensemble": "preference"}


# ---- the whole -------------------------------------------------------------------------------------------------------


def sources(options: argparse.Namespace) -> dict[str, Path]:
    """Labels to learn from, by kind: one run of steps for process and outcome, one of preferences for the others."""
    out, seed, hands = options.out, options.seed, options.hands
    data = {
        "solutions": made(
            out / "solutions.jsonl", lambda: drawn(solutions, options.solutions, hands, seed=seed, wrong=0.3)
        ),
        "pairs": made(out / "pairs.jsonl", lambda: drawn(pairs, options.pairs, hands, seed=seed + 1)),
    }
    if options.truth:
        return {kind: data["solutions" if kind in ("process", "outcome") else "pairs"] for kind in BATCH}
    found = {}
    for kind in options.kinds:
        name, task = ("solutions", "steps") if kind in ("process", "outcome") else ("pairs", "preference")
        found[kind] = labelled(data[name], task, options.judge, out / "labels" / name, options.extra)
    return found


def tests(options: argparse.Namespace) -> dict[str, Path]:
    """Problems that no training saw, by kind."""
    out, seed, count, hands = options.out, options.seed + 10, options.test, options.hands
    compared = made(out / "test-pairs.jsonl", lambda: drawn(pairs, count, hands, seed=seed, ties=0.0))
    return {
        "process": made(out / "test-solutions.jsonl", lambda: drawn(solutions, count, hands, seed=seed + 1)),
        "outcome": made(out / "test-responses.jsonl", lambda: drawn(responses, count, hands, seed=seed + 2)),
        "scalar": compared,
        "ensemble": compared,
    }


def main() -> None:
    """Label, distil, score, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="data, labels and models; kept")
    parser.add_argument("--judge", default="tiny")
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--pairs", type=int, default=1200)
    parser.add_argument("--solutions", type=int, default=1500)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--head", default="likelihood")
    parser.add_argument("--epochs", default="1")
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--only", default="pose", help="letters of p(rocess) o(utcome) s(calar) e(nsemble)")
    parser.add_argument("--hands", default="both", choices=HANDS, help="who writes the solutions")
    parser.add_argument("--truth", action="store_true", help="learn from the truth instead of the judge's labels")
    parser.add_argument("--mistakes", type=Path, default=DATA)
    parser.add_argument("extra", nargs="*", help="after --: further options of rmjudge label")
    options = parser.parse_args()
    options.kinds = [LETTERS[letter] for letter in options.only]
    labels, asked = sources(options), tests(options)
    table = Table("kind", "figure", "wanted", "reward model", "its judge", "training", title="distilled from tiny")
    for kind in options.kinds:
        model = options.out / "models" / kind
        if model.exists():
            subprocess.run(["rm", "-r", str(model)], check=True)
        recipe = [*RECIPE, "--batch", BATCH[kind], "--set", f"head={options.head}", "--epochs", options.epochs]
        recipe += ["--labels", "human"] if options.truth else []
        start = options.out / "models" / "process"
        backbone = start if kind != "process" and (start / "reward.json").exists() else options.backbone
        seconds = rmjudge("distill", labels[kind], "--kind", kind, "--backbone", backbone, "--out", model, *recipe)
        own = FIGURES[kind](scored(model, asked[kind], options.out / "scores" / kind))
        judged = "" if options.truth else str(FIGURES[kind](rows_of(judge_run(options, asked[kind], kind))))
        what = "AUC" if kind == "outcome" else "% of steps" if kind == "process" else "% of pairs"
        table.add_row(kind, what, f"≥ {WANTED[kind]:g}", str(own), judged, f"{seconds:.0f} s")
        if kind == "process" and options.mistakes.exists():
            table.add_row(*big_bench(options, model))
    Console(width=150, highlight=False).print(table)


def judge_run(options: argparse.Namespace, data: Path, kind: str) -> Path:
    """The judge's own verdicts on the problems that the models are asked about."""
    return labelled(data, TASKS[kind], options.judge, options.out / "labels" / data.stem, options.extra)


def big_bench(options: argparse.Namespace, model: Path) -> list[str]:
    """The process model and its judge on real traces: the first wrong step, exactly."""
    own = first_wrong(scored(model, options.mistakes, options.out / "scores" / "mistakes"))
    judged, wanted = "", ""
    if not options.truth:
        run = labelled(options.mistakes, "steps", options.judge, options.out / "labels" / "mistakes", options.extra)
        figure = first_wrong(rows_of(run))
        judged, wanted = str(figure), f"≥ {figure.value - 5:.4g}"
    return ["process", "% of first wrong steps, real traces", wanted, str(own), judged, ""]


if __name__ == "__main__":
    main()
