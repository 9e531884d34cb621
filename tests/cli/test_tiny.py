"""`rmjudge tiny`: problems with known truth, the card, and the prompts that tiny takes by itself."""

import json

import pytest

from judge.cli.main import main
from judge.engines import default_prompt
from judge.formats import read_records
from judge.records import Pair, Response, Solution
from judge.tiny import MODEL

needs_model = pytest.mark.skipif(not MODEL.is_dir(), reason="judge/tiny/model is not there")


@pytest.mark.parametrize(("kind", "record"), [("pairs", Pair), ("solutions", Solution), ("responses", Response)])
def test_generated_rows_are_read_without_a_flag(kind, record, tmp_path, capsys):
    path = tmp_path / f"{kind}.jsonl"
    assert main(["tiny", "generate", kind, "--count", "5", "--seed", "3", "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"5 {kind} in {path}\n"
    found = [placed.record for placed in read_records(path)]
    assert len(found) == 5
    assert all(type(one) is record for one in found)


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        main(["tiny", "generate", "pairs", "--count", "4", "--seed", seed, "--out", str(tmp_path / name)])
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("how", ["--wide", "--neat", "--various"])
def test_other_ways_make_other_rows(how, tmp_path):
    main(["tiny", "generate", "solutions", "--count", "4", "--out", str(tmp_path / "a")])
    main(["tiny", "generate", "solutions", "--count", "4", "--out", str(tmp_path / "b"), how])
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_a_file_that_is_there_stays(tmp_path, capsys):
    path = tmp_path / "pairs.jsonl"
    path.write_text("mine\n", encoding="utf-8")
    command = ["tiny", "generate", "pairs", "--count", "2", "--out", str(path)]
    assert main(command) == 2
    assert f"{path}: is there already" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "mine\n"
    assert main([*command, "--force"]) == 0
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pears", "--count", "2", "--out", "x"], "unknown kind 'pears'; did you mean 'pairs'?"),
        (["pairs", "--count", "0", "--out", "x"], "'--count'"),
        (["pairs", "--count", "2"], "Missing option '--out'"),
        (["pairs", "--count", "2", "--out", "/proc/x.jsonl"], "/proc/x.jsonl"),
        (["pairs", "--count", "2", "--out", "x", "--neat", "--various"], "--neat is one way of writing"),
    ],
)
def test_bad_words_are_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["tiny", "generate", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@needs_model
def test_the_card_is_shown(capsys):
    assert main(["tiny", "card"]) == 0
    said = capsys.readouterr().out
    assert "the embedded judge" in said
    assert "LlamaForCausalLM" in said
    assert main(["tiny", "card", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"] == 6


def test_tiny_wants_its_own_prompts_and_others_want_none():
    assert {default_prompt(spec) for spec in ("tiny", "tiny:hf", "tiny:vllm")} == {"brief"}
    assert {default_prompt(spec) for spec in ("vllm:tiny", "hf:models/tiny", "scripted:tiny.jsonl")} == {""}


def shown(capsys, *words):
    """What a dry run says it would send, as JSON."""
    assert main(["label", *map(str, words), "--dry-run", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@needs_model
@pytest.mark.parametrize(
    ("kind", "task", "ending"),
    [
        ("pairs", ("preference",), "Which solution is right?"),
        ("pairs", ("ranking", "--pairwise"), "Which solution is right?"),
        ("pairs", ("ranking", "--tournament", "swiss", "--rounds", "1"), "Which solution is right?"),
        ("solutions", ("steps",), "Is this step right?"),
        ("responses", ("critique",), "Find the first mistake."),
        ("responses", ("outcome",), "Is the answer right?"),
    ],
)
def test_a_run_with_tiny_takes_the_brief_prompt(kind, task, ending, capsys, tmp_path):
    path = tmp_path / "rows.jsonl"
    main(["tiny", "generate", kind, "--count", "2", "--out", str(path)])
    capsys.readouterr()
    seen = shown(capsys, path, "--task", *task, "--judge", "tiny:hf")
    assert seen["shown"][0]["messages"][-1]["content"].rstrip().endswith(ending)


@needs_model
def test_a_prompt_that_is_named_wins(capsys, tmp_path):
    path = tmp_path / "rows.jsonl"
    main(["tiny", "generate", "pairs", "--count", "2", "--out", str(path)])
    capsys.readouterr()
    seen = shown(capsys, path, "--task", "preference", "--judge", "tiny:hf", "--prompt", "verdict")
    assert not seen["shown"][0]["messages"][-1]["content"].rstrip().endswith("Which solution is right?")


@needs_model
def test_a_task_that_tiny_has_not_learnt_is_refused(capsys, tmp_path):
    path = tmp_path / "rows.jsonl"
    main(["tiny", "generate", "responses", "--count", "2", "--out", str(path)])
    capsys.readouterr()
    assert main(["label", str(path), "--task", "score", "--judge", "tiny:hf", "--dry-run"]) == 2
    assert "tiny:hf has not learnt the task 'score'" in capsys.readouterr().err


@needs_model
def test_reading_a_run_again_keeps_its_prompt(capsys, tmp_path):
    rows, run, again = tmp_path / "rows.jsonl", tmp_path / "run", tmp_path / "again"
    main(["tiny", "generate", "solutions", "--count", "1", "--out", str(rows)])
    short = ("--max-tokens", "40", "--retries", "0", "--hard", "--quiet")
    assert main(["label", str(rows), "--task", "steps", "--judge", "tiny:hf", "--out", str(run), *short]) == 0
    assert main(["label", "--from", str(run), "--out", str(again), "--quiet"]) == 0
    configs = [json.loads((place / "manifest.json").read_text("utf-8"))["config"] for place in (run, again)]
    assert configs[0]["prompt"]["name"] == "steps/brief"
    assert configs[0]["prompt"] == configs[1]["prompt"]
