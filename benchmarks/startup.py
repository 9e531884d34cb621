"""How long a person waits for `rmjudge --help` and for `import judge`: the median of several fresh processes."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median


def seconds(command: list[str], *, repeats: int) -> list[float]:
    """Wall time of each run, after one that warms the disk cache and writes the bytecode."""
    times = []
    for number in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if number:
            times.append(time.perf_counter() - start)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--limit", type=float, default=0.35, help="seconds that `rmjudge --help` may take")
    options = parser.parse_args()
    rmjudge = str(Path(sys.executable).with_name("rmjudge"))
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import judge": [sys.executable, "-c", "import judge"],
        "rmjudge --help": [rmjudge, "--help"],
    }
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {options.repeats} runs each")
    for name, command in commands.items():
        times = seconds(command, repeats=options.repeats)
        print(f"{name:16} median {median(times):.3f} s   fastest {min(times):.3f} s")
    if median(times) > options.limit:
        print(f"rmjudge --help takes longer than {options.limit} s")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
