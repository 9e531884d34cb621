"""docs/constitutions.md: every command that is shown with its output gives that output."""

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "constitutions.md").read_text("utf-8")
SHOWN = re.findall(r"^```\n\$ rmjudge ([^\n]+)\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


def test_the_page_shows_every_verb() -> None:
    verbs = {command.split()[1] for command, _ in SHOWN if command.startswith("constitution ")}
    assert verbs >= {"lint", "show", "test", "try", "ablate", "diff"}


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_what_is_shown_is_what_comes_out(command: str, output: str, cli: "Cli", tmp_path: Path) -> None:
    folder = tmp_path / "constitution"
    shutil.copytree(ROOT / "examples" / "constitution", folder)
    ran = cli(*shlex.split(command), cwd=folder, env={"COLUMNS": "100"})
    said = "\n".join(line.rstrip() for line in ran.stdout.splitlines())
    assert said.rstrip() == output.rstrip()


def test_every_shipped_constitution_is_named() -> None:
    from judge.constitution.constitution import shipped

    assert all(f"`{name}`" in DOCS for name in shipped())
