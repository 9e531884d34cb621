"""The demo's part about reward models: they learn from some of the labels and are compared on the others.

`examples/demo.py` runs the commands; here labels are parted and scores are read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from judge import Judgement, Pair, Preference, Record, Solution, Steps, from_row, judgement_from_row
from judge.files import read_rows, write_rows


class Model(NamedTuple):
    """A model of the demo: its kind for `rmjudge distill`, the run it learns from, and the model it begins from."""

    kind: str
    run: str
    begins: str

    @property
    def scores(self) -> str:
        """Where its scores of the rows held out go; a report calls it by the last part."""
        return f"held/{self.kind}"


MODELS = (
    Model("process", "steps", ""),
    Model("scalar", "preference", "process"),
    Model("ensemble", "preference", "process"),
)
# The backbone writes arithmetic one operation at a time: what it would not have written itself is what is wrong.
RECIPE = [
    *"--set head=likelihood --set optimizer=muon --learning-rate 5e-4".split(),
    *"--set head_lr_multiplier=10 --set dtype=bfloat16".split(),
]
HELD_OUT = 4  # every fourth row
LEARNT = {"preference": "preference-learnt.jsonl", "steps": "steps-learnt.jsonl"}
HELD = {"preference": "held/judge.jsonl", "steps": "held/steps.jsonl"}


def hold_out(run: Path, learnt: Path, held: Path) -> None:
    """Part the labels of a run: every fourth row is held out, the others are learnt from."""
    rows = [row for _, row in read_rows(run / "labels.jsonl")]
    held.parent.mkdir(exist_ok=True)
    write_rows(held, rows[::HELD_OUT])
    write_rows(learnt, (row for place, row in enumerate(rows) if place % HELD_OUT))


def models_rows(out: Path) -> Iterator[tuple[str, str, str, str]]:
    """For each model on the rows held out: its name, model and truth, judge and truth, model and judge."""
    for model in MODELS:
        judged, scored = (verdicts(path) for path in (out / HELD[model.run], out / model.scores))
        told = [(truth, judged[key][1], said) for key, (truth, said) in scored.items() if key in judged]
        flat = [one for row in told for one in zip(*row, strict=True)]
        yield (
            model.kind,
            share([truth == said for truth, _, said in flat]),
            share([truth == judge for truth, judge, _ in flat]),
            share([judge == said for _, judge, said in flat]),
        )


def verdicts(source: Path) -> dict[str, tuple[list[str], list[str | None]]]:
    """Record id -> (truth, verdicts), one entry for a pair, one a step for a solution; pairs alike are left out."""
    path = source / "labels.jsonl" if source.is_dir() else source
    found = {}
    for _, row in read_rows(path):
        record, said = from_row(row), judgement_from_row(row["judgement"])
        if (one := _one(record, said)) is not None:
            found[record.id] = one
    return found


def _one(record: Record, said: Judgement) -> tuple[list[str], list[str | None]] | None:
    if isinstance(record, Pair) and isinstance(said, Preference):
        truth = str(record.human[0].verdict)
        return None if truth == "tie" else ([truth], [said.verdict])
    assert isinstance(record, Solution) and isinstance(said, Steps)
    return ["right" if right else "wrong" for right in record.meta["right"]], list(said.verdict)


def share(hits: list[bool]) -> str:
    """So many of so many."""
    return f"{sum(hits) / len(hits):.1%} ({sum(hits)} of {len(hits)})" if hits else "none"
