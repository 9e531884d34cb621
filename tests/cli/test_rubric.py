"""`rmjudge rubric`, run as a user runs it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import judge

if TYPE_CHECKING:
    from tests.conftest import Cli

MINE = """\
name: mine
description: Two criteria.
criteria:
  - name: right
    criterion: The answer is right.
    points: 2
    examples:
      - {prompt: "1+1?", response: It is 2., verdict: met}
  - {name: short, criterion: The answer is short., points: 1}
"""
AUTHOR = "<rubric>\n[+2] The answer is right.\n[+1] The answer has words.\n</rubric>"
RULES = [
    {"match": "You write rubrics", "text": AUTHOR},
    {"match": r"candidate_response>\nIt is 2[\s\S]*is right", "text": "yes"},
    {"match": "is right", "text": "no"},
    {"match": "has words", "text": "yes"},
    {"match": ".", "text": "unsure"},
]
JUDGE = "scripted:rules.jsonl"
PAIRS = [{"prompt": f"1+1? ({row})", "chosen": "It is 2.", "rejected": f"It is {row + 3}."} for row in range(12)]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a rubric, a judge and pairs."""
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8")
    for name, rows in (("rules.jsonl", RULES), ("pairs.jsonl", PAIRS)):
        (tmp_path / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return tmp_path


def test_new_writes_a_file_that_is_clean_and_never_overwrites_one(cli: "Cli", here: Path) -> None:
    assert cli("rubric", "new", "fresh.yaml").rc == 0
    lint = cli("rubric", "lint", "fresh.yaml")
    assert (lint.rc, lint.stdout, lint.stderr) == (0, "", "1 file: nothing found\n")
    again = cli("rubric", "new", "mine.yaml")
    assert (again.rc, again.stderr) == (2, "rmjudge: mine.yaml: exists already; name another file\n")


def test_lint_names_file_and_line(cli: "Cli", here: Path) -> None:
    (here / "bad.yaml").write_text("- criterion: The answer is right.\n  wieght: 2\n- points: 3\n")
    found = cli("rubric", "lint", "bad.yaml", "mine.yaml")
    assert found.rc == 1
    first, second = found.stdout.splitlines()
    assert first.startswith("bad.yaml:2: unknown key 'wieght' in criterion 1; did you mean 'weight'?")
    assert second == "bad.yaml:3: no 'criterion' in it (found: points) in criterion 2"
    rows = json.loads(cli("rubric", "lint", "bad.yaml", "--json").stdout)
    assert [(row["line"], row["fatal"]) for row in rows] == [(2, False), (3, True)]
    assert (
        cli("rubric", "lint", "none.yaml").stderr == "rmjudge: none.yaml: cannot be read: No such file or directory\n"
    )


def test_show(cli: "Cli", here: Path) -> None:
    shown = cli("rubric", "show", "mine.yaml").stdout
    assert "1. [+2] The answer is right. (right)" in shown and "✓ It is 2." in shown and "2 criteria, 3 points" in shown
    whole = json.loads(cli("rubric", "show", "mine.yaml", "--json").stdout)
    assert [row["name"] for row in whole["criteria"]] == ["right", "short"]
    rendered = cli("rubric", "show", "mine.yaml", "--rendered").stdout
    assert "<candidate_response>\nIt is 2.\n</candidate_response>" in rendered
    assert "<judging_criterion>\nThe answer is short.\n</judging_criterion>" in rendered


def test_text_of_a_rubric_is_no_markup_and_commands_no_terminal(cli: "Cli", here: Path) -> None:
    hostile = "The answer [red]shouts[/red] \x1b]0;owned\x07 and [/] \u202e hides."
    row = {"criterion": hostile, "name": "bad \x1b[31m[b]", "points": 1}
    (here / "hostile.jsonl").write_text(json.dumps(row) + "\n")
    for command in (
        ("show", "hostile.jsonl"),
        ("try", "hostile.jsonl", "--question", "Q", "--answer", "A", "-j", JUDGE),
    ):
        shown = cli("rubric", *command)
        assert shown.rc == 0
        assert not {"\x1b", "\x07", "\u202e"} & set(shown.stdout)
        assert "[b]" in shown.stdout
    assert "[red]shouts[/red]" in cli("rubric", "show", "hostile.jsonl").stdout
    diff = cli("rubric", "diff", "mine.yaml", "hostile.jsonl").stdout
    assert "[red]shouts[/red]" in diff and "\x1b" not in diff


def test_try_one_answer_and_a_sample(cli: "Cli", here: Path) -> None:
    one = cli("rubric", "try", "mine.yaml", "--question", "1+1?", "--answer", "It is 2.", "-j", JUDGE, "-q")
    assert one.rc == 0 and "score 1.00, expected 0.99" in one.stdout
    assert [line.split()[:3] for line in one.stdout.splitlines()[1:3]] == [
        ["right", "+2", "met"],
        ["short", "+1", "abstained"],
    ]
    sample = json.loads(cli("rubric", "try", "mine.yaml", "-d", "pairs.jsonl", "-j", JUDGE, "-q", "--json").stdout)
    right, short = sample["criteria"]
    assert (right["met"], right["unmet"], short["abstained"], len(sample["answers"])) == (12, 12, 24, 24)
    both = cli("rubric", "try", "mine.yaml", "-d", "pairs.jsonl", "--answer", "x", "--question", "y", "-j", JUDGE)
    assert (both.rc, both.stderr) == (2, "rmjudge: one answer or data, not both\n")
    assert cli("rubric", "try", "mine.yaml", "-j", JUDGE).stderr == "rmjudge: --data is missing\n"
    assert cli("rubric", "try", "mine.yaml", "-d", "pairs.jsonl").stderr == "rmjudge: --judge is missing\n"


def test_ablate_diff_and_test(cli: "Cli", here: Path) -> None:
    shown = cli("rubric", "ablate", "mine.yaml", "-d", "pairs.jsonl", "-j", JUDGE, "-q", "--resamples", "100")
    assert shown.rc == 0 and "agreement with people 1.00" in shown.stdout and "12 pairs of 12 prompts" in shown.stdout
    assert "earns its place" in shown.stdout
    (here / "other.yaml").write_text(MINE.replace("points: 2", "points: 2\n    gate: true"))
    diff = cli("rubric", "diff", "mine.yaml", "other.yaml", "-d", "pairs.jsonl", "-j", JUDGE, "-q")
    assert diff.rc == 0 and "changed right.gate: [-no-] {+yes+}" in diff.stdout
    tested = cli("rubric", "test", "mine.yaml", "-j", JUDGE, "-q")
    assert tested.rc == 0 and "mine: 1 of 1 examples come out as they say" in tested.stdout
    (here / "wrong.yaml").write_text(MINE.replace("verdict: met", "verdict: unmet"))
    assert cli("rubric", "test", "wrong.yaml", "-j", JUDGE, "-q").rc == 1
    (here / "unlabelled.jsonl").write_text('{"prompt": "p", "response": "r"}\n')
    none = cli("rubric", "ablate", "mine.yaml", "-d", "unlabelled.jsonl", "-j", JUDGE)
    assert none.rc == 2 and "people have no verdict on any two answers" in none.stderr


def test_generate_then_label(cli: "Cli", here: Path) -> None:
    made = cli("rubric", "generate", "pairs.jsonl", "-j", JUDGE, "-o", "made", "--shared", "--held-out", "0.25", "-q")
    assert made.rc == 0
    assert "9 prompts: 2 different criteria proposed, 1 kept" in made.stdout
    assert "agreement with people on 3 pairs held out: 1.00" in made.stdout
    labelled = cli(
        "label", "pairs.jsonl", "-t", "checklist", "--rubric", "made/rubric.yaml", "-j", JUDGE, "-o", "run", "-q"
    )
    assert labelled.rc == 0 and judge.open_run(here / "run").counts.rows == 24
    rows = cli("rubric", "generate", "pairs.jsonl", "-j", JUDGE, "-o", "each", "-q", "--json")
    assert json.loads(rows.stdout)["kept"] == 12
    assert cli("rubric", "lint", "each/rubrics.jsonl").rc == 0
    assert cli("label", "each/rubrics.jsonl", "-t", "checklist", "-j", JUDGE, "-o", "run2", "-q").rc == 0


def test_a_bad_row_is_one_line_and_nothing_is_written(cli: "Cli", here: Path) -> None:
    with (here / "pairs.jsonl").open("a") as file:
        file.write('{"prompt": "p", "chosen": 3}\n')
    bad = cli("rubric", "generate", "pairs.jsonl", "-j", JUDGE, "-o", "made", "-q")
    assert bad.rc == 2 and bad.stderr.startswith("rmjudge: pairs.jsonl:13: ") and bad.stderr.count("\n") == 1
    assert not (here / "made").exists()
    skipped = cli("rubric", "generate", "pairs.jsonl", "-j", JUDGE, "-o", "made", "-q", "--skip-bad", "--json")
    assert json.loads(skipped.stdout)["skipped"] == 1
    missing = cli("rubric", "generate", "pairs.jsonl", "-j", JUDGE)
    assert missing.rc == 2 and missing.stderr.startswith("rmjudge: rmjudge rubric generate needs --out; see ")
