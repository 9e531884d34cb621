"""`rmjudge distill` from the outside: from a run or from people's labels to a model, killed and taken up again, and
what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from judge.cli.main import main
from judge.files import write_rows
from judge.formats import judgement_to_row, to_row
from judge.judgements import Preference, Steps
from judge.records import HumanLabel, Message, Pair, Solution
from tests.rewards.models import save
from tests.rewards.training.test_after_training import preferred_by, scored

YES, NO = "w10", "w20"


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("llama"), "llama")


def said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


def pair(number: int) -> Pair:
    first, second = (YES, NO) if number % 2 else (NO, YES)
    verdict = "first" if first == YES else "second"
    prompt = (Message("user", f"w{6 + number % 50} w{6 + number // 50}"),)
    human = (HumanLabel(annotator="ann", verdict=verdict),)
    return Pair(prompt=prompt, first=said(first), second=said(second), human=human)


def solution(number: int) -> Solution:
    steps = (YES, NO) if number % 2 else (YES, YES)
    return Solution(prompt=(Message("user", f"w{6 + number % 50} w{6 + number // 50}"),), steps=steps)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of thirty judged pairs; one more could not be read."""
    out = tmp_path / "run"
    out.mkdir()
    rows = []
    for number in range(30):
        p = 0.9 if number % 2 else 0.1
        judgement = Preference(verdict="first" if p > 0.5 else "second", p_first=p)
        rows.append(to_row(pair(number)) | {"judgement": judgement_to_row(judgement)})
    write_rows(out / "labels.jsonl", rows)
    unread = judgement_to_row(Preference(verdict=None, reason="no verdict"))
    write_rows(out / "failures.jsonl", [to_row(pair(30)) | {"judgement": unread}])
    (out / "manifest.json").write_text(json.dumps({"config": {"task": "preference"}, "counts": {"rows": 31}}))
    return out


@pytest.fixture
def people(tmp_path: Path) -> Path:
    write_rows(tmp_path / "pairs.jsonl", map(to_row, map(pair, range(30))))
    return tmp_path / "pairs.jsonl"


def words(source: Path, llama: Path, out: Path, *more: str) -> list[str]:
    return ["distill", str(source), "--kind", "scalar", "--backbone", str(llama), "--out", str(out), "--quiet", *more]


def test_a_run_becomes_a_model_and_says_how_good_it_is(run: Path, llama: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "model"
    assert main([*words(run, llama, out), "--epochs", "4", "--rate", "0.003", "--validation", "0.3", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["labels"], shown["loss"]) == ("scalar", "judge", "bradley_terry")
    assert shown["dropped"] == [{"reason": "verdict could not be read", "count": 1}]
    assert shown["validation"]["accuracy"] == 1.0
    about = json.loads((out / "reward.json").read_text())
    assert (about["parents"][0]["kind"], about["parents"][0]["task"]) == ("run", "preference")
    assert len(about["parents"][0]["hash"]) >= 32
    assert main(["distill", str(run), "--kind", "scalar", "--backbone", str(llama), "--out", str(out)]) == 2
    assert "holds a reward model already" in capsys.readouterr().err


def test_peoples_labels_become_a_model_and_are_drawn_as_a_table(
    people: Path, llama: Path, tmp_path: Path, capsys: Any
) -> None:
    assert main([*words(people, llama, tmp_path / "model"), "--labels", "human", "--set", "lora_rank=2"]) == 0
    shown = capsys.readouterr().out
    assert "validation accuracy" in shown
    assert "rmjudge score" in shown
    assert (tmp_path / "model" / "README.md").is_file()


def test_one_run_of_steps_makes_a_process_and_an_outcome_model(llama: Path, tmp_path: Path, capsys: Any) -> None:
    rows = []
    for number in range(24):
        wrong = 1 if number % 2 else -1
        judgement = Steps(verdict=("right", "wrong" if wrong == 1 else "right"), first_wrong=wrong)
        rows.append(to_row(solution(number)) | {"judgement": judgement_to_row(judgement)})
    write_rows(tmp_path / "labels.jsonl", rows)
    for kind in ("process", "outcome"):
        out = tmp_path / kind
        arguments = ["--kind", kind, "--backbone", str(llama), "--out", str(out), "--json", "--quiet"]
        assert main(["distill", str(tmp_path / "labels.jsonl"), *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == kind


def test_benchmarks_and_validation_data_of_their_own(run: Path, llama: Path, tmp_path: Path, capsys: Any) -> None:
    """LLMBar's fields: a model that likes YES is right in both rows. In bfloat16, training goes on after each."""
    bench = tmp_path / "llmbar.jsonl"
    sides = [(YES, NO, 1), (NO, YES, 2)]
    write_rows(bench, [{"input": "w6 w7", "output_1": a, "output_2": b, "label": label} for a, b, label in sides])
    held = [to_row(pair(number)) for number in range(30, 40)]
    write_rows(tmp_path / "held.jsonl", held)
    out = tmp_path / "model"
    more = ["--eval", str(bench), "--validation-data", str(tmp_path / "held.jsonl"), "--set", "best_by=llmbar"]
    more += ["--epochs", "4", "--rate", "0.003", "--set", "dtype=bfloat16", "--json"]
    assert main([*words(run, llama, out), *more]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["examples"], shown["validation_examples"]) == (30, 10)
    assert shown["evaluations"]["llmbar_correct_average"] == 1.0
    rows = [row for row in json.loads((out / "reward.json").read_text())["history"] if "eval_llmbar_equal" in row]
    assert len(rows) == 8 and shown["best_step"] == next(
        row["step"] for row in rows if row["eval_llmbar_correct_average"] == 1.0
    )


def test_a_dry_run_counts_and_writes_nothing(run: Path, llama: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "model"
    assert main([*words(run, llama, out), "--dry-run", "--json", "--batch", "9", "--validation", "0"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["examples"], shown["steps"]) == (30, 4)  # thirty in batches of nine
    # <bos>, " <user> wA wB <eos>" and " <assistant> wN <eos>": six of the prompt are shared, two responses of two.
    assert shown["tokens_per_epoch"] == 30 * (6 + 2 * 2)
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--kind", "scaler"], "did you mean 'scalar'"),
        (["--kind", "process"], "cannot teach kind process"),
        (["--labels", "humans"], "did you mean 'human'"),
        (["--set", "rte=1"], "did you mean 'rate'"),
        (["--set", "rate"], "--set NAME=VALUE"),
        (["--rate", "1", "--set", "rate=2"], "rate is given twice"),
        (["--set", "loss.smoothin=0.1"], "did you mean 'smoothing'"),
        (["--loss", "focall"], "did you mean 'focal'"),
        (["--tracker", "wandbb"], "did you mean 'wandb'"),
        (["--backbone", "./nowhere"], "no such directory"),
        (["--backbone", "tests/none"], "cannot be loaded"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    more: list[str], said: str, run: Path, llama: Path, tmp_path: Path, capsys: Any
) -> None:
    assert main([*words(run, llama, tmp_path / "model"), *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_what_is_missing_is_named(run: Path, people: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["distill", str(run)]) == 2
    assert "needs --kind, --backbone, --out" in capsys.readouterr().err
    assert main(["distill", str(tmp_path / "none"), "--kind", "scalar", "--backbone", "tiny", "--out", "x"]) == 2
    assert "no such file or run directory" in capsys.readouterr().err
    assert main(["distill", str(tmp_path), "--kind", "scalar", "--backbone", "tiny", "--out", "x"]) == 2
    assert "a directory without labels.jsonl" in capsys.readouterr().err
    assert main(["distill", str(run), str(people), "--kind", "scalar", "--backbone", "tiny", "--out", "x"]) == 2
    assert 'say labels "judge" or "human"' in capsys.readouterr().err


def test_a_directory_with_something_in_it_is_left_alone(run: Path, llama: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert main(words(run, llama, out)) == 2
    assert "is not empty (notes.txt)" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def test_killed_in_mid_training_the_same_command_ends_in_the_same_weights(
    run: Path, llama: Path, tmp_path: Path
) -> None:
    more = ["--set", "save_every=1", "--set", "dropout=0.1", "--epochs", "3", "--batch", "2"]
    assert main(words(run, llama, tmp_path / "whole", *more)) == 0
    command = [str(Path(sys.executable).with_name("rmjudge")), *words(run, llama, tmp_path / "killed", *more)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    state = tmp_path / "killed" / "state"
    deadline = time.monotonic() + 120
    while not any(int(path.name[5:]) >= 3 for path in state.glob("step-*")):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed" / "reward.json").exists()
    assert main(words(run, llama, tmp_path / "killed", *more)) == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert not state.exists()


def test_two_processes_end_in_the_weights_of_one(run: Path, llama: Path, tmp_path: Path) -> None:
    """Two processes with a batch each are one process with two batches a step."""
    assert main(words(run, llama, tmp_path / "one", "--batch", "3", "--set", "accumulate=2")) == 0
    # On CPUs accelerate's own launcher asks for MPI; torch's starts the same processes.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, "-m", "judge.cli.main", *words(run, llama, tmp_path / "two", "--batch", "3")]
    env = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads((tmp_path / name / "reward.json").read_text()) for name in ("one", "two")]
    losses = [about["figures"]["validation"]["loss"] for about in found]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert [about["figures"]["steps"] for about in found] == [5, 5]


def test_two_processes_train_the_gate(llama: Path, tmp_path: Path) -> None:
    rows = scored(40)
    labelled = [
        to_row(record) | {"judgement": judgement_to_row(judgement)}
        for record, judgement in [*rows, *preferred_by(rows)]
        if judgement is not None
    ]
    write_rows(tmp_path / "labels.jsonl", labelled)
    words = ["distill", str(tmp_path / "labels.jsonl"), "--kind", "multi", "--set", "gated=true", "--quiet"]
    words += ["--backbone", str(llama), "--out", str(tmp_path / "model")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    env = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [*launch, "-m", "judge.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    last = load_file(tmp_path / "model" / "head.safetensors")["gate.layers.3.weight"]
    assert last.abs().max() > 1e-3  # it begins at 0
