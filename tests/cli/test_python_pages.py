"""The Python examples of README and docs/python.md run as they stand, one after another."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import judge
from judge.cli.main import VERBS
from judge.tiny import MODEL

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.vllm
@pytest.mark.skipif(not MODEL.is_dir(), reason="judge/tiny/model is not there")
@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_examples_of_a_page_run(page: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text("utf-8"))
    assert blocks
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


CALLS = {
    "constitution": "try_constitution",
    "data": "survey",
    "prompt": "render_prompt",
    "rubric": "generate_rubrics",
    "tiny": "generate_problems",
}
"""What a group of commands is called by from Python; a verb has a function of its own name."""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_the_command_line_has_an_example(verb: str) -> None:
    name = CALLS.get(verb, verb.replace("-", "_"))
    assert callable(getattr(judge, name))
    assert f"judge.{name}(" in (ROOT / "docs" / "python.md").read_text("utf-8")
