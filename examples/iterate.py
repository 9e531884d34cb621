"""Three rounds with the embedded models: `tiny` labels answers, a reward is distilled, the best answers are learnt.

    python examples/iterate.py --out build/rounds

Problems and temperature are those of examples/grpo.py. What it prints, and build/rounds/chart.svg, is the truth of one
answer and of the best of eight on held-out problems after each round.
"""

import argparse
import runpy
from pathlib import Path

import judge
from judge.tiny import READER


def main() -> None:
    """Make problems, make rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="kept, and gone on with")
    parser.add_argument("--judge", default="tiny:hf")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    problems = runpy.run_path(str(Path(__file__).with_name("grpo.py")))["problems"]
    rows = [{"prompt": row["problem"], "response": "", "reference": str(row["answer"])} for row in problems(40, seed=5)]
    iteration = judge.iterate(
        rows,
        policy=READER,
        out=options.out,
        rounds=options.rounds,
        judges=options.judge,
        n=8,
        held_out=0.5,
        answer_prompt="brief",
        temperature=1.6,
        max_tokens=112,
        learning_rate=2e-5,
        epochs=3,
        settings={"head": "likelihood", "optimizer": "muon", "learning_rate": 1e-4, "head_lr_multiplier": 50},
    )
    print(iteration)


if __name__ == "__main__":
    main()
