"""A new task is one file and one line: it is labelled, counted, shown, compared, exported and learnt from like any."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge.cli.main import main
from judge.errors import ConfigError
from judge.formats import from_row, judgement_from_row
from judge.prompting.template import lint
from judge.rewards.data.examples import examples
from judge.tasks import TASKS

TEXTS = ("Thank you, gladly.", "Go away, fool.", "Thanks.", "42", "Certainly, with pleasure.")
PEOPLE = ("polite", "rude", "rude", "cannot say", "polite")


def rule(match: str, **shares: float) -> dict[str, Any]:
    return {"match": match, "text": "", "logprobs": {label: math.log(share) for label, share in shares.items()}}


RULES = (
    rule("Thank", P=0.8, R=0.1, N=0.1),
    rule("fool", P=0.1, R=0.7, N=0.2),
    rule("42", P=0.2, R=0.1, N=0.7),
    {"match": "Certainly", "text": "", "finish": "error"},
)


@pytest.fixture(autouse=True)
def toy_task() -> Iterator[None]:
    """The one line that a task needs beside its file."""
    TASKS.register("politeness", "tests.tasks.politeness:TASK")
    yield
    TASKS.unregister("politeness")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [
        {"kind": "response", "prompt": f"Question {number}", "response": text}
        | {"human": [{"annotator": "ann", "verdict": verdict}]}
        for number, (text, verdict) in enumerate(zip(TEXTS, PEOPLE, strict=True))
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "rules.jsonl").write_text("".join(json.dumps(row) + "\n" for row in RULES), "utf-8")
    out = tmp_path / "run"
    judge = f"scripted:{tmp_path / 'rules.jsonl'}"
    assert main(["label", str(tmp_path / "data.jsonl"), "--task=politeness", "--judge", judge, "--out", str(out)]) == 0
    return out


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_its_prompt_is_without_fault() -> None:
    assert lint(Path(__file__).with_name("politeness.jinja")) == []


def test_labelled_and_counted(run: Path) -> None:
    by_text = {row["response"][0]["content"]: row["judgement"] for row in read(run / "labels.jsonl")}
    assert {text: judgement["verdict"] for text, judgement in by_text.items()} == {
        "Thank you, gladly.": "polite",
        "Go away, fool.": "rude",
        "Thanks.": "polite",
        "42": "cannot say",
    }
    assert by_text["42"]["p_polite"] == pytest.approx(0.2)
    (failure,) = read(run / "failures.jsonl")
    assert failure["judgement"]["verdict"] is None and "engine error" in failure["judgement"]["reason"]
    counts = json.loads((run / "manifest.json").read_text("utf-8"))["counts"]
    assert (counts["labelled"], counts["unreadable"]) == (4, 1)
    assert counts["verdicts"] == {"cannot say": 1, "polite": 2, "rude": 1}


def test_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["data", "show", str(run / "labels.jsonl"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["judgements"] == {"politeness": {"cannot say": 1, "polite": 2, "rude": 1}}
    assert shown["labels"] == {"verdict": "cannot say 1, polite 1, rude 2"}


def test_agreed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the four that were read, people call the third one rude: 3 of 4 right."""
    capsys.readouterr()
    assert main(["agree", str(run), "--json", "--resamples", "0"]) == 0
    (judged,) = json.loads(capsys.readouterr().out)["judges"]
    figures = {figure["name"]: figure for figure in judged["agreement"]}
    assert judged["task"] == "politeness"
    assert (figures["accuracy"]["value"], figures["accuracy"]["n"]) == (0.75, 4)
    assert judged["confusion"][0]["labels"] == ["polite", "rude", "cannot say"]


def labelled(run: Path, *verdicts: str, criterion: str = "") -> str:
    """A file of people's labels on the run's rows."""
    rows = [
        {"kind": "response", "prompt": f"Question {number}", "response": text}
        | {"human": [{"annotator": "ann", "verdict": verdict, "criterion": criterion}]}
        for number, (text, verdict) in enumerate(zip(TEXTS, verdicts, strict=False))
    ]
    file = run.parent / "human.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(file)


def test_agreed_with_categories_of_the_same_names(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The judge says polite, rude, polite: 2 of 3 right, also where the labels name the task as their criterion."""
    capsys.readouterr()
    for criterion in ("", "politeness"):
        human = labelled(run, "polite", "rude", "rude", criterion=criterion)
        assert main(["agree", str(run), "--human", human, "--json", "--resamples", "0"]) == 0
        (judged,) = json.loads(capsys.readouterr().out)["judges"]
        assert judged["agreement"][0]["value"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("verdicts", "criterion", "line"),
    [
        (
            ("polite", "blunt"),
            "",
            "human.jsonl, row 2: field 'human.verdict': found 'blunt' (accepted by the task politeness: polite, rude, "
            "cannot say)",
        ),
        (
            ("long", "short"),
            "length",
            "no human label in it that fits the task politeness (found: 2 × category of the criterion 'length' on a "
            "response; accepted: one of polite, rude, cannot say)",
        ),
    ],
)
def test_categories_of_other_names_are_refused_in_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], verdicts: tuple[str, ...], criterion: str, line: str
) -> None:
    capsys.readouterr()
    assert main(["agree", str(run), "--human", labelled(run, *verdicts, criterion=criterion)]) == 2
    assert capsys.readouterr().err.strip().endswith(line)


def test_exported(run: Path) -> None:
    """Neither of the opposites is no label to learn: `cannot say` is left out."""
    out = run.parent / "export"
    assert main(["export", str(run), "--to", "trl", "--out", str(out), "--validation", "0"]) == 0
    rows = {row["completion"][0]["content"]: row["label"] for row in read(out / "train.jsonl")}
    assert rows == {"Thank you, gladly.": True, "Go away, fool.": False, "Thanks.": True}


def test_learnt_from(run: Path) -> None:
    rows = read(run / "labels.jsonl")
    made, _ = examples([(from_row(row), judgement_from_row(row["judgement"])) for row in rows], "outcome")
    assert sorted(round(example.p_correct or 0.0, 6) for example in made) == [0.1, 0.2, 0.8, 0.8]


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the name 'preference' in rmjudge\.tasks is taken"):
        TASKS.register("preference", "tests.tasks.politeness:TASK")


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_carries_its_name(name: str) -> None:
    spec = TASKS[name]
    assert spec.name == name == spec.shape.judgement.task
    assert spec.prompts
