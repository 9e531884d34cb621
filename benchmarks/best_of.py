"""What is choosing among 16 answers of the embedded model worth, and what a tournament against pointwise scores?

`python benchmarks/best_of.py --out DIR --models DIR2` takes the models that `benchmarks/distill.py --out DIR3 --only pe`
left in DIR3/models (`process`, `ensemble`), lets `tiny` answer held-out problems 16 times at a temperature at which it is
right about half the time, and prints for each model the best of 16 beside pass@1, pass@16 and majority voting, and a
search by steps beside the best of as many whole answers as have the same tokens. `--part tournament` needs no model.
"""

import argparse
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.stats import spearmanr

import judge
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.files import write_rows
from judge.formats import to_row
from judge.records import HumanLabel, Message, Ranking, Response
from judge.tiny.arithmetic import value
from judge.tiny.lessons import solution_text
from judge.tiny.moves import any_style
from judge.tiny.problems import problem, question
from judge.tiny.solutions import solve

ROUNDS = 200
"""Draws of prompts for the intervals of the tournament."""


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="problems and reports; kept")
    parser.add_argument("--models", type=Path, help="the folder of `process` and `ensemble`")
    parser.add_argument("--part", choices=("chosen", "search", "tournament"), action="append")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--temperature", type=float, default=1.2)
    parser.add_argument("--seed", type=int, default=20261128)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    parts = options.part or ["chosen", "search", "tournament"]
    if "chosen" in parts:
        chosen(options)
    if "search" in parts:
        searched(options)
    if "tournament" in parts:
        tournaments(options)


# ---- best of n -------------------------------------------------------------------------------------------------------


def problems(options: argparse.Namespace) -> Path:
    """Held-out problems with their answers and none written yet."""
    path: Path = options.out / "problems.jsonl"
    rng = random.Random(options.seed)
    nodes = [problem(rng, held_out=True) for _ in range(options.problems)]
    rows = [
        Response(prompt=(Message("user", question(node)),), response=(), reference=str(value(node.tokens)))
        for node in nodes
    ]
    write_rows(path, map(to_row, rows))
    return path


def answers(options: argparse.Namespace) -> Path:
    """16 answers of the embedded model to each problem, sampled once."""
    from judge.jobs.rewards.policy import Draft, Policy

    path: Path = options.out / f"answers-{options.temperature:g}.jsonl"
    if path.exists():
        return path
    records = [record for _, record in judge.read_records(problems(options))]
    policy = Policy("tiny", temperature=options.temperature, max_tokens=800, seed=options.seed)
    drafts = [Draft(record.prompt, "", f"{number}/{draw}") for number, record in enumerate(records) for draw in range(16)]
    completions = policy.write(drafts)
    policy.close()
    written = []
    for number, record in enumerate(records):
        assert isinstance(record, Response)
        for completion in completions[number * 16 : number * 16 + 16]:
            text = (Message("assistant", completion.text),)
            written.append(Response(prompt=record.prompt, response=text, reference=record.reference))
    write_rows(path, map(to_row, written))
    return path


def chosen(options: argparse.Namespace) -> None:
    """The best of 16 by each model."""
    data = answers(options)
    for kind in ("process", "ensemble"):
        report = judge.best_of(options.models / kind, str(data), n=16, progress=False)
        report.save(options.out / f"{kind}.html")
        report.save(options.out / f"{kind}.json")
        show(kind, report, ("best_of/1", "best_of/16", "pass/16", "majority/16", "weighted/16", "share_of_way",
                            "best_of_majority_difference"))


def searched(options: argparse.Namespace) -> None:
    """A search by steps against the process model."""
    report = judge.best_of(
        options.models / "process",
        str(problems(options)),
        policy="tiny",
        search="steps",
        beams=4,
        width=4,
        temperature=options.temperature,
        max_tokens=800,
        seed=options.seed,
        progress=False,
    )
    report.save(options.out / "search.html")
    report.save(options.out / "search.json")
    show("search", report, ("best_of/1", "best_of/16", "pass/16", "search", "equal_tokens", "search_difference",
                            "search_tokens"))


def show(name: str, report: judge.BestOfReport, names: Sequence[str]) -> None:
    """Figures with their intervals."""
    for key in names:
        figure = report.figures[key]
        scale = 1 if figure.unit == "number" else 100
        low, high = (math.nan if bound is None else bound * scale for bound in (figure.low, figure.high))
        print(f"{name}: {figure.title} {figure.of}: {(figure.value or 0) * scale:.1f} ({low:.1f} to {high:.1f})", flush=True)


# ---- tournaments -----------------------------------------------------------------------------------------------------


def tournaments(options: argparse.Namespace) -> None:
    """Rank correlation of strengths and of scores with the truth: of a noisy judge, and of `tiny`."""
    noisy(options)


def noisy(options: argparse.Namespace) -> None:
    """A scripted judge that sees the truth under noise: alike for a score (rounded to 1...5) and for each text of a
    comparison, which also leans to the first place."""
    rng = random.Random(options.seed)
    rankings = list(_worths(rng, 100))
    pointwise = judge.open_reward(_NoisyJudge(options.seed).engine(), task="score", low=1, high=5, temperature=1.0)
    compare(rankings, "noisy judge", pointwise, lambda kind: judge.open_reward(
        _NoisyJudge(options.seed).engine(), task="tournament", tournament=kind, temperature=1.0))


def _worths(rng: random.Random, count: int) -> Iterator[tuple[Ranking, list[float]]]:
    """Eight responses whose worth is normal; the text names it, so that a scripted judge can see it."""
    for number in range(count):
        worths = [rng.gauss(0, 1) for _ in range(8)]
        responses = tuple((Message("assistant", f"response {place} worth {worth:.6f}"),) for place, worth in enumerate(worths))
        yield Ranking(prompt=(Message("user", f"prompt {number}"),), responses=responses), worths
