"""`rmjudge data`: the real command."""

import json
from pathlib import Path

from tests.conftest import Cli

GOOD = '{"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}\n'


def test_show_a_good_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(GOOD)
    done = cli("data", "show", "pairs.jsonl")
    assert (done.rc, done.stderr) == (0, "")
    assert "pairs.jsonl: trl-preference" in done.stdout
    assert "1 pair" in done.stdout
    assert "  first: 4" in done.stdout


def test_show_names_every_wrong_row_and_exits_with_1(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(GOOD + '{"prompt": "p"}\n' + GOOD + "{\n")
    done = cli("data", "show", "pairs.jsonl", "--limit", "0")
    assert done.rc == 1
    assert "pairs.jsonl:2: no field 'chosen' (found: prompt)" in done.stdout
    assert "pairs.jsonl:4: broken JSON at column 2" in done.stdout


def test_show_as_json(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(GOOD)
    found = json.loads(cli("data", "show", "pairs.jsonl", "--json").stdout)
    assert found["records"] == {"pair": 1}
    assert found["first"][0]["first"] == [{"role": "assistant", "content": "4"}]


def test_nothing_readable_is_one_line_and_2(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"x": 1}\n')
    for arguments, said in (
        (("show", "pair.jsonl"), "rmjudge: pair.jsonl: no such file; did you mean 'pairs.jsonl'?\n"),
        (("show", "pairs.jsonl"), "rmjudge: pairs.jsonl:1: no format fits the fields x (all: rmjudge data formats)\n"),
    ):
        done = cli("data", *arguments)
        assert (done.rc, done.stdout, done.stderr) == (2, "", said)
    done = cli("data", "show", "pairs.jsonl", "--format", "trl")
    assert done.rc == 2
    assert done.stderr.startswith("rmjudge: unknown format 'trl'")


def test_formats_lists_every_family(cli: Cli) -> None:
    from judge.formats import FORMATS

    names = [row["name"] for row in json.loads(cli("data", "formats", "--json").stdout)]
    assert names == list(FORMATS)
    assert "prm800k" in cli("data", "formats").stdout
