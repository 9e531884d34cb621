"""Published figures of solutions, computed again through the reports: GSM8K, BIG-Bench Mistake."""

import ast
import json
import operator
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from judge.agreement.build import AgreementConfig, report
from judge.agreement.schema import AgreementReport
from judge.formats import read_records, to_row
from judge.jobs.agree import read_inputs as read

Row = dict[str, Any]


def reported(folder: Path, rows: Iterable[Row], **settings: Any) -> AgreementReport:
    """The report on a run whose rows hold people's labels too."""
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = (*settings.get("slices", ()), "answer")
    return report(read([str(folder)], [], wanted=wanted), AgreementConfig(resamples=0, **settings))


def test_gsm8k_share_of_right_solutions(data_dir: Path, tmp_path: Path) -> None:
    """A judge that calls everything right is right as often as a model is: 21.68, 39.04, 34.72, 56.25 % of 1,319.
    Eight solutions have the text of another one, so each gets an id of its own, as the file counts them."""
    said = {"task": "outcome", "verdict": "right", "p_correct": 1.0}
    file = data_dir / "gsm8k/example_model_solutions.jsonl"
    rows = [
        {**to_row(record), "id": str(number), "judgement": said}
        for number, (_, record) in enumerate(read_records(file))
    ]
    assert len({(json.dumps(row["prompt"]), json.dumps(row["response"])) for row in rows}) == len(rows) - 8 == 5268
    done = reported(tmp_path, rows, slices=("model",), benchmarks=("prm800k",))
    parts = {part.value: part.figure for part in done.judges[0].slices if part.field == "model"}
    assert {figure.n for figure in parts.values()} == {1319}
    shares = sorted(round(100 * float(figure.value or 0), 2) for figure in parts.values())
    assert shares == [21.68, 34.72, 39.04, 56.25]
    best = {figure.of: figure.value for figure in done.benchmarks[0].figures}
    # One sample a problem, or the best by a judge that finds all alike: the mean of the four.
    assert best["1"] == best["4"] == pytest.approx(sum(figure.value or 0.0 for figure in parts.values()) / 4)


_NUMBERS = re.compile(r"[\d\s()+*/.-]*\d[\d\s()+*/.-]*")
_OPERATIONS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value_of(node: ast.AST) -> float:
    match node:
        case ast.Expression():
            return value_of(node.body)
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub()):
            return -value_of(node.operand)
        case ast.BinOp(op=operation):
            return float(_OPERATIONS[type(operation)](value_of(node.left), value_of(node.right)))
    raise ValueError(ast.dump(node))


def side(text: str) -> float | None:
    """What one side of an equation comes to, None where it is not arithmetic alone."""
    text = text.split(". ")[0].strip().rstrip(".").strip()
    if not _NUMBERS.fullmatch(text):
        return None
    try:
        return value_of(ast.parse(text, mode="eval"))
    except (SyntaxError, ValueError):
        return None


def is_wrong(step: str) -> bool:
    """Whether two neighbouring sides of "=" come to different numbers."""
    sides = [side(part) for part in step.split("=")]
    return any(a is not None and b is not None and a != b for a, b in pairwise(sides))


def test_big_bench_mistake_by_a_checker_of_equations(data_dir: Path, tmp_path: Path) -> None:
    """Published: a checker agrees on 281 of 300 traces, 62 of which have no mistake. Half of them, every second one,
    lie here: 31 without a mistake, and this checker agrees on 142 of 150."""
    rows = []
    for _, record in read_records(data_dir / "big-bench-mistake/multistep_arithmetic.dev.jsonl"):
        row = to_row(record)
        verdict = ["wrong" if is_wrong(step) else "right" for step in row["steps"]]
        first = verdict.index("wrong") if "wrong" in verdict else -1
        rows.append({**row, "judgement": {"task": "steps", "verdict": verdict, "first_wrong": first}})
    done = reported(tmp_path, rows)
    found = {figure.name: figure for figure in done.judges[0].agreement}
    assert (found["first_wrong_on_right"].n, found["first_wrong_on_wrong"].n) == (62 / 2, (300 - 62) / 2)
    assert found["first_wrong"].value == pytest.approx(142 / 150)
    assert found["first_wrong"].value == pytest.approx(281 / 300, abs=0.02)
    wrong, right = (found[f"first_wrong_on_{side}"].value or 0.0 for side in ("wrong", "right"))
    assert found["processbench_f1"].value == pytest.approx(2 * wrong * right / (wrong + right))
