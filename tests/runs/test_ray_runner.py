"""Shares and gathering without Ray; the whole way with it, where it is installed."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from judge.runs.counts import Counts
from judge.runs.id_set import IdSet
from judge.runs.journal import Journal
from judge.runs.ray_runner import SHARDS, Elsewhere, gather, share_of, together
from judge.records import content_id


def row(number: int) -> dict[str, object]:
    return {"id": content_id(number), "judgement": {"task": "outcome", "verdict": "right"}}


def test_every_record_is_in_one_share_and_what_is_held_in_none():
    held = IdSet()
    held.add(content_id(0))
    shares = [Elsewhere(held, share, 3) for share in range(3)]
    assert [sum(content_id(number) not in share for share in shares) for number in range(300)] == [0, *[1] * 299]
    sizes = [sum(share_of(content_id(number), 3) == share for number in range(300)) for share in range(3)]
    assert min(sizes) > 70


def test_shards_of_a_killed_go_are_gathered_once(tmp_path):
    shards = tmp_path / SHARDS
    for share, numbers in enumerate([(1, 2), (3,)]):
        with Journal(shards / f"{share:04d}") as shard:
            for number in numbers:
                shard.write(row(number), readable=number != 3)
    with Journal(tmp_path) as journal:
        journal.write(row(2), readable=True)  # gathered before the kill, but its shard not yet removed
    counts = Counts()
    with Journal(tmp_path) as journal:
        assert gather(shards, journal, counts) == 2
        assert gather(shards, journal, counts) == 0
    assert not shards.exists()
    assert (counts.labelled, counts.unreadable) == (1, 1)
    assert len((tmp_path / "labels.jsonl").read_text().splitlines()) == 2
    assert len((tmp_path / "failures.jsonl").read_text().splitlines()) == 1


def test_every_worker_sees_every_duplicate():
    parts = [Counts(labelled=2, duplicates=5, calls=4), Counts(labelled=3, duplicates=4, calls=6)]
    whole = together(Counts(labelled=1), parts)
    assert (whole.labelled, whole.duplicates, whole.calls) == (6, 5, 10)


def test_dollars_of_workers_are_added_up():
    parts = [Counts(costs={"a": 1.0, "b": 0.5}), Counts(costs={"a": 2.0})]
    assert together(Counts(costs={"a": 4.0}), parts).costs == {"a": 7.0, "b": 0.5}


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install 'rmjudge[ray]'")
def test_two_actors_write_what_one_process_writes(tmp_path):
    pairs, rules = tmp_path / "pairs.jsonl", tmp_path / "rules.jsonl"
    rules.write_text(json.dumps({"match": "", "text": "Yes. [[A]]"}) + "\n")
    lines = [json.dumps({"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."}) for n in range(60)]
    pairs.write_text("\n".join([*lines[:30], '{"prompt": ', *lines[30:], '{"prompt": ', lines[0]]) + "\n")

    def judge(run: str, *more: str) -> dict[str, object]:
        words = ["label", str(pairs), "--task", "preference", "--judge", f"scripted:{rules}", "--out"]
        done = subprocess.run(
            [sys.executable, "-m", "judge.cli.main", *words, str(tmp_path / run), "--json", "--quiet", "--skip-bad", *more],
            capture_output=True,
            text=True,
            env={**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, object] = json.loads(done.stdout)
        return said

    def lines_of(run: str, name: str = "labels.jsonl") -> list[bytes]:
        return sorted(Path(tmp_path / run / name).read_bytes().splitlines())

    here = judge("here")
    assert judge("ray", "--limit", "20", "--runner", "ray", "--workers", "2")["rows"] == 20
    there = judge("ray", "--runner", "ray", "--workers", "2")
    assert lines_of("ray") == lines_of("here")
    assert [there[name] for name in ("rows", "resumed", "duplicates", "verdicts")] == [60, 20, 1, here["verdicts"]]
    assert there["tokens"] == here["tokens"]
    assert there["skipped"] == here["skipped"] == 2
    assert lines_of("ray", "failures.jsonl") == lines_of("here", "failures.jsonl")
    assert not (tmp_path / "ray" / SHARDS).exists()
