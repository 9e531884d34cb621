"""`rmjudge revise` from the outside: what it writes, what it refuses, and that a kill in mid-round changes nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from judge.cli.main import main

SLOW = Path(__file__).with_name("slow_judge.py")
CONSTITUTION = """
name: sums
principles:
  - {id: right, text: The sum is right.}
  - {id: short, text: The answer is short.}
  - {id: plain, text: The answer uses plain words.}
sampling: {random: 1}
"""


def write_prompts(path: Path, count: int) -> Path:
    rows = [{"prompt": f"Sum {n}?"} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_rules(path: Path, *, wrong: bool = False) -> Path:
    """The author says BAD, then GOOD, then BEST; the critic finds nothing in BEST, and nothing at all in sums that end
    in 3; sums that end in 7 are revised to WORSE. The referee knows the order, or prefers the opposite of it."""
    ranked = ["WORSE", "BAD", "GOOD", "BEST"]
    better, worse = ("B", "A") if wrong else ("A", "B")
    compared = [
        {"match": f"(?s)<response_a>\\n{one}.*<response_b>\\n{two}", "text": f"[[{better if i > k else worse}]]"}
        for i, one in enumerate(ranked)
        for k, two in enumerate(ranked)
        if i != k
    ]
    told = "(?s)<candidate_response>\\n{}.*Write the {}"
    rules = [
        *compared,
        {"match": r"(?s)Sum \d*3\?.*Write the critique", "text": "All is well. No faults found."},
        {"match": told.format("BEST", "critique"), "text": "All is well. No faults found."},
        {"match": "Write the critique", "text": "It could be better."},
        {
            "match": r"(?s)Sum \d*7\?.*Write the revised",
            "text": "<revised_response>WORSE</revised_response>",
        },
        {"match": told.format("BAD", "revised"), "text": "<revised_response>GOOD</revised_response>"},
        {"match": told.format("GOOD", "revised"), "text": "<revised_response>BEST</revised_response>"},
        {"match": r"Sum \d*9\?", "text": ""},
        {"match": "Sum", "text": "BAD"},
    ]
    path.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return path


def command(tmp_path: Path, count: int = 20, *, engine: str = "scripted", wrong: bool = False) -> list[str]:
    """The words of a command that revises prompts; the run directory comes last."""
    prompts = write_prompts(tmp_path / "prompts.jsonl", count)
    rules = write_rules(tmp_path / "rules.jsonl", wrong=wrong)
    (tmp_path / "sums.yaml").write_text(CONSTITUTION)
    words = ["revise", str(prompts), "--constitution", str(tmp_path / "sums.yaml"), "--judge", f"{engine}:{rules}"]
    return [*words, "--rounds", "4", "--quiet", "--out"]


def rows(run: Path, name: str = "labels.jsonl") -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def contents(run: Path) -> dict[str, list[bytes]]:
    """The lines of all row files, the journal's sorted (every line begins with the id)."""
    found = {name: sorted((run / name).read_bytes().splitlines()) for name in ("labels.jsonl", "failures.jsonl")}
    return found | {name: (run / name).read_bytes().splitlines() for name in ("supervised.jsonl", "preferences.jsonl")}


def test_prompts_are_answered_revised_and_written_as_data(tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*command(tmp_path), str(run), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    # 20 sums: 9 and 19 get no answer; 3 and 13 stay BAD, nothing is found; 7 and 17 would become WORSE; 14 become BEST
    # in two rounds, and in the third nothing is found.
    assert (said["rows"], said["labelled"], said["unreadable"]) == (20, 18, 2)
    assert said["verdicts"] == {"kept": 28, "not kept": 2, "nothing found": 16}
    finals = {row["prompt"][0]["content"]: row["judgement"]["verdict"] for row in rows(run)}
    assert {finals[f"Sum {n}?"] for n in (3, 13, 7, 17)} == {"BAD"}
    assert list(finals.values()).count("BEST") == 14
    (kept,) = (row["judgement"]["rounds"][0] for row in rows(run) if row["prompt"][0]["content"] == "Sum 0?")
    assert kept["principles"][0] in ("right", "short", "plain")
    assert (kept["critique"], kept["text"], kept["verdict"], kept["kept"]) == (
        "It could be better.",
        "GOOD",
        "first",
        True,
    )
    supervised, preferences = rows(run, "supervised.jsonl"), rows(run, "preferences.jsonl")
    assert len(supervised) == 18
    assert supervised[0].keys() == {"prompt", "completion"}
    won = [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in preferences]
    assert {one: won.count(one) for one in set(won)} == {("GOOD", "BAD"): 14, ("BEST", "GOOD"): 14, ("BAD", "WORSE"): 2}
    assert all(row["p"] > 0.9 and row["margin"] == 2 * row["p"] - 1 for row in preferences)


def test_the_manifest_names_all_that_decides_a_row(tmp_path):
    run = tmp_path / "run"
    assert main([*command(tmp_path), str(run)]) == 0
    config = json.loads((run / "manifest.json").read_text())["config"]
    assert config["constitution"]["name"] == "sums" and config["constitution"]["shown"] is True
    assert config["prompts"]["critique"]["name"] == "critique/principle"
    assert config["prompts"]["answer"] is None
    assert config["loop"] == {"rounds": 4, "margin": 0.2, "tries": 1, "principles": None, "keep": "better"}
    assert config["roles"] == {"critic": 0, "author": 0, "referee": 0}


def test_a_critic_without_a_place_for_principles_is_named(tmp_path, capsys):
    words = [*command(tmp_path)[:-1], "--limit", "1", "--out"]
    for more, told in ([], False), (["--critique-prompt", "brief"], True):
        run = tmp_path / f"run {told}"
        assert main([*words, str(run), *more]) == 0
        assert ("shown no principles" in capsys.readouterr().out) == told
        assert json.loads((run / "manifest.json").read_text())["config"]["constitution"]["shown"] != told


def test_a_referee_that_is_wrong_on_purpose_keeps_nothing_that_it_did_not_prefer(tmp_path, capsys):
    run, wrong = tmp_path / "run", tmp_path / "wrong"
    wrong.mkdir()
    referee = write_rules(wrong / "rules.jsonl", wrong=True)
    assert main([*command(tmp_path), str(run), "--referee", f"scripted:{referee}"]) == 0
    assert "not kept" in capsys.readouterr().out
    judged = [one for row in rows(run) for one in row["judgement"].get("rounds", []) if one.get("verdict")]
    assert all(one.get("kept", False) == (one["verdict"] == "first") for one in judged)
    # It prefers BAD to GOOD and WORSE to BAD, and the data say just that.
    finals = [row["judgement"]["verdict"] for row in rows(run)]
    assert {text: finals.count(text) for text in set(finals)} == {"BAD": 16, "WORSE": 2}
    won = {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows(run, "preferences.jsonl")}
    assert won == {("BAD", "GOOD"), ("WORSE", "BAD")}
    assert json.loads((run / "manifest.json").read_text())["config"]["roles"]["referee"] == 1


def test_answers_that_are_there_are_revised(tmp_path):
    run, words = tmp_path / "run", command(tmp_path)
    answers = tmp_path / "answers.jsonl"
    lines = [{"prompt": "Sum 1?", "completion": "GOOD", "label": True}, {"prompt": "Sum 2?", "steps": ["BEST"]}]
    answers.write_text(json.dumps(lines[0]) + "\n")
    steps = tmp_path / "steps.jsonl"
    steps.write_text(json.dumps(lines[1]) + "\n")
    words[1:2] = [str(answers), str(steps)]
    assert main([*words, str(run)]) == 0
    found = {row["prompt"][0]["content"]: row["judgement"] for row in rows(run)}
    assert (found["Sum 1?"]["original"], found["Sum 1?"]["verdict"]) == ("GOOD", "BEST")
    assert (found["Sum 2?"]["original"], found["Sum 2?"]["stopped"]) == ("BEST", "nothing found")


def test_the_same_command_again_has_nothing_to_do_and_another_is_refused(tmp_path, capsys):
    run, words = tmp_path / "run", command(tmp_path)
    assert main([*words, str(run)]) == 0
    before = contents(run)
    capsys.readouterr()
    assert main([*words, str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resumed"] == 20
    assert contents(run) == before
    for change, shown in (
        (["--margin", "0.9"], "loop.margin: 0.2 → 0.9"),
        (["--seed", "7"], "options.seed: 0 → 7"),
        (["--critique-prompt", "default"], "prompts.critique.name: critique/principle → critique/default"),
    ):
        assert main([*words, str(run), *change]) == 2
        assert shown in capsys.readouterr().err
    (tmp_path / "sums.yaml").write_text(CONSTITUTION.replace("short.", "very short."))
    assert main([*words, str(run)]) == 2
    assert "constitution.hash: " in capsys.readouterr().err
    assert contents(run) == before


def test_a_limit_is_a_beginning_that_can_be_gone_on_from(tmp_path):
    words = command(tmp_path)
    assert main([*words, str(tmp_path / "whole")]) == 0
    assert main([*words, str(tmp_path / "parts"), "--limit", "7"]) == 0
    assert len(rows(tmp_path / "parts")) == 7
    assert main([*words, str(tmp_path / "parts")]) == 0
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_run_can_be_read_again_without_a_model_under_another_margin(tmp_path):
    words, run = command(tmp_path), tmp_path / "run"
    assert main([*words, str(run)]) == 0
    place = words.index("--judge") + 1
    words[place] = f"recorded:{run}"
    assert main([*words, str(tmp_path / "same")]) == 0
    assert contents(tmp_path / "same")["preferences.jsonl"] == contents(run)["preferences.jsonl"]
    assert contents(tmp_path / "same")["supervised.jsonl"] == contents(run)["supervised.jsonl"]
    # Every comparison is won with p = 0.9925, a margin of 0.985.
    assert main([*words, str(tmp_path / "strict"), "--margin", "0.99"]) == 0
    judged = [one for row in rows(tmp_path / "strict") for one in row["judgement"].get("rounds", [])]
    assert not any(one.get("kept") for one in judged)
    assert {one["reason"] for one in judged if one.get("verdict") == "first"} == {"better by less than the margin"}


def test_an_author_of_its_own_and_a_paper_s_settings(tmp_path):
    run, author = tmp_path / "run", tmp_path / "author"
    author.mkdir()
    more = ["--author", f"scripted:{write_rules(author / 'rules.jsonl')}", "--preset", "bai-2022", "--limit", "3"]
    assert main([*[word for word in command(tmp_path) if word not in ("--rounds", "4")], str(run), *more]) == 0
    config = json.loads((run / "manifest.json").read_text())["config"]
    assert config["loop"] == {"rounds": 4, "margin": 0.0, "tries": 1, "principles": 1, "keep": "all"}
    assert (config["options"]["temperature"], config["roles"]) == (1.0, {"critic": 0, "author": 1, "referee": 0})
    readings = rows(run)[0]["judgement"]["readings"]
    assert {reading["asked"].split()[-1]: reading.get("judge", 0) for reading in readings} == {
        "answer": 1,
        "critique": 0,
        "revision": 1,
        "forward": 0,
        "swapped": 0,
    }


def test_a_dry_run_shows_the_first_prompts_and_writes_nothing(tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*command(tmp_path), str(run), "--dry-run"]) == 0
    assert "Sum 0?" in capsys.readouterr().out
    assert not run.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--preset", "bay-2022"], "did you mean 'bai-2022'"),
        (["--keep", "beter"], "did you mean 'better'"),
        (["--rounds", "0"], "rounds, tries and principles must be at least 1"),
        (["--margin", "2"], "the margin must be from 0 to 1"),
        (["--referee-prompt", "critique/default"], "a prompt for the task 'critique', not for 'preference'"),
        (["--thought", "--critique-prompt", "default"], "a critique prompt of its own"),
    ],
)
def test_options_that_cannot_be_meant(tmp_path, capsys, more, said):
    assert main([*command(tmp_path), str(tmp_path / "run"), *more]) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and told.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "Sum', "prompts.jsonl:3: broken JSON"),
        ('{"prompt": 3}', "prompts.jsonl:3: field 'prompt'"),
        ('{"prompt": "  "}', "prompts.jsonl:3: field 'prompt'"),
        ('{"promt": "Sum 2?"}', "prompts.jsonl:3: no field 'prompt'"),
    ],
)
def test_a_bad_row_is_named_before_anything_is_asked(tmp_path, capsys, line, said):
    words = command(tmp_path, 2)
    with (tmp_path / "prompts.jsonl").open("a") as file:
        file.write(line + "\n")
    assert main([*words, str(tmp_path / "run")]) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_broken_constitution_is_named_by_its_lines(tmp_path, capsys):
    words = command(tmp_path)
    (tmp_path / "sums.yaml").write_text("name: x\nprinciples:\n  - {id: a, txt: b}\n")
    assert main([*words, str(tmp_path / "run")]) == 2
    assert "sums.yaml:3: " in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------------
# Processes that are killed and interrupted


def start(words: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SLOW), *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(words: list[str]) -> None:
    process = start(words, DELAY="0")
    _, said = process.communicate()
    assert process.returncode == 0, said


def wait_for_rows(run: Path, process: subprocess.Popen[str], more_than: int) -> None:
    path = run / "labels.jsonl"
    while process.poll() is None and (not path.exists() or path.stat().st_size <= more_than):
        time.sleep(0.002)


def kill_often(tmp_path: Path, *, kills: int, count: int) -> tuple[Path, Path, int]:
    """A run killed at random moments, one left alone, and how many kills hit the first alive."""
    words = [*command(tmp_path, count, engine="slow")[:-1], "--window", "8", "--out"]
    whole, killed, draw, alive = tmp_path / "whole", tmp_path / "killed", random.Random(3), 0
    finish([*words, str(whole)])
    for _ in range(kills):
        process = start([*words, str(killed)], DELAY="0.002")
        size = (killed / "labels.jsonl").stat().st_size if (killed / "labels.jsonl").exists() else 0
        wait_for_rows(killed, process, more_than=size)
        time.sleep(draw.uniform(0, 0.1))
        alive += process.poll() is None
        process.kill()
        process.communicate()
    finish([*words, str(killed)])
    return whole, killed, alive


def test_a_run_killed_in_mid_round_equals_one_left_alone(tmp_path):
    whole, killed, alive = kill_often(tmp_path, kills=8, count=400)
    assert alive >= 6
    assert contents(killed) == contents(whole)
    assert len(rows(killed)) + len(rows(killed, "failures.jsonl")) == 400


@pytest.mark.soak
def test_a_run_killed_in_a_hundred_rounds_equals_one_left_alone(tmp_path):
    whole, killed, _ = kill_often(tmp_path, kills=100, count=5000)
    assert contents(killed) == contents(whole)


def test_a_signal_ends_cleanly_and_says_how_to_go_on(tmp_path):
    words, run = [*command(tmp_path, 200, engine="slow")[:-1], "--window", "8", "--out"], tmp_path / "run"
    process = start([*words, str(run)], DELAY="0.02")
    wait_for_rows(run, process, more_than=0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said and f"rmjudge {' '.join(words)} {run}" in said
    assert not (run / "preferences.jsonl").exists()
    finish([*words, str(run)])
    assert len(rows(run)) + len(rows(run, "failures.jsonl")) == 200
