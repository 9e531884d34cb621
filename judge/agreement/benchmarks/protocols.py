"""Published benchmarks, each by its own protocol, as the file named beside it counts.

What could not be read counts as its authors count it (a miss, or a blind guess); the report's own figures leave it out.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.solutions import processbench_f1
from judge.agreement.benchmarks.best_of_n import TIES, Candidates, best_of, ties_score, top
from judge.agreement.data.table import TIE, Mask
from judge.agreement.schema import Benchmark, Figure
from judge.agreement.statistics.bootstrap import Floats
from judge.errors import InputError

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


PARTS = ("gsm8k", "math", "olympiadbench", "omnimath")
DOMAINS = ("chat", "math", "code", "safety")
DRAWS = (10, 25, 50, 75, 100, 200, 300, 400, 500, 750, 1000, 1250, 1500, 1860)
"""PRM800K's n; its test problems have up to 1,860 samples."""


class Protocol(NamedTuple):
    """How a benchmark counts, the file that says so, the task and the fields of the rows it needs, and the count."""

    about: str
    source: str
    task: str
    fields: tuple[str, ...]
    figures: Callable[[Measure], tuple[Figure, ...]]


def run(name: str, measure: Measure) -> Benchmark:
    """A judge's figures by the protocol of that name; raises InputError where its verdicts are of another task or the
    rows are not the benchmark's."""
    protocol = PROTOCOLS[name]
    if measure.table.task != protocol.task:
        mismatch = f"{measure.judge.name}: its verdicts are of the task {measure.table.task}"
        raise InputError(f"{mismatch}; the benchmark {name} takes a run of the task {protocol.task}")
    figures = protocol.figures(measure)
    if not figures:
        lacking = [field for field in protocol.fields if not any(_field(measure, field))]
        why = f"no row has the field {' or '.join(lacking)}" if lacking else "their values are not the benchmark's"
        raise InputError(f"none of the rows is one of {name}'s (it goes by {', '.join(protocol.fields)}): {why}")
    return Benchmark(
        name=name,
        judge=measure.judge.name,
        protocol=protocol.about,
        source=protocol.source,
        figures=figures,
    )


def generative(measure: Measure) -> bool:
    """Whether it answered in words (some verdict belongs to an order) or is a model that scores each response."""
    return not bool(np.isnan(measure.judge.forward).all() and np.isnan(measure.judge.swapped).all())


def _field(measure: Measure, name: str) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    return np.array(measure.table.fields.get(name, [""] * len(measure.table)), dtype=object)


def _mean(measure: Measure, name: str, hits: Floats, mask: Floats, of: str = "") -> Figure:
    inside = mask.astype(bool)
    return measure.counted_in(measure.share(name, "Accuracy", hits, inside, of=of), inside)


def _not_theirs(why: str) -> str:
    return f"not the protocol's figure: {why}" if why else ""


def _lacking(parts: Iterable[str], present: Iterable[str]) -> str:
    """What a mean over parts lacks, in words."""
    missing = [part for part in parts if part not in set(present)]
    return f"no row of {', '.join(missing)}" if missing else ""


def _one_order(measure: Measure) -> str:
    """Which order alone was asked, in words, where a protocol counts both."""
    judge = measure.judge
    sides = {"as given": judge.forward, "swapped": judge.swapped}
    asked = [name for name, side in sides.items() if not np.isnan(side).all()]
    return f"it has readable verdicts of one order alone ({asked[0]})" if len(asked) == 1 else ""


def _plain(measure: Measure, name: str, value: float, rows: int, of: str = "", why: str = "") -> Figure:
    """A mean of means: no interval is published for it, and none is given. why: it is not the protocol's."""
    figure = Figure(
        name=name,
        title=name.replace("_", " ").capitalize(),
        value=value,
        n=rows,
        of=of,
        note="; ".join(filter(None, ("a mean of parts, without an interval", _not_theirs(why)))),
    )
    return measure.counted(figure)


def rewardbench(measure: Measure) -> tuple[Figure, ...]:
    """Accuracy of each subset, sections weighted by their published counts, and the mean of the four sections. A tie or
    nothing readable of a generative judge counts half, of a model that scores responses it counts 0."""
    truth, judged, labelled = measure.table.truth, measure.judge.verdict, measure.table.labelled
    worth_of_tie = 0.5 if generative(measure) else 0.0
    answered = measure.judge.read | measure.judge.unreadable
    hits = np.where(judged == truth, 1.0, np.where(answered & ((judged == TIE) | np.isnan(judged)), worth_of_tie, 0.0))
    subset = _field(measure, "subset")
    figures, sections = [], {}
    for section, counts in REWARDBENCH.items():
        parts = {name: labelled & (subset == name) for name in counts}
        rates = {name: float(hits[mask].mean()) for name, mask in parts.items() if mask.any()}
        figures += [_mean(measure, "subset", hits, parts[name], name) for name in rates]
        if rates:
            weight = sum(counts[name] for name in rates)
            value = sum(rate * counts[name] for name, rate in rates.items()) / weight
            sections[section] = value
            rows = sum(int(parts[name].sum()) for name in rates)
            figures.append(_plain(measure, "section", value, rows, section, _lacking(counts, rates)))
    if sections:
        why = _lacking(REWARDBENCH, sections)
        figures.insert(
            0, _plain(measure, "score", float(np.mean(list(sections.values()))), int(labelled.sum()), why=why)
        )
    return tuple(figures)


def rm_bench(measure: Measure) -> tuple[Figure, ...]:
    """The 3 x 3 matrix of styles (rows: chosen, columns: rejected): hard is the part above the diagonal, where the
    rejected one is the fancier, normal the diagonal, easy the part below. A domain has the mean of the three parts,
    "safety-refuse" and "safety-response" are one; then the means over domains. A tie counts 0."""
    hits = (measure.judge.verdict == measure.table.truth).astype(np.float64)
    domain = np.array([str(value).partition("-")[0] for value in _field(measure, "domain")], dtype=object)
    sides = [_field(measure, name) for name in ("chosen_style", "rejected_style")]
    place = [np.array([STYLES.index(style) if style in STYLES else -1 for style in side]) for side in sides]
    known = measure.table.labelled & (place[0] >= 0) & (place[1] >= 0)
    parts = {"hard": place[0] < place[1], "normal": place[0] == place[1], "easy": place[0] > place[1]}
    figures: list[Figure] = []
    by_part: dict[str, list[float]] = defaultdict(list)
    for name in DOMAINS:
        inside = known & (domain == name)
        rates = {part: float(hits[inside & where].mean()) for part, where in parts.items() if (inside & where).any()}
        if rates:
            for part, rate in rates.items():
                by_part[part].append(rate)
            by_part["total"].append(float(np.mean(list(rates.values()))))
            figures.append(_mean(measure, "domain", hits, inside, name))
    why = _lacking(DOMAINS, (figure.of for figure in figures))
    for part, values in by_part.items():
        figures.append(_plain(measure, part, float(np.mean(values)), int(known.sum()), part, why))
    return tuple(figures)


def judgebench(measure: Measure) -> tuple[Figure, ...]:
    """Two orders count +1 for the right verdict and -1 for the opposite one; right when the sum is positive."""
    truth, judge = measure.table.truth, measure.judge
    by_order = ~np.isnan(judge.forward) | ~np.isnan(judge.swapped)
    total = np.zeros(len(truth))
    for side in (judge.forward, judge.swapped) if by_order.any() else (judge.verdict,):
        total += (side == truth).astype(np.float64) - ((side == 1 - truth) & (truth < TIE))
    hits, labelled = (total > 0).astype(np.float64), measure.table.labelled
    source = _field(measure, "source")
    note = _not_theirs(_one_order(measure))
    figures = [measure.share("accuracy", "Accuracy over both orders", hits, labelled, note=note)]
    named = {
        "knowledge": "mmlu-pro",
        "reasoning": "livebench-reasoning",
        "maths": "livebench-math",
        "coding": "livecodebench",
    }
    for part, prefix in named.items():
        inside = labelled & np.array([str(value).startswith(prefix) for value in source])
        if inside.any():
            figures.append(_mean(measure, "source", hits, inside, part))
    return tuple(figures)


def llmbar(measure: Measure) -> tuple[Figure, ...]:
    """Accuracy over both orders, and the share of pairs with the same verdict in both ("equal"). A model that scores
    each response by itself gives its verdict in both. As its authors count, all pairs are in every share: nothing
    readable is wrong, and in both orders it is the same."""
    truth, judge, labelled = measure.table.truth, measure.judge, measure.table.labelled
    forward, swapped = (judge.forward, judge.swapped) if generative(measure) else (judge.verdict, judge.verdict)
    if why := _one_order(measure):
        asked = swapped if np.isnan(forward).all() else forward
        hits = (asked == truth).astype(np.float64)
        return (measure.share("correct_one_order", "Accuracy in one order", hits, labelled, note=_not_theirs(why)),)
    right = (forward == truth).astype(np.float64) + (swapped == truth)
    lost = judge.unreadable & np.isnan(forward) & np.isnan(swapped)
    same = ((forward == swapped) | lost).astype(np.float64)
    return (
        measure.share("correct_average", "Accuracy, mean of both orders", right / 2, labelled),
        measure.share("correct_both", "Right in both orders", right == 2, labelled),
        measure.share("equal", "Same verdict in both orders", same, labelled),
    )


def processbench(measure: Measure) -> tuple[Figure, ...]:
    """F1 of each part (gsm8k, math, olympiadbench, omnimath, by the id's beginning) and their mean."""
    labelled = measure.table.labelled
    names = np.array([str(value).rpartition("-")[0] for value in _field(measure, "id")], dtype=object)
    if not any(names[labelled]):
        note = _not_theirs("all rows pooled, where it is the mean over parts; no row has the field id")
        return (_first_wrong_f1(measure, labelled, "pooled_f1", "F1 of all rows", note=note),)
    figures = []
    for name in sorted(set(names[labelled])):
        title = "F1" if name else "F1 of rows without the field id"
        figures.append(_first_wrong_f1(measure, labelled & (names == name), "f1", title, of=str(name)))
    parts = {figure.of: figure for figure in figures if figure.of and figure.value is not None}
    if len(parts) > 1:
        without = int((labelled & (names == "")).sum())
        why = ", ".join(
            filter(None, (_lacking(PARTS, parts), f"{without:,} without the field id left out" * bool(without)))
        )
        mean = float(np.mean([figure.value for figure in parts.values()]))
        figures.insert(0, _plain(measure, "mean_f1", mean, sum(figure.n for figure in parts.values()), why=why))
    return tuple(figures)


def _first_wrong_f1(measure: Measure, inside: Mask, name: str, title: str, *, of: str = "", note: str = "") -> Figure:
    """ProcessBench's F1 on some rows, with how many of these could not be read or were never judged."""
    truth, judged = measure.table.truth, measure.judge.verdict
    wrong, right = inside & (truth >= 0), inside & (truth < 0)
    columns = np.column_stack([(judged == truth) & wrong, wrong, (judged == truth) & right, right]).astype(np.float64)
    figure = measure.figure(name, title, measure.draw.by_block(columns), processbench_f1, inside, of=of, note=note)
    return measure.counted_in(figure, inside)


def rewardbench2(measure: Measure) -> tuple[Figure, ...]:
    """Each subset by whether the right response is the highest of four (1/k where k share the top; nothing readable is
    all alike), Ties by its own formula, and the mean of all."""
    table = measure.table
    subset, names = _field(measure, "subset"), _field(measure, "id")
    rows: dict[int, Candidates] = {}
    for vote, right in table.votes.orders.items():
        if isinstance(right, frozenset) and subset[row_number := int(table.votes.row[vote])]:
            scores = _scores(measure, row_number)
            first = sorted(range(len(scores)), key=lambda place: (place not in right, place))
            ordered = [scores[place] for place in first]
            rows[row_number] = Candidates(str(names[row_number]), str(subset[row_number]), ordered, len(right))
    hits = np.zeros(len(table))
    for row_number, row in rows.items():
        hits[row_number] = top(row)
    mine = np.isin(np.arange(len(table)), list(rows))
    figures = []
    for name in sorted({row.subset for row in rows.values()}):
        inside = mine & (subset == name)
        if name.lower() == TIES:
            value = ties_score([row for row in rows.values() if row.subset == name])
            figures.append(_plain(measure, "subset", value, int(inside.sum()), name))
        else:
            figures.append(_mean(measure, "subset", hits, inside, name))
    if figures:
        mean = float(np.mean([figure.value or 0.0 for figure in figures]))
        figures.insert(0, _plain(measure, "score", mean, len(rows)))
    return tuple(figures)


def _scores(measure: Measure, row: int) -> list[float]:
    """What a ranking gave each response: its strengths, else minus its place; all alike where it could not be read."""
    order, strengths = measure.judge.detail.get(row, ((), ()))
    if strengths:
        return list(strengths)
    places = {response: place for place, response in enumerate(order)}
    return [-float(places.get(response, len(order))) for response in range(int(measure.table.size[row]))]


def prm800k(measure: Measure) -> tuple[Figure, ...]:
    """The share of problems solved by the highest-scored of n samples, for the published n and for all samples. Where
    rows have an `answer`, those without one are samples that came to no end and cannot be taken."""
    table, p = measure.table, measure.judge.probability
    ended = _field(measure, "answer") != ""
    usable = measure.rows & ~np.isnan(p) & (ended | ~ended.any())
    problems, first, many = np.unique(table.group[table.labelled], return_index=True, return_counts=True)
    places = DRAWS[-1] if many.max() > DRAWS[-2] else int(many.max())
    order = np.flatnonzero(usable)
    order = order[np.argsort(table.group[order], kind="stable")]
    rows_of_problems = np.split(order, np.searchsorted(table.group[order], problems))[1:]
    samples = [
        np.column_stack([p[rows_of_problem], table.truth[rows_of_problem] == 0]) for rows_of_problem in rows_of_problems
    ]
    rows = np.flatnonzero(table.labelled)[first]
    figures = []
    for n in sorted({1, *(n for n in DRAWS if n < places), places}):
        solved, mask = np.zeros(len(table)), np.zeros(len(table), dtype=bool)
        solved[rows], mask[rows] = best_of(samples, n, places), True
        figures.append(measure.share("best_of", f"Best of {n:,}", solved, mask, of=f"{n}"))
    return tuple(figures)


PROTOCOLS: dict[str, Protocol] = {
    "rewardbench": Protocol(
        "accuracy by subset; sections weighted by published counts; the mean of four sections; a tie or nothing "
        "readable of a generative judge counts half",
        "allenai/reward-bench: rewardbench/constants.py, rewardbench/utils.py (calculate_scores_per_section), "
        "scripts/run_rm.py, scripts/run_generative.py",
        "preference",
        ("subset",),
        rewardbench,
    ),
    "rewardbench2": Protocol(
        "the right response is the highest of four, 1/k where k share the top; ties by accuracy and margins; the mean "
        "of the subsets",
        "allenai/reward-bench: scripts/run_v2.py, rewardbench/utils.py (reroll_and_score_dataset, "
        "process_single_model)",
        "ranking",
        ("subset", "id"),
        rewardbench2,
    ),
    "rm-bench": Protocol(
        "accuracy of 3 x 3 styles: easy below, normal on, hard above the diagonal; the mean over four domains; a tie "
        "counts 0",
        "THU-KEG/RM-Bench: scripts/utils.py (compute_accuracy)",
        "preference",
        ("domain", "chosen_style", "rejected_style"),
        rm_bench,
    ),
    "judgebench": Protocol(
        "both orders, +1 right, -1 opposite; correct when the sum is positive; ties and unreadable are not correct",
        "ScalerLab/JudgeBench: utils/metrics.py (compute_final_metrics), run_judge.py",
        "preference",
        ("source",),
        judgebench,
    ),
    "llmbar": Protocol(
        "accuracy over both orders; same verdict in both; nothing readable is wrong, and in both orders the same",
        "princeton-nlp/LLMBar: LLMEvaluator/evaluate.py (correct_average, equal)",
        "preference",
        (),
        llmbar,
    ),
    "processbench": Protocol(
        "harmonic mean of first-wrong-step accuracy on wrong and on right solutions, by part",
        "QwenLM/ProcessBench: code/run_eval.py",
        "steps",
        ("id",),
        processbench,
    ),
    "prm800k": Protocol(
        "the share of problems solved when the highest-scored of n samples is taken; exact, where its authors draw 400 "
        "times",
        "openai/prm800k: prm800k/eval/eval.py",
        "outcome",
        ("answer",),
        prm800k,
    ),
}
