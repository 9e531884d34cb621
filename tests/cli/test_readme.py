"""README keeps its word: the commands on its first screen run as they stand, the others parse, links lead somewhere."""

import json
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
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


PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "judge" / "tiny" / "MODEL_CARD.md"])
FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINE = re.compile(r"^(?:\$ | {4})?(rmjudge .*?)(?:(?: {2}| >).*)?$", re.MULTILINE)  # what follows two spaces explains


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_has_the_options_that_it_is_given(page):
    text = page.read_text(encoding="utf-8")
    prose = FENCE.sub("", text)
    fenced = re.sub(r" *\\\n *", " ", "\n".join(FENCE.findall(text)))  # a command may go on on the next line
    lines = LINE.findall(fenced) + re.findall(r"^ {4}(rmjudge .*)$", prose, re.MULTILINE)
    for line in lines:
        parse(line)
    for line in re.findall(r"`(rmjudge [^`]+)`", prose):
        try:
            parse(line)
        except typer.BadParameter as error:
            if type(error).__name__ != "MissingParameter":  # a mention may leave out what a command needs
                raise


def parse(line):
    """Let a verb read its words without doing anything; a wrong one raises."""
    all_in = re.sub(r"\[(--[^]]*)\]", r"\1", line)  # [--what may be left out] is checked as well
    _, verb, *words = shlex.split(all_in, comments=True)
    if verb in ("--help", "--version"):
        return
    app = import_module(VERBS[verb].module).app
    if not VERBS[verb].group:
        if words:
            get_command(app).make_context(verb, words)
        return
    for name in words[0].split("|") if words else ():
        assert name in get_group(app).commands, line
        if words[1:]:
            get_group(app).commands[name].make_context(name, words[1:])


def test_the_rows_by_hand_are_read(tmp_path):
    found = []
    for number, line in enumerate(fences("json")[0].splitlines()):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(line + "\n", encoding="utf-8")
        found += [type(placed.record) for placed in read_records(path)]
    assert found == [Pair, Response, Solution, Ranking]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_every_task_and_engine_is_named():
    from judge.engines import ENGINES
    from judge.tasks import TASKS

    assert re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)[: len(TASKS)] == [*TASKS]
    assert {spec.partition(":")[0] for spec in re.findall(r"^\| `([\w:#]+)` \|", README, re.MULTILINE)} >= {*ENGINES}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_named(verb):
    assert f"rmjudge {verb}" in README


def test_the_python_on_the_page_compiles():
    for block in fences("python"):
        compile(block, "README.md", "exec")
