"""The same data judged twice by one model: how often the verdict is the same, how far apart the probabilities are.

python benchmarks/parity.py                     the embedded model on vLLM and on transformers
python benchmarks/parity.py --against server    in this process and behind a real `vllm serve`, by HTTP
python benchmarks/parity.py --model DIRECTORY --data pairs.jsonl --task preference --prompt preference/verdict
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import judge as rmjudge
from judge.engines import TINY_PROMPT
from judge.engines.tiny import MODEL as TINY
from judge.formats import to_row
from judge.records import Record
from judge.run_files import read_lines

SMALL = ["--max-num-seqs", "32", "--block-size", "32", "--no-enable-chunked-prefill"]
"""How the server runs, as the engine in this process does on a CPU."""
PROBABILITY = {"preference": "p_first", "outcome": "p_correct", "steps": "p_right"}


def main() -> None:
    """Read the options, judge twice, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="tiny, a model directory or a hub name")
    parser.add_argument("--data", help="a data file; without one, samples of the embedded judge's field")
    parser.add_argument("--task", default="preference", choices=PROBABILITY)
    parser.add_argument("--prompt", default="")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--against", default="hf", choices=("hf", "server"))
    asked = parser.parse_args()
    prompt = asked.prompt or (f"{asked.task}/{TINY_PROMPT}" if asked.model == "tiny" else "")
    with tempfile.TemporaryDirectory() as folder:
        data = asked.data or _sample(Path(folder), asked.task, asked.rows)

        def judge(kind: str, spec: str) -> dict[str, Mapping[str, Any]]:
            run = rmjudge.label(
                data,
                task=asked.task,
                judges=spec,
                out=Path(folder) / kind,
                prompt=prompt,
                limit=asked.rows,
                progress=False,
            )
            return {line.row["id"]: line.row["judgement"] for path in run.files for line in read_lines(path)}

        def local(kind: str) -> dict[str, Mapping[str, Any]]:
            return judge(kind, f"tiny:{kind}" if asked.model == "tiny" else f"{kind}:{asked.model}")

        if asked.against == "server":
            with served(str(TINY) if asked.model == "tiny" else asked.model, Path(folder) / "server.log") as url:
                theirs = judge("server", f"openai:{url}#judge")
        else:
            theirs = local("hf")
        print(json.dumps(compare(local("vllm"), theirs, asked.task), indent=2))


@contextmanager
def served(model: str, log: Path) -> Iterator[str]:
    """The address of a vLLM server for this model, up until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # The module, not the `vllm` command: that one looks for a package of the name vllm, which CPU builds do not have.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--dtype", "float32"]
    with log.open("w") as file:
        server = subprocess.Popen(
            [*command, "--served-model-name", "judge", "--port", str(port), "--enforce-eager", *SMALL],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"},
        )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            if server.poll() is not None:
                errors = [line for line in log.read_text().splitlines() if "Error" in line]
                raise SystemExit("\n".join(["the server ended:", *errors]))
            with suppress(OSError), urlopen(f"{url}/health", timeout=1):
                break
            time.sleep(1)
        yield f"{url}/v1"
    finally:
        server.terminate()
        server.wait()


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Share of rows with equal verdicts, and the differences of the probabilities that both gave."""
    same = [ours[key].get("verdict") == theirs[key].get("verdict") for key in ours]
    apart = [
        abs(p - q)
        for key in ours
        for p, q in zip(_probabilities(ours[key], task), _probabilities(theirs[key], task), strict=False)
        if p is not None and q is not None
    ]
    behind = [
        abs(p - other.get("probabilities", {}).get(label, 0.0))
        for key in ours
        for mine, other in zip(ours[key].get("readings", ()), theirs[key].get("readings", ()), strict=False)
        for label, p in mine.get("probabilities", {}).items()
        if mine["text"] == other["text"]
    ]
    return {
        "rows": len(same),
        "same_verdict": round(sum(same) / len(same), 4),
        "probabilities": len(apart),
        "median_difference": round(median(apart), 6) if apart else None,
        "largest_difference": round(max(apart), 6) if apart else None,
        "labels_of_readings": len(behind),
        "largest_difference_of_a_label": round(max(behind), 8) if behind else None,
    }


def _probabilities(judgement: Mapping[str, Any], task: str) -> Iterator[float | None]:
    value = judgement.get(PROBABILITY[task])
    yield from value if isinstance(value, list) else [value]


def _sample(folder: Path, task: str, rows: int) -> str:
    from judge.tiny.samples import pairs, responses, solutions

    makers: dict[str, Callable[..., Iterable[Record]]] = {"preference": pairs, "outcome": responses, "steps": solutions}
    path = folder / "data.jsonl"
    path.write_text(
        "".join(json.dumps(to_row(record)) + "\n" for record in makers[task](rows, seed=1)), encoding="utf-8"
    )
    return str(path)


if __name__ == "__main__":
    main()
