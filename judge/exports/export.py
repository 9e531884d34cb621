"""From a run to training data: filtered, each example once, balanced, split by prompt, with a card beside it.

The same run and the same options give the same bytes, in whatever order the run was made. The directory appears whole
or not at all. This module refuses to know trainers' formats (writers.py) and what a judgement teaches (examples.py).
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from judge.errors import ConfigError, RunError, unknown
from judge.exports.card import card
from judge.exports.examples import EXAMPLES, GIVES, Example, prompt_key
from judge.exports.writers import SAYS_TIES, WRITERS, Row
from judge.files import to_json, write_rows
from judge.records import Record
from judge.runs.id_set import IdSet
from judge.runs.reader import Judged, open_run

TRAIN, VALIDATION, CARD = "train", "validation", "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
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

    left_out: reason -> how many examples. second: rows whose better response stands second.
    """

    kind: str = ""
    records: int = 0
    failures: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    second: int = 0


def export(run: Path, out: Path, choice: Choice, *, force: bool = False) -> Exported:
    """Write `train.jsonl`, `validation.jsonl` and `README.md`.

    Raises ConfigError for what the run's task or the format cannot give, RunError for a directory that is not a run,
    that is there already (without `force`) or that cannot be written.
    """
    opened = open_run(run)
    manifest = opened.manifest
    kind = kind_of(manifest["config"]["task"], choice)
    if out.exists() and not force and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is there already; name another --out, or replace it with --force")
    done = Exported(kind=kind, failures=sum(1 for _ in opened.failures()))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}") from None
    try:
        _write(run, folder, kind, choice, done)
        (folder / CARD).write_text(card(run, manifest, choice, done), encoding="utf-8")
        _put(folder, out)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{out}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return done


def kind_of(task: str, choice: Choice) -> str:
    """The kind of example that is meant, if the task gives it and the format has it."""
    if task not in GIVES:
        raise ConfigError(f"judgements of the task '{task}' teach no trainer anything (accepted: {', '.join(GIVES)})")
    kind = choice.kind or next((kind for kind in GIVES[task] if kind in WRITERS[choice.to]), GIVES[task][0])
    if kind not in GIVES[task]:
        raise ConfigError(f"judgements of the task '{task}' give no {kind} data (accepted: {', '.join(GIVES[task])})")
    if kind not in WRITERS[choice.to]:
        raise ConfigError(f"{choice.to} has no {kind} data (accepted: {', '.join(WRITERS[choice.to])})")
    return kind


def _write(run: Path, folder: Path, kind: str, choice: Choice, done: Exported) -> None:
    """Both files side by side; an empty validation file would be an error to `datasets`, so there is none."""
    files = {name: (folder / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n") for name in (TRAIN, VALIDATION)}
    try:
        for split, row in rows(open_run(run), kind, choice, done):
            files[split].write(to_json(row) + "\n")
    finally:
        for file in files.values():
            file.close()
    if not done.rows.total():
        left = "; ".join(f"{reason}: {count}" for reason, count in done.left_out.items())
        raise ConfigError(f"{run}: nothing is left to export ({done.records} records; {left or 'no examples'})")
    for name in files:
        if not done.rows[name]:
            (folder / f"{name}.jsonl").unlink()


def rows(records: Iterable[Judged], kind: str, choice: Choice, done: Exported) -> Iterator[tuple[str, Row]]:
    """Each row with the split it belongs to; what is left out is counted in `done`."""
    write, kept, answers = WRITERS[choice.to][kind], IdSet(), IdSet()
    for one in _counted(records, done):
        for example in EXAMPLES[kind](one.record, one.judgement):
            if reason := why_not(example, choice):
                done.left_out[reason] += 1
            elif not kept.add(example.content):
                same = _answer(example) in answers
                done.left_out["repeated" if same else "contradicts an example before it"] += 1
            else:
                answers.add(_answer(example))
                split = split_of(prompt_key(example), choice.validation, choice.seed)
                # Every other one, so that each place holds the better response just as often.
                swap = done.rows[split] % 2 == 1
                done.rows[split] += 1
                done.second += swap
                yield split, write(example, swap) | _passed_on(one.record, choice)


def _passed_on(record: Record, choice: Choice) -> Row:
    """What TRL's chat templates need beside the messages, where the data had it."""
    return {
        name: record.meta[name]
        for name in ("tools", "chat_template_kwargs")
        if choice.to == "trl" and name in record.meta
    }


def _counted(records: Iterable[Judged], done: Exported) -> Iterator[Judged]:
    for one in records:
        done.records += 1
        yield one


def why_not(example: Example, choice: Choice) -> str:
    """Why an example is left out, "" when it is not."""
    if example.empty:
        return "both responses are the same"
    if example.tie and (not choice.ties or choice.to not in SAYS_TIES):
        return "a tie"
    if example.margin < choice.margin:
        return "below the least margin"
    if choice.agree and example.consistent is not True:
        return "no agreement of both orders"
    return ""


def split_of(prompt: str, validation: float, seed: int) -> str:
    """Where a prompt belongs: by a hash of the seed and the prompt, so that it stays when other data comes or goes."""
    lot = int.from_bytes(blake2b(f"{seed}/{prompt}".encode(), digest_size=8).digest(), "big")
    return VALIDATION if lot < validation * 2**64 else TRAIN


def _answer(example: Example) -> str:
    return blake2b(f"{example.content}/{example.label}".encode(), digest_size=16).hexdigest()


def _put(folder: Path, out: Path) -> None:
    """The finished directory under its name; what was there goes only once the new one stands."""
    os.chmod(folder, 0o755)
    if not out.exists():
        os.replace(folder, out)
        return
    old = folder.with_suffix(".old")
    os.replace(out, old)
    try:
        os.replace(folder, out)
    except OSError:
        with suppress(OSError):
            os.replace(old, out)
        raise
    shutil.rmtree(old) if old.is_dir() else old.unlink()


def write_revised(run: Path) -> dict[str, int]:
    """Beside a finished run of revision what it is made for: `supervised.jsonl` (prompt, completion) and
    `preferences.jsonl` (prompt, chosen, rejected, margin, p), every round that was judged; how many rows each has."""
    counts = {}
    for name, kind in (("supervised", "sft"), ("preferences", "preference")):
        choice = Choice(to="trl", kind=kind, validation=0.0)
        made: Iterator[dict[str, Any]] = (row for _, row in rows(open_run(run), kind, choice, Exported()))
        counts[name] = write_rows(run / f"{name}.jsonl", made)
    return counts
