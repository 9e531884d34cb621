"""`rmjudge label` from the outside: what lies on the disk after it ended, was killed, interrupted or refused."""

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


def write_pairs(path: Path, count: int) -> Path:
    """Sums whose first answer is right when the number is even; every tenth pair has a reply without a verdict."""
    rows = [
        {
            "prompt": f"Sum {n}?",
            "chosen": f"It is {n} {'PLUS' if n % 2 == 0 else 'MINUS'}.",
            "rejected": f"It is {n} ZERO.",
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_rules(path: Path) -> Path:
    """PLUS beats ZERO, ZERO beats MINUS, whatever the order; sums that end in 7 are not judged."""
    rules = [
        {"match": r"Sum \d*7\?", "text": "I would rather not say."},
        {"match": r"(?s)PLUS.*ZERO", "text": "The first one. [[A]]", "logprobs": {"A": -0.1, "B": -3.0, "C": -4.0}},
        {"match": r"(?s)ZERO.*PLUS", "text": "The second one. [[B]]"},
        {"match": r"(?s)MINUS.*ZERO", "text": "The second one. [[B]]"},
        {"match": r"(?s)ZERO.*MINUS", "text": "The first one. [[A]]"},
    ]
    path.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return path


@pytest.fixture
def command(tmp_path):
    """The words of a command that judges pairs; the run directory comes last."""
    pairs, rules = write_pairs(tmp_path / "pairs.jsonl", 40), write_rules(tmp_path / "rules.jsonl")
    return ["label", str(pairs), "--task", "preference", "--judge", f"scripted:{rules}", "--quiet", "--out"]


def rows(run: Path, name: str = "labels.jsonl") -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def by_id(run: Path) -> dict[str, list[bytes]]:
    """The lines of both files, sorted by id (every line begins with it)."""
    return {name: sorted((run / name).read_bytes().splitlines()) for name in ("labels.jsonl", "failures.jsonl")}


def test_pairs_are_judged_in_both_orders_and_written(command, tmp_path, capsys):
    run = tmp_path / "runs" / "pairs"
    assert main([*command, str(run), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    # 40 sums; 7, 17, 27, 37 are not judged; 20 even ones are won by the first, 16 odd ones by the second.
    assert (said["rows"], said["labelled"], said["unreadable"], said["duplicates"]) == (40, 36, 4, 0)
    assert said["verdicts"] == {"first": 20, "second": 16}
    assert (said["both_orders"], said["flips"]) == (36, 0)
    assert len(rows(run)) == 36
    assert len(rows(run, "failures.jsonl")) == 4
    first = rows(run)[0]
    assert first["judgement"]["task"] == "preference"
    assert [reading["asked"] for reading in first["judgement"]["readings"]] == ["forward", "swapped"]
    assert "I would rather not say." in (run / "failures.jsonl").read_text()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["counts"]["rows"] == 40
    assert manifest["finished"]
    assert manifest["config"]["prompt"]["name"] == "preference/default"


def test_the_table_tells_the_counts_and_the_next_command(command, tmp_path, capsys):
    assert main([*command, str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert "20 (55.6%)" in said.out
    assert "position flips" in said.out
    assert f"rmjudge data show {tmp_path / 'run'}" in said.out.replace("\n", "")
    assert said.err == ""


def test_the_same_command_again_has_nothing_to_do(command, tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*command, str(run)]) == 0
    before = by_id(run)
    capsys.readouterr()
    assert main([*command, str(run), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["resumed"], said["verdicts"]) == (40, 40, {"first": 20, "second": 16})
    assert by_id(run) == before


def test_a_limit_is_a_beginning_that_can_be_gone_on_from(command, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*command, str(whole)]) == 0
    assert main([*command, str(parts), "--limit", "13"]) == 0
    assert len(rows(parts)) + len(rows(parts, "failures.jsonl")) == 13
    assert main([*command, str(parts)]) == 0
    assert by_id(parts) == by_id(whole)


def test_rows_added_to_the_data_are_judged_into_the_same_run(command, tmp_path):
    run, pairs = tmp_path / "run", tmp_path / "pairs.jsonl"
    assert main([*command, str(run)]) == 0
    write_pairs(pairs, 60)
    assert main([*command, str(run)]) == 0
    assert len(rows(run)) + len(rows(run, "failures.jsonl")) == 60


def test_repeated_records_are_judged_once_and_counted(command, tmp_path, capsys):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(pairs.read_text() + pairs.read_text())
    assert main([*command, str(tmp_path / "run"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["duplicates"]) == (40, 40)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (["--seed", "7"], "options.seed: 0 → 7"),
        (["--one-order"], "options.one_order: false → true"),
        (["--prompt", "preference/verdict"], "prompt.name: preference/default → preference/verdict"),
        (["--task", "score"], "task: preference → score"),
    ],
)
def test_another_configuration_is_refused_with_the_difference(command, tmp_path, capsys, change, shown):
    run = tmp_path / "run"
    assert main([*command, str(run)]) == 0
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    capsys.readouterr()
    assert main([*command, str(run), *change]) == 2
    said = capsys.readouterr().err
    assert shown in said
    assert said.count("\n") == 1
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_changed_data_and_changed_rules_are_refused(command, tmp_path, capsys):
    run, pairs, rules = tmp_path / "run", tmp_path / "pairs.jsonl", tmp_path / "rules.jsonl"
    assert main([*command, str(run)]) == 0
    text = pairs.read_text()
    pairs.write_text(text.replace("Sum 3?", "Sum three?"))
    assert main([*command, str(run)]) == 2
    assert "data[0].hash: " in capsys.readouterr().err
    pairs.write_text(text)
    rules.write_text(rules.read_text().replace("rather not", "not"))
    assert main([*command, str(run)]) == 2
    assert "judges[0].model: " in capsys.readouterr().err


def test_failures_are_judged_again_only_on_demand(command, tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*command, str(run)]) == 0
    calls = json.loads((run / "manifest.json").read_text())["tokens"]["calls"]
    assert main([*command, str(run)]) == 0
    assert json.loads((run / "manifest.json").read_text())["tokens"]["calls"] == calls
    assert main([*command, str(run), "--retry-failures"]) == 0
    # Four pairs in two orders, each asked once and twice more.
    assert json.loads((run / "manifest.json").read_text())["tokens"]["calls"] == calls + 4 * 2 * 3
    assert len(rows(run, "failures.jsonl")) == 4


def test_a_dry_run_shows_prompts_and_cost_and_writes_nothing(command, tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*command, str(run), "--dry-run", "--limit", "10"]) == 0
    said = capsys.readouterr().out
    assert "Sum 0?" in said
    assert not run.exists()
    assert main([*command, str(run), "--dry-run", "--limit", "10", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["calls"], said["exact"]) == (10, 20, True)
    assert not run.exists()


def test_verdicts_are_read_again_from_a_run(command, tmp_path, capsys):
    run, again = tmp_path / "run", tmp_path / "again"
    assert main([*command, str(run)]) == 0
    capsys.readouterr()
    assert main(["label", "--from", str(run), "--out", str(again), "--quiet", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdicts"] == {"first": 20, "second": 16}
    assert said["rows"] == 40
    assert {row["id"]: row["judgement"]["verdict"] for row in rows(again)} == {
        row["id"]: row["judgement"]["verdict"] for row in rows(run)
    }


def test_a_run_is_data_for_the_next_task(command, tmp_path, capsys):
    rules, run = tmp_path / "rules.jsonl", tmp_path / "run"
    assert main([*command, str(run)]) == 0
    capsys.readouterr()
    words = ["label", str(run), "--task", "critique", "--judge", f"scripted:{rules}", "--quiet", "--json", "--out"]
    rules.write_text(json.dumps({"match": "", "text": "Clear, and to the point."}) + "\n")
    assert main([*words, str(tmp_path / "critiques")]) == 0
    # 36 labelled pairs, both of whose responses are criticised.
    assert json.loads(capsys.readouterr().out)["labelled"] == 72


def test_a_jury_of_two(command, tmp_path):
    rules = tmp_path / "rules.jsonl"
    run = tmp_path / "run"
    assert main([*command, str(run), "--judge", f"scripted:{rules}"]) == 0
    assert [reading.get("judge", 0) for reading in rows(run)[0]["judgement"]["readings"]].count(1) == 2


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


def slow_command(tmp_path: Path, count: int) -> list[str]:
    pairs, rules = write_pairs(tmp_path / "pairs.jsonl", count), write_rules(tmp_path / "rules.jsonl")
    return [
        "label",
        str(pairs),
        "--task",
        "preference",
        "--judge",
        f"slow:{rules}",
        "--window",
        "8",
        "--quiet",
        "--out",
    ]


def wait_for_rows(run: Path, process: subprocess.Popen[str], more_than: int) -> None:
    """Until the run has grown beyond a size, or the process has ended."""
    path = run / "labels.jsonl"
    while process.poll() is None and (not path.exists() or path.stat().st_size <= more_than):
        time.sleep(0.002)


def kill_often(tmp_path: Path, *, kills: int, count: int) -> tuple[Path, Path, int]:
    """A run killed at random moments, one left alone, and how many kills hit the first alive."""
    command, draw = slow_command(tmp_path, count), random.Random(20)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish([*command, str(whole)])
    alive = 0
    for number in range(kills):
        process = start([*command, str(killed)], DELAY="0.004")
        if number % 5:  # four of five while it judges, one anywhere from its first breath on
            size = (killed / "labels.jsonl").stat().st_size if (killed / "labels.jsonl").exists() else 0
            wait_for_rows(killed, process, more_than=size)
            time.sleep(draw.uniform(0, 0.15))
        else:
            time.sleep(draw.uniform(0, 1.0))
        alive += process.poll() is None
        process.kill()
        process.communicate()
    finish([*command, str(killed)])
    return whole, killed, alive


def test_a_run_killed_at_twenty_moments_equals_one_left_alone(tmp_path):
    whole, killed, alive = kill_often(tmp_path, kills=20, count=3000)
    assert alive >= 15
    assert by_id(killed) == by_id(whole)
    assert len(rows(killed)) + len(rows(killed, "failures.jsonl")) == 3000
    assert sorted(path.name for path in killed.iterdir()) == ["failures.jsonl", "labels.jsonl", "manifest.json"]


@pytest.mark.soak
def test_a_run_killed_at_two_hundred_moments_equals_one_left_alone(tmp_path):
    whole, killed, _ = kill_often(tmp_path, kills=200, count=20_000)
    assert by_id(killed) == by_id(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_cleanly_and_says_how_to_go_on(tmp_path, number):
    command, run = slow_command(tmp_path, 400), tmp_path / "run"
    process = start([*command, str(run)], DELAY="0.02")
    wait_for_rows(run, process, more_than=0)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert f"interrupted; every verdict so far is in {run}" in said
    assert f"rmjudge {' '.join(command)} {run}" in said
    kept = len(rows(run)) + len(rows(run, "failures.jsonl"))
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["counts"]["rows"] == kept < 400
    assert manifest["finished"] is None
    finish([*command, str(run)])
    assert len(rows(run)) + len(rows(run, "failures.jsonl")) == 400
