"""From a run to training data: filtered, each example once, balanced, split by prompt, with a card beside it.

The same run and the same options give the same bytes, in whatever order the run was made. The directory appears whole
or not at all. Trainers' formats are writers.py, what a judgement teaches is examples.py.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from judge.errors import ConfigError, RunError, unknown
from judge.exports.card import data_card
from judge.exports.examples import EXAMPLES, Example, prompt_key
from judge.exports.writers import SAYS_TIES, WRITERS, Row
from judge.files import staged_directory, to_json, write_rows
from judge.id_set import IdSet
from judge.records import Record, RubricItem
from judge.runs.reader import Judged, Run, open_run
from judge.tasks import TASKS

TRAIN, VALIDATION, CARD = "train", "validation", "README.md"

REASONS = {
    "equal_responses": "both responses are the same",
    "tie": "a tie",
    "below_min_margin": "below the least margin",
    "orders_disagree": "no agreement of both orders",
    "repeated": "repeated",
    "contradiction": "contradicts an example before it",
}
"""Why an example is left out, and how a person is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is exported, and what is left out.

    to: the format. kind: the kind of example, "" for the usual one of the run's task. margin: the least margin of an
    example (see examples.py), in [0, 1]. agree: only where both orders gave the same verdict. ties: keep them, where
    the format has a word for them. validation: the share of prompts that is held out, drawn by `seed`.
    licence: what the card says; it is the user's to know.
    """

    to: str
    kind: str = ""
    margin: float = 0.0
    agree: bool = False
    ties: bool = True
    validation: float = 0.1
    seed: int = 0
    licence: str = "unknown"

    def __post_init__(self) -> None:
        if self.to not in WRITERS:
            raise unknown("format", self.to, WRITERS)
        if self.kind and self.kind not in EXAMPLES:
            raise unknown("kind", self.kind, EXAMPLES)
        if not 0.0 <= self.margin <= 1.0:
            raise ConfigError(f"the least margin must be from 0 to 1, not {self.margin}")
        if not 0.0 <= self.validation < 1.0:
            raise ConfigError(f"the share of validation must be at least 0 and below 1, not {self.validation}")


@dataclass(slots=True)
class Exported:
    """What an export came to.

    Attributes:
        out: the directory that was written.
        kind: the kind of example.
        records: the run's records that were read.
        failures: records whose verdict could not be read.
        skipped: rows of the run's data that could not be read.
        rows: how many rows train and validation have.
        left_out: reason (a key of `REASONS`) -> how many examples.
        second: rows whose better response stands second.
    """

    out: Path = Path()
    kind: str = ""
    records: int = 0
    failures: int = 0
    skipped: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    second: int = 0

    @property
    def passed(self) -> bool:
        """True: an export that came to an end is as it should be (see `ExportedModel`)."""
        return True

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        counts = {"rows": dict(sorted(self.rows.items())), "left_out": dict(sorted(self.left_out.items()))}
        return {
            "out": str(self.out),
            "kind": self.kind,
            "records": self.records,
            "unreadable": self.failures,
            "skipped": self.skipped,
            **counts,
        }

    def __repr__(self) -> str:
        lines = [f"{count:,} {self.kind} rows in {self.out / name}.jsonl" for name, count in sorted(self.rows.items())]
        lines += [f"left out: {count:,} ({REASONS[reason]})" for reason, count in sorted(self.left_out.items())]
        if self.failures:
            lines.append(f"left out: {self.failures:,} records whose verdict could not be read")
        if self.skipped:
            lines.append(f"left out: {self.skipped:,} rows of the run's data that could not be read")
        return "\n".join([*lines, f"Read them: datasets.load_dataset({str(self.out)!r})"])


def export_run(directory: str | Path, out: str | Path, options: ExportOptions, *, force: bool = False) -> Exported:
    """Write `train.jsonl`, `validation.jsonl` and `README.md`.

    Raises ConfigError for what the run's task or the format cannot give, RunError for a directory that is not a run,
    that is there already (without `force`) or that cannot be written.
    """
    run, out = open_run(directory), Path(out)
    kind = kind_of(run.task, options)
    if out.exists() and not force and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is there already; name another --out, or replace it with --force")
    exported = Exported(out=out, kind=kind, failures=sum(1 for _ in run.failures()))
    exported.skipped = sum(1 for _ in run.skipped())
    with staged_directory(out) as folder:
        _write(run, folder, kind, options, exported)
        (folder / CARD).write_text(data_card(run, options, exported), encoding="utf-8")
    return exported


def kind_of(task: str, options: ExportOptions) -> str:
    """The kind of example that is meant, if the task gives it and the format has it."""
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    kinds = TASKS[task].exports
    if not kinds:
        accepted = ", ".join(name for name, spec in TASKS.items() if spec.exports)
        raise ConfigError(f"judgements of the task '{task}' teach no trainer anything (accepted: {accepted})")
    kind = options.kind or next((kind for kind in kinds if kind in WRITERS[options.to]), kinds[0])
    if kind not in kinds:
        raise ConfigError(f"judgements of the task '{task}' give no {kind} data (accepted: {', '.join(kinds)})")
    if kind not in WRITERS[options.to]:
        raise ConfigError(f"{options.to} has no {kind} data (accepted: {', '.join(WRITERS[options.to])})")
    return kind


def _write(run: Run, folder: Path, kind: str, options: ExportOptions, exported: Exported) -> None:
    """Both files side by side; an empty validation file would be an error to `datasets`, so there is none."""
    files = {name: (folder / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n") for name in (TRAIN, VALIDATION)}
    try:
        for split, row in training_rows(_records(run, kind), kind, options, exported):
            files[split].write(to_json(row) + "\n")
    finally:
        for file in files.values():
            file.close()
    if not exported.rows.total():
        left = "; ".join(f"{REASONS[reason]}: {count}" for reason, count in exported.left_out.items())
        raise ConfigError(
            f"{run.directory}: nothing is left to export ({exported.records} records; {left or 'no examples'})"
        )
    for name in files:
        if not exported.rows[name]:
            (folder / f"{name}.jsonl").unlink()


def _records(run: Run, kind: str) -> Iterable[Judged]:
    """The judged records; those without a rubric of their own have the run's, where rubrics are exported."""
    rows = run.config.get("options", {}).get("checklist", ()) if kind == "rubric" else ()
    rubric = tuple(RubricItem(**{**row, "tags": tuple(row["tags"])}) for row in rows)
    if not rubric:
        return run
    return (
        judged if judged.record.rubric else judged._replace(record=replace(judged.record, rubric=rubric))
        for judged in run
    )


def training_rows(
    records: Iterable[Judged], kind: str, options: ExportOptions, exported: Exported
) -> Iterator[tuple[str, Row]]:
    """Each row with the split it belongs to; what is left out is counted in `exported`."""
    write, kept, answers = WRITERS[options.to][kind], IdSet(), IdSet()
    for judged in _counted(records, exported):
        for example in EXAMPLES[kind](judged.record, judged.judgement):
            if reason := why_not(example, options):
                exported.left_out[reason] += 1
            elif not kept.add(example.content):
                same = _answer(example) in answers
                exported.left_out["repeated" if same else "contradiction"] += 1
            else:
                answers.add(_answer(example))
                split = split_of(prompt_key(example), options.validation, options.seed)
                # Every other one, so that each place holds the better response just as often.
                swap = exported.rows[split] % 2 == 1
                exported.rows[split] += 1
                exported.second += swap
                yield split, write(example, swap) | _passed_on(judged.record, options)


def _passed_on(record: Record, options: ExportOptions) -> Row:
    """What TRL's chat templates need beside the messages, where the data had it."""
    return {
        name: record.meta[name]
        for name in ("tools", "chat_template_kwargs")
        if options.to == "trl" and name in record.meta
    }


def _counted(records: Iterable[Judged], exported: Exported) -> Iterator[Judged]:
    for judged in records:
        exported.records += 1
        yield judged


def why_not(example: Example, options: ExportOptions) -> str:
    """Why an example is left out, a key of `REASONS`; "" when it is not."""
    if example.empty:
        return "equal_responses"
    if example.tie and (not options.ties or options.to not in SAYS_TIES):
        return "tie"
    if example.margin < options.margin:
        return "below_min_margin"
    if options.agree and example.consistent is not True:
        return "orders_disagree"
    return ""


def split_of(prompt: str, validation: float, seed: int) -> str:
    """Where a prompt belongs: by a hash of the seed and the prompt, so that it stays when other data comes or goes."""
    lot = int.from_bytes(blake2b(f"{seed}/{prompt}".encode(), digest_size=8).digest(), "big")
    return VALIDATION if lot < validation * 2**64 else TRAIN


def _answer(example: Example) -> str:
    return blake2b(f"{example.content}/{example.label}".encode(), digest_size=16).hexdigest()


def write_revised(run: Path) -> dict[str, int]:
    """Beside a finished run of revision what it is made for: `supervised.jsonl` (prompt, completion) and
    `preferences.jsonl` (prompt, chosen, rejected, margin, p), every round that was judged; how many rows each has."""
    counts = {}
    for name, kind in (("supervised", "sft"), ("preferences", "preference")):
        options = ExportOptions(to="trl", kind=kind, validation=0.0)
        made: Iterator[dict[str, Any]] = (row for _, row in training_rows(open_run(run), kind, options, Exported()))
        counts[name] = write_rows(run / f"{name}.jsonl", made)
    return counts
