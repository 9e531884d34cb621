"""What version 0.1 saved is read by today's code: runs, revisions, reward models, reports, audits, constitutions.

tests/fixtures/make.py says with which commands the files were made; only the command line is used here, since it is
what does not change. Counts follow from the inputs: of the sums 0 to 19 the judge has no verdict on 7 and 17, finds the
first answer better in the 10 even ones, the second in the 8 other odd ones.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from judge.cli.main import main

SAVED = Path(__file__).parent / "fixtures" / "v0_1"
Rows = list[dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the fixtures, entered: their paths are relative."""
    copy = tmp_path / "v0_1"
    shutil.copytree(SAVED, copy)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    """Give a command; get what it prints as JSON."""

    def run(*words: str) -> Any:
        capsys.readouterr()
        assert main([*words, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


def rows(path: str | Path) -> Rows:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def verdicts(run: str) -> dict[str, Any]:
    return {row["id"]: row["judgement"]["verdict"] for row in rows(f"{run}/labels.jsonl")}


RUNS = ["preference", "preference_tiny", "score", "steps_tiny", "constitution", "revision", "scored_process"]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_shown(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", f"runs/{name}"]) == 0
    labelled = len(rows(f"runs/{name}/labels.jsonl"))
    assert str(labelled) in capsys.readouterr().out


def test_a_finished_run_has_nothing_left_to_do(folder: Path, shown: Any) -> None:
    before = Path("runs/preference/labels.jsonl").read_bytes()
    words = [
        "label",
        "pairs.jsonl",
        "--task",
        "preference",
        "--judge",
        "scripted:rules.jsonl",
        "--prompt",
        "pair.jinja",
    ]
    counts = shown(*words, "--out", "runs/preference", "--quiet")
    assert (counts["rows"], counts["labelled"], counts["unreadable"]) == (20, 18, 2)
    assert counts["verdicts"] == {"first": 10, "second": 8}
    assert Path("runs/preference/labels.jsonl").read_bytes() == before


def test_a_run_that_was_stopped_goes_on_with_the_same_command(folder: Path, shown: Any) -> None:
    kept = rows("runs/stopped/labels.jsonl")
    assert 0 < len(kept) < 18
    words = [
        "label",
        "pairs.jsonl",
        "--task",
        "preference",
        "--judge",
        "scripted:rules.jsonl",
        "--prompt",
        "pair.jinja",
    ]
    counts = shown(*words, "--out", "runs/stopped", "--window", "4", "--quiet")
    assert (counts["rows"], counts["labelled"], counts["unreadable"]) == (20, 18, 2)
    assert rows("runs/stopped/labels.jsonl")[: len(kept)] == kept
    assert verdicts("runs/stopped") == verdicts("runs/preference")


def test_a_run_agrees_with_people_as_it_did(folder: Path, shown: Any) -> None:
    """The figures of the report are those noted then, and no figure is worse than this baseline."""
    words = ["agree", "runs/preference", "--human", "pairs.jsonl", "--slice", "source", "--resamples", "50"]
    report = shown(*words, "--baseline", "report.json")
    saved = json.loads(Path("report.json").read_text())
    noted = {figure["name"]: figure["value"] for figure in saved["judges"][0]["agreement"]}
    today = {figure["name"]: figure["value"] for figure in report["judges"][0]["agreement"]}
    assert noted["accuracy_decided"] == 1.0
    assert {name: today[name] for name in noted} == pytest.approx(noted, nan_ok=True)


def test_a_worse_run_is_worse_than_the_saved_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the verdicts are turned round."""
    labels = Path("runs/preference/labels.jsonl")
    turned = {"first": "second", "second": "first"}
    worse = rows(labels)
    for row in worse[::2]:
        row["judgement"]["verdict"] = turned[row["judgement"]["verdict"]]
        row["judgement"].pop("p_first", None)
        for reading in row["judgement"]["readings"]:
            reading["verdict"] = turned[reading["verdict"]]
    labels.write_text("".join(json.dumps(row) + "\n" for row in worse))
    words = ["agree", "runs/preference", "--human", "pairs.jsonl", "--resamples", "50"]
    assert main([*words, "--baseline", "report.json"]) == 1


def test_an_audit_is_shown_in_a_report(folder: Path, shown: Any) -> None:
    words = ["agree", "runs/preference", "--human", "pairs.jsonl", "--resamples", "20", "--audit", "runs/audit"]
    (audit,) = shown(*words)["audits"]
    assert [probe["probe"] for probe in audit["probes"]] == ["swap", "pad"]
    # Sums 0 to 9 but 7: nothing moves a judge that looks for words.
    assert [(probe["moved"]["value"], probe["moved"]["n"]) for probe in audit["probes"]] == [(0.0, 9), (0.0, 9)]


EXPORTS = {"preference": 18, "revision": 9, "steps_tiny": 6}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_run_is_exported(name: str, folder: Path) -> None:
    assert main(["export", f"runs/{name}", "--to", "rmjudge", "--out", "data", "--validation", "0"]) == 0
    written = [row for path in Path("data").rglob("*.jsonl") for row in rows(path)]
    assert len(written) >= EXPORTS[name]


MODELS = {"scalar": "pairs", "lora": "pairs", "ensemble": "pairs", "process": "solutions"}


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """The scores of a row, and the steps' probabilities of a process model."""
    reward = row["meta"]["reward"]
    return {"scores": reward["scores"], "std": reward.get("std", []), "steps": row["judgement"].get("p_right", [])}


@pytest.mark.parametrize("name", MODELS)
def test_a_reward_model_gives_the_scores_that_it_gave(name: str, folder: Path, shown: Any) -> None:
    words = ["score", f"models/{name}", f"scored_{MODELS[name]}.jsonl", "--limit", "12", "--out", "scored", "--quiet"]
    assert shown(*words)["rows"] == 12
    noted = {row["id"]: numbers(row) for row in rows(f"runs/scored_{name}/labels.jsonl")}
    today = {row["id"]: numbers(row) for row in rows("scored/labels.jsonl")}
    assert noted.keys() == today.keys()
    for key, expected in noted.items():
        for part, values in expected.items():
            assert today[key][part] == pytest.approx(values, abs=1e-5), part


def test_a_constitution_is_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["constitution", "lint", "sums.yaml"]) == 0
    assert main(["constitution", "show", "sums.yaml"]) == 0
    drawn = capsys.readouterr().out
    assert all(text in drawn for text in ("The sum is right.", "The answer is short.", "The answer uses plain words."))
