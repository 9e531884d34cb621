"""A package that brings a task, an engine and a format by entry points is used by their names from the command line."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Cli

HERE = Path(__file__).parent

ENGINE = '''
import math

from judge.engines.base import Completion, Request


class Polite:
    """Finds everything polite, as far as its setting says. `shout:WORD` finds what holds the word rude."""

    def __init__(self, word: str, *, sure: float = 0.9) -> None:
        self.word, self.sure, self.pending = word, sure, []

    def submit(self, ticket: int, request: Request) -> None:
        self.pending.append((ticket, request))

    def step(self) -> list[tuple[int, Completion]]:
        ready, self.pending = self.pending, []
        return [(ticket, self.answer(request)) for ticket, request in ready]

    def answer(self, request: Request) -> Completion:
        best = "R" if self.word in request.messages[-1].content else "P"
        rest = (1 - self.sure) / (len(request.choices) - 1)
        shares = {choice: self.sure if choice == best else rest for choice in request.choices}
        return Completion(text=best, logprobs={choice: math.log(share) for choice, share in shares.items()})

    def count_tokens(self, request: Request) -> int:
        return 1

    def describe(self) -> dict[str, object]:
        return {"engine": "shout", "model": self.word, "sure": self.sure}

    def close(self) -> None:
        pass
'''

FORMAT = """
from judge.formats.base import Format
from judge.records import Message, Response


def read(row):
    return [Response(prompt=(Message("user", row["mail"]),), response=(Message("assistant", row["reply"]),))]


MAILS = Format(name="mails", about="mails and their replies", fields=("mail", "reply"), read=read)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages that holds one plugin."""
    site = tmp_path / "site"
    package = site / "mail_plugin"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in ("politeness.py", "politeness.jinja"):
        shutil.copy(HERE / name, package / name)
    (package / "engine.py").write_text(ENGINE, "utf-8")
    (package / "mails.py").write_text(FORMAT, "utf-8")
    install(
        site,
        "mail-plugin",
        "[rmjudge.tasks]\npoliteness = mail_plugin.politeness:TASK\n"
        "[rmjudge.engines]\nshout = mail_plugin.engine:Polite\n"
        "[rmjudge.formats]\nmails = mail_plugin.mails:MAILS\n",
    )
    return site


def install(site: Path, name: str, entry_points: str) -> None:
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(entry_points, "utf-8")


def env(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))}


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    path = tmp_path / "mails.jsonl"
    path.write_text('{"mail": "Hi", "reply": "Thank you."}\n{"mail": "Hi", "reply": "You fool!"}\n', "utf-8")
    return path


def test_a_plugin_brings_a_task_an_engine_and_a_format(cli: Cli, site: Path, mails: Path, tmp_path: Path) -> None:
    judged = cli(
        "label", mails, "--task=politeness", "--judge=shout:fool", "--out=run", "--set=sure=0.8", env=env(site)
    )
    assert (judged.rc, judged.stderr.count("refused")) == (0, 0), judged.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "labels.jsonl").read_text("utf-8").splitlines()]
    verdicts = {row["response"][0]["content"]: row["judgement"] for row in rows}
    assert verdicts["Thank you."]["verdict"] == "polite" and verdicts["You fool!"]["verdict"] == "rude"
    assert verdicts["Thank you."]["p_polite"] == pytest.approx(0.8)
    shown = json.loads(cli("data", "show", "run/labels.jsonl", "--json", env=env(site)).stdout)
    assert shown["judgements"] == {"politeness": {"polite": 1, "rude": 1}}
    assert "mails and their replies" in cli("data", "formats", env=env(site)).stdout
    assert cli("export", "run", "--to=trl", "--out=data", env=env(site)).rc == 0


def test_a_wrong_name_and_a_wrong_setting_are_named(cli: Cli, site: Path, mails: Path) -> None:
    ran = cli("label", mails, "--task=politness", "--judge=shout:fool", "--out=run", env=env(site))
    assert (ran.rc, "did you mean 'politeness'?" in ran.stderr) == (2, True)
    ran = cli("label", mails, "--task=politeness", "--judge=shout", "--out=run", env=env(site))
    assert (ran.rc, "engine 'shout' names no WORD: write 'shout:WORD'" in ran.stderr) == (2, True)
    ran = cli("label", mails, "--task=politeness", "--judge=shout:fool", "--out=run", "--set=sur=1", env=env(site))
    assert (ran.rc, "unknown engine setting 'sur'; did you mean 'sure'?" in ran.stderr) == (2, True)


def test_without_the_plugin_its_run_names_what_is_missing(cli: Cli, site: Path, mails: Path) -> None:
    assert cli("label", mails, "--task=politeness", "--judge=shout:fool", "--out=run", env=env(site)).rc == 0
    ran = cli("agree", "run", "--human=run/labels.jsonl")
    assert (ran.rc, "unknown task 'politeness'" in ran.stderr) == (2, True), ran.stderr


def test_a_broken_plugin_is_one_line(cli: Cli, tmp_path: Path, mails: Path) -> None:
    """Where its name is asked for it is an error, where all names are looked through a warning."""
    broken = tmp_path / "broken"
    install(
        broken, "lost-plugin", "[rmjudge.formats]\nlost = lost_plugin:LOST\n[rmjudge.tasks]\nlost = lost_plugin:LOST\n"
    )
    ran = cli("data", "formats", env=env(broken))
    assert ran.rc == 0
    (line,) = ran.stderr.splitlines()
    assert line == (
        "the package 'lost-plugin' (rmjudge.formats, 'lost') cannot be used: "
        "ModuleNotFoundError: No module named 'lost_plugin'"
    )
    ran = cli("label", mails, "--task=lost", "--judge=scripted:x", "--out=run", env=env(broken))
    assert ran.rc == 2 and "the package 'lost-plugin' (rmjudge.tasks, 'lost') cannot be used" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_name_of_ours_is_never_replaced(cli: Cli, site: Path) -> None:
    install(site, "rude-plugin", "[rmjudge.formats]\ntrl-preference = mail_plugin.mails:MAILS\n")
    ran = cli("data", "formats", env=env(site))
    assert (
        "the package 'rude-plugin' (rmjudge.formats, 'trl-preference') is refused: the name 'trl-preference' is taken"
        in (ran.stderr)
    )
    assert ran.rc == 0
