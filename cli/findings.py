"""How `lint` shows what it found: a line each, and how many on stderr."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judge import LintResult


def draw_findings(result: "LintResult", noun: str) -> None:
    """Each finding with its place; then how many files of that kind were looked at, and how many findings there are."""
    for finding in result:
        print(f"{finding.place}: {finding.message}")
    count = f"{len(result)} finding{'s' * (len(result) != 1)}" if len(result) else "nothing found"
    print(f"{result.files} {noun}{'s' * (result.files != 1)}: {count}", file=sys.stderr)
