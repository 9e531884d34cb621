"""Rows labelled by a real `vllm serve` behind a proxy that fails: a fifth of the requests, and down for a while.

python benchmarks/faults.py --rows 2000 --down 30

The embedded judge, greedy, one request a pair; the same rows directly, for the verdicts that should come out. The
faults are those of tests/engines/faulty_server.py; `make soak` runs 10,000 requests against it without a model.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

from parity import served

import judge
from judge.engines.tiny import MODEL as TINY

PROMPT = "preference/verdict"  # a letter that the server chooses: what is counted here are rows, not what is right
PROXY = Path(__file__).resolve().parents[1] / "tests" / "engines" / "faulty_server.py"


def main() -> None:
    """Read the options, label twice, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--down", type=float, default=30.0, help="seconds")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds for an answer; a stall costs as many")
    asked = parser.parse_args()
    rows = judge.generate_problems("pairs", asked.rows, seed=16)
    with tempfile.TemporaryDirectory() as folder, served(str(TINY), Path(folder) / "server.log") as url:
        port = int(url.split(":")[2].split("/")[0])
        direct, seconds = label(rows, url, Path(folder) / "direct", asked.timeout)
        with socket.create_server(("127.0.0.1", 0)) as free:
            proxy_port = free.getsockname()[1]
        command = [sys.executable, str(PROXY), str(proxy_port), str(asked.share), str(asked.rows // 2), str(asked.down)]
        proxy = subprocess.Popen([*command, str(port)])
        time.sleep(1)
        try:
            proxy_url = f"http://127.0.0.1:{proxy_port}/v1"
            faulty, faulty_seconds = label(rows, proxy_url, Path(folder) / "faulty", asked.timeout)
            with urlopen(f"http://127.0.0.1:{proxy_port}/faults") as answer:
                faults = json.load(answer)
        finally:
            proxy.terminate()
            proxy.wait()
        print(json.dumps(compare(direct, faulty) | {"faults": faults, "seconds": [seconds, faulty_seconds]}, indent=2))


def label(rows: list[dict], url: str, out: Path, timeout: float) -> tuple[judge.Run, float]:
    """Judge by the server at an address."""
    started = time.monotonic()
    run = judge.label(
        rows,
        task="preference",
        prompt=PROMPT,
        judges=f"openai:{url}#judge?server=vllm&timeout={timeout}",
        one_order=True,
        hard=True,
        out=out,
        progress=False,
    )
    return run, round(time.monotonic() - started, 1)


def compare(direct: judge.Run, faulty: judge.Run) -> dict[str, object]:
    """How many rows came out, how often each, and whether as without faults."""
    labelled = {row["id"]: row["judgement"]["verdict"] for row in faulty.rows()}
    failed = Counter(failure.judgement.readings[0].reason for failure in faulty.failures())
    ids = Counter(row["id"] for row in faulty.rows())
    expected = {row["id"]: row["judgement"]["verdict"] for row in direct.rows()}
    return {
        "rows": faulty.counts.rows,
        "labelled": len(labelled),
        "failed": dict(failed),
        "doubled": sum(count > 1 for count in ids.values()),
        "lost": direct.counts.rows - faulty.counts.rows,
        "other verdicts": sum(verdict != expected.get(row_id, verdict) for row_id, verdict in labelled.items()),
    }


if __name__ == "__main__":
    main()
