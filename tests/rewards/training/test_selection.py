"""Which weights are kept: by the validation loss, by another figure, by a figure on other data."""

from pathlib import Path
from typing import Any

import pytest
import torch

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig
from judge.rewards.distill import distill
from judge.rewards.preparation import prepare
from judge.rewards.training.loop import make_accelerator
from judge.rewards.training.resume import STATE
from judge.rewards.training.selection import best_figure, check_best_by, is_better
from tests.rewards.training.test_loop import StopAt, job, pairs, run, same, weights

ROW = {"step": 4, "validation_loss": 0.6, "validation_accuracy": 0.8, "eval_hh_accuracy": 0.7, "eval_rb_score": 0.5}


@pytest.mark.parametrize(
    ("best_by", "name"),
    [
        ("", "validation_loss"),
        ("loss", "validation_loss"),
        ("accuracy", "validation_accuracy"),
        ("validation_accuracy", "validation_accuracy"),
        ("rb", "eval_rb_score"),
        ("hh_accuracy", "eval_hh_accuracy"),
        ("eval_hh_accuracy", "eval_hh_accuracy"),
    ],
)
def test_the_figure_that_is_gone_by(best_by: str, name: str) -> None:
    assert best_figure(ROW, best_by) == name


def test_a_loss_is_better_lower_and_all_else_higher() -> None:
    assert is_better("validation_loss", 0.5, 0.6) and not is_better("validation_loss", 0.6, 0.6)
    assert is_better("eval_rb_score", 0.6, 0.5) and not is_better("eval_rb_score", 0.5, 0.5)
    assert is_better("eval_rb_score", 0.0, None)


def test_what_no_evaluation_gives_is_refused() -> None:
    config = RewardConfig.of(best_by="rewardbench")
    with pytest.raises(ConfigError, match=r"best_by: found 'rewardbench' \(accepted: hh\)"):
        check_best_by(config, validation=False, data=["hh"])
    check_best_by(config, validation=False, data=["rewardbench"])
    check_best_by(RewardConfig.of(best_by="accuracy"), validation=True, data=[])
    with pytest.raises(
        ConfigError, match=r"found 'recall' \(accepted: loss, accuracy, eval_hh_accuracy, eval_rb_score\)"
    ):
        best_figure(ROW, "recall")
    assert best_figure({"step": 3}, "") is None


def falling(made: Any) -> Any:
    """An evaluator that says 1 / step number of its calls: each is worse than the one before."""
    calls: list[bool] = []

    def evaluate(job: Any, model: Any, device: Any) -> dict[str, float]:
        assert job is made and not model.training
        calls.append(torch.is_grad_enabled())
        return {"score": 1 / len(calls)}

    return evaluate


def test_the_loop_asks_evaluators_and_keeps_the_best_by_theirs(llama: Path, tmp_path: Path) -> None:
    made = job(llama, best_by="data", evaluations=3, epochs=1.0)
    object.__setattr__(made, "evaluators", {"data": falling(made)})
    done = run(made, tmp_path)
    seen = [
        (row["step"], row["eval_data_score"], row["validation_loss"])
        for row in done.history
        if "eval_data_score" in row
    ]
    assert [row[:2] for row in seen] == [(2, 1.0), (4, 0.5), (6, 1 / 3)]
    assert seen[2][2] < seen[0][2]  # the validation loss says the last is best
    assert (done.steps, done.best_step) == (6, 2)  # no patience: it runs to its end, and has the best weights
    assert same(weights(made), torch.load(tmp_path / STATE / "best.pt", weights_only=True))


def test_patience_goes_by_it_too(llama: Path, tmp_path: Path) -> None:
    made = job(llama, best_by="data", patience=1, evaluations=3)
    object.__setattr__(made, "evaluators", {"data": falling(made)})
    assert (done := run(made, tmp_path)).steps == 4
    assert done.best_step == 2


def test_evaluation_changes_no_weight_and_needs_no_validation_part(llama: Path, tmp_path: Path) -> None:
    plain = job(llama, validation=0.0, dropout=0.1)
    run(plain, tmp_path / "plain")
    made = job(llama, validation=0.0, dropout=0.1)
    object.__setattr__(made, "evaluators", {"data": falling(made)})
    done = run(made, tmp_path / "evaluated")
    assert same(weights(plain), weights(made))
    assert [row["step"] for row in done.history if "eval_data_score" in row] == [4, 8]


def test_best_by_survives_a_crash(llama: Path, tmp_path: Path) -> None:
    """The accuracy is best, 1.0, from some step on; taken up again the training keeps the same weights."""
    options = {"best_by": "accuracy", "evaluations": 4, "epochs": 2.0}
    whole = job(llama, **options)
    first = run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(job(llama, **options), tmp_path / "broken", StopAt(7))
    again = job(llama, **options)
    second = run(again, tmp_path / "broken")
    assert first.best_step == second.best_step
    assert same(weights(whole), weights(again))


def test_the_card_has_the_figures_of_the_kept_weights(llama: Path, tmp_path: Path) -> None:
    values = {"backbone": str(llama), "kind": "scalar", "batch": 4, "rate": 3e-3, "best_by": "data", "validation": 0.25}
    prepared = prepare(pairs(32), RewardConfig.of(**values))
    scores = iter((0.25, 0.75))
    done = distill(prepared, tmp_path / "model", None, {"data": lambda *_: {"score": next(scores), "subset/x": 0.5}})
    assert done is not None
    assert done.to_dict()["evaluations"] == {"data_score": 0.75, "data_subset/x": 0.5}
    assert "| data score | 0.750 |" in (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "data" in (tmp_path / "model" / "curves.svg").read_text("utf-8")


def test_sharded_models_take_no_evaluation_data(llama: Path, tmp_path: Path) -> None:
    made = job(llama)
    object.__setattr__(made, "evaluators", {"data": falling(made)})
    accelerator = make_accelerator(made.config, tmp_path)

    class Sharded:
        distributed_type = "DistributedType.FSDP"

        def __getattr__(self, name: str) -> Any:
            return getattr(accelerator, name)

    from judge.rewards.training.loop import train

    with pytest.raises(ConfigError, match="needs a whole model on each device"):
        train(made, tmp_path, Sharded())
