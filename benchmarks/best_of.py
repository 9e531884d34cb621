"""What is choosing among 16 answers of the embedded model worth, and what a tournament against pointwise scores?

`python benchmarks/best_of.py --out DIR --models MODELS`: MODELS holds the models `process` and `ensemble` that
`benchmarks/distill.py --only pe` makes (its DIR/models). A second ensemble, `planned`, is trained here on pairs whose
worse side may also solve another problem than the one asked, which the first one has never seen. `tiny` answers
held-out problems 16 times; their numbers grow so large that it is right less than half the time at temperature 1
(`--largest 0 --temperature 1.75` takes usual ones, where its mistakes are those of the draw). For each model the best
of 16 stands beside pass@1, pass@16 and majority voting; a search by steps stands beside the best of as many whole
answers as have the same tokens. `--part tournament` needs no models.
"""

import argparse
import itertools
import math
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

import judge
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.files import write_rows
from judge.formats import to_row
from judge.jobs.rewards.judge_reward import JudgeReward
from judge.jobs.rewards.policy import Draft, Policy
from judge.records import HumanLabel, Message, Pair, Ranking, Response
from judge.tiny.arithmetic import value
from judge.tiny.lessons import solution_text
from judge.tiny.problems import Node, largest, problem, question
from judge.tiny.solutions import solve, solve_wrong

ROUNDS = 2000
"""Draws of prompts for the intervals of the tournament."""


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="problems and reports; kept")
    parser.add_argument("--models", type=Path, help="the folder of `process` and `ensemble`")
    parser.add_argument("--part", choices=("chosen", "search", "tournament"), action="append")
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--searched", type=int, default=16, help="so many of them for the search")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--largest", type=int, default=1000, help="a number as large as this appears in each working")
    parser.add_argument("--tiny", type=int, default=24, help="problems whose solutions `tiny` compares; 0: none")
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
    nodes = list(itertools.islice(drawn(rng, options.largest, held_out=True), options.problems))
    rows = [
        Response(prompt=(Message("user", question(node)),), response=(), reference=str(value(node.tokens)))
        for node in nodes
    ]
    write_rows(path, map(to_row, rows))
    return path


def drawn(rng: random.Random, magnitude: int, *, held_out: bool) -> Iterator[Node]:
    """Problems in whose working a number of this magnitude appears; usual ones where it is 0."""
    while True:
        node = problem(rng, limit=100_000 if magnitude else 999, wide=magnitude > 0, held_out=held_out)
        if largest(node.tokens) >= magnitude:
            yield node


def answers(options: argparse.Namespace) -> Path:
    """16 answers of the embedded model to each problem, sampled once."""
    path: Path = options.out / "answers.jsonl"
    if path.exists():
        return path
    records = [record for _, record in judge.read_records(problems(options))]
    policy = Policy("tiny", temperature=options.temperature, max_tokens=700, seed=options.seed)
    drafts = [
        Draft(record.prompt, "", f"{number}/{draw}") for number, record in enumerate(records) for draw in range(16)
    ]
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


def planned(options: argparse.Namespace) -> Path:
    """An ensemble trained on true labels of pairs; of the worse sides a quarter have a plan that is copied wrongly, and
    a quarter solve a part of the problem."""
    path: Path = options.out / "planned"
    if not (path / "reward.json").exists():
        judge.distill(
            list(pairs(options.seed + 1, 600, options.largest)),
            kind="ensemble",
            backbone=str(options.models / "process"),
            out=path,
            labels="human",
            learning_rate=1e-4,
            batch_size=8,
            epochs=1,
            settings={"optimizer": "muon", "head_lr_multiplier": 50, "dtype": "bfloat16", "head": "likelihood"},
            progress=False,
        )
    return path


def pairs(seed: int, count: int, magnitude: int) -> Iterator[Pair]:
    """A right solution and a wrong one, in either order; three of four in the way in which `tiny` writes."""
    rng = random.Random(seed)
    for node in itertools.islice(drawn(rng, magnitude, held_out=False), count):
        neat, draw = rng.random() < 0.75, rng.random()
        right, other = solve(rng, node, wrong=0, neat=neat), solve_wrong(rng, node, neat=neat)
        part = node.left
        if draw < 0.25:
            other = solve(rng, node, wrong=1e-9, plan_wrong=1.0, neat=neat)
        elif draw < 0.5 and part is not None and part.left is not None and value(part.tokens) != value(node.tokens):
            other = solve(rng, part, wrong=0, neat=neat)
        if other.answer == value(node.tokens):
            other = solve_wrong(rng, node, neat=neat)
        first = rng.random() < 0.5
        sides = [
            (Message("assistant", solution_text(written)),) for written in ((right, other) if first else (other, right))
        ]
        label = HumanLabel(annotator="truth", verdict="first" if first else "second")
        prompt = (Message("user", question(node)),)
        yield Pair(prompt=prompt, first=sides[0], second=sides[1], human=(label,))


def chosen(options: argparse.Namespace) -> None:
    """The best of 16 by each model."""
    data = answers(options)
    for kind in ("process", "ensemble", "planned"):
        model = planned(options) if kind == "planned" else options.models / kind
        report = judge.best_of(model, str(data), n=16, progress=False)
        report.save(options.out / f"{kind}.html")
        report.save(options.out / f"{kind}.json")
        show(
            kind,
            report,
            (
                "best_of/1",
                "best_of/16",
                "pass/16",
                "majority/16",
                "weighted/16",
                "share_of_way",
                "best_of_majority_difference",
            ),
        )


def searched(options: argparse.Namespace) -> None:
    """A search by steps against the process model."""
    report = judge.best_of(
        options.models / "process",
        str(problems(options)),
        limit=options.searched,
        policy="tiny",
        search="steps",
        beams=4,
        width=4,
        temperature=options.temperature,
        max_tokens=700,
        seed=options.seed,
        progress=False,
    )
    report.save(options.out / "search.html")
    report.save(options.out / "search.json")
    show(
        "search",
        report,
        ("best_of/1", "best_of/16", "pass/16", "search", "equal_tokens", "search_difference", "search_tokens"),
    )


def show(name: str, report: judge.BestOfReport, names: Sequence[str]) -> None:
    """Figures with their intervals."""
    for key in names:
        figure = report.figures[key]
        scale = 1 if figure.unit == "number" else 100
        low, high = (math.nan if bound is None else bound * scale for bound in (figure.low, figure.high))
        print(
            f"{name}: {figure.title} {figure.of}: {(figure.value or 0) * scale:.1f} ({low:.1f} to {high:.1f})",
            flush=True,
        )


# ---- tournaments -----------------------------------------------------------------------------------------------------


class Ranked(NamedTuple):
    """Responses to one prompt and the worth of each."""

    ranking: Ranking
    worths: list[float]


def tournaments(options: argparse.Namespace) -> None:
    """Rank correlation of strengths and of scores with the truth, and their calls: of a noisy judge, and of `tiny`."""
    rng = random.Random(options.seed)
    rankings = [_of_worths(rng, number) for number in range(200)]

    def scripted(salt: str) -> ScriptedEngine:
        return ScriptedEngine(lambda request: noisy(request, salt), name="noisy")

    print("a noisy judge, eight responses of normal worth, 200 prompts")
    print("| by | calls | rank correlation | minus scores |\n|---|---|---|---|")

    def scores_of(salt: str) -> JudgeReward:
        return JudgeReward(scripted(salt), task="score", prompt="verdict")

    scores = correlations([scores_of("0")], rankings, "scores")
    correlations([scores_of(salt) for salt in "0123"], rankings, "mean of four scores", beside=scores)
    for kind in ("knockout", "swiss", "full"):
        source = JudgeReward(scripted("0"), task="tournament", prompt="verdict", tournament=kind)
        correlations([source], rankings, f"{kind} tournament", beside=scores)
    if options.tiny:
        solved = [_of_problem(rng) for _ in range(options.tiny)]
        print(f"tiny, eight solutions of one problem, each right half of the time, {options.tiny} problems")
        with JudgeReward("tiny", task="outcome") as source:
            scores = correlations([source], solved, "P(right)")
        for kind in ("swiss", "full"):
            with JudgeReward("tiny", task="tournament", tournament=kind) as source:
                correlations([source], solved, f"{kind} tournament", beside=scores)


def noisy(request: Request, salt: str) -> Completion:
    """What a judge answers that sees each text's worth under normal noise of deviation 1, anew in each call. A score is
    spread over 1...5 around 3 + what it sees; of two texts the first has one unit of logit more than it deserves."""
    rng = random.Random(f"{salt}{request.key}")
    text = request.messages[-1].content
    seen = [float(worth) + rng.gauss(0, 1) for worth in re.findall(r"worth (-?[\d.]+)", text)]
    if len(seen) == 1:
        weights = [math.exp(-((int(choice) - 3 - seen[0]) ** 2)) for choice in request.choices]
    else:
        first = 1 / (1 + math.exp(-2 * (seen[0] - seen[1]) - 1))
        weights = [first if choice == "A" else 1 - first if choice == "B" else 1e-6 for choice in request.choices]
    total = sum(weights)
    logprobs = {
        choice: math.log(max(weight / total, 1e-12)) for choice, weight in zip(request.choices, weights, strict=True)
    }
    return Completion(text=max(logprobs, key=lambda choice: logprobs[choice]), logprobs=logprobs)


def _of_worths(rng: random.Random, number: int) -> Ranked:
    """Eight responses whose worth is normal; the text names it, so that a scripted judge can see it."""
    worths = [rng.gauss(0, 1) for _ in range(8)]
    texts = [f"response {place} worth {worth:.6f}" for place, worth in enumerate(worths)]
    responses = tuple((Message("assistant", text),) for text in texts)
    return Ranked(Ranking(prompt=(Message("user", f"prompt {number}"),), responses=responses), worths)


def _of_problem(rng: random.Random) -> Ranked:
    """Eight different solutions of a held-out problem, four of them right."""
    node = problem(rng, held_out=True)
    written: dict[str, float] = {}
    while len(written) < 8:
        right = len(written) < 4
        solution = solve(rng, node, wrong=0) if right else solve_wrong(rng, node)
        written.setdefault(solution_text(solution), float(right))
    texts = rng.sample(sorted(written), 8)
    responses = tuple((Message("assistant", text),) for text in texts)
    prompt = (Message("user", question(node)),)
    return Ranked(Ranking(prompt=prompt, responses=responses), [written[text] for text in texts])


def correlations(
    sources: Sequence[JudgeReward], rankings: Sequence[Ranked], name: str, *, beside: Sequence[float] | None = None
) -> list[float]:
    """Spearman's rho of the sources' mean reward with the truth, printed as a mean over prompts with its interval."""
    rows = [ranked.ranking for ranked in rankings]
    rewards = np.array(
        [[[float(reward) for reward in each] for each in source.score_batch(rows)] for source in sources]
    ).mean(axis=0)
    values = [float(spearmanr(each, ranked.worths).statistic) for each, ranked in zip(rewards, rankings, strict=True)]
    calls = sum(source.counts.calls for source in sources) / len(rankings)
    cells = [name, f"{calls:.0f}", interval(values)]
    cells.append(interval([own - other for own, other in zip(values, beside, strict=True)]) if beside else "")
    print(f"| {' | '.join(cells)} |", flush=True)
    return values


def interval(values: Sequence[float]) -> str:
    """A mean with its 95 % interval over prompts."""
    array = np.array(values)
    places = np.random.default_rng(0).integers(0, len(array), (ROUNDS, len(array)))
    low, high = np.quantile(array[places].mean(axis=1), [0.025, 0.975])
    return f"{array.mean():+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
