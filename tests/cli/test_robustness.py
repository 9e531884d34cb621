"""`rmjudge robustness`: tables, JSON, a page and the card; 1 when something is found."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.cli.main import main
from judge.files import write_rows
from tests.jobs.test_robustness import rows
from tests.rewards.models import save


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    backbone = save(folder / "llama", "llama")
    settings: dict[str, Any] = {"validation_fraction": 0.2, "uncertainty": "none", "progress": False}
    judge.distill(rows(24), kind="scalar", backbone=str(backbone), out=folder / "words", **settings)
    write_rows(folder / "test.jsonl", rows(40, start=100))
    write_rows(folder / "shifted.jsonl", rows(40, start=150))
    return folder / "words"


def asked(model: Path, *more: str) -> list[str]:
    return ["robustness", str(model), str(model.with_name("test.jsonl")), "--resamples", "100", "--quiet", *more]


def test_a_report_on_a_terminal_and_in_files(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    page, saved = tmp_path / "page.html", tmp_path / "report.json"
    shifted = ["--shifted", str(model.with_name("shifted.jsonl")), "--pairs", "6", "--k", "2"]
    code = main(asked(model, *shifted, "--out", str(page), "--out", str(saved), "--card"))
    out = capsys.readouterr().out
    report = judge.RobustnessReport.load(saved)
    assert code == (1 if report.wrong else 0)
    assert "words: 40 pairs of 40 prompts" in out and "Gap: accuracy on the data" in out
    assert all(f"\n {probe.probe}" in out for probe in report.data.probes)
    assert report.data.shifted_coverage is not None and report.data.attack is not None
    assert '<h2 id="robustness-edits-name">Edits</h2>' in page.read_text()
    assert "## Robustness" in (model / "README.md").read_text()


def test_json_and_its_exit_code(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(asked(model, "--probe", "echo", "--json", "--seed", "3"))
    row = json.loads(capsys.readouterr().out)
    assert [probe["probe"] for probe in row["probes"]] == ["echo"]
    assert code == int(any(finding["severity"] != "note" for finding in row["findings"]))
    assert row["attack"] is None and row["seed"] == 3


def test_what_is_wrong_is_one_line(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robustness", str(model)]) == 2
    assert main(asked(model, "--probe", "ekho")) == 2
    assert "did you mean 'echo'?" in capsys.readouterr().err
    assert main(["robustness", "vllm:some/model", str(model.with_name("test.jsonl"))]) == 2
    assert "`rmjudge audit` tries edits on it" in capsys.readouterr().err
    assert main(["robustness", str(model.with_name("nowhere")), str(model.with_name("test.jsonl"))]) == 2
    assert main(asked(model, "--lower", "1")) == 2
    assert "a lower bound needs an uncertainty" in capsys.readouterr().err
