"""Best of n: the embedded model answers problems several times, and a distilled reward chooses.

    python examples/best_of_n.py --out build/best-of [--reward MODEL] [--problems 24] [-n 8]

Prints the truth of one answer, of the best of n by the reward, and of any of n; `rmjudge best-of` makes a report of the
same rows.
"""

import argparse
from pathlib import Path

import judge
from judge.files import write_rows
from judge.jobs.rewards.policy import Draft, Policy
from judge.tiny import READER


def answers(rows: list[dict[str, str]], n: int) -> list[dict[str, object]]:
    """n sampled answers to each problem, a row an answer, with the known answer as reference."""
    policy = Policy(f"hf:{READER}", prompt="brief", temperature=1.4, max_tokens=256)
    drafts = [
        Draft(judge.from_row(row).prompt, "", f"{place}/{draw}") for place, row in enumerate(rows) for draw in range(n)
    ]
    texts = [completion.text for completion in policy.write(drafts)]
    policy.close()
    made: list[dict[str, object]] = []
    for place, row in enumerate(rows):
        written = texts[place * n : (place + 1) * n]
        made += [{"prompt": row["prompt"], "response": text, "reference": row["reference"]} for text in written]
    return made


def main() -> None:
    """Distil, sample, choose."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--reward", default="", help="what judge.open_reward takes; else a model is distilled")
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("-n", type=int, default=8)
    options = parser.parse_args()
    if not options.reward:
        options.reward = options.out / "reward"
        judge.distill(
            judge.generate_problems("solutions", 400, seed=7, neat=True),
            kind="process",
            backbone="tiny",
            labels="human",
            out=options.reward,
            head="likelihood",
            optimizer="muon",
            learning_rate=1e-4,
            head_lr_multiplier=50,
        )
    rows = answers(judge.generate_problems("responses", options.problems, seed=21), options.n)
    write_rows(options.out / "answers.jsonl", rows)
    print(judge.best_of(options.reward, rows, n=options.n, picks=options.out / "best.jsonl"))


if __name__ == "__main__":
    main()
