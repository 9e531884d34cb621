"""The table of verbs, and how a command line ends."""

import subprocess
import sys

import pytest

from judge.cli.main import VERBS, main


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f" {verb} " in said for verb in VERBS)


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_a_help_of_its_own(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert f"Usage: rmjudge {verb}" in capsys.readouterr().out


def test_help_loads_no_verb():
    code = "import sys; from judge.cli.main import main; main(['--help']); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{verb.module}'" in loaded for verb in VERBS.values())
    assert "'judge.tasks'" not in loaded


def test_a_wrong_verb_is_named_with_the_nearest(capsys):
    assert main(["lable"]) == 2
    assert capsys.readouterr().err.startswith("rmjudge: unknown command 'lable'; did you mean 'label'?")


@pytest.mark.parametrize("words", [["--lable"], ["label", "--limit", "x"], ["data", "shwo"]])
def test_a_wrong_word_is_one_line(words, capsys):
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_no_word_at_all_shows_the_help(capsys):
    assert main([]) == 2
    said = capsys.readouterr()
    assert "label" in said.out + said.err


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("rmjudge 0.")


def test_a_reader_that_goes_away_is_no_error():
    words = f"{sys.executable} -m judge.cli.main --help | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {words}"], capture_output=True, text=True)
    assert done.stderr == ""
