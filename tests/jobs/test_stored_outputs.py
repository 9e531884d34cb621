"""The stored outputs of judges that others ran, read as runs: their own decisions count, never the gold label.

Each file has up to four pairs, and in each the first response is the better one by the gold label. The judge is right
about the first pair, wrong about the second, and the rest is told at the test.
"""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.cli.main import main

QUESTIONS = [f"What is {n} + {n}?" for n in range(4)]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def figures(run: Path, human: Path, key: str = "") -> tuple[float | None, int, int, int]:
    """Accuracy and of how many rows; unreadable and missing rows."""
    report = judge.agree(run, human=human, key=key, resamples=0)
    seen = report.data.judges[0].coverage
    return report.figures["accuracy"].value, report.figures["accuracy"].n, seen.unreadable, seen.missing


def judgebench(folder: Path) -> tuple[Path, Path]:
    gold = [
        {"pair_id": f"p{n}", "source": "math", "question": asked, "response_A": "right", "response_B": "wrong"}
        | {"response_model": "m", "label": "A>B"}
        for n, asked in enumerate(QUESTIONS)
    ]
    # Both decisions are in terms of the first order. Third pair: the orders differ, a tie. Fourth: nothing was read.
    decisions = [("A>B", "A>B"), ("B>A", "B>A"), ("A>B", "B>A"), (None, None)]
    said = [
        row | {"judge_name": "arena_hard", "judgments": [{"judgment": {"response": ""}, "decision": d} for d in both]}
        for row, both in zip(gold, decisions, strict=True)
    ]
    return write(folder / "said.jsonl", said), write(folder / "gold.jsonl", gold)


def llmbar(folder: Path) -> tuple[Path, Path]:
    gold = [{"input": asked, "output_1": "right", "output_2": "wrong", "label": 1} for asked in QUESTIONS]
    winners = [("1", "1"), ("2", "2"), ("1", "2"), (None, None)]
    said = [
        row
        | {
            "results": [
                {
                    f"swap = {swap}": {"completion": "Output (a) is better.", "winner": winner}
                    for swap, winner in zip((False, True), both, strict=True)
                }
            ]
        }
        for row, both in zip(gold, winners, strict=True)
    ]
    said_file, gold_file = folder / "result.json", folder / "dataset.json"
    said_file.write_text(json.dumps(said))
    gold_file.write_text(json.dumps(gold))
    return said_file, gold_file


def alpaca_eval(folder: Path) -> tuple[Path, Path]:
    # 1 is the first, 2 the second, 1.5 a tie, null nothing.
    said = [
        {"instruction": asked, "output_1": "right", "output_2": "wrong", "annotator": "gpt4", "preference": preference}
        for asked, preference in zip(QUESTIONS, (1.0, 2.0, 1.5, None), strict=True)
    ]
    gold = [{"prompt": asked, "chosen": "right", "rejected": "wrong"} for asked in QUESTIONS]
    return write(folder / "annotations.jsonl", said), write(folder / "gold.jsonl", gold)


@pytest.mark.parametrize("files", [judgebench, llmbar, alpaca_eval])
def test_both_orders_ties_and_what_was_not_read(tmp_path: Path, files: Any) -> None:
    """One of three readable ones is right: the tie is none of people's verdicts."""
    said, gold = files(tmp_path)
    assert figures(said, gold) == (pytest.approx(1 / 3), 3, 1, 0)


def rewardbench(number: int, **more: Any) -> dict[str, Any]:
    texts = {"prompt": QUESTIONS[number], "chosen": "right", "rejected": "wrong"}
    return {**texts, "chosen_model": "a", "rejected_model": "b", "subset": "refusals", "id": number, **more}


RESULTS = [1, 0, 0.5, 1]
"""Right, wrong, a tie, right: accuracy 2/4, and the tie is read."""


def test_rewardbench_by_rows(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold.jsonl", [rewardbench(n) for n in range(4)])
    said = write(tmp_path / "said.jsonl", [rewardbench(n, results=RESULTS[n]) for n in range(4)])
    assert figures(said, gold) == (0.5, 4, 0, 0)


def test_rewardbench_by_columns(tmp_path: Path) -> None:
    """The file that RewardBench writes: columns, the texts in the model's own template, joined on the id."""
    gold = write(tmp_path / "gold.jsonl", [rewardbench(n) for n in range(4)])
    columns = {
        "text_chosen": [f"<u>{asked}<a>right" for asked in QUESTIONS],
        "text_rejected": [f"<u>{asked}<a>wrong" for asked in QUESTIONS],
        "results": RESULTS,
        "subset": ["refusals"] * 4,
        "id": [0, 1, 2, 3],
        "scores_chosen": [1.0] * 4,
        "model": "someone/reward",
    }
    said = tmp_path / "scores.json"
    said.write_text(json.dumps(columns))
    assert figures(said, gold, key="id") == (0.5, 4, 0, 0)
    said.write_text(json.dumps(columns | {"id": [0, 1]}))
    with pytest.raises(judge.InputError, match=r"scores\.json:1: columns of different lengths: .*results 4.*id 2"):
        figures(said, gold, key="id")
    said.write_text(json.dumps(columns | {"results": [1, 0, 7, 1]}))
    with pytest.raises(judge.InputError, match="results': found 7"):
        figures(said, gold, key="id")


AUTO_J = [{"scenario": "math", "prompt": asked, "response 1": "right", "response 2": "wrong"} for asked in QUESTIONS]


def test_auto_j_beside_the_texts_and_alone(tmp_path: Path) -> None:
    """0 the first, 1 the second, 2 a tie: one of three is right, in the file with texts and in the one without."""
    gold = write(tmp_path / "gold.jsonl", [row | {"label": 0} for row in AUTO_J[:3]])
    said = write(tmp_path / "said.jsonl", [row | {"label": 0, "output": n} for n, row in enumerate(AUTO_J[:3])])
    alone = write(tmp_path / "alone.jsonl", [{"output": n} for n in range(3)])
    assert figures(said, gold) == figures(alone, gold) == (pytest.approx(1 / 3), 3, 0, 0)


def test_verdict_lines_must_fit_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = write(tmp_path / "gold.jsonl", [row | {"label": 0} for row in AUTO_J[:3]])
    short = write(tmp_path / "short.jsonl", [{"output": 0}] * 2)
    assert main(["agree", str(short), "--human", str(gold)]) == 2
    assert "fits the data line by line, which holds more pairs than verdicts (2)" in capsys.readouterr().err
    long = write(tmp_path / "long.jsonl", [{"output": 0}] * 4)
    assert main(["agree", str(long), "--human", str(gold)]) == 2
    assert "more verdicts than pairs (3)" in capsys.readouterr().err
    wrong = write(tmp_path / "wrong.jsonl", [{"output": 0}, {"output": 5}, {"output": 0}])
    assert main(["agree", str(wrong), "--human", str(gold)]) == 2
    assert f"{wrong}:2: field 'output': found 5" in capsys.readouterr().err
    assert main(["agree", str(short)]) == 2
    assert "--human" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["judgebench", "llmbar", "rewardbench", "auto-j", "pandalm"])
def test_a_file_of_labels_alone_is_no_judges(tmp_path: Path, name: str) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "rewardbench": [rewardbench(n) for n in range(4)],
        "auto-j": [row | {"label": 0} for row in AUTO_J],
        "pandalm": [
            {"idx": n, "instruction": asked, "input": "", "response1": "a", "response2": "b", "annotator1": 1}
            for n, asked in enumerate(QUESTIONS)
        ],
    }
    for files in (judgebench, llmbar):
        path = files(tmp_path)[1]
        text = path.read_text()
        rows[files.__name__] = json.loads(text) if path.suffix == ".json" else [*map(json.loads, text.splitlines())]
    gold = write(tmp_path / "labels.jsonl", rows[name])
    with pytest.raises(judge.InputError, match="holds labels and no judge's verdict"):
        judge.agree(gold, human=gold)
