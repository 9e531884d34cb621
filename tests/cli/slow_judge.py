"""`rmjudge` with one more engine, `slow:RULES.jsonl`: it answers by rules, out of order, a few at a time, slowly.

Run by the tests as a process of its own, so that it can be killed.
"""

import os
import sys

from judge import engines
from judge.cli.main import main
from judge.engines.scripted import ScriptedEngine


def _slow(path: str) -> ScriptedEngine:
    return ScriptedEngine.from_file(path, shuffle=True, seed=os.getpid(), delay=float(os.environ.get("DELAY", "0.01")))


if __name__ == "__main__":
    engines.ENGINES.register("slow", _slow)
    sys.exit(main(sys.argv[1:]))
