"""The main job from end to end in a few minutes: problems with known truth, labels by the embedded judge, the figures.

`make demo`, or `python examples/demo.py --help`. Every step is an `rmjudge` command that is shown before it runs, so it
can be repeated by hand; only the comparison with the truth is Python, and stands below.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo_models import HELD, LEARNT, MODELS, RECIPE, hold_out, models_rows
from demo_revision import before_and_after, revision_counts
from rich.console import Console
from rich.table import Table

from judge import Critique, Judgement, Pair, Preference, Record, Solution, Steps, from_row, judgement_from_row, spoken
from judge.files import read_rows

RMJUDGE = str(Path(sys.executable).with_name("rmjudge"))
FILES = ("pairs.jsonl", "solutions.jsonl", "responses.jsonl", "preference", "steps", "critique", "revised")
FILES += (*LEARNT.values(), "held", "report.html", *(f"model-{model.kind}" for model in MODELS))
console = Console(highlight=False)
Judged = list[tuple[Record, Judgement]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=160, help="pairs to compare")
    parser.add_argument("--solutions", type=int, default=100, help="solutions whose steps are judged")
    parser.add_argument("--critiques", type=int, default=3, help="solutions to criticise")
    parser.add_argument("--revisions", type=int, default=16, help="answers to criticise and revise")
    parser.add_argument("--no-models", action="store_true", help="no reward models and no report")
    parser.add_argument("--seed", type=int, default=0, help="other problems")
    parser.add_argument("--judge", default="tiny", help="any judge: vllm:MODEL, hf:MODEL, tiny")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where the files go")
    options = parser.parse_args()
    started = time.monotonic()
    clear(options.out)
    out, judge = str(options.out), options.judge
    say("1. Problems with known truth", "Arithmetic that the embedded judge has never seen, right and wrong solutions.")
    counts = {"pairs": options.pairs, "solutions": options.solutions, "responses": options.revisions}
    for seed, (kind, count) in enumerate(counts.items(), options.seed + 1):
        neat = () if kind == "responses" else ("--neat",)
        rmjudge("tiny", "generate", kind, "--count", count, "--seed", seed, *neat, "--out", f"{out}/{kind}.jsonl")
    say("2. Which of two solutions is better?", "Each pair is asked in both orders.")
    rmjudge("label", f"{out}/pairs.jsonl", "--task", "preference", "--judge", judge, "--out", f"{out}/preference")
    say("3. Which steps are right?", "One call a step; the calls of one solution share its text in the cache.")
    rmjudge("label", f"{out}/solutions.jsonl", "--task", "steps", "--judge", judge, "--out", f"{out}/steps")
    say("4. What is wrong, in words?", "Three are few, so transformers does instead of vLLM: it loads faster.")
    by = "tiny:hf" if judge == "tiny" else judge
    words = ("--task", "critique", "--judge", by, "--limit", options.critiques, "--out", f"{out}/critique")
    rmjudge("label", f"{out}/solutions.jsonl", *words)
    for judged in run_rows(options.out / "critique"):
        show_critique(*judged)
    say("5. Can it be mended?", "Critique, revision, and a referee asked in both orders: only what wins is kept.")
    words = ("--constitution", "careful-mathematics", "--judge", judge, "--rounds", 1, "--out", f"{out}/revised")
    rmjudge("revise", f"{out}/responses.jsonl", *words)
    for drawn in before_and_after(options.out / "revised"):
        console.print(drawn)
    if not options.no_models:
        reward_models(options.out)
    say("8. Against the truth", "")
    console.print(preference_table(options.out / "preference"))
    console.print(steps_table(options.out / "steps"))
    console.print(revision_table(options.out / "revised"))
    if not options.no_models:
        console.print(models_table(options.out))
    console.print(f"Everything is in {out}/. The demo took {time.monotonic() - started:.0f} s.")
    return 0


def reward_models(out: Path) -> None:
    """Distil three from the labels, and let the report compare them with their judge."""
    say("6. Reward models", "They learn from three quarters of the labels; the last quarter is held out.")
    for run in ("preference", "steps"):
        hold_out(out / run, out / LEARNT[run], out / HELD[run])
    for model in MODELS:
        backbone = f"{out}/model-{model.begins}" if model.begins else "tiny"
        named = ("--kind", model.kind, "--backbone", backbone, "--quiet", "--out", f"{out}/model-{model.kind}")
        rmjudge("distill", f"{out}/{LEARNT[model.run]}", *named, *RECIPE)
        scored = ("--quiet", "--out", f"{out}/{model.scores}")
        rmjudge("score", f"{out}/model-{model.kind}", f"{out}/{HELD[model.run]}", *scored)
    say("7. Can they stand in for people?", "Here the people are the truth, which the judge has not seen.")
    runs = [f"{out}/{HELD['preference']}", *(f"{out}/{m.scores}" for m in MODELS if m.run == "preference")]
    rmjudge("agree", *runs, "--report", f"{out}/report.html")


def clear(out: Path) -> None:
    """Remove what an earlier demo wrote, and nothing else."""
    for name in FILES:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)


def say(title: str, text: str) -> None:
    console.print(f"\n[bold]{title}[/bold]" + (f"\n{text}" if text else ""))


def rmjudge(*words: object) -> None:
    """Show a command and run it; its failure ends the demo."""
    command = [str(word) for word in words]
    console.print(f"\n[cyan]$ rmjudge {shlex.join(command)}[/cyan]", soft_wrap=True)
    code = subprocess.run([RMJUDGE, *command], check=False).returncode
    if code:
        raise SystemExit(code)


# ---- the truth -----------------------------------------------------------------------------------------------------


def run_rows(run: Path) -> Iterator[tuple[Record, Judgement]]:
    """Every record of a run with its judgement, readable or not."""
    for name in ("labels.jsonl", "failures.jsonl"):
        for _, row in read_rows(run / name) if (run / name).stat().st_size else ():
            yield from_row(row), judgement_from_row(row["judgement"])


def preference_table(run: Path) -> Table:
    """How often the merged verdict is the truth, and how often the order of the two decided."""
    better, ties, flips = Share(), Share(), Share()
    unreadable = 0
    for record, said in run_rows(run):
        assert isinstance(record, Pair) and isinstance(said, Preference)
        truth = record.human[0].verdict
        if said.verdict is None:
            unreadable += 1
        else:
            (ties if truth == "tie" else better).add(said.verdict == truth)
        if said.consistent is not None:
            flips.add(not said.consistent)
    rows = [
        ("right verdicts", better + ties),
        ("  where one side is right", better),
        ("  where both are alike (tie)", ties),
        ("position flips", flips),
    ]
    return table("Preference", rows, unreadable, run)


def steps_table(run: Path) -> Table:
    """How often a step's verdict is the truth, and how often the first wrong step is found exactly."""
    steps, wrong, exact, idle = Share(), Share(), Share(), Share()
    unreadable = 0
    for record, said in run_rows(run):
        assert isinstance(record, Solution) and isinstance(said, Steps)
        for verdict, right in zip(said.verdict, record.meta["right"], strict=True):
            if verdict is None:
                unreadable += 1
                continue
            steps.add((verdict == "right") == right)
            if not right:
                wrong.add(verdict == "wrong")
        truth = record.human[0].verdict
        exact.add(said.first_wrong == truth)
        idle.add(truth == -1)
    rows = [
        ("right verdicts on steps", steps),
        ("  wrong steps found", wrong),
        ("first wrong step exactly right", exact),
        ("  by always saying 'no mistake'", idle),
    ]
    return table("Steps", rows, unreadable, run)


def revision_table(run: Path) -> Table:
    """What critique and revision changed for the better, and what for the worse."""
    rows = [(name, Share(hits, count)) for name, hits, count in revision_counts(run)]
    unreadable = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["counts"]["unreadable"]
    return table("Revision", rows, unreadable, run)


def models_table(out: Path) -> Table:
    """Each reward model on the labels held out, beside the judge that it learnt from."""
    drawn = Table("reward model", "right", "its judge right", "says what its judge says", title="Held-out labels")
    drawn.title_justify = "left"
    for row in models_rows(out):
        drawn.add_row(*row)
    return drawn


class Share:
    """So many of so many."""

    def __init__(self, hits: int = 0, count: int = 0) -> None:
        self.hits, self.count = hits, count

    def add(self, hit: bool) -> None:
        self.hits, self.count = self.hits + hit, self.count + 1

    def __add__(self, other: "Share") -> "Share":
        return Share(self.hits + other.hits, self.count + other.count)

    def __str__(self) -> str:
        return f"{self.hits / self.count:.1%} ({self.hits} of {self.count})" if self.count else "none"


def table(title: str, rows: list[tuple[str, Share]], unreadable: int, run: Path) -> Table:
    """The shares, then what could not be read and what the run cost, from its manifest."""
    manifest: dict[str, Any] = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    tokens, seconds = manifest["tokens"], manifest["seconds"]
    drawn = Table("", "", title=title, title_justify="left", show_header=False, min_width=60)
    for name, share in rows:
        drawn.add_row(name, str(share))
    drawn.add_row("unreadable verdicts", f"{unreadable}")
    drawn.add_row("rows/s, loading included", f"{manifest['counts']['rows'] / seconds:.1f}")
    drawn.add_row("tokens/s, loading included", f"{(tokens['prompt'] + tokens['output']) / seconds:,.0f}")
    drawn.add_row("prompt tokens from the cache", f"{tokens['cached'] / max(1, tokens['prompt']):.0%}")
    return drawn


def show_critique(record: Record, said: Judgement) -> None:
    """A solution, its critique beside it, and what is true."""
    assert isinstance(record, Solution) and isinstance(said, Critique)
    first = record.human[0].verdict
    truth = "no mistake" if first == -1 else f"the first mistake is in step {int(str(first)) + 1}"
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(record.steps, 1))
    drawn = Table(
        "solution", "critique by the judge", title=spoken(record.prompt), title_justify="left", show_lines=True
    )
    drawn.add_row(steps, said.verdict or f"unreadable: {said.reason}")
    drawn.add_row("the truth", truth)
    console.print()
    console.print(drawn)


if __name__ == "__main__":
    sys.exit(main())
