"""README keeps its word: the commands on its first screen run as they stand, the others parse, links lead somewhere."""

import json
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.main import get_command, get_group

from examples.readme import commands, first_row, perform
from judge.cli.main import VERBS
from judge.formats import read_records
from judge.records import Pair, Ranking, Response, Solution
from judge.tiny import MODEL

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def fences(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def shape(text):
    """A text without what differs from run to run: numbers, and the widths that follow from them."""
    text = re.sub(r"[\d.,]*\d[\d.,]*", "0", text)
    return re.sub(r"[ ─]+", " ", text)


@pytest.mark.vllm
@pytest.mark.skipif(not MODEL.is_dir(), reason="judge/tiny/model is not there")
@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
def test_the_first_screen_is_what_its_commands_print(tmp_path):
    said = "".join(f"$ {command}\n{perform(command, tmp_path)}" for command in commands(README))
    assert shape(said) == shape(fences("console")[0])
    row = json.loads(first_row(tmp_path / "runs" / "pairs" / "labels.jsonl"))
    assert list(json.loads(fences("json")[1])) == list(row)


def test_every_other_command_has_the_options_that_it_is_given():
    lines = [line for block in fences("sh") for line in block.splitlines()]
    lines += re.findall(r"`(rmjudge [^`]+)`", README)
    assert lines
    for line in lines:
        program, verb, *words = shlex.split(line)
        assert program == "rmjudge"
        app = import_module(VERBS[verb].module).app
        if VERBS[verb].group:
            get_group(app).commands[words[0]].make_context(words[0], words[1:])
        else:
            get_command(app).make_context(verb, words)


def test_the_rows_by_hand_are_read(tmp_path):
    found = []
    for number, line in enumerate(fences("json")[0].splitlines()):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(line + "\n", encoding="utf-8")
        found += [type(placed.record) for placed in read_records(path)]
    assert found == [Pair, Response, Solution, Ranking]


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_a_link_leads_somewhere(link):
    assert (ROOT / link).exists()


def test_every_task_and_engine_is_named():
    from judge.engines import ENGINES
    from judge.tasks import TASKS

    assert re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)[: len(TASKS)] == [*TASKS]
    assert {spec.partition(":")[0] for spec in re.findall(r"^\| `([\w:#]+)` \|", README, re.MULTILINE)} >= {*ENGINES}


def test_the_python_on_the_page_compiles():
    for block in fences("python"):
        compile(block, "README.md", "exec")
