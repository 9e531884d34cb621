"""Whether two checkouts write the same rows: `label`, `score` and `revise` on the same inputs, byte for byte.

    python benchmarks/same_rows.py --before DIR --after DIR            small inputs, a minute
    python benchmarks/same_rows.py --before DIR --after DIR --tiny 50  also 50 pairs and solutions judged by `tiny`

Each checkout runs its own .venv/bin/rmjudge in a copy of tests/fixtures/v0_1. Rows are compared as a set, since their
order is that in which engines answer. RENAMED lists the keys whose names changed on purpose. Prints a table; exit 1
when rows differ beyond it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "v0_1"

RENAMED: dict[str, str] = {}
"""Key before -> key after, wherever it stands in a row."""

ROWS = ("labels.jsonl", "failures.jsonl", "supervised.jsonl", "preferences.jsonl")
PAIRS = ["label", "pairs.jsonl", "--task", "preference", "--judge", "scripted:rules.jsonl"]
COMMANDS: dict[str, list[str]] = {
    "label preference": [*PAIRS, "--prompt", "pair.jinja"],
    "label votes": [*PAIRS, "--prompt", "pair.jinja", "--votes", "3", "--temperature", "0.7"],
    "label constitution": [*PAIRS, "--constitution", "sums.yaml", "--limit", "6"],
    "label score": ["label", "responses.jsonl", "--task", "score", "--judge", "scripted:rating.jsonl"],
    "revise": ["revise", "prompts.jsonl", "--constitution", "sums.yaml", "--judge", "scripted:revising.jsonl"],
    "score scalar": ["score", "models/scalar", "scored_pairs.jsonl"],
    "score lora": ["score", "models/lora", "scored_pairs.jsonl"],
    "score ensemble": ["score", "models/ensemble", "scored_pairs.jsonl"],
    "score process": ["score", "models/process", "scored_solutions.jsonl"],
}
TINY = {"tiny pairs": ("pairs", "preference"), "tiny solutions": ("solutions", "steps")}


def write_rows(checkout: Path, folder: Path, words: list[str], name: str) -> dict[str, list[str]]:
    """Run one command with one checkout; the lines of each file of rows, sorted."""
    out = folder / "out" / name.replace(" ", "_")
    command = [str(checkout / ".venv" / "bin" / "rmjudge"), *words, "--out", str(out), "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(words)}: exit {done.returncode}\n{done.stderr}")
    files = (path for path in map(out.joinpath, ROWS) if path.exists())
    return {path.name: sorted(path.read_text("utf-8").splitlines()) for path in files}


def renamed(value: Any) -> Any:
    """A row with the keys of today."""
    if isinstance(value, dict):
        return {RENAMED.get(key, key): renamed(inner) for key, inner in value.items()}
    return [renamed(inner) for inner in value] if isinstance(value, list) else value


def canonical(line: str, *, rename: bool = False) -> str:
    """A row with its keys sorted."""
    row = json.loads(line)
    return json.dumps(renamed(row) if rename else row, sort_keys=True)


def compare(before: dict[str, list[str]], after: dict[str, list[str]]) -> tuple[str, str]:
    """How far the rows of two runs are equal, and the first pair of lines that differs."""
    if before == after:
        return "equal", ""
    for name in sorted({*before, *after}):
        earlier, later = before.get(name, []), after.get(name, [])
        if len(earlier) != len(later):
            return "DIFFERENT", f"{name}: {len(earlier)} rows before, {len(later)} after"
        for one, other in zip(earlier, later, strict=True):
            if canonical(one, rename=True) != canonical(other):
                return "DIFFERENT", f"{name}\n- {one}\n+ {other}"
    return "equal but for renamed keys and their order", ""


def tiny_commands(checkout: Path, folder: Path, count: int) -> dict[str, list[str]]:
    """Label commands for the embedded judge, on problems that one checkout writes for both."""
    commands = {}
    for name, (kind, task) in TINY.items():
        rows = folder / f"tiny_{kind}_{count}.jsonl"
        made = ["tiny", "generate", kind, "--count", str(count), "--seed", "7", "--out", str(rows)]
        subprocess.run([str(checkout / ".venv" / "bin" / "rmjudge"), *made], check=True, capture_output=True)
        commands[name] = ["label", str(rows), "--task", task, "--judge", "tiny"]
    return commands


def main() -> None:
    """Run everything with both checkouts and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the checkout of before, with its .venv")
    parser.add_argument("--after", type=Path, required=True, help="the checkout of today, with its .venv")
    parser.add_argument("--tiny", type=int, default=0, metavar="N", help="also N problems judged by tiny")
    given = parser.parse_args()
    different = 0
    with tempfile.TemporaryDirectory() as temporary:
        folders = {side: Path(temporary) / side for side in ("before", "after")}
        for folder in folders.values():
            shutil.copytree(FIXTURES, folder)
        commands = dict(COMMANDS)
        if given.tiny:
            commands |= tiny_commands(given.before.resolve(), Path(temporary), given.tiny)
        for name, words in commands.items():
            before = write_rows(given.before.resolve(), folders["before"], words, name)
            after = write_rows(given.after.resolve(), folders["after"], words, name)
            verdict, difference = compare(before, after)
            different += bool(difference)
            print(f"{name:<20} {sum(map(len, before.values())):>5} rows  {verdict}")
            if difference:
                print(difference)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
