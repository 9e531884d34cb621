"""docs/rubrics.md: every command that is shown with its output gives that output."""

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "rubrics.md").read_text("utf-8")
SHOWN = re.findall(r"^```\n\$ rmjudge ([^\n]+)\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


def test_the_page_shows_the_verbs() -> None:
    assert {command.split()[1] for command, _ in SHOWN} >= {"lint", "test", "try", "ablate", "diff", "generate"}


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_what_is_shown_is_what_comes_out(command: str, output: str, cli: "Cli", tmp_path: Path) -> None:
    folder = tmp_path / "rubric"
    shutil.copytree(ROOT / "examples" / "rubric", folder)
    ran = cli(*shlex.split(command), cwd=folder, env={"COLUMNS": "100"})
    said = "\n".join(line.rstrip() for line in ran.stdout.splitlines())
    assert said.rstrip() == output.rstrip()
