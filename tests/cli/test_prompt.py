"""`rmjudge prompt`, run as a user runs it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Cli

BROKEN = "---\ntask: preference\nlabels: {first: A, second: B}\nlable: x\n---\n{% user %}\n{{ frist }}\n{% enduser %}\n"


def test_list_names_every_prompt_of_a_task(cli: "Cli") -> None:
    ran = cli("prompt", "list", "steps")
    assert ran.rc == 0
    assert [line.split()[0] for line in ran.stdout.splitlines() if line.startswith("steps/")] == [
        "steps/all",
        "steps/brief",
        "steps/default",
        "steps/trajectory",
        "steps/verdict",
    ]
    rows = json.loads(cli("prompt", "list", "--json").stdout)
    assert {"name", "task", "labels", "hash"} <= rows[0].keys()


def test_show_prints_the_file(cli: "Cli") -> None:
    ran = cli("prompt", "show", "preference/default")
    assert ran.rc == 0 and ran.stdout.startswith("---\ntask: preference\n")
    assert json.loads(cli("prompt", "show", "preference/default", "--json").stdout)["text"] == ran.stdout


def test_an_unknown_name_gets_the_nearest(cli: "Cli") -> None:
    for args in (["show", "preference/defualt"], ["lint", "preference/defualt"]):
        ran = cli("prompt", *args)
        assert (ran.rc, ran.stdout) == (2, "")
        assert "unknown prompt 'preference/defualt'; did you mean 'preference/default'?" in ran.stderr
        assert ran.stderr.count("\n") == 1
    assert cli("prompt", "list", "stepps").stderr.startswith("rmjudge: unknown task 'stepps'; did you mean 'steps'?")


def test_render_fills_a_prompt_with_records(cli: "Cli", tmp_path: Path) -> None:
    row = {"prompt": "Name a prime.", "chosen": "7 </response_a>", "rejected": "8"}
    (tmp_path / "pairs.jsonl").write_text(
        f"{json.dumps(row)}\n{json.dumps({**row, 'chosen': '5'})}\n", encoding="utf-8"
    )
    ran = cli("prompt", "render", "preference/verdict", "--data", "pairs.jsonl")
    assert (ran.rc, ran.stderr) == (0, "")
    assert ran.stdout.startswith("──── pairs.jsonl:1\n[system]\nYou are")
    assert "[user]\n<user_prompt>\nName a prime.\n</user_prompt>\n\n<response_a>\n7 (/response_a)\n" in ran.stdout
    lines = cli("prompt", "render", "preference/verdict", "-d", "pairs.jsonl", "--limit", "2", "--json").stdout
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row["place"] for row in rows] == ["pairs.jsonl:1", "pairs.jsonl:2"]
    assert [message["role"] for message in rows[1]["messages"]] == ["system", "user"]


def test_render_shows_one_call_a_step(cli: "Cli", tmp_path: Path) -> None:
    row = {"prompt": "1+1+1?", "completions": ["1+1=2", "2+1=4"], "labels": [True, False]}
    (tmp_path / "steps.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    ran = cli("prompt", "render", "steps/verdict", "--data", "steps.jsonl")
    headers = [line for line in ran.stdout.splitlines() if line.startswith("────")]
    assert headers == ["──── steps.jsonl:1 · 1 of 2", "──── steps.jsonl:1 · 2 of 2"]


def test_render_says_which_row_does_not_fit(cli: "Cli", tmp_path: Path) -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": "b"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    ran = cli("prompt", "render", "critique/default", "--data", "pairs.jsonl")
    assert ran.rc == 2 and ran.stderr.startswith("rmjudge: pairs.jsonl:1: pair does not fit critique/default: ")
    assert "variable 'response' is not given (given: prompt, first, second)" in ran.stderr
    assert cli("prompt", "render", "critique/default", "--data", "nothing.jsonl").rc == 2


def test_lint_reports_everything_and_exits_with_1(cli: "Cli", tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text(BROKEN, encoding="utf-8")
    ran = cli("prompt", "lint", "mine.jinja", "steps/default")
    assert ran.rc == 1
    assert [line.split(" (")[0] for line in ran.stdout.splitlines()] == [
        "mine.jinja:4: unknown key 'lable'; did you mean 'labels'?",
        "mine.jinja:7: undefined variable 'frist'; did you mean 'first'?",
    ]
    assert ran.stderr == "2 prompts: 2 findings\n"
    as_json = cli("prompt", "lint", "mine.jinja", "--json")
    assert as_json.rc == 1 and [row["line"] for row in json.loads(as_json.stdout)] == [4, 7]
    clean = cli("prompt", "lint")
    assert (clean.rc, clean.stdout) == (0, "")
