"""The demo's part about revision: what changed, side by side, and whether it was truly for the better.

`examples/demo.py` runs the command; here its run is read. Whether an answer is right is read off its last sentence and
compared with the problem's value, so no model has a say in it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from judge import Response, Revision, Round, from_row, judgement_from_row, spoken
from judge.files import read_rows

ANSWER = re.compile(r"answer is (-?\d+)\.?\s*\Z")


def right(text: str | None, record: Response) -> bool:
    """Whether a text ends with the true answer."""
    found = ANSWER.search(text or "")
    return found is not None and found[1] == record.reference


def revised(run: Path) -> Iterator[tuple[Response, Revision]]:
    """Every record of a run of revision, those too that could not be read: their text stayed what it was."""
    for name in ("labels.jsonl", "failures.jsonl"):
        for _, row in read_rows(run / name) if (run / name).stat().st_size else ():
            record, said = from_row(row), judgement_from_row(row["judgement"])
            assert isinstance(record, Response) and isinstance(said, Revision)
            yield record, said


def revision_counts(run: Path) -> list[tuple[str, int, int]]:
    """What the revisions did, each line so many of so many."""
    pairs = list(revised(run))
    before = [right(said.original, record) for record, said in pairs]
    after = [right(said.verdict or said.original, record) for record, said in pairs]
    kept = [
        (right(old, record), right(new, record)) for record, said in pairs for old, new, one in steps(said) if one.kept
    ]
    asked = [one for _, said in pairs for one in said.rounds if one.verdict is not None]
    return [
        ("right answers before", sum(before), len(pairs)),
        ("right answers after", sum(after), len(pairs)),
        ("right answers lost", sum(was and not now for was, now in zip(before, after, strict=True)), sum(before)),
        ("revisions that the referee kept", len(kept), len(asked)),
        ("  kept and truly no worse", sum(new or not old for old, new in kept), len(kept)),
    ]


def steps(said: Revision) -> Iterator[tuple[str, str, Round]]:
    """Each revision: the text before it, the text that it proposed, and its round."""
    text = said.original or ""
    for one in said.rounds:
        if one.text is not None:
            yield text, one.text, one
            text = one.text if one.kept else text


def before_and_after(run: Path, count: int = 3) -> Iterator[Table]:
    """The first revisions that were kept, or, where too few were, others that were not."""
    found = [(record, *step) for record, said in revised(run) for step in steps(said)]
    found.sort(key=lambda one: not one[3].kept)
    for record, old, new, one in found[:count]:
        drawn = Table(title=spoken(record.prompt), title_justify="left", show_lines=True)
        drawn.add_column("before", ratio=1)
        drawn.add_column("after" if one.kept else "proposed", ratio=1)
        drawn.add_row(old, new)
        drawn.add_row(*(f"the truth: {'right' if right(text, record) else 'wrong'}" for text in (old, new)))
        sure = f", P(better) {one.p_better:.2f}" if one.p_better is not None else ""
        fault = (one.critique or "").strip().splitlines()[-1:]
        drawn.add_row(f"critique: {''.join(fault)}", f"{'kept' if one.kept else f'not kept: {one.reason}'}{sure}")
        yield drawn
