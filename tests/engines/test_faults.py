"""A server that fails in every way: each row is labelled once, or listed as failed with its cause."""

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import pytest

SERVER = Path(__file__).parent / "faulty_server.py"
CAUSES = {
    "500": "status 500: boom",
    "cut": "Server disconnected",
    "garbage": "a broken answer",
    "half": "not JSON",
    "torn": "a broken answer",
}
"""Fault -> what the row says of a request that meets it each time."""


class Outcome(NamedTuple):
    """labels, failures: rows of the run. faults: how many requests met which. seconds: of the command."""

    labels: list[dict]
    failures: list[dict]
    faults: Counter[str]
    seconds: float


def label_through_faults(folder: Path, count: int, *, down_after: int, down_seconds: float, timeout: float) -> Outcome:
    """Judge pairs, one request each, where a fifth of the requests fails; the last ones fail each time."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(SERVER), str(port), "0.2", str(down_after), str(down_seconds)]
    rows = [
        {"prompt": f"Say it, {n}.", "chosen": f"GOOD {n}", "rejected": f"BAD {n}"} for n in range(count - len(CAUSES))
    ]
    rows += [{"prompt": f"CURSED {fault}.", "chosen": "GOOD", "rejected": "BAD"} for fault in CAUSES]
    data = folder / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    server = subprocess.Popen(command)
    try:
        wait_for(port)
        started = time.monotonic()
        code, judge = "from judge.cli.main import run; run()", f"openai:http://127.0.0.1:{port}/v1#m"
        asking = ["--judge", f"{judge}?server=plain&timeout={timeout}", "--patience", "5m", "--hard", "--one-order"]
        labelled = subprocess.run(
            [
                sys.executable,
                "-c",
                code,
                "label",
                data,
                "--task=preference",
                *asking,
                "--out",
                folder / "run",
                "--quiet",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        assert labelled.returncode == 0, labelled.stderr
        assert "Traceback" not in labelled.stderr
        with urlopen(f"http://127.0.0.1:{port}/faults") as answer:
            faults = Counter(json.load(answer))
    finally:
        server.kill()
        server.wait()
    labels, failures = (
        [json.loads(line) for line in (folder / "run" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("labels", "failures")
    )
    return Outcome(labels, failures, faults, seconds)


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not start")


def check(outcome: Outcome, count: int) -> None:
    """None is lost and none doubled, no verdict is wrong, and failures say why."""
    ids = Counter(row["id"] for row in (*outcome.labels, *outcome.failures))
    assert (len(ids), set(ids.values())) == (count, {1})
    assert {row["judgement"]["verdict"] for row in outcome.labels} == {"first"}
    reasons = {text_of(row): row["judgement"]["readings"][0]["reason"] for row in outcome.failures}
    for fault, cause in CAUSES.items():
        assert cause in reasons[f"CURSED {fault}."]
    assert all(reason.startswith("engine error: ") for reason in reasons.values())
    assert not any("refused" in reason for reason in reasons.values())  # the server was down, no request is to blame
    assert len(outcome.failures) <= len(CAUSES) + 1 + count / 1000
    met = sum(number for fault, number in outcome.faults.items() if fault not in ("good", "requests"))
    assert met > 0.15 * outcome.faults["requests"]
    assert set(outcome.faults) == {"requests", "good", "429", "500", "cut", "stall", "garbage", "half", "torn", "drip"}


def text_of(row: dict) -> str:
    prompt = row["prompt"]
    text: str = prompt if isinstance(prompt, str) else prompt[0]["content"]
    return text


def test_each_of_five_hundred_rows_is_labelled_once_or_listed(tmp_path: Path) -> None:
    check(label_through_faults(tmp_path, 500, down_after=200, down_seconds=1.0, timeout=1.5), 500)


@pytest.mark.soak
def test_ten_thousand_rows_and_a_server_that_is_down_for_two_minutes(tmp_path: Path) -> None:
    outcome = label_through_faults(tmp_path, 10_000, down_after=4000, down_seconds=120.0, timeout=4.0)
    check(outcome, 10_000)
    assert outcome.seconds > 120
    rows = f"{len(outcome.labels):,} labelled, {len(outcome.failures):,} failed"
    print(f"{rows}, {outcome.seconds:.0f} s, {dict(outcome.faults)}")
