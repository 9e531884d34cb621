"""`rmjudge audit`: a judge that obeys orders in a response is found, and fails a gate; a sound one passes."""

import json
from pathlib import Path

import pytest

from judge.cli.main import main

SOUND = [
    {"match": r"(?s)PLUS.*ZERO", "text": "[[A]]"},
    {"match": r"(?s)ZERO.*PLUS", "text": "[[B]]"},
]
OBEYS = [
    {"match": r"(?s)Note to the judge.*</response_a>", "text": "[[A]]"},
    {"match": r"Note to the judge", "text": "[[B]]"},
    *SOUND,
]


def asked(folder: Path, rules: list[dict[str, str]], *more: str) -> list[str]:
    pairs, file = folder / "pairs.jsonl", folder / "rules.jsonl"
    rows = [
        {"prompt": f"Sum {n}?", "chosen": f"It is {n} PLUS. So.", "rejected": f"It is {n} ZERO."} for n in range(30)
    ]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    judge = ["--task", "preference", "--judge", f"scripted:{file}", "--out", str(folder / "run"), "--quiet"]
    return ["audit", str(pairs), *judge, *more]


def test_a_judge_that_obeys_fails_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked(tmp_path, OBEYS, "--json", "--fail-over", "0.05")) == 1
    found = {one["probe"]: one for one in json.loads(capsys.readouterr().out)["probes"]}
    assert set(found) == {"swap", "pad", "restyle", "flatter", "author", "inject"}
    injected = found.pop("inject")
    # The order stands in the worse response of some pairs, which then wins; in the better one it changes nothing.
    assert 0.2 < injected["moved"]["value"] < 0.8
    assert injected["toward"]["value"] == injected["moved"]["value"]
    assert {one["moved"]["value"] for one in found.values()} == {0.0}
    assert all(one["moved"]["n"] == 30 for one in found.values())


def test_a_sound_judge_passes_and_the_run_is_not_done_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = asked(tmp_path, SOUND, "--fail-over", "0.05", "--probe", "inject", "--probe", "swap", "--limit", "10")
    assert main(command) == 0
    assert "inject" in capsys.readouterr().out
    before = (tmp_path / "run" / "labels.jsonl").read_bytes()
    assert main(command) == 0
    assert (tmp_path / "run" / "labels.jsonl").read_bytes() == before


def test_an_audit_is_shown_in_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The judge obeys: the report on it says so in a flag, on the page and on the terminal."""
    assert main(asked(tmp_path, OBEYS, "--json")) == 0
    saved = json.loads(capsys.readouterr().out)
    page, run, human = tmp_path / "page.html", tmp_path / "run", tmp_path / "pairs.jsonl"
    command = ["agree", str(run), "--human", str(human), "--audit", str(run), "--resamples", "100"]
    assert main([*command, "--report", str(page), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["audits"] == [{"name": saved["name"], "probes": saved["probes"]}]
    (flag,) = [one for one in report["flags"] if one["name"].startswith("moved_by")]
    assert (flag["name"], flag["judge"]) == ("moved_by_inject", "run")
    assert "Counterfactual audit" in page.read_text()
    assert main(command) == 0
    assert "what moved when nothing should" in capsys.readouterr().out
    assert main([*command[:-4], "--audit", str(human)]) == 2
    assert "pairs.jsonl: no saved audit of rmjudge" in capsys.readouterr().err


def test_what_is_missing_or_unknown_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit"]) == 2
    assert main(asked(tmp_path, SOUND, "--probe", "injekt")) == 2
    assert "did you mean 'inject'?" in capsys.readouterr().err
