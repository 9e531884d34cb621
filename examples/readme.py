"""Run the commands on README's first screen and write their real output beneath them.

`python examples/readme.py` from the root of the repository, after a change of the embedded judge or of what commands
print. Between the marks `<!-- figures… -->` stand console blocks: every line that begins with "$ " is run in an empty
folder and followed by what it printed; `<!-- row… -->` is one row of the labels that came out, shortened.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parent.parent / "README.md"
SHOWN = 110  # characters of a text in the row that is shown


def section(name: str, text: str) -> re.Match[str]:
    """What stands between the marks of a name."""
    found = re.search(rf"(<!-- {name}\b[^\n]*-->\n```\w+\n)(.*?)(```\n<!-- /{name} -->)", text, re.DOTALL)
    assert found, f"{README.name} has no place marked <!-- {name} -->"
    return found


def commands(text: str) -> list[str]:
    """The commands of the first screen, in order."""
    return [line.removeprefix("$ ") for line in section("figures", text)[2].splitlines() if line.startswith("$ ")]


def perform(command: str, folder: Path) -> str:
    """What a command prints on its standard output, run by a shell in a folder; it must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(f"{command}\n{done.stderr}")
    return done.stdout


def shortened(value: Any) -> Any:
    """A row for people: long texts cut, probabilities to three digits, one reading of several."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value[:1]]
    if isinstance(value, float):
        return round(value, 3)
    return value if not isinstance(value, str) or len(value) <= SHOWN else f"{value[:SHOWN]}…"


def first_row(labels: Path) -> str:
    """The first row of a run, shortened and indented."""
    with labels.open(encoding="utf-8") as stream:
        row = shortened(json.loads(stream.readline()))
    lines = [f'  "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in row.items() if key != "judgement"]
    inner = [f'    "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in row["judgement"].items()]
    return "{\n" + ",\n".join([*lines, '  "judgement": {\n' + ",\n".join(inner) + "\n  }"]) + "\n}\n"


def main() -> int:
    text = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        shown = "".join(f"$ {command}\n{perform(command, Path(name))}" for command in commands(text))
        row = first_row(Path(name) / "runs" / "pairs" / "labels.jsonl")
    for mark, new in (("figures", shown), ("row", row)):
        found = section(mark, text)
        text = text[: found.start()] + found[1] + new + found[3] + text[found.end() :]
    README.write_text(text, encoding="utf-8")
    print(shown, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
