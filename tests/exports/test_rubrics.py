"""Data with rubrics: read, judged by its criteria, written back and read again, and still the same records."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.errors import ConfigError
from judge.formats import read_records

HEALTHBENCH = [
    {
        "prompt": [
            {"role": "user", "content": "My head hurts."},
            {"role": "assistant", "content": "Since when?"},
            {"role": "user", "content": "Since June."},
        ],
        "prompt_id": "x1",
        "rubrics": [
            {"criterion": "Tells the user to see a doctor.", "points": 5, "tags": ["level:example", "axis:accuracy"]},
            {"criterion": "Names a dose.", "points": -8, "tags": []},
            {"criterion": "Is polite.", "points": 2.5, "tags": []},
        ],
        "example_tags": ["theme:emergency"],
        "ideal_completions_data": {"ideal_completion": "See a doctor.", "ideal_completions_group": "G1"},
        "completion": "Please see a doctor; take 400 mg.",
    }
]
META = [
    {
        "prompt": [{"role": "user", "content": "My head hurts."}],
        "completion": "Please see a doctor.",
        "rubric": "Tells the user to see a doctor.",
        "binary_labels": [True, False],
        "anonymized_physician_ids": ["d1", "d2"],
        "category": "hedging",
    }
]
AS_REWARDS = [
    {
        "question": "My head hurts.",
        "reference_answer": "See a doctor.",
        "rubric": [
            {"title": "Doctor", "description": "Essential: tells the user to see a doctor.", "weight": 5},
            {"title": "Dose", "description": "Pitfall: names a dose.", "weight": -1},
        ],
        "response": "Please see a doctor; take 400 mg.",
        "source": "made up",
    }
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def judged(folder: Path, rows: list[dict[str, Any]], **options: Any) -> judge.Run:
    """Yes to what is said, unsure of manners: the criterion stands in a frame of its own."""
    folder.mkdir(exist_ok=True)
    rules = write(
        folder / "rules.jsonl",
        [
            {"match": r"(?is)<judging_criterion>\n[^<]*polite", "text": "unsure"},
            {"match": r"(?is)see a doctor.*<judging_criterion>\n[^<]*doctor", "text": "yes"},
            {"match": r"(?is)400 mg.*<judging_criterion>\n[^<]*dose", "text": "yes"},
            {"match": "", "text": "no"},
        ],
    )
    data = write(folder / "data.jsonl", rows)
    out = folder / "run"
    return judge.label(data, task="checklist", judges=f"scripted:{rules}", out=out, progress=False, **options)


@pytest.mark.parametrize(
    ("to", "rows"),
    [
        ("healthbench", HEALTHBENCH),
        ("healthbench", META),
        ("rubrics-as-rewards", AS_REWARDS),
        ("rmjudge", HEALTHBENCH),
        ("rmjudge", META),
        ("rmjudge", AS_REWARDS),
    ],
    ids=["healthbench", "physicians", "as-rewards", "own-healthbench", "own-physicians", "own-as-rewards"],
)
def test_read_judged_written_and_read_again(tmp_path: Path, to: str, rows: list[dict[str, Any]]) -> None:
    run = judged(tmp_path, rows)
    exported = judge.export(run, to=to, out=tmp_path / "out", validation=0.0)
    assert exported.kind == "rubric" and exported.rows == {"train": 1}
    written = tmp_path / "out" / "train.jsonl"
    ((_, before),), ((_, after),) = list(read_records(tmp_path / "data.jsonl")), list(read_records(written))
    assert after == before and after.id == before.id
    if to != "rmjudge":
        (row,) = [json.loads(line) for line in written.read_text().splitlines()]
        assert {name: row[name] for name in rows[0] if name not in ("rubric", "rubrics")} == {
            name: value for name, value in rows[0].items() if name not in ("rubric", "rubrics")
        }


def test_what_was_judged_stands_in_the_criteria(tmp_path: Path) -> None:
    judge.export(judged(tmp_path, HEALTHBENCH), to="healthbench", out=tmp_path / "out", validation=0.0)
    row = json.loads((tmp_path / "out" / "train.jsonl").read_text())
    assert [item["criteria_met"] for item in row["rubrics"]] == [True, True, None]
    assert [{name: item[name] for name in ("criterion", "points", "tags")} for item in row["rubrics"]] == (
        HEALTHBENCH[0]["rubrics"]
    )
    # 5 - 8 points of 5 on offer: below 0, so 0; a scripted answer has probability 0.99 of three labels, .005 each else.
    assert row["rmjudge"] == {"score": 0.0, "expected": 0.0, "abstained": ["Is polite."]}
    assert row["rubrics"][0]["p_met"] == pytest.approx(0.99 / 0.995)
    judge.export(judged(tmp_path / "b", AS_REWARDS), to="rubrics-as-rewards", out=tmp_path / "r", validation=0.0)
    row = json.loads((tmp_path / "r" / "train.jsonl").read_text())
    assert row["rmjudge"]["score"] == pytest.approx((5 - 1) / 5)


def test_the_rubric_of_the_run_is_written_too(tmp_path: Path) -> None:
    rubric = [{"criterion": "Tells the user to see a doctor.", "points": 3, "name": "doctor", "gate": True}]
    run = judged(tmp_path, [{"prompt": "My head hurts.", "response": "See a doctor."}], rubric=rubric)
    judge.export(run, to="healthbench", out=tmp_path / "out", validation=0.0)
    ((_, record),) = read_records(tmp_path / "out" / "train.jsonl")
    (item,) = record.rubric
    assert (item.text, item.points, item.name, item.gate) == (rubric[0]["criterion"], 3.0, "doctor", True)


def test_a_trajectory_with_a_rubric_keeps_its_calls(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "book", "arguments": '{"day": "Monday"}'}}
    row = {
        "prompt": [{"role": "user", "content": "Book the doctor."}],
        "rubrics": [{"criterion": "Books a doctor on a Monday.", "points": 1, "tags": []}],
        "completion": [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "booked", "tool_call_id": "c1"},
            {"role": "assistant", "content": "Please see a doctor on Monday."},
        ],
        "tools": [{"type": "function", "function": {"name": "book"}}],
    }
    judge.export(judged(tmp_path, [row]), to="healthbench", out=tmp_path / "out", validation=0.0)
    written = json.loads((tmp_path / "out" / "train.jsonl").read_text())
    assert {name: written[name] for name in ("prompt", "completion", "tools")} == {
        name: row[name] for name in ("prompt", "completion", "tools")
    }


def test_other_formats_have_no_rubrics(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trl has no rubric data"):
        judge.export(judged(tmp_path, HEALTHBENCH), to="trl", out=tmp_path / "out")
