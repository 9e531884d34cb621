"""Protocols of published benchmarks, on cases worked by hand."""

from itertools import combinations
from math import tanh
from typing import Any

import pytest

import judge
from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.benchmarks.best_of_n import Candidates, best_of, rewardbench2, ties_score
from judge.agreement.benchmarks.protocols import PROTOCOLS, run
from judge.agreement.build import agreement
from judge.agreement.data.table import build
from judge.agreement.schema import Figure
from judge.agreement.statistics.bootstrap import Resampler
from judge.errors import InputError
from judge.records import content_id
from tests.agreement.support import columns, judged, pair_row, votes


def figures(name: str, letters: str, metas: list[dict[str, str]], swapped: str = "") -> dict[str, float | None]:
    """Figures of a judge on pairs whose first response is the right one."""
    rows = [pair_row(at, meta=meta) for at, meta in enumerate(metas)]
    said = [
        judged(row, one, swapped[at] if swapped else "")
        for at, (row, one) in enumerate(zip(rows, letters, strict=True))
    ]
    made = columns({"j": said}, [votes(row, "f") for row in rows], wanted=PROTOCOLS[name].fields)
    table = build(made)
    done = run(name, Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0)))
    return {f"{figure.name} {figure.of}".strip(): figure.value for figure in done.figures}


def test_rewardbench() -> None:
    """Chat: easy 1/2 of weight 100, length 1 of weight 95. Reasoning: math-prm 1/2 (a tie) of 984, hep-go 0 of 164, and
    hep-js, where nothing was readable, 1/2 of 164."""
    subsets = ["alpacaeval-easy", "alpacaeval-easy", "alpacaeval-length", "math-prm", "hep-go", "hep-js"]
    found = figures("rewardbench", "fsfts-", [{"subset": subset} for subset in subsets])
    chat, reasoning = (0.5 * 100 + 95) / 195, 0.5 * (984 + 164) / (984 + 2 * 164)
    assert found["section Chat"] == pytest.approx(chat)
    assert found["section Reasoning"] == pytest.approx(reasoning)
    assert found["score"] == pytest.approx((chat + reasoning) / 2)
    assert found["subset hep-go"] == 0


def plain(rows: list[dict[str, Any]], verdicts: list[str]) -> list[dict[str, Any]]:
    """The rows as a reward model judges them: verdicts without readings."""
    return [
        {**row, "judgement": {"task": "preference", "verdict": verdict}}
        for row, verdict in zip(rows, verdicts, strict=True)
    ]


def test_a_model_that_scores_each_response_has_no_orders_and_no_half_points() -> None:
    rows = [pair_row(at, meta={"subset": "hep-go"}) for at in range(4)]
    said = plain(rows, ["first", "tie", "second", "first"])
    table = build(columns({"j": said}, [votes(row, "f") for row in rows], wanted=("subset",)))
    measure = Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))
    assert run("rewardbench", measure).figures[0].value == 2 / 4
    assert [figure.value for figure in run("llmbar", measure).figures] == [2 / 4, 2 / 4, 1]


def test_rm_bench() -> None:
    """Of nine pairs the three with a fancier rejected response are lost: hard 0, normal 1, easy 1, total 6/9."""
    styles = ("concise", "detailed", "markdown")
    metas = [{"domain": "chat", "chosen_style": a, "rejected_style": b} for a in styles for b in styles]
    letters = "".join(
        "s" if styles.index(m["chosen_style"]) < styles.index(m["rejected_style"]) else "f" for m in metas
    )
    found = figures("rm-bench", letters, metas)
    assert (found["easy easy"], found["normal normal"], found["hard hard"]) == (1, 1, 0)
    assert found["total total"] == pytest.approx(6 / 9)


def test_rm_bench_takes_the_parts_of_safety_as_one_domain_and_a_tie_as_a_miss() -> None:
    """Chat 1. Safety: of two pairs on the diagonal one is right and one a tie, 1/2. The total is the mean of both."""
    style = {"chosen_style": "concise", "rejected_style": "concise"}
    metas = [{"domain": domain, **style} for domain in ("chat", "safety-refuse", "safety-response")]
    found = figures("rm-bench", "fft", metas)
    assert (found["domain chat"], found["domain safety"]) == (1, 1 / 2)
    assert found["total total"] == found["normal normal"] == 3 / 4


def test_judgebench() -> None:
    """Right twice; right and tie; right and unreadable: positive. Right and wrong: 0. Wrong and tie: negative."""
    found = figures("judgebench", "fffs-", [{"source": "mmlu-pro-law"}] * 5, swapped="ftstf")
    assert found["accuracy"] == 3 / 5
    assert found["source knowledge"] == 3 / 5


def test_llmbar() -> None:
    found = figures("llmbar", "ffs", [{}] * 3, swapped="fss")
    assert found["correct_average"] == pytest.approx(3 / 6)
    assert found["correct_both"] == pytest.approx(1 / 3)
    assert found["equal"] == pytest.approx(2 / 3)


def test_one_order_alone_is_said_not_to_be_the_protocols() -> None:
    rows = [pair_row(at, meta={"source": "mmlu-pro-law"}) for at in range(2)]
    said = [judged(row, letter) for row, letter in zip(rows, "fs", strict=True)]
    table = build(columns({"j": said}, [votes(row, "f") for row in rows], wanted=("source",)))
    measure = Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))
    why = "not the protocol's figure: it has readable verdicts of one order alone (as given)"
    for name, figure_name in (("llmbar", "correct_one_order"), ("judgebench", "accuracy")):
        figure = run(name, measure).figures[0]
        assert (figure.name, figure.value, figure.note) == (figure_name, 1 / 2, why)


def test_a_mean_over_parts_says_which_are_lacking() -> None:
    rows = [pair_row(at, meta={"subset": "alpacaeval-easy"}) for at in range(2)]
    said = [judged(row, "f") for row in rows]
    table = build(columns({"j": said}, [votes(row, "f") for row in rows], wanted=("subset",)))
    measure = Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))
    notes = {figure.name: figure.note for figure in run("rewardbench", measure).figures}
    assert notes["score"].endswith("not the protocol's figure: no row of Chat Hard, Safety, Reasoning")
    assert notes["section"].endswith("no row of alpacaeval-length, alpacaeval-hard, mt-bench-easy, mt-bench-med")


def test_llmbar_counts_every_pair_as_its_authors_do() -> None:
    """Right twice; readable and right in one order only; unreadable in both, which its authors call equal."""
    found = figures("llmbar", "ff-", [{}] * 3, swapped="f--")
    assert found["correct_average"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["correct_both"] == pytest.approx(1 / 3)
    assert found["equal"] == pytest.approx(2 / 3)


def solutions(
    cases: list[tuple[str, int, int | None]], *, ids_in: str = "both"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Solutions (name, people's first wrong step, the judge's or None for unreadable) as judged rows and as people's;
    ids_in: which of these have ProcessBench's id."""
    said, people = [], []
    for name, truth, verdict in cases:
        row: dict[str, Any] = {
            "id": content_id(name),
            "kind": "solution",
            "prompt": [{"role": "user", "content": name}],
        }
        row |= {"steps": ["a", "b"], "reference": ""}
        judgement = {"task": "steps", "verdict": ["right", "right"], "first_wrong": verdict}
        meta: dict[str, Any] = {"id": name}
        said.append({**row, "human": [], "judgement": judgement, "meta": meta if ids_in in ("both", "run") else {}})
        human = [{"annotator": "p", "verdict": truth}]
        people.append({**row, "human": human, "meta": meta if ids_in in ("both", "human") else {}})
    return said, people


def processbench_figures(said: list[dict[str, Any]], people: list[dict[str, Any]]) -> tuple[Figure, ...]:
    return judge.agree(said, human=people, benchmark="processbench", resamples=0).data.benchmarks[0].figures


CASES = [("gsm8k-1", 1, 1), ("gsm8k-2", 0, None), ("gsm8k-3", -1, -1), ("math-1", 0, 0), ("math-2", -1, None)]
CASES += [("math-3", -1, -1), ("math-4", -1, None)]


@pytest.mark.parametrize("ids_in", ["both", "run", "human"])
def test_processbench_counts_each_part_by_itself(ids_in: str) -> None:
    """The id may stand in either file. gsm8k: 1 of 2 wrong ones (one unreadable, a miss), 1 of 1 right: 2/3.
    math: 1 of 1 and 1 of 3: 1/2. Each part says how many of its own rows could not be read: 1 of 3, 2 of 4."""
    said, people = solutions(CASES, ids_in=ids_in)
    found = {figure.of: figure for figure in processbench_figures(said, people)}
    assert {of: figure.value for of, figure in found.items()} == {
        "": pytest.approx((2 / 3 + 1 / 2) / 2),
        "gsm8k": pytest.approx(2 / 3),
        "math": pytest.approx(1 / 2),
    }
    assert {of: (figure.n, figure.unreadable) for of, figure in found.items()} == {
        "": (7, 3),
        "gsm8k": (3, 1),
        "math": (4, 2),
    }


def test_processbench_without_its_field_is_said_not_to_be_the_protocols() -> None:
    """Pooled: 2 of 3 wrong ones, 2 of 4 right ones: 2 · (2/3) (1/2) / (7/6) = 4/7."""
    said, people = solutions(CASES, ids_in="nowhere")
    (figure,) = processbench_figures(said, people)
    assert figure.name == "pooled_f1"
    assert figure.value == pytest.approx(4 / 7)
    assert figure.note == (
        "not the protocol's figure: all rows pooled, where it is the mean over parts; no row has the field id"
    )


def test_rows_without_the_field_are_a_part_of_their_own_and_said() -> None:
    said, people = solutions(CASES)
    for row in (said[-1], people[-1]):
        row["meta"] = {}
    found = processbench_figures(said, people)
    assert found[0].note == (
        "a mean of parts, without an interval; not the protocol's figure: no row of olympiadbench, omnimath, "
        "1 without the field id left out"
    )
    assert found[0].value == pytest.approx((2 / 3 + 2 * 1 * (1 / 2) / (3 / 2)) / 2)  # math: 1 of 1 and 1 of 2
    assert [(figure.title, figure.of, figure.n) for figure in found][1:] == [
        ("F1 of rows without the field id", "", 1),
        ("F1", "gsm8k", 3),
        ("F1", "math", 3),
    ]


def test_processbench() -> None:
    """gsm8k: wrong ones 1 of 2 found, right ones 1 of 1: F1 = 2 · ½ / 1.5. math: 0 of 1 and 1 of 1: 0."""
    cases = [("gsm8k-1", 1, 1), ("gsm8k-2", 0, 1), ("gsm8k-3", -1, -1), ("math-1", 0, -1), ("math-2", -1, -1)]
    rows, said = [], []
    for name, truth, verdict in cases:
        row = {
            "id": name,
            "kind": "solution",
            "prompt": [{"role": "user", "content": name}],
            "steps": ["a", "b"],
            "meta": {"id": name},
            "human": [{"annotator": "p", "verdict": truth}],
        }
        rows.append(row)
        said.append({**row, "judgement": {"task": "steps", "verdict": ["right", "right"], "first_wrong": verdict}})
    table = build(columns({"j": said}, rows, wanted=("id",)))
    done = run("processbench", Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0)))
    found = {figure.of: figure.value for figure in done.figures}
    assert found == {"": pytest.approx(1 / 3), "gsm8k": pytest.approx(2 / 3), "math": 0}


@pytest.mark.parametrize("judge_has_it", [True, False])
def test_the_parts_of_processbench_may_be_told_by_the_peoples_file_alone(judge_has_it: bool) -> None:
    """The judge's rows have rmjudge's ids, the people's file the data's. gsm8k: 1 of 1 wrong ones and 0 of 1 right ones
    (unreadable): 0. math: 1 of 1 and 1 of 1: 1. The unreadable row is gsm8k's alone."""
    people, said = [], []
    for number, (name, truth, verdict) in enumerate(
        [("gsm8k-1", 1, 1), ("gsm8k-2", -1, None), ("math-1", 0, 0), ("math-2", -1, -1)]
    ):
        row = {
            "id": f"{number:032x}",
            "kind": "solution",
            "prompt": [{"role": "user", "content": name}],
            "steps": ["a", "b"],
            "meta": {"id": name},
            "human": [{"annotator": "p", "verdict": truth}],
        }
        people.append(row)
        judgement = {"task": "steps", "verdict": ["right", "right"], "first_wrong": verdict}
        said.append({**row, "human": [], "meta": row["meta"] if judge_has_it else {}, "judgement": judgement})
    table = build(columns({"j": said}, people, wanted=("id",)))
    done = run("processbench", Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0)))
    assert {figure.of: figure.value for figure in done.figures} == {"": 0.5, "gsm8k": 0, "math": 1}
    assert {figure.of: figure.unreadable for figure in done.figures} == {"": 1, "gsm8k": 1, "math": 0}


def test_rewardbench2() -> None:
    """Factuality: top alone, top shared by two, not top. Ties: see below. The score is the mean of the subsets."""
    rows = [
        Candidates(str(at), "Factuality", scores, 1)
        for at, scores in enumerate([(3, 1, 1, 1), (3, 3, 1, 1), (1, 3, 2, 2)])
    ]
    ties = [Candidates("ref:1", "Ties", (5.0, 1.0), 1), Candidates("tied:1", "Ties", (5.0, 4.0, 1.0), 2)]
    found = rewardbench2([*rows, *ties])
    assert found["Factuality"] == pytest.approx(1.5 / 3)
    # Both accurate; margins: among right 1, tied to wrong 3, reference 4, the smaller 3; 0.01 tanh(3/1 - 1).
    assert found["Ties"] == ties_score(ties) == pytest.approx(1 + 0.01 * tanh(2))
    assert found["score"] == pytest.approx((found["Factuality"] + found["Ties"]) / 2)
    # Right ones exactly level: numpy divides by 0 there, and tanh of infinity is 1.
    level = [Candidates("ref:1", "Ties", (5.0, 1.0), 1), Candidates("tied:1", "Ties", (5.0, 5.0, 1.0), 2)]
    assert ties_score(level) == pytest.approx(1.01)


def ranked(number: int, subset: str, name: str, right: int, said: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """A judged ranking and its label, as RewardBench 2's file gives it: the right responses first."""
    turn = [{"role": "assistant", "content": str(number)}]
    row = {
        "id": name,
        "kind": "ranking",
        "prompt": [{"role": "user", "content": f"question {number}"}],
        "responses": [turn] * 4,
        "meta": {"subset": subset, "id": name},
    }
    label = {"annotator": "rewardbench2", "verdict": list(range(right)), "criterion": "correct"}
    return {**row, "judgement": {"task": "ranking", **said}}, {**row, "human": [label]}


def test_rewardbench2_from_a_run() -> None:
    """Facts: first alone at the top 1, shared by two 1/2, a reply that could not be read 1/4 (its authors count a blind
    guess), by order alone 0. Ties: reference right, tied prompt with margins 1 and 2."""
    cases = [
        ranked(0, "Factuality", "a", 1, {"verdict": [0, 1, 2, 3], "strengths": [2, 1, 0, -3]}),
        ranked(1, "Factuality", "b", 1, {"verdict": [0, 1, 2, 3], "strengths": [1, 1, -1, -1]}),
        ranked(2, "Factuality", "c", 1, {"verdict": None}),
        ranked(3, "Factuality", "d", 1, {"verdict": [1, 0, 2, 3]}),
        ranked(4, "Ties", "ref:7", 1, {"verdict": [0, 1, 2, 3], "strengths": [3, -1, -1, -1]}),
        ranked(5, "Ties", "tied:7", 2, {"verdict": [0, 1, 2, 3], "strengths": [3, 2, 0, -5]}),
    ]
    made = columns({"j": [one for one, _ in cases]}, [one for _, one in cases], wanted=("subset", "id"))
    table = build(made)
    measure = Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))
    found = {f"{figure.name} {figure.of}".strip(): figure.value for figure in run("rewardbench2", measure).figures}
    assert found["subset Factuality"] == pytest.approx((1 + 1 / 2 + 1 / 4 + 0) / 4)
    assert found["subset Ties"] == pytest.approx(1 + 0.01 * tanh(2 / 1 - 1))
    assert found["score"] == pytest.approx((found["subset Factuality"] + found["subset Ties"]) / 2)
    # The report's own figures: pairs of a right and a wrong one in order, over the five rows that could be read.
    own = {figure.name: figure.value for figure in agreement(measure)}
    assert own["pairs_in_order"] == pytest.approx((1 + 2.5 / 3 + 2 / 3 + 1 + 1) / 5)
    assert own["best_response"] == pytest.approx((1 + 1 / 2 + 0 + 1 + 1) / 5)
    assert own["spearman"] is None


def test_prm800k_from_a_run() -> None:
    """Two problems of three samples. Best of 3: the top one of p is right; that of q has no answer, the next is wrong.
    Best of 1: 1 of 3 and 1 of 3 right among those with an answer."""
    cases = [("p", 0.9, 1, "4"), ("p", 0.5, 0, "5"), ("p", 0.1, 0, "6")]
    cases += [("q", 0.9, 1, ""), ("q", 0.5, 0, "5"), ("q", 0.1, 1, "6")]
    rows, said = [], []
    for number, (problem, score, right, answer) in enumerate(cases):
        row = {
            "id": str(number),
            "kind": "solution",
            "prompt": [{"role": "user", "content": problem}],
            "steps": [str(number)],
            "meta": {"answer": answer} if answer else {},
            "human": [{"annotator": "m", "verdict": right, "criterion": "correct"}],
        }
        rows.append(row)
        said.append({**row, "judgement": {"task": "outcome", "verdict": "right", "p_correct": score}})
    table = build(columns({"j": said}, rows, wanted=("answer",)))
    done = run("prm800k", Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0)))
    assert {figure.of: figure.value for figure in done.figures} == {"1": pytest.approx(1 / 3), "3": 1 / 2}


def test_a_benchmark_says_which_run_and_which_rows_it_takes() -> None:
    rows = [pair_row(0)]
    table = build(columns({"j": [judged(rows[0], "f")]}, [votes(rows[0], "f")], wanted=("subset",)))
    measure = Measure(table, table.judges[0], Resampler(table.group, resamples=0, seed=0))
    with pytest.raises(InputError, match="task preference; the benchmark prm800k takes a run of the task outcome"):
        run("prm800k", measure)
    with pytest.raises(InputError, match="none of the rows is one of rewardbench's \\(it goes by subset\\)"):
        run("rewardbench", measure)


def test_best_of_n_is_the_mean_over_all_draws() -> None:
    """Five places, four with an answer: all 10 draws of two, and of three, counted one by one."""
    samples = [(0.9, False), (0.7, True), (0.7, False), (0.1, True)]
    for n in (1, 2, 3, 5):
        total = draws = 0.0
        for chosen in combinations(range(5), n):
            there = [samples[at] for at in chosen if at < 4]
            draws += 1
            if there:
                top = max(score for score, _ in there)
                best = [right for score, right in there if score == top]
                total += sum(best) / len(best)
        assert best_of([samples], n, 5) == pytest.approx([total / draws])
