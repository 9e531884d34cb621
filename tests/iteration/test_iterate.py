"""Rounds with a random policy and real trainings: they wait for people, resume, and refuse what does not fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import judge
from judge.cli.main import main
from judge.errors import ConfigError, InputError, RunChangedError, UnknownNameError
from judge.tiny import READER

pytestmark = pytest.mark.filterwarnings("default")  # those of TRL and torch are theirs


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    torch.manual_seed(0)
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "pad_token_id": 0, "eos_token_id": 1}
    config = LlamaConfig(vocab_size=458, hidden_size=32, intermediate_size=32, bos_token_id=None, **heads)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(READER).save_pretrained(folder)
    return folder


ROWS = [{"prompt": f"{number} + 1 =", "response": "", "reference": str(number + 1)} for number in range(8)]
SMALL = {"n": 2, "max_tokens": 8, "batch_size": 4, "rounds": 1, "progress": False, "learning_rate": 1e-3}


def label_by_hand(folder: Path) -> None:
    """Every second answer is right, as a person might write it."""
    lines = (folder / "to-label.jsonl").read_text().splitlines()
    rows = [
        {**json.loads(line), "human": [{"annotator": "me", "verdict": float(n % 2)}]} for n, line in enumerate(lines)
    ]
    (folder / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("improve", ["best-of", "grpo"])
def test_a_round_waits_for_people_goes_on_and_is_kept(improve: str, policy: Path, tmp_path: Path) -> None:
    out = tmp_path / "rounds"
    given: dict[str, Any] = {**SMALL, "policy": policy, "backbone": policy, "labels": "human", "improve": improve}
    waiting = judge.iterate(ROWS, out=out, **given)
    assert waiting.waits and "waits for people: label" in waiting.stopped and not waiting.rounds
    label_by_hand(out / "round-1")

    done = judge.iterate(ROWS, out=out, **given)
    assert not done.stopped and [figures.round for figures in done.rounds] == [0, 1]
    assert done.chart.exists() and (out / "round-1" / "reward" / "reward.json").exists()
    assert json.loads((out / "rounds.json").read_text())["rounds"][1]["round"] == 1
    before, after = (LlamaForCausalLM.from_pretrained(path) for path in (policy, out / "round-1" / "policy"))
    assert not torch.equal(before.lm_head.weight, after.lm_head.weight)

    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    again = judge.iterate(ROWS, out=out, **given)
    assert again.rounds == done.rounds
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == times
    with pytest.raises(RunChangedError, match=r"holds another iteration: temperature 1.0 is now 0.5"):
        judge.iterate(ROWS, out=out, **given, temperature=0.5)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"labels": "peple"}, UnknownNameError, "unknown labels 'peple'"),
        ({"improve": "ppo", "labels": "truth"}, UnknownNameError, "unknown way to improve 'ppo'"),
        ({}, ConfigError, "iterate needs a judge"),
        ({"labels": "truth", "kind": "process"}, ConfigError, "the truth of an answer labels no steps"),
        ({"labels": "truth", "n": 1}, ConfigError, "n 1, held_out 0.25"),
        ({"labels": "truth", "improve": "grpo", "batch_size": 5}, ConfigError, "accepted: multiples of 8"),
        ({"judges": "tiny", "kind": "hierarchical"}, ConfigError, "needs the task that the judge is asked"),
    ],
)
def test_settings_that_do_not_fit_are_refused_first(
    given: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        judge.iterate(ROWS, policy="nowhere", out=tmp_path / "out", progress=False, **given)
    assert not (tmp_path / "out").exists()


def test_too_few_prompts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3 prompts, 1 of them held out .accepted: two and more"):
        judge.iterate(ROWS[:3], policy="nowhere", labels="truth", out=tmp_path, progress=False)


def test_an_unknown_runner_is_refused_before_anything_is_sampled(tmp_path: Path) -> None:
    given: dict[str, Any] = {"policy": "nowhere", "judges": "tiny", "out": tmp_path / "out", "progress": False}
    with pytest.raises(UnknownNameError, match="unknown value of runner 'rai'; did you mean 'ray'"):
        judge.iterate(ROWS, runner="rai", **given)
    with pytest.raises(ConfigError, match="workers are those of a cluster"):
        judge.iterate(ROWS, workers="2:8", **given)
    assert not (tmp_path / "out").exists()


def test_judges_that_a_cluster_cannot_have_are_refused_before_anything_is_sampled(tmp_path: Path) -> None:
    given: dict[str, Any] = {"policy": "nowhere", "out": tmp_path / "out", "runner": "ray", "progress": False}
    with pytest.raises(ConfigError, match="Ray's workers load the judges themselves"):
        judge.iterate(ROWS, judges=judge.load_engine("tiny"), **given)
    with pytest.raises(ConfigError, match="leave out batch=true, or the runner ray"):
        judge.iterate(ROWS, judges="openai:http://127.0.0.1:9/v1#model?batch=true", **given)
    assert not (tmp_path / "out").exists()


def test_the_command_line(policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "problems.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    command = ["iterate", data, "--policy", policy, "--backbone", policy, "--labels", "human", "-q", "--json"]
    command += ["-n", "2", "--max-tokens", "8", "--rounds", "1", "--out", tmp_path / "out"]
    assert main([str(word) for word in command]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["waits"] and shown["rounds"] == []
    assert main(["iterate", str(data)]) == 2
    assert "rmjudge iterate needs --policy, --out" in capsys.readouterr().err
    assert main(["iterate", str(data), "--policy", "p", "--out", "o", "--kind", "outcom", "--judge", "tiny"]) == 2
    assert "did you mean 'outcome'" in capsys.readouterr().err
