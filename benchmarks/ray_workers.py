"""Ray workers that die, lag and are more than one: the same rows, in what time.

    python benchmarks/ray_workers.py             all four, about seven minutes
    python benchmarks/ray_workers.py --only kill

kill: four workers, one killed every ten seconds, then the driver killed and the command repeated; are the rows those
of one process? two: the rows a second of two workers, beside one. slow: four workers of which one takes five times as
long, beside the time in which they could do it with perfect shares. driver: rows that the driver reads, hands out and
writes in a second of its processor, with an engine that answers at once. Else the engine answers 16 requests at once,
each in 0.2 s, so processors are not what is measured; a row is two calls. Ray's own start counts in `seconds` and not
in `at work`, which goes from the first row to the last. Prints JSON.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from latency_engine import SLOWER, install

LATENCY, SLOTS, WINDOW = 0.2, 16, 32
ROWS_A_SECOND = SLOTS / LATENCY / 2  # of one worker
KILL_SECONDS = 10.0


class Bench:
    """A folder with data and the plugin, and the commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        install(folder / "site")
        paths = os.pathsep.join(filter(None, (str(folder / "site"), os.environ.get("PYTHONPATH", ""))))
        # Without Ray's own watch on memory, which kills workers where other programs fill it.
        self.env = {**os.environ, "PYTHONPATH": paths, "RAY_memory_monitor_refresh_ms": "0"}

    def data(self, rows: int) -> Path:
        path = self.folder / f"{rows}.jsonl"
        lines = (json.dumps({"prompt": f"{number}?", "chosen": "Yes.", "rejected": "No."}) for number in range(rows))
        path.write_text("".join(line + "\n" for line in lines))
        return path

    def orders(self, name: str) -> Path:
        folder = self.folder / f"orders-{name}"
        (folder / "workers").mkdir(parents=True, exist_ok=True)
        return folder

    def start(self, rows: int, out: str, workers: int, *, latency: float = LATENCY) -> subprocess.Popen[bytes]:
        """Begin a run, or go on with one; no workers: in its own process, without Ray."""
        engine = f"latency:{self.orders(out)}?latency={latency}&slots={SLOTS}"
        command = [sys.executable, "-m", "judge.cli.main", "label", str(self.data(rows)), "--task=preference", "--hard"]
        command += [f"--judge={engine}", f"--window={WINDOW}", f"--out={self.folder / out}", "--quiet", "--json"]
        command += ["--runner=ray", f"--workers={workers}"] if workers else []
        return subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL)

    def rows(self, out: str) -> list[bytes]:
        path = self.folder / out / "labels.jsonl"
        return path.read_bytes().splitlines() if path.exists() else []

    def timed(self, rows: int, out: str, workers: int) -> dict[str, float]:
        """A whole run: its seconds, and those from the first row to the last."""
        journal = self.folder / out / "labels.jsonl"
        started, first, last, size = time.monotonic(), 0.0, 0.0, 0
        process = self.start(rows, out, workers)
        while process.poll() is None:
            now = journal.stat().st_size if journal.exists() else 0
            if now > size:
                last = time.monotonic()
                first = first or last
                size = now
            time.sleep(0.02)
        assert process.returncode == 0 and len(self.rows(out)) == rows
        return {"seconds": round(time.monotonic() - started, 1), "at work": round(last - first, 1)}

    def kill_worker(self, out: str, draw: random.Random) -> bool:
        """Kill one of the workers of a run that are alive."""
        alive = [int(path.name) for path in (self.orders(out) / "workers").iterdir() if _alive(int(path.name))]
        if alive:
            os.kill(draw.choice(alive), signal.SIGKILL)
        return bool(alive)


def _alive(process: int) -> bool:
    return Path(f"/proc/{process}/cmdline").exists() and b"ray" in Path(f"/proc/{process}/cmdline").read_bytes()


def kill(bench: Bench, rows: int = 8_000) -> dict[str, Any]:
    """Workers killed every ten seconds, the driver once in the middle."""
    assert bench.start(rows, "one", 0, latency=0.001).wait() == 0
    draw, killed, drivers, started = random.Random(0), 0, 0, time.monotonic()
    process, due = bench.start(rows, "killed", 4), time.monotonic() + KILL_SECONDS
    while process.poll() is None:
        if time.monotonic() >= due:
            due += KILL_SECONDS
            killed += bench.kill_worker("killed", draw)
        if not drivers and len(bench.rows("killed")) > rows / 2:
            process.kill()
            process.wait()
            drivers += 1
            process = bench.start(rows, "killed", 4)
        time.sleep(0.1)
    equal = sorted(bench.rows("killed")) == sorted(bench.rows("one"))
    seconds = round(time.monotonic() - started, 1)
    return {"rows": rows, "workers killed": killed, "drivers killed": drivers, "seconds": seconds, "same rows": equal}


def two(bench: Bench, rows: int = 2_400) -> dict[str, Any]:
    """Two workers beside one."""
    alone, both = bench.timed(rows, "alone", 1), bench.timed(rows, "both", 2)
    return {"rows": rows, "one": alone, "two": both, "times": round(alone["at work"] / both["at work"], 2)}


def slow(bench: Bench, rows: int = 6_400) -> dict[str, Any]:
    """Four workers, one of them slow, beside perfect shares."""
    (bench.orders("slow") / "slow").touch()
    measured = bench.timed(rows, "slow", 4)
    ideal = rows / ROWS_A_SECOND / (3 + 1 / SLOWER)
    return {
        "rows": rows,
        **measured,
        "ideal": round(ideal, 1),
        "times the ideal": round(measured["at work"] / ideal, 3),
    }


def driver(bench: Bench, rows: int = 20_000) -> dict[str, Any]:
    """What the driver itself can do."""
    judges = f"latency:{bench.orders('driver')}?latency=0&slots=1024"
    keywords = {"task": "preference", "judges": judges, "hard": True, "out": str(bench.folder / "driver")}
    code = "import judge, sys, time; judge.label({data!r}, runner='ray', workers=2, progress=False, **{keywords!r}); "
    code += "print(time.process_time())"
    command = [sys.executable, "-c", code.format(data=str(bench.data(rows)), keywords=keywords)]
    seconds = float(subprocess.run(command, env=bench.env, check=True, stdout=subprocess.PIPE).stdout)
    assert len(bench.rows("driver")) == rows
    return {"rows": rows, "processor seconds": round(seconds, 1), "rows a second": round(rows / seconds)}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("kill", "two", "slow", "driver"))
    only = parser.parse_args().only
    figures: dict[str, Any] = {"benchmark": "ray_workers"}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for measure in (kill, two, slow, driver):
            if only in (None, measure.__name__):
                figures[measure.__name__] = measure(bench)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
