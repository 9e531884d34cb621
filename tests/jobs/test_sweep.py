"""`judge.sweep` and `rmjudge distill --sweep`: a grid, its directories, what is told apart, and the way back."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.cli.main import main
from judge.errors import ConfigError, InputError, RunChangedError
from judge.files import write_rows
from judge.jobs.training.sweep_result import cell_name
from tests.jobs.test_reward_model import NO, YES, rows
from tests.rewards.models import save


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("llama"), "llama")


def noisy(count: int) -> list[dict[str, Any]]:
    """Pairs whose label prefers YES, but for every fifth."""
    table = rows(count)
    for row in table[::5]:
        row["human"][0]["verdict"] = "second" if row["first"] == YES else "first"
    return table


def sweep(llama: Path, out: Path, grid: Any, **more: Any) -> judge.Sweep:
    settings = {"kind": "scalar", "backbone": str(llama), "validation_fraction": 0.5, "progress": False, "epochs": 4}
    return judge.sweep(noisy(80), sweep=grid, out=out, **{**settings, **more})


@pytest.fixture(scope="module")
def swept(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> judge.Sweep:
    """A rate that learns and one that does not, each twice: save_steps changes nothing."""
    out = tmp_path_factory.mktemp("sweep")
    return sweep(llama, out, {"learning_rate": [3e-3, 1e-9], "save_steps": [3, 0]})


def test_a_cell_a_directory_and_the_best_by_validation(swept: judge.Sweep) -> None:
    names = ["learning_rate=0.003,save_steps=3", "learning_rate=0.003,save_steps=0"]
    assert [cell.path.name for cell in swept.cells[:2]] == names
    assert all((cell.path / "reward.json").is_file() for cell in swept.cells)
    assert (swept.figure, swept.prompts) == ("accuracy", 40)
    assert swept.best is swept.cells[0]  # the first of equal ones
    assert swept.best.value == pytest.approx(swept.best.figures["accuracy"], abs=1e-6)
    assert swept.best.model.score("w7 w6", YES).value > swept.best.model.score("w7 w6", NO).value


def test_the_noise_of_the_figure_is_that_of_its_prompts(swept: judge.Sweep) -> None:
    """A share p of 40 prompts, a pair each: √(p (1 - p) / 40)."""
    p = swept.best.value
    assert 0.6 < p < 0.95
    assert swept.best.standard_error == pytest.approx((p * (1 - p) / 40) ** 0.5, rel=0.1)


def test_what_is_not_told_apart_is_said(swept: judge.Sweep) -> None:
    best, same, *others = swept.cells
    assert (same.behind, same.behind_low, same.behind_high, same.told_apart) == (0.0, 0.0, 0.0, False)
    assert swept.tied == [same]
    for cell in others:  # a model that did not learn prefers YES by chance, to all of them or to none
        assert cell.behind is not None and cell.behind == pytest.approx(best.value - cell.value)
    shown = repr(swept).splitlines()
    assert shown[0].split()[:3] == ["learning_rate", "save_steps", "validation"]
    assert shown[1].endswith("best") and shown[2].endswith("not told apart")


def test_the_table_lies_beside_the_cells(swept: judge.Sweep) -> None:
    saved = json.loads((swept.out / "sweep.json").read_text("utf-8"))
    assert saved == json.loads(json.dumps(swept.to_dict()))
    assert saved["best"] == str(swept.best.path)
    assert saved["not_told_apart"] == [str(swept.cells[1].path)]
    assert "<table>" in swept._repr_html_()


def test_finished_cells_are_kept_and_missing_ones_trained(llama: Path, tmp_path: Path) -> None:
    first = sweep(llama, tmp_path, ["seed=1,2"], epochs=1)
    written = [(cell.path / "model.safetensors").stat().st_mtime_ns for cell in first.cells]
    second = sweep(llama, tmp_path, "seed=1,2,3", epochs=1)
    assert [(cell.path / "model.safetensors").stat().st_mtime_ns for cell in second.cells[:2]] == written
    assert [cell.value for cell in second.cells[:2]] == [cell.value for cell in first.cells]
    assert {cell.figures["loss"] for cell in second.cells} and second.prompts == 40  # one split for all seeds
    with pytest.raises(RunChangedError, match=r"seed=1: holds a model of another training: epochs was 1.0, is 2.0"):
        sweep(llama, tmp_path, ["seed=1"], epochs=2)


def test_few_prompts_are_not_compared(llama: Path, tmp_path: Path) -> None:
    found = sweep(llama, tmp_path, {"learning_rate": [1e-9, 3e-3]}, validation_fraction=0.1)
    assert found.prompts == 8
    assert {cell.standard_error for cell in found.cells} == {None}
    assert found.tied == [] and repr(found).count("too few prompts") == 1


def test_cells_may_be_compared_by_their_loss(llama: Path, tmp_path: Path) -> None:
    found = sweep(llama, tmp_path, {"learning_rate": [1e-9, 3e-3]}, best_by="loss")
    losses = [cell.figures["loss"] for cell in found.cells]
    assert found.best is found.cells[losses.index(min(losses))]
    assert [cell.value for cell in found.cells] == losses
    assert found.best.standard_error is None and found.cells[0].told_apart is None


@pytest.mark.parametrize(
    ("grid", "more", "told"),
    [
        (["learning_rat=1e-3"], {}, "did you mean 'learning_rate'"),
        (["loss=focall,margin"], {}, "did you mean 'focal'"),
        (["loss=focal,regresion"], {}, "did you mean 'regression'"),
        (["learning_rate=fast"], {}, "learning_rate: found 'fast'"),
        (["learning_rate"], {}, "write NAME=VALUE,VALUE"),
        (["epochs=1,2"], {}, "setting 'epochs' is given twice"),
        (["kind=scalar,ensemble"], {}, "so it cannot vary"),
        ({}, {}, "a sweep needs settings with values"),
        (["seed=1,1"], {}, "two cells are the same"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_is_trained(
    grid: Any, more: Any, told: str, llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep(llama, tmp_path / "out", grid, **more)
    assert told in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_sweep_needs_a_validation_part(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="on examples that are held out, and none are"):
        sweep(llama, tmp_path / "out", ["seed=1"], validation_fraction=0.0)
    with pytest.raises(InputError, match="no such file"):
        judge.sweep("nowhere.jsonl", sweep=["seed=1"], out=tmp_path / "out", kind="scalar", backbone="tiny")


def test_killed_in_the_second_cell_the_same_command_ends_as_if_it_had_not_been(llama: Path, tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    write_rows(data, noisy(40))
    more = ["--kind", "scalar", "--backbone", str(llama), "--quiet", "--epochs", "6", "--set", "save_steps=1"]
    command = ["distill", str(data), *more, "--sweep", "learning_rate=1e-4,3e-3", "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    killed = tmp_path / "killed"
    process = subprocess.Popen([str(Path(sys.executable).with_name("rmjudge")), *command, str(killed)])
    state = killed / "learning_rate=3e-3" / "state"
    deadline = time.monotonic() + 180
    while not any(int(path.name[5:]) >= 3 for path in state.glob("step-*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    first = (killed / "learning_rate=1e-4" / "model.safetensors").stat().st_mtime_ns
    assert main([*command, str(killed)]) == 0
    assert (killed / "learning_rate=1e-4" / "model.safetensors").stat().st_mtime_ns == first
    for cell in ("learning_rate=1e-4", "learning_rate=3e-3"):
        weights = [(tmp_path / out / cell / "model.safetensors").read_bytes() for out in ("whole", "killed")]
        assert weights[0] == weights[1]


def test_a_cells_name_is_a_folders() -> None:
    assert cell_name({"backbone": "a/b c", "loss": "focal"}) == "backbone=a-b_c,loss=focal"


def test_the_command_line_draws_the_table(llama: Path, tmp_path: Path, capsys: Any) -> None:
    data, out = tmp_path / "pairs.jsonl", tmp_path / "out"
    write_rows(data, noisy(40))
    command = ["distill", str(data), "--kind", "scalar", "--backbone", str(llama), "--out", str(out), "--quiet"]
    grid = ["--sweep", "learning_rate=3e-3,1e-9 loss=bradley-terry"]
    assert main([*command, *grid, "--eval", f"again={data}"]) == 0
    shown = capsys.readouterr().out
    assert "2 trainings" in shown and "validation accuracy" in shown and "best by validation accuracy" in shown
    assert main([*command, *grid, "--eval", f"again={data}", "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["settings"]["learning_rate"] for cell in cells] == ["3e-3", "1e-9"]
    assert "again_accuracy" in cells[0]["evaluations"]
    assert main([*command, *grid, "--dry-run"]) == 2
    assert "a dry run is of one training" in capsys.readouterr().err
