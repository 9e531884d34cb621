"""The whole command against servers with bad manners: it ends in time, rows are right or listed, no key is shown."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PASSWORD, KEY = "correct-horse/battery#staple", "xyzzy-plugh-9"
ENDS_WITHIN = 2.0
SERVER = Path(__file__).parent / "bad_server.py"
Start = Callable[[str], int]


@pytest.fixture
def start_server() -> Iterator[Start]:
    """Starts a server of some manners; its port."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(manners: str) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        servers.append(subprocess.Popen([sys.executable, str(SERVER), str(port), manners]))
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                return port
        raise AssertionError("the server did not start")

    yield start
    for server in servers:
        server.kill()
        server.wait()


def write_pairs(path: Path, count: int) -> Path:
    """Pairs whose first response is the better one."""
    rows = [{"prompt": f"Say it, {n}.", "chosen": f"GOOD {n}", "rejected": f"BAD {n}"} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def label(folder: Path, data: Path, *judges: str, more: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    """Start `rmjudge label` in a process of its own."""
    code = "from judge.cli.main import run; run()"
    command = [sys.executable, "-c", code, "label", str(data), "--task", "preference", "--out", str(folder / "run")]
    for judge in judges:
        command += ["--judge", judge]
    return subprocess.Popen(
        [*command, "--quiet", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENAI_API_KEY": KEY},
    )


def stop(process: "subprocess.Popen[str]", number: int) -> tuple[float, str]:
    """Send a signal; the seconds until the process has ended, and its output."""
    sent = time.monotonic()
    process.send_signal(number)
    output = "".join(process.communicate(timeout=30))
    return time.monotonic() - sent, output


def no_secret_in(folder: Path, output: str) -> None:
    """Neither the output nor any file holds the password or the key."""
    texts = [output, *(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())]
    assert len(texts) > 1
    for text in texts:
        assert "horse" not in text
        assert KEY not in text


@pytest.mark.parametrize("manners", ["silent", "drip"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_two_seconds(
    manners: str, number: signal.Signals, start_server: Start, tmp_path: Path
) -> None:
    url = f"http://me:{PASSWORD}@127.0.0.1:{start_server(manners)}/v1"
    process = label(tmp_path, write_pairs(tmp_path / "pairs.jsonl", 50), f"openai:{url}#m")
    manifest = tmp_path / "run" / "manifest.json"
    while not manifest.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(1.0)
    seconds, output = stop(process, number)
    assert process.returncode == 130
    assert seconds < ENDS_WITHIN
    assert "To go on:" in output
    no_secret_in(tmp_path / "run", output)


def test_a_refusal_ends_it_beside_a_silent_juror(start_server: Start, tmp_path: Path) -> None:
    """The first judge has taken its requests and never answers; the second one's path is wrong."""
    data = write_pairs(tmp_path / "pairs.jsonl", 5)
    silent, fair = start_server("silent"), start_server("fair")
    wrong = f"openai:http://127.0.0.1:{fair}/nowhere?api_key={KEY}#m"
    process = label(tmp_path, data, f"openai:http://127.0.0.1:{silent}/v1#m", wrong, more=("--set", "timeout=60s"))
    started = time.monotonic()
    output = "".join(process.communicate(timeout=60))
    assert process.returncode == 2
    assert "judge 2 gave out: " in output
    assert "does not know this model or path" in output
    assert time.monotonic() - started < 15.0
    no_secret_in(tmp_path / "run", output)


@pytest.mark.soak
@pytest.mark.parametrize("manners", ["wild", "gone"])
def test_two_thousand_rows_by_a_wild_server(manners: str, start_server: Start, tmp_path: Path) -> None:
    """Stalls, drips, 404, 500, torn and odd answers, away for seconds or for two minutes; Ctrl-C, and the rest."""
    port = start_server(manners)
    url = f"http://me:{PASSWORD}@127.0.0.1:{port}/v1"
    data = write_pairs(tmp_path / "pairs.jsonl", 2000)
    slow = ("--set", "timeout=4s", "--set", "server=plain", "--patience", "5m")
    process = label(tmp_path, data, f"openai:{url}#m", more=slow)
    labels = tmp_path / "run" / "labels.jsonl"
    while not labels.exists() or labels.read_bytes().count(b"\n") < 300:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    seconds, output = stop(process, signal.SIGINT)
    assert process.returncode == 130
    assert seconds < ENDS_WITHIN
    no_secret_in(tmp_path / "run", output)
    started = time.monotonic()
    process = label(tmp_path, data, f"openai:{url}#m", more=slow)
    output = "".join(process.communicate(timeout=500))
    assert process.returncode == 0, output
    assert manners == "wild" or time.monotonic() - started > 120  # it was away, and was waited for
    rows = {
        name: [json.loads(line) for line in (tmp_path / "run" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("labels", "failures")
    }
    assert len({row["id"] for name in rows for row in rows[name]}) == 2000
    assert sum(map(len, rows.values())) == 2000
    assert {row["judgement"]["verdict"] for row in rows["labels"]} == {"first"}
    assert all(row["judgement"]["reason"] for row in rows["failures"])
    assert len(rows["failures"]) < 20
    no_secret_in(tmp_path / "run", output)
