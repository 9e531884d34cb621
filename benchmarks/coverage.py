"""How often the 95 % cluster bootstrap holds the truth, on simulated judges whose true figures are known.

    python benchmarks/coverage.py [--trials 1000]

Each trial draws prompts of one to five rows; how hard a prompt is, its rows share (so they are not independent). The
truth comes from two million rows of the same law. Printed: the share of intervals that hold it, and its standard error.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from judge.agreement.analyses.verdicts import square
from judge.agreement.statistics import nominal
from judge.agreement.statistics.bootstrap import Floats, Resampler

FIGURES = {
    "accuracy": nominal.accuracy,
    "macro F1": nominal.macro_f1,
    "Cohen's κ": nominal.cohen_kappa,
    "Krippendorff's α": lambda confusion: nominal.alpha(nominal.coincidences(confusion)),
    "Gwet's AC1": nominal.gwet_ac1,
}


def draw(generator: np.random.Generator, prompts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The prompt of each row and its cell in a 3 x 3 confusion matrix."""
    group = np.repeat(np.arange(prompts), generator.integers(1, 6, prompts))
    ease = generator.beta(4, 1.5, prompts)[group]
    truth = generator.choice(3, len(group), p=[0.45, 0.4, 0.15])
    other = generator.choice(3, len(group), p=[0.5, 0.3, 0.2])
    said = np.where(generator.random(len(group)) < ease, truth, other)
    return group, truth * 3 + said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    asked = parser.parse_args()
    generator = np.random.default_rng(0)
    _, cells = draw(generator, 700_000)
    whole = np.bincount(cells, minlength=9).astype(float)
    truth = {name: float(square(formula, 3)(whole)) for name, formula in FIGURES.items()}
    error = (0.95 * 0.05 / asked.trials) ** 0.5
    print(f"{asked.trials} trials of {asked.resamples} resamples; standard error {error:.3f}")
    for prompts in (30, 100, 400):
        held = dict.fromkeys(FIGURES, 0)
        for trial in range(asked.trials):
            group, cells = draw(generator, prompts)
            resampler = Resampler(group, resamples=asked.resamples, seed=trial)
            sums: Floats = resampler.cells(cells, 9)
            for name, formula in FIGURES.items():
                low, high = resampler.interval(resampler.replicates(sums, square(formula, 3)), prompts)
                held[name] += low is not None and high is not None and low <= truth[name] <= high
        shown = ", ".join(f"{name} {count / asked.trials:.3f}" for name, count in held.items())
        print(f"{prompts:4} prompts: {shown}")


if __name__ == "__main__":
    main()
