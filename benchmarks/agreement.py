"""A million labelled pairs: time and peak memory of a full report, and of figures without intervals.

    python benchmarks/agreement.py [--rows 1000000] [--annotators 1]

The run and the human labels lie in two files of rmjudge's rows, as `rmjudge label` and people leave them. Each command
runs in a process of its own; peak memory is the process's largest resident set.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from judge.records import Message, Pair

WORDS = (
    "the of and a to in is you that it he was for on are as with his they at be this have from or one had by".split()
)


def write(folder: Path, rows: int, annotators: int) -> tuple[Path, Path]:
    """A run directory and a file of human labels; people agree with the truth 85 times in 100, the judge 80."""
    draw = random.Random(0)
    run, human = folder / "run", folder / "human.jsonl"
    run.mkdir()
    with (run / "labels.jsonl").open("w") as judged, human.open("w") as labelled:
        for number in range(rows):
            texts = [" ".join(draw.choices(WORDS, k=draw.randint(5, 40))) for _ in range(3)]
            prompt, first, second = f"{number} {texts[0]}", texts[1], texts[2]
            pair = Pair(
                prompt=(Message("user", prompt),),
                first=(Message("assistant", first),),
                second=(Message("assistant", second),),
            )
            row = {
                "id": pair.id,
                "kind": "pair",
                "prompt": [{"role": "user", "content": prompt}],
                "first": [{"role": "assistant", "content": first}],
                "second": [{"role": "assistant", "content": second}],
            }
            truth = draw.random() < 0.5
            sides = [draw.random() < 0.8 for _ in range(2)]
            p = [0.5 + 0.45 * draw.random() if side == truth else 0.5 - 0.45 * draw.random() for side in sides]
            names = ["first" if value > 0.5 else "second" for value in p]
            readings = [
                {"asked": asked, "verdict": name, "probabilities": {"first": value, "second": 1 - value}, "text": "A"}
                for asked, name, value in zip(("forward", "swapped"), names, p, strict=True)
            ]
            mean = sum(p) / 2
            said = {
                "task": "preference",
                "verdict": "first" if mean > 0.5 else "second",
                "p_first": mean,
                "consistent": names[0] == names[1],
                "readings": readings,
            }
            votes = [
                {"annotator": f"a{who}", "verdict": "first" if (draw.random() < 0.85) == truth else "second"}
                for who in range(annotators)
            ]
            judged.write(json.dumps(row | {"human": [], "meta": {}, "judgement": said}) + "\n")
            labelled.write(json.dumps(row | {"human": votes, "meta": {}}) + "\n")
    return run, human


def timed(args: list[str]) -> str:
    """Seconds on the clock and of processor time, and the peak memory in GB."""
    started = time.perf_counter()
    with subprocess.Popen(args, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(args)} ended with {process.returncode}")
    scale = 1024 if sys.platform != "darwin" else 1
    seconds, busy = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    return f"{seconds:.1f} s ({busy:.1f} s of processor time), {usage.ru_maxrss * scale / 1e9:.2f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--annotators", type=int, default=1)
    asked = parser.parse_args()
    rmjudge = str(Path(sys.executable).with_name("rmjudge"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, human = write(folder, asked.rows, asked.annotators)
        size = sum(file.stat().st_size for file in (run / "labels.jsonl", human)) / 1e9
        print(
            f"{asked.rows:,} pairs, {asked.annotators} annotators, {size:.2f} GB in two files, {os.cpu_count()} cores"
        )
        agree = [rmjudge, "agree", str(run), "--human", str(human)]
        print(f"full report and page: {timed([*agree, '--report', str(folder / 'page.html')])}")
        print(f"--json --resamples 0: {timed([*agree, '--json', '--resamples', '0'])}")


if __name__ == "__main__":
    # The parent's own size does not count: it is that of each command.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
