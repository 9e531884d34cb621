"""`make demo` from end to end, with a judge of one sentence: every number of its tables is known beforehand."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an earlier demo in it."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "demo" / "preference").mkdir(parents=True)
    (folder / "demo" / "preference" / "labels.jsonl").write_text("left behind\n", encoding="utf-8")
    (folder / "demo" / "notes.txt").write_text("mine\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def said(folder):
    """What a demo prints whose judge always takes what stands first, finds every step right, revises every answer to 7
    and finds that better."""
    rules = [
        {"match": "<critique_of_response>", "text": "<revised_response>So the answer is 7</revised_response>"},
        {"match": r"<response_a>\s*So the answer is 7", "text": "[[A]]"},
        {"match": r"<response_b>\s*So the answer is 7", "text": "[[B]]"},
        {"match": "", "text": "Nothing is wrong here. [[A]] [[right]]"},
    ]
    (folder / "rules.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules), encoding="utf-8")
    counts = ("--pairs", "12", "--solutions", "8", "--critiques", "2", "--revisions", "6", "--no-models")
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", *counts, "--judge", "scripted:rules.jsonl"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def cell(said, name):
    """The value beside a name, in the last table that has it."""
    *_, value = re.findall(rf"│ +{re.escape(name)} +│ (.*?) *│", said)
    return value


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def share(hits, count):
    return f"{hits / count:.1%} ({hits} of {count})"


def test_a_judge_that_takes_the_first_is_caught(said, folder):
    ties = sum(row["human"][0]["verdict"] == "tie" for row in rows(folder / "demo" / "pairs.jsonl"))
    assert cell(said, "position flips") == share(12, 12)
    # Both orders together are a tie, so exactly the true ties are right.
    assert cell(said, "right verdicts") == share(ties, 12)
    assert cell(said, "where one side is right") == share(0, 12 - ties)


def test_a_judge_that_finds_nothing_is_no_better_than_idle(said, folder):
    solutions = rows(folder / "demo" / "solutions.jsonl")
    right = [step for row in solutions for step in row["meta"]["right"]]
    assert cell(said, "right verdicts on steps") == share(sum(right), len(right))
    assert cell(said, "wrong steps found") == share(0, len(right) - sum(right))
    clean = share(sum(row["human"][0]["verdict"] == -1 for row in solutions), 8)
    assert cell(said, "first wrong step exactly right") == cell(said, "by always saying 'no mistake'") == clean


def test_every_command_is_shown_before_it_runs(said):
    shown = re.findall(r"^\$ rmjudge (\w+)", said, re.MULTILINE)
    assert shown == ["tiny", "tiny", "tiny", "label", "label", "label", "revise"]


def test_critiques_stand_beside_their_solutions(said):
    assert said.count("critique by the judge") == 2
    assert said.count("Nothing is wrong here.") == 5
    assert said.count("critique: Nothing is wrong here.") == 3  # these stand under the revisions
    assert said.count("the truth") >= 2


def test_a_referee_that_is_wrong_is_seen_to_be(said, folder):
    """Nothing is right after the revision unless the true answer is 7 by chance, and every revision was kept."""
    answers = rows(folder / "demo" / "responses.jsonl")
    before, sevens = sum(row["human"][0]["verdict"] for row in answers), [row["reference"] == "7" for row in answers]
    assert cell(said, "right answers before") == share(int(before), 6)
    assert cell(said, "right answers after") == share(sum(sevens), 6)
    assert cell(said, "revisions that the referee kept") == share(6, 6)
    assert cell(said, "right answers lost") == share(int(before), int(before)) and before and not any(sevens)
    assert cell(said, "kept and truly no worse") == share(6 - int(before), 6)
    assert said.count("So the answer is 7 ") == 3
    assert said.count("kept, P(better) 0.99") == 3


def test_a_second_demo_starts_afresh_and_leaves_other_files_alone(said, folder):
    assert "left behind" not in (folder / "demo" / "preference" / "labels.jsonl").read_text(encoding="utf-8")
    assert (folder / "demo" / "notes.txt").read_text(encoding="utf-8") == "mine\n"


def test_a_command_that_fails_ends_the_demo(folder, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--pairs", "2", "--solutions", "2", "--judge", "tinny"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("rmjudge: unknown engine 'tinny'; did you mean 'tiny'?")
