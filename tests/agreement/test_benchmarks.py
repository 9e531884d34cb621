"""Protocols of published benchmarks, on cases worked by hand."""

from itertools import combinations
from math import tanh

import pytest

from judge.agreement.benchmarks import PROTOCOLS, Candidates, best_of, rewardbench2, run, ties_score
from judge.agreement.measure import Measure
from judge.agreement.resample import Resampler
from judge.agreement.table import build
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
    """Chat: easy 1/2 of weight 100, length 1 of weight 95. Reasoning: math-prm 1/2 (a tie) of 984, hep-go 0 of 164."""
    subsets = ["alpacaeval-easy", "alpacaeval-easy", "alpacaeval-length", "math-prm", "hep-go"]
    found = figures("rewardbench", "fsft-", [{"subset": subset} for subset in subsets])
    chat, reasoning = (0.5 * 100 + 95) / 195, 0.5 * 984 / (984 + 164)
    assert found["section Chat"] == pytest.approx(chat)
    assert found["section Reasoning"] == pytest.approx(reasoning)
    assert found["score"] == pytest.approx((chat + reasoning) / 2)
    assert found["subset hep-go"] == 0


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
        assert best_of({"p": samples}, n, 5) == pytest.approx(total / draws)
