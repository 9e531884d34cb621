"""Published benchmarks, each by its own protocol, as the file named beside it counts.

The protocols of pairs and solutions take hits by row and a field of the rows; those of best-of-n take scores. What
could not be read is a miss in all of them, because that is how their authors count; the report's own figures leave it
out. Refuses to know where rows come from.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import comb, tanh
from typing import NamedTuple

import numpy as np

from judge.agreement.measure import Measure
from judge.agreement.report import Benchmark, Figure
from judge.agreement.resample import Floats
from judge.agreement.solutions import processbench_f1
from judge.agreement.table import TIE

REWARDBENCH = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 154,
        "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984,  # 447 rows, weighted up to the code subsets' total
        "hep-cpp": 164,
        "hep-go": 164,
        "hep-java": 164,
        "hep-js": 164,
        "hep-python": 164,
        "hep-rust": 164,
    },
}
STYLES = ("concise", "detailed", "markdown")


class Protocol(NamedTuple):
    """How a benchmark counts, the file that says so, the fields of the rows it needs, and the count itself."""

    about: str
    source: str
    fields: tuple[str, ...]
    figures: Callable[[Measure], tuple[Figure, ...]]


def run(name: str, measure: Measure) -> Benchmark:
    """A judge's figures by the protocol of that name."""
    protocol = PROTOCOLS[name]
    return Benchmark(
        name=name,
        judge=measure.judge.name,
        protocol=protocol.about,
        source=protocol.source,
        figures=protocol.figures(measure),
    )


def pair_hits(measure: Measure) -> Floats:
    """1 for people's verdict, ½ for a judge's tie, 0 otherwise and for what could not be read."""
    truth, said = measure.table.truth, measure.judge.verdict
    return np.where(said == truth, 1.0, np.where(said == TIE, 0.5, 0.0))


def _field(measure: Measure, name: str) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    return np.array(measure.table.fields.get(name, [""] * len(measure.table)), dtype=object)


def _mean(measure: Measure, name: str, hits: Floats, mask: Floats, of: str = "") -> Figure:
    return measure.share(name, of or name, hits, mask.astype(bool), of=of)


def _plain(measure: Measure, name: str, value: float, rows: int, of: str = "") -> Figure:
    """A mean of means: no interval is published for it, and none is given."""
    figure = Figure(
        name=name, title=of or name, value=value, n=rows, of=of, note="a mean of parts, without an interval"
    )
    return measure.counted(figure)


def rewardbench(measure: Measure) -> tuple[Figure, ...]:
    """Accuracy of each subset, sections weighted by their published counts, and the mean of the four sections."""
    subset, hits = _field(measure, "subset"), pair_hits(measure)
    labelled = measure.table.labelled
    figures, sections = [], []
    for section, counts in REWARDBENCH.items():
        parts = {name: labelled & (subset == name) for name in counts}
        rates = {name: float(hits[mask].mean()) for name, mask in parts.items() if mask.any()}
        figures += [_mean(measure, "subset", hits, parts[name], name) for name in rates]
        if rates:
            weight = sum(counts[name] for name in rates)
            value = sum(rate * counts[name] for name, rate in rates.items()) / weight
            sections.append(value)
            figures.append(_plain(measure, "section", value, sum(int(parts[name].sum()) for name in rates), section))
    if sections:
        figures.insert(0, _plain(measure, "score", float(np.mean(sections)), int(labelled.sum())))
    return tuple(figures)


def rm_bench(measure: Measure) -> tuple[Figure, ...]:
    """The 3 x 3 matrix of styles (rows: chosen, columns: rejected): hard is the part above the diagonal, where the
    rejected one is the fancier, normal the diagonal, easy the part below; each domain, and the mean over domains."""
    domain, hits, labelled = _field(measure, "domain"), pair_hits(measure), measure.table.labelled
    sides = [_field(measure, name) for name in ("chosen_style", "rejected_style")]
    place = [np.array([STYLES.index(style) if style in STYLES else -1 for style in side]) for side in sides]
    known = labelled & (place[0] >= 0) & (place[1] >= 0)
    parts = {"easy": place[0] > place[1], "normal": place[0] == place[1], "hard": place[0] < place[1]}
    figures: list[Figure] = []
    by_domain: dict[str, list[float]] = defaultdict(list)
    for name in sorted(set(domain[known])):
        inside = known & (domain == name)
        for part, where in parts.items():
            if (inside & where).any():
                by_domain[part].append(float(hits[inside & where].mean()))
        by_domain["total"].append(float(hits[inside].mean()))
        figures.append(_mean(measure, "domain", hits, inside, str(name)))
    for part, values in by_domain.items():
        figures.append(_plain(measure, part, float(np.mean(values)), int(known.sum()), part))
    return tuple(figures)


def judgebench(measure: Measure) -> tuple[Figure, ...]:
    """Two orders count +1 for the right verdict and -1 for the opposite one; right when the sum is positive."""
    truth, judge = measure.table.truth, measure.judge
    one = ~np.isnan(judge.forward) | ~np.isnan(judge.swapped)
    total = np.zeros(len(truth))
    for side in (judge.forward, judge.swapped) if one.any() else (judge.verdict,):
        total += (side == truth).astype(np.float64) - ((side == 1 - truth) & (truth < TIE))
    hits, labelled = (total > 0).astype(np.float64), measure.table.labelled
    source = _field(measure, "source")
    found = [measure.share("accuracy", "Accuracy over both orders", hits, labelled)]
    named = {
        "knowledge": "mmlu-pro",
        "reasoning": "livebench-reasoning",
        "maths": "livebench-math",
        "coding": "livecodebench",
    }
    for part, prefix in named.items():
        inside = labelled & np.array([str(value).startswith(prefix) for value in source])
        if inside.any():
            found.append(_mean(measure, "source", hits, inside, part))
    return tuple(found)


def llmbar(measure: Measure) -> tuple[Figure, ...]:
    """Accuracy over both orders, and the share of pairs with the same verdict in both ("equal")."""
    truth, judge, labelled = measure.table.truth, measure.judge, measure.table.labelled
    right = (judge.forward == truth).astype(np.float64) + (judge.swapped == truth)
    same = (judge.forward == judge.swapped).astype(np.float64)
    return (
        measure.share("correct_average", "Accuracy, mean of both orders", right / 2, labelled),
        measure.share("correct_both", "Right in both orders", right == 2, labelled),
        measure.share("equal", "Same verdict in both orders", same, labelled),
    )


def processbench(measure: Measure) -> tuple[Figure, ...]:
    """F1 of each part (gsm8k, math, olympiadbench, omnimath, by the id's beginning) and their mean."""
    truth, said, labelled = measure.table.truth, measure.judge.verdict, measure.table.labelled
    names = np.array([str(value).rpartition("-")[0] for value in _field(measure, "id")], dtype=object)
    figures, values = [], []
    for name in sorted(set(names[labelled])):
        inside = labelled & (names == name)
        wrong, right = inside & (truth >= 0), inside & (truth < 0)
        columns = np.column_stack([(said == truth) & wrong, wrong, (said == truth) & right, right]).astype(np.float64)
        figure = measure.figure(
            "f1", name or "F1", measure.draw.by_block(columns), processbench_f1, inside, of=str(name)
        )
        figures.append(figure)
        if figure.value is not None:
            values.append(figure.value)
    if len(values) > 1:
        figures.insert(0, _plain(measure, "mean_f1", float(np.mean(values)), int(labelled.sum())))
    return tuple(figures)


class Candidates(NamedTuple):
    """A prompt's scores, the right responses first (RewardBench 2)."""

    id: str
    subset: str
    scores: Sequence[float]
    right: int


def rewardbench2(rows: Iterable[Candidates]) -> dict[str, float]:
    """Each subset, and their mean under "score". The right response must be the highest of four; 1/k where k share the
    top. "Ties" has a formula of its own (`ties_score`)."""
    by_subset: dict[str, list[Candidates]] = defaultdict(list)
    for row in rows:
        by_subset[row.subset].append(row)
    found = {}
    for subset, held in by_subset.items():
        found[subset] = ties_score(held) if subset.lower() == "ties" else float(np.mean([_best(row) for row in held]))
    return {"score": float(np.mean(list(found.values()))), **found}


def _best(row: Candidates) -> float:
    top = max(row.scores)
    winners = [at for at, score in enumerate(row.scores) if score == top]
    return sum(at < row.right for at in winners) / len(winners)


class _Margins(NamedTuple):
    accurate: bool
    among_right: float
    to_wrong: float


def _margins(row: Candidates) -> _Margins:
    right, wrong = row.scores[: row.right], row.scores[row.right :]
    return _Margins(min(right) > max(wrong), max(right) - min(right), min(right) - max(wrong))


def ties_score(rows: Sequence[Candidates]) -> float:
    """0.3 accuracy on tied prompts + 0.3 on their references + 0.2 share whose margin to the wrong ones exceeds the one
    among the right ones + 0.2 the same by the smaller margin of prompt and reference + 0.01 tanh(margin ratio - 1).
    Ids are "ref:N" and "tied:N"; accurate means that every right response is above every wrong one."""
    stats: dict[str, dict[str, _Margins]] = {"ref": {}, "tied": {}}
    for row in rows:
        kind, _, number = row.id.partition(":")
        stats[kind][number] = _margins(row)
    accuracy = {kind: float(np.mean([one.accurate for one in held.values()])) for kind, held in stats.items() if held}
    both = sorted(stats["ref"].keys() & stats["tied"].keys())
    score = 0.3 * accuracy.get("tied", 0.0) + 0.3 * accuracy.get("ref", 0.0)
    if not both:
        return score
    preferred, hard, margin = [], [], []
    for number in both:
        tied, smaller = stats["tied"][number], min(stats["ref"][number].to_wrong, stats["tied"][number].to_wrong)
        preferred.append(tied.to_wrong > tied.among_right)
        hard.append(smaller > tied.among_right)
        margin.append(tanh(smaller / tied.among_right - 1) if tied.among_right else 0.0)
    return score + 0.2 * float(np.mean(preferred)) + 0.2 * float(np.mean(hard)) + 0.01 * float(np.mean(margin))


def best_of(problems: Mapping[str, Sequence[tuple[float, bool]]], n: int, drawn_from: int) -> float:
    """PRM800K's best-of-n: the share of problems solved when the highest-scored of n samples is taken, n drawn from
    `drawn_from` places of which those without an answer stay empty.

    Its file draws 400 times; this is what the mean of its draws goes to: the sample of rank k is taken with probability
    C(N-1-k, n-1) / C(N, n); equal scores share theirs."""
    solved = 0.0
    for samples in problems.values():
        ranked = sorted(samples, key=lambda sample: -sample[0])
        at = 0
        while at < len(ranked):
            end = at
            while end < len(ranked) and ranked[end][0] == ranked[at][0]:
                end += 1
            chance = sum(comb(drawn_from - 1 - k, n - 1) for k in range(at, end)) / comb(drawn_from, n)
            solved += chance * sum(right for _, right in ranked[at:end]) / (end - at)
            at = end
    return solved / len(problems)


PROTOCOLS: dict[str, Protocol] = {
    "rewardbench": Protocol(
        "accuracy by subset; sections weighted by published counts; the mean of four sections; a tie counts half",
        "allenai/reward-bench: rewardbench/constants.py, rewardbench/utils.py (calculate_scores_per_section)",
        ("subset",),
        rewardbench,
    ),
    "rm-bench": Protocol(
        "accuracy of 3 x 3 styles: easy below, normal on, hard above the diagonal; the mean over domains",
        "THU-KEG/RM-Bench: README.md (compute_accuracy)",
        ("domain", "chosen_style", "rejected_style"),
        rm_bench,
    ),
    "judgebench": Protocol(
        "both orders, +1 right, -1 opposite; correct when the sum is positive; ties and unreadable are not correct",
        "ScalerLab/JudgeBench: utils/metrics.py",
        ("source",),
        judgebench,
    ),
    "llmbar": Protocol(
        "accuracy over both orders; same verdict in both",
        "princeton-nlp/LLMBar: evaluate.py (correct_average, equal)",
        (),
        llmbar,
    ),
    "processbench": Protocol(
        "harmonic mean of first-wrong-step accuracy on wrong and on right solutions, by part",
        "QwenLM/ProcessBench: code/run_eval.py",
        ("id",),
        processbench,
    ),
}
