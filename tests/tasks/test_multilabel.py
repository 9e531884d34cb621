"""Several categories at once: each with its own probability, counted by what holds, compared with people."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.cli.main import main
from judge.engines.base import Completion, Request
from judge.judgements import Categories
from judge.records import Message, Response
from judge.tasks import TASKS, Options

RECORD = Response(prompt=(Message("user", "Tell me."),), response=(Message("assistant", "No, you fool."),))
OPTIONS = Options(categories=("refusal: declines to answer", "insult", "advice"))


def test_each_category_is_asked_by_itself_behind_one_prefix() -> None:
    asked: list[Request] = []

    def reply(request: Request) -> Completion:
        asked.append(request)
        p_yes = (0.9, 0.75, 0.25)[len(asked) - 1]
        text = "yes" if p_yes > 0.5 else "no"
        return Completion(text=text, logprobs={"yes": math.log(p_yes), "no": math.log(1 - p_yes)})

    made = judge.play(TASKS["multilabel"].program(RECORD, judge.load_template("multilabel", "default"), OPTIONS), reply)
    assert isinstance(made, Categories)
    assert made.verdict == {"refusal": 1, "insult": 1, "advice": 0}
    assert made.expected == pytest.approx({"refusal": 0.9, "insult": 0.75, "advice": 0.25})
    assert all(request.choices == ("yes", "no") for request in asked)
    first, second, third = (request.messages[-1].content for request in asked)
    shared = first[: first.index("<judged_category>")]
    assert second.startswith(shared) and third.startswith(shared) and "refusal: declines to answer" in first
    assert judge.judgement_from_row(json.loads(json.dumps(judge.judgement_to_row(made)))) == made


def test_votes_that_are_even_are_no_verdict() -> None:
    options = Options(categories=("insult",), judges=2)

    def reply(request: Request) -> Completion:
        p_yes = (0.8, 0.2)[request.judge]
        return Completion(text="yes", logprobs={"yes": math.log(p_yes), "no": math.log(1 - p_yes)})

    made = judge.play(TASKS["multilabel"].program(RECORD, judge.load_template("multilabel", "default"), options), reply)
    assert made.verdict == {"insult": None} and made.reason == "insult: votes are even"
    assert not judge.readable(made)


def rules(folder: Path, *replies: tuple[str, str]) -> str:
    path = folder / "judge.jsonl"
    path.write_text("".join(json.dumps({"match": match, "text": text}) + "\n" for match, text in replies))
    return f"scripted:{path}"


def test_rows_are_counted_and_compared_with_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("No.", "You fool.", "No, you fool.", "Gladly.")
    rows: list[dict[str, Any]] = [
        {
            "prompt": f"q{number}",
            "response": text,
            "human": [
                {"annotator": "ann", "verdict": float("No" in text), "criterion": "refusal"},
                {"annotator": "ann", "verdict": float("fool" in text and number != 1), "criterion": "insult"},
            ],
        }
        for number, text in enumerate(texts)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    engine = rules(
        tmp_path,
        (r"(?s)<candidate_response>\nNo.*<judged_category>\nrefusal", "yes"),
        (r"(?s)fool.*<judged_category>\ninsult", "yes"),
        ("", "no"),
    )
    command = ["label", str(data), "-t", "multilabel", "-j", engine, "-o", str(tmp_path / "run"), "-q", "--json"]
    assert main([*command, "--category", "refusal=declines to answer", "--category", "insult"]) == 0
    assert json.loads(capsys.readouterr().out)["verdicts"] == {"refusal": 2, "insult": 2, "none of them": 1}
    report = judge.agree(tmp_path / "run", resamples=100)
    # Of four insults people see one otherwise, that of the second row.
    assert report.figures["mean_absolute_error/insult"].value == pytest.approx(1 / 4)
    assert report.figures["mean_absolute_error/refusal"].value == 0.0
    model_rows = [
        (row["response"][0]["content"], row["judgement"]["verdict"]) for row in judge.open_run(tmp_path / "run").rows()
    ]
    assert dict(model_rows)["No, you fool."] == {"refusal": 1, "insult": 1}


@pytest.mark.parametrize("task", ["classify", "multilabel"])
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["harm", "none", "Harm"], "categories 'harm' and 'Harm' have one name"),
        (["harm", "none", "=what"], "found no name of one line"),
    ],
)
def test_names_that_cannot_be_told_apart(
    tmp_path: Path, task: str, names: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"prompt": "q", "response": "a"}\n')
    categories = [word for name in names for word in ("--category", name)]
    command = ["label", str(data), "-t", task, "-j", rules(tmp_path, ("", "x")), "-o", str(tmp_path / "run"), "-q"]
    assert main([*command, *categories]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_no_category_is_refused_with_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"prompt": "q", "response": "a"}\n')
    engine = rules(tmp_path, ("", "x"))
    assert main(["label", str(data), "-t", "multilabel", "-j", engine, "-o", str(tmp_path / "run"), "-q"]) == 2
    assert f"{data}:1: no category (--category NAME[=MEANING], repeated)" in capsys.readouterr().err
