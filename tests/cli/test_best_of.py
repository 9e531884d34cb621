"""`rmjudge best-of`: tables, JSON, a page and picks; 1 when something is found, one line for what is wrong."""

import json
from pathlib import Path

import pytest

import judge
from judge.cli.main import main
from judge.files import write_rows
from tests.jobs.test_best_of import rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "responses.jsonl"
    write_rows(path, rows(12))
    return path


@pytest.fixture
def rules(tmp_path: Path) -> str:
    """A judge that finds the long response right and the others wrong."""
    path = tmp_path / "rules.jsonl"
    lines = [
        {"match": "long: the answer", "text": "[[right]]", "logprobs": {"right": -0.1, "wrong": -2.4}},
        {"match": ".", "text": "[[wrong]]", "logprobs": {"right": -2.4, "wrong": -0.1}},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"scripted:{path}"


def asked(rules: str, data: Path, *more: str) -> list[str]:
    judged = ["--task", "outcome", "--set", "prompt=verdict"]
    return ["best-of", rules, str(data), *judged, "--resamples", "100", "--quiet", *more]


def test_a_report_on_a_terminal_and_in_files(
    rules: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    page, saved, picks = tmp_path / "page.html", tmp_path / "report.json", tmp_path / "best.jsonl"
    code = main(asked(rules, data, "-n", "4", "--out", str(page), "--out", str(saved), "--picks", str(picks)))
    out = capsys.readouterr().out
    report = judge.BestOfReport.load(saved)
    assert code == 0
    assert "one of all in 100.0" in out and "majority vote" in out and "share of the way" in out
    assert report.figures["best_of/4"].value == 1.0
    assert report.figures["share_of_way"].value == pytest.approx(1.0)
    assert 'id="curves"' in page.read_text()
    assert [json.loads(line)["of"] for line in picks.read_text().splitlines()] == [4] * 12


def test_json_and_its_exit_code(rules: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked(rules, data, "--length-penalty", "9", "--json")) == 1  # the shortest, which is wrong
    row = json.loads(capsys.readouterr().out)
    assert row["version"] == "rmjudge-best-of/1"
    assert [finding["name"] for finding in row["findings"]] == ["worse_than_chance"]


def test_what_is_wrong_is_one_line(rules: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["best-of", rules], "rmjudge best-of needs DATA"),
        (asked(rules, data, "-n", "99"), "n=99: the prompts have 4 responses"),
        (asked(rules, data, "--search", "steps"), "a search is of a policy"),
        (asked(rules, data, "--policy", "tinny"), "unknown engine 'tinny'"),
        (asked(rules, data, "--set", "tournement=full"), "did you mean 'tournament'"),
        (["best-of", str(data.parent / "nowhere"), str(data)], "nowhere"),
        (["best-of", "vlm:some/model", str(data)], "unknown engine 'vlm'"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
