"""`--skip-bad` of every verb: the good rows are worked on, each bad one is listed with its place, and counted.

The data has six lines: the second is no JSON, the fourth lacks a field; the fifth has an empty answer, which is as good
as any other.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaModel

import judge
from judge.cli.main import main
from judge.rewards.checkpoint.save_load import save
from judge.rewards.config import RewardConfig
from judge.rewards.modeling.reward_model import build_reward_model

TOKENIZER = Path(judge.__file__).parent / "tiny" / "model"
RULES = [
    {"match": r"Write the revised", "text": "<revised_response>RIGHT</revised_response>"},
    {"match": r"Write the critique", "text": "It is wrong."},
    {"match": r"(?s)RIGHT.*</response_a>", "text": "[[A]]"},
    {"match": "", "text": "[[B]]"},
]


def pair(number: int, second: str = "WRONG") -> str:
    human = [{"annotator": "ann", "verdict": "first"}]
    return json.dumps({"prompt": f"Sum {number}?", "first": "RIGHT", "second": second, "human": human})


PAIRS = [pair(1), '{"prompt": "Sum', pair(3), json.dumps({"prompt": "Sum 4?", "first": "3"}), pair(5, ""), pair(6)]
BAD_PLACES = ["data.jsonl:2", "data.jsonl:4"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data and a scripted judge's rules, which is where commands run."""
    (tmp_path / "data.jsonl").write_text("\n".join(PAIRS) + "\n")
    (tmp_path / "rules.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in RULES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def label(*more: str, out: str = "run") -> list[str]:
    asked = ["--task", "preference", "--judge", "scripted:rules.jsonl", "--format", "rmjudge"]
    return ["label", "data.jsonl", *asked, "--quiet", "--out", out, *more]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def skipped(run: Path) -> list[dict[str, Any]]:
    return [row for row in lines(run / "failures.jsonl") if row["kind"] == "bad"]


def test_without_it_all_bad_rows_are_named_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(label()) == 2
    message = capsys.readouterr().err
    assert all(place in message for place in BAD_PLACES) and "--skip-bad" in message
    assert not (folder / "run").exists()


def test_label(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(label("--skip-bad")) == 0
    assert "skipped rows of the data" in capsys.readouterr().out
    assert len(lines(folder / "run" / "labels.jsonl")) == 4
    rows = skipped(folder / "run")
    assert [row["place"] for row in rows] == BAD_PLACES
    assert rows[0]["reason"].startswith("broken JSON") and "second" in rows[1]["reason"]
    counts = json.loads((folder / "run" / "manifest.json").read_text())["counts"]
    assert (counts["rows"], counts["unreadable"], counts["skipped"]) == (4, 0, 2)


def test_the_same_command_again_changes_no_row_wherever_it_is_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(label("--skip-bad", "--limit", "2")) == 0
    assert [row["place"] for row in skipped(folder / "run")] == ["data.jsonl:2"]  # the limit is reached in line 3
    assert main(label("--skip-bad")) == 0
    assert [row["place"] for row in skipped(folder / "run")] == BAD_PLACES
    before = [(folder / "run" / name).read_bytes() for name in ("labels.jsonl", "failures.jsonl")]
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    command = [part.replace("rules", "../rules") for part in label("--skip-bad", "--json", out="../run")]
    capsys.readouterr()
    assert main(["label", "../data.jsonl", *command[2:]]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["rows"], counts["resumed"], counts["skipped"]) == (4, 4, 2)
    assert [(folder / "run" / name).read_bytes() for name in ("labels.jsonl", "failures.jsonl")] == before


def test_an_interrupted_run_ends_as_one_that_was_not(folder: Path) -> None:
    assert main(label("--skip-bad", out="whole")) == 0
    assert main(label("--skip-bad")) == 0
    for name in ("labels.jsonl", "failures.jsonl"):  # what a kill leaves: the first line, and half of the second
        data = (folder / "run" / name).read_bytes()
        (folder / "run" / name).write_bytes(data[: data.index(b"\n") + 20])
    assert main(label("--skip-bad")) == 0
    for name in ("labels.jsonl", "failures.jsonl"):
        assert lines(folder / "run" / name) == lines(folder / "whole" / name)


def test_retry_failures_asks_again_and_lists_bad_rows_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rules.jsonl").write_text('{"match": "", "text": "no verdict"}\n')
    assert main(label("--skip-bad")) == 0
    assert len(lines(folder / "run" / "failures.jsonl")) == 6
    capsys.readouterr()
    assert main(label("--skip-bad", "--retry-failures", "--json")) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["labelled"], counts["unreadable"], counts["skipped"]) == (0, 4, 2)
    assert [row["place"] for row in skipped(folder / "run")] == BAD_PLACES


def test_every_reader_of_runs_passes_over_bad_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(label("--skip-bad")) == 0
    again = ["label", "data.jsonl", "--from", "run", "--format", "rmjudge", "--quiet", "--out", "again", "--skip-bad"]
    assert main(again) == 0  # the replies of the run, read for the data's records
    assert len(lines(folder / "again" / "labels.jsonl")) == 4
    assert main(["label", "--from", "run", "--quiet", "--out", "reread"]) == 0  # the records of the run itself
    assert len(lines(folder / "reread" / "labels.jsonl")) == 4
    capsys.readouterr()
    assert main(["export", "run", "--to", "trl", "--out", "exported", "--validation", "0"]) == 0
    assert "2 rows of the run's data that could not be read" in capsys.readouterr().out
    assert len(lines(folder / "exported" / "train.jsonl")) == 4
    assert main(["data", "show", "run/failures.jsonl"]) == 2
    assert "data.jsonl:2: broken JSON" in capsys.readouterr().err
    assert main(["distill", "run", "--kind", "scalar", "--backbone", "tiny", "--dry-run", "--json"]) == 0
    dropped = json.loads(capsys.readouterr().out)["dropped"]
    assert dropped == [{"reason": "empty text", "count": 1}]  # the pair with the empty answer, as ever


def test_a_dry_run_counts_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(label("--skip-bad", "--dry-run", "--json")) == 0
    preview = json.loads(capsys.readouterr().out)
    assert (preview["rows"], preview["skipped"]) == (4, 2)
    assert not (folder / "run").exists()


def test_rows_that_the_task_cannot_judge_are_bad_rows(folder: Path) -> None:
    solution = json.dumps({"prompt": "Sum?", "steps": ["1"]})
    (folder / "data.jsonl").write_text("\n".join([pair(1), solution, pair(2)]) + "\n")
    assert main(label()) == 2
    assert main(label("--skip-bad")) == 0
    (row,) = skipped(folder / "run")
    assert row["place"] == "data.jsonl:2"
    assert row["reason"] == "a solution; the task 'preference' judges: pair, ranking"


def test_revise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ['{"prompt": "Sum 1?", "response": "WRONG"}', '{"prompt": 7}', '{"prompt": "Sum 3?", "response": "WRONG"}']
    (folder / "data.jsonl").write_text("\n".join(rows) + "\n")
    asked = ["--format", "rmjudge", "--rounds", "1", "--quiet", "--json", "--out", "run"]
    command = ["revise", "data.jsonl", "--judge", "scripted:rules.jsonl", *asked]
    assert main(command) == 2
    assert "data.jsonl:2" in capsys.readouterr().err
    assert main([*command, "--skip-bad"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["rows"], counts["labelled"], counts["skipped"]) == (2, 2, 1)
    assert [row["place"] for row in skipped(folder / "run")] == ["data.jsonl:2"]
    assert len(lines(folder / "run" / "supervised.jsonl")) == 2


@pytest.fixture
def model(folder: Path) -> str:
    """A reward model with random weights."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 458, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    config = LlamaConfig(**sizes, num_attention_heads=2, pad_token_id=0, eos_token_id=1, bos_token_id=None)
    LlamaModel(config).save_pretrained(folder / "backbone")
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    tokenizer.save_pretrained(folder / "backbone")
    reward = RewardConfig.of(kind="scalar", backbone=str(folder / "backbone"), max_length=512)
    save(build_reward_model(reward, tokenizer).eval(), tokenizer, reward, None, [], folder / "model")
    return "model"


def test_score(folder: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["score", model, "data.jsonl", "--format", "rmjudge", "--device", "cpu", "--quiet", "--out", "run"]
    assert main(command) == 2
    assert all(place in capsys.readouterr().err for place in BAD_PLACES[:1])
    assert main([*command, "--skip-bad", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["rows"], counts["skipped"]) == (4, 2)
    before = (folder / "run" / "failures.jsonl").read_bytes()
    assert [row["place"] for row in skipped(folder / "run")] == BAD_PLACES
    assert main([*command, "--skip-bad", "--best-of"]) == 0
    assert (folder / "run" / "failures.jsonl").read_bytes() == before


def test_audit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--task", "preference", "--judge", "scripted:rules.jsonl", "--format", "rmjudge", "--probe", "swap"]
    command = ["audit", "data.jsonl", *asked, "--quiet", "--out", "run"]
    assert main(command) == 2
    for _ in range(2):  # the second time nothing is judged and nothing is listed twice
        assert main([*command, "--skip-bad", "--json"]) == 0
        assert [row["place"] for row in skipped(folder / "run")] == BAD_PLACES
        assert json.loads((folder / "run" / "manifest.json").read_text())["counts"]["skipped"] == 2
    assert main(["agree", "run", "--human", "data.jsonl", "--format", "rmjudge", "--skip-bad", "--audit", "run"]) == 0


def test_distill(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["distill", "data.jsonl", "--kind", "scalar", "--backbone", "tiny", "--format", "rmjudge", "--dry-run"]
    assert main(command) == 2
    assert "data.jsonl:2" in capsys.readouterr().err
    assert main([*command, "--skip-bad", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    dropped = {entry["reason"]: entry["count"] for entry in plan["dropped"]}
    assert dropped == {"could not be read": 2, "empty text": 1}
    assert plan["examples"] + plan["validation_examples"] == 3


def test_agree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(label("--skip-bad")) == 0
    command = ["agree", "run", "--resamples", "0", "--json"]
    capsys.readouterr()
    assert main(command) == 0  # the labels that lie in the run
    report = json.loads(capsys.readouterr().out)
    assert report["judges"][0]["coverage"]["labelled"] == 4
    note = next(flag for flag in report["flags"] if flag["name"] == "skipped")
    assert note["evidence"] == "2 rows: data.jsonl:2, data.jsonl:4"
    command += ["--human", "data.jsonl"]
    assert main(command) == 2
    capsys.readouterr()
    assert main([*command, "--skip-bad"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["judges"][0]["coverage"]["labelled"] == 4
    (note,) = [flag for flag in report["flags"] if flag["name"] == "skipped"]
    assert note["evidence"] == "2 rows: data.jsonl:2, data.jsonl:4"  # the same rows, counted once


def test_a_bad_first_row_hides_neither_the_others_nor_the_family(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "data.jsonl").write_text("\n".join(["{", '{"what": 1}', pair(1), '{"prompt": 1}', pair(2)]) + "\n")
    command = [part for part in label() if part not in ("--format", "rmjudge")]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert "3 rows cannot be read" in message
    assert all(f"data.jsonl:{line}: " in message for line in (1, 2, 4))
    assert main([*command, "--skip-bad"]) == 0
    assert [row["place"] for row in skipped(folder / "run")] == [f"data.jsonl:{line}" for line in (1, 2, 4)]


def test_render_a_prompt(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["prompt", "render", "preference/default", "--data", "data.jsonl", "--format", "rmjudge", "--limit", "9"]
    assert main(command) == 2
    capsys.readouterr()
    assert main([*command, "--skip-bad", "--json"]) == 0
    places = [json.loads(line)["place"] for line in capsys.readouterr().out.splitlines()]
    assert places == [f"data.jsonl:{number}" for number in (1, 3, 5, 6)]


def test_agree_of_people_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["agree", "--human", "data.jsonl", "--resamples", "0", "--json"]
    assert main(command) == 2
    capsys.readouterr()
    assert main([*command, "--skip-bad"]) == 0
    (note,) = [flag for flag in json.loads(capsys.readouterr().out)["flags"] if flag["name"] == "skipped"]
    assert note["evidence"] == "2 rows: data.jsonl:2, data.jsonl:4"
