"""Texts, names and paths of other people never steer a terminal: escapes are spelled out, brackets are no markup."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest

from judge.cli.main import main
from judge.terminal import console, visible

RED, TITLE, C1, TURNED, LONE = "\x1b[31m", "\x1b]0;owned\x07", "\x9b31m", "\u202e", "\ud800"
NASTY = f"x{RED}{TITLE}{C1}{TURNED}[bold]y[/bold]"
SPELLED = r"x\u001b[31m\u001b]0;owned\u0007\u009b31m\u202e[bold]y[/bold]"
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_control_characters_are_spelled_out_and_words_stay() -> None:
    assert visible(NASTY + LONE + "\r\x7f") == SPELLED + r"\ud800\u000d\u007f"
    assert visible("naïve\n\t日本 שלום 👍🏽") == "naïve\n\t日本 שלום 👍🏽"
    assert json.loads(visible(json.dumps([NASTY], ensure_ascii=False))) == [NASTY]


def test_a_console_draws_texts_as_they_are_and_still_has_colours() -> None:
    from rich.table import Table

    stream = StringIO()
    table = Table(NASTY, style="green")
    table.add_row(NASTY)
    console(stream, width=200, force_terminal=True, color_system="standard").print(table, NASTY)
    drawn = stream.getvalue()
    assert drawn.count(SPELLED) == 3
    assert RED not in drawn
    assert "\x1b[32m" in drawn  # our own green


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A data file whose name, field names and texts are nasty, a prompt, a constitution, a rubric."""
    pairs = tmp_path / f"p{RED}[bold].jsonl"
    pairs.write_text(json.dumps({"prompt": NASTY, "chosen": NASTY, "rejected": "b", NASTY: NASTY}) + "\n")
    wrong = tmp_path / f"w{RED}.jsonl"
    wrong.write_text(json.dumps({NASTY: 1}) + "\n")
    rubric = tmp_path / "rubric.jsonl"
    rubric.write_text(
        json.dumps({"prompt": "p", "response": "r", "rubric": [{"criterion": NASTY, "points": 1}]}) + "\n"
    )
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "name: mine\nversion: 1\ndescription: "
        + json.dumps(NASTY)
        + "\nprinciples:\n- id: a\n  tags: ["
        + json.dumps(NASTY)
        + "]\n  text: "
        + json.dumps(NASTY)
        + "\n"
    )
    prompt = tmp_path / f"m{RED}.jinja"
    prompt.write_text(f"---\ntask: preference\n{NASTY}: 1\n---\n{{% user %}}{NASTY}{{% enduser %}}")
    return {"pairs": str(pairs), "wrong": str(wrong), "rubric": str(rubric), "rules": str(rules), "prompt": str(prompt)}


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        (["data", "show", "{pairs}"], 0, r"x\u001b[31m"),
        (["data", "show", "{pairs}", "--json"], 0, r"x\u001b[31m"),
        (["data", "show", "{wrong}"], 2, r"x\u001b[31m"),
        (["data", "show", "{rubric}"], 0, r"x\u001b[31m"),
        (["data", "show", "nowhere{red}.jsonl"], 2, r"nowhere\u001b[31m"),
        (["constitution", "show", "{rules}"], 0, "[bold]y[/bold]"),
        (["constitution", "show", "{rules}", "--json"], 0, "[bold]y[/bold]"),
        (["constitution", "show", "{rules}", "--rendered"], 0, "[bold]y[/bold]"),
        (["constitution", "lint", "{rules}"], 1, "rules.yaml"),
        (["prompt", "lint", "{prompt}"], 1, r"m\u001b[31m.jinja"),
        (["prompt", "show", "{prompt}"], 2, r"m\u001b[31m.jinja"),
        (["label", "{pairs}", "--task", "x{red}", "--judge", "scripted:x", "--out", "o"], 2, r"x\u001b[31m"),
        (["label", "{pairs}", "--{red}", "x"], 2, r"\x1b[31m"),
        (["x{red}"], 2, r"x\u001b[31m"),
    ],
)
def test_no_command_sends_an_escape(
    words: list[str], code: int, shown: str, files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(**files, red=RED) for word in words]) == code
    output = "".join(capfd.readouterr())
    assert shown in output
    assert not ACTIVE.search(output)


def test_an_error_is_short_however_long_the_name(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "x" * 100_000]) == 2
    assert len(capfd.readouterr().err) < 2100
