"""The loop: what it does in which order, that it can be killed, and what it says when it cannot go on."""

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from judge.errors import EngineError, MissingExtraError, RunError
from judge.jobs.training.progress import training_progress
from judge.judgements import Outcome, Preference, Steps
from judge.records import Message, Pair, Response, Solution
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Labelled
from judge.rewards.distill import training_job
from judge.rewards.losses.registry import plain_loss
from judge.rewards.modeling import quantization
from judge.rewards.modeling.quantization import bitsandbytes
from judge.rewards.preparation import prepare
from judge.rewards.training.loop import (
    Trained,
    TrainingJob,
    count_steps,
    evaluation_steps,
    make_accelerator,
    predict,
    stream,
    train,
)
from judge.rewards.training.optimizers import default_learning_rate, lr_factor, make_optimizers
from judge.rewards.training.resume import STATE
from tests.rewards.models import save

YES, NO = "w10", "w20"  # words of the small models' tokenizer


def asked(number: int) -> tuple[Message, ...]:
    return (Message("user", f"w{6 + number % 50} w{6 + number // 50}"),)


def pairs(count: int) -> list[Labelled]:
    """The one that says yes is better."""
    made: list[Labelled] = []
    for number in range(count):
        words = (YES, NO) if number % 2 else (NO, YES)
        first, second = ((Message("assistant", f"{word} w{30 + number % 9}"),) for word in words)
        pair = Pair(prompt=asked(number), first=first, second=second)
        made.append((pair, Preference(verdict="first", p_first=0.95 if words[0] == YES else 0.05)))
    return made


def outcomes(count: int) -> list[Labelled]:
    made: list[Labelled] = []
    for number in range(count):
        text = YES if number % 2 else NO
        response = Response(prompt=asked(number), response=(Message("assistant", text),))
        made.append((response, Outcome(verdict="right", p_correct=0.9 if text == YES else 0.1)))
    return made


def solutions(count: int) -> list[Labelled]:
    made: list[Labelled] = []
    for number in range(count):
        steps = (YES, NO, YES) if number % 2 else (NO, YES, NO)
        verdict = tuple("right" if step == YES else "wrong" for step in steps)
        solution = Solution(prompt=asked(number), steps=steps)
        made.append((solution, Steps(verdict=verdict, first_wrong=verdict.index("wrong"))))  # type: ignore[arg-type]
    return made


def job(llama: Path, labelled: Sequence[Labelled] | None = None, **config: Any) -> TrainingJob:
    """A small model and 32 pairs."""
    values = {"kind": "scalar", "batch": 4, "rate": 3e-3, "validation": 0.25, "dtype": "float32", **config}
    return training_job(prepare(labelled or pairs(32), RewardConfig.of(backbone=str(llama), **values)))


def run(job: TrainingJob, folder: Path, watch: Any = None) -> Trained:
    torch.manual_seed(0)
    return train(job, folder, make_accelerator(job.config, folder), watch)


def weights(job: TrainingJob) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in job.model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class StopAt:
    """A callback that ends the process's work after a step, as a crash would."""

    def __init__(self, step: int) -> None:
        self.at = step

    def on_step(self, row: dict[str, Any]) -> None:
        if row["step"] == self.at:
            raise KeyboardInterrupt

    def on_evaluate(self, row: dict[str, Any]) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "labelled"), [("scalar", pairs), ("ensemble", pairs), ("outcome", outcomes), ("process", solutions)]
)
def test_a_model_learns_what_its_labels_say(kind: str, labelled: Any, llama: Path, tmp_path: Path) -> None:
    made = job(llama, labelled(32), kind=kind, epochs=6.0)
    done = run(made, tmp_path)
    last = [row for row in done.history if "validation_accuracy" in row][-1]
    assert last["validation_accuracy"] == 1.0
    rows = [row for row in done.history if "loss" in row]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {
        "loss",
        "accuracy",
        "margin",
        "learning_rate",
        "grad_norm",
        "tokens_per_second",
        "memory_gib",
        "seconds",
    } <= rows[0].keys()
    assert done.tokens > 0
    assert done.steps == done.planned_steps == 36  # 24 training examples in batches of 4, six times


def test_steps_batches_and_epochs_add_up(llama: Path) -> None:
    made = job(llama)
    lengths = made.collate.lengths(made.examples)
    assert len(made.examples) == 24
    assert count_steps(made.examples, made.config, lengths) == 6
    assert (
        count_steps(made.examples, RewardConfig.of(batch_size=4, gradient_accumulation_steps=2, epochs=1.5), lengths)
        == 5
    )  # ceil(1.5 * 6 / 2)
    assert count_steps(made.examples, RewardConfig.of(batch_size=4), lengths, world=4) == 2  # ceil(6 / 4)
    coming = stream(made.examples, made.config, lengths)
    epochs = [[made.examples[place].id for _ in range(6) for place in next(coming)] for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(one.id for one in made.examples)
    assert epochs[0] != epochs[1]


def test_the_rate_rises_and_falls_as_told() -> None:
    linear = RewardConfig.of(lr_scheduler_type="linear", warmup_ratio=0.2)
    # Ten steps, two of warm-up: 1/3, 2/3, then from 1 down by eighths.
    expected = [1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    assert [lr_factor(step, 10, linear) for step in range(10)] == pytest.approx(expected)
    cosine = RewardConfig.of(lr_scheduler_type="cosine", warmup_ratio=0.0, min_lr_ratio=0.1)
    assert [lr_factor(step, 4, cosine) for step in (0, 2, 4)] == pytest.approx([1.0, 0.55, 0.1])
    assert lr_factor(7, 10, RewardConfig.of(lr_scheduler_type="constant", warmup_ratio=0.0)) == 1.0


def test_validation_is_looked_at_so_often_an_epoch_and_at_the_end() -> None:
    assert evaluation_steps(100, RewardConfig.of(evaluations_per_epoch=4)) == {25, 50, 75, 100}
    assert evaluation_steps(100, RewardConfig.of(evaluations_per_epoch=1, epochs=0.5)) == {100}
    assert evaluation_steps(2, RewardConfig.of(evaluations_per_epoch=9)) == {1, 2}


def test_matrices_vectors_and_heads_have_rates_and_decays_of_their_own(llama: Path) -> None:
    made = job(llama, weight_decay=0.1, head_rate=5.0, rate=1e-3, optimizer="muon")
    muon, adam = make_optimizers(made.model, made.config)
    assert all(p.ndim == 2 for group in muon.param_groups for p in group["params"])
    assert [group["weight_decay"] for group in muon.param_groups] == [0.1]
    assert sorted((group["full_rate"], group["weight_decay"]) for group in adam.param_groups) == [
        (1e-3, 0.0),
        (5e-3, 0.0),
    ]
    held = sum(p.numel() for opt in (muon, adam) for group in opt.param_groups for p in group["params"])
    assert held == sum(p.numel() for p in made.model.parameters() if p.requires_grad)
    assert default_learning_rate(made.model, RewardConfig.of()) == pytest.approx(0.05 / 32)  # the fixture is 32 wide
    assert default_learning_rate(made.model, RewardConfig.of(lora_rank=4)) == pytest.approx(0.5 / 32)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_crash_changes_nothing(optimizer: str, llama: Path, tmp_path: Path) -> None:
    """Weights after a crash between two checkpoints and a second start are those of one go, bit by bit."""
    options: dict[str, Any] = {"save_every": 4, "epochs": 2.0, "dropout": 0.1, "optimizer": optimizer, "accumulate": 2}
    whole = job(llama, **options)
    run(whole, tmp_path / "whole")
    broken = job(llama, **options)
    with pytest.raises(KeyboardInterrupt):
        run(broken, tmp_path / "broken", StopAt(5))
    assert [path.name for path in (tmp_path / "broken" / STATE).iterdir()] == ["step-4"]
    again = job(llama, **options)
    torch.manual_seed(123)  # what was drawn before the second start does not matter
    done = train(again, tmp_path / "broken", make_accelerator(again.config, tmp_path / "broken"))
    assert same(weights(again), weights(whole))
    assert [row["step"] for row in done.history if "learning_rate" in row] == list(range(1, done.steps + 1))


def test_validation_loss_has_neither_penalties_nor_bootstrap_weights(llama: Path) -> None:
    """Two members that say d = 1 and d = -1 of a pair whose first is better: the mean of log(1 + e^-1) = 0.3132617 and
    log(1 + e) = 1.3132617 is 0.8132617, whatever the weights of the members and a penalty of 100 r²."""
    training = job(llama, kind="ensemble", members=2, l2_coefficient=100.0)
    example = replace(training.validation[0], p_first=1.0)
    rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    targets = training.targets([example])
    assert targets.member_weight is not None
    assert training.validation_loss(rewards, targets) == pytest.approx(0.8132617, abs=1e-6)
    assert float(training.loss(rewards, targets)) > 50


def test_early_stopping_uses_the_plain_validation_loss(llama: Path, tmp_path: Path) -> None:
    """The loss of the best weights, computed anew without the penalty, is the one that was compared."""
    training = job(llama, patience=1, evaluations=4, epochs=1.0, l2_coefficient=5.0)
    trained = run(training, tmp_path)
    with torch.no_grad():
        rewards, targets = predict(training, training.model, training.validation, torch.device("cpu"))
    rows = [row for row in trained.history if "validation_loss" in row]
    best = next(row for row in rows if row["step"] == trained.best_step)
    assert best["validation_loss"] == min(row["validation_loss"] for row in rows)
    assert best["validation_loss"] == pytest.approx(float(plain_loss(training.config)(rewards, targets)), abs=1e-5)


def test_training_stops_early_and_has_the_best_weights(llama: Path, tmp_path: Path) -> None:
    """The validation part is labelled the other way round, so every step makes it worse."""
    made = job(llama, patience=2, evaluations=6, epochs=2.0)
    for one in made.validation:
        object.__setattr__(one, "p_first", 1 - (one.p_first or 0))
    done = run(made, tmp_path)
    seen = [(row["validation_loss"], row["step"]) for row in done.history if "validation_loss" in row]
    assert done.best_step == min(seen)[1]
    assert done.steps == done.best_step + 2 < done.planned_steps
    best = torch.load(tmp_path / STATE / "best.pt", weights_only=True)
    assert same(weights(made), best)


def test_a_loss_that_is_no_number_names_its_step_and_rows(llama: Path, tmp_path: Path) -> None:
    made = job(llama)
    made.model.head.score.weight.data.fill_(math.nan)  # type: ignore[union-attr]
    with pytest.raises(EngineError, match=r"step 1: the loss is nan \(rows [0-9a-f]{32}, ") as caught:
        run(made, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("state/step-*"))


def test_a_state_that_is_broken_is_said_to_be(llama: Path, tmp_path: Path) -> None:
    made = job(llama)
    (tmp_path / STATE / "step-3").mkdir(parents=True)
    with pytest.raises(RunError, match="step-3: cannot be taken up again"):
        run(made, tmp_path)


def test_a_tracker_writes_beside_the_model(llama: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    made = job(llama, trackers=("tensorboard",))
    run(made, tmp_path)
    assert list((tmp_path / "logs").rglob("events.out.*"))


def test_a_tracker_that_is_not_installed_is_named(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="tracker aim"):
        job(llama, trackers=("aim",))
    with pytest.raises(MissingExtraError, match="tracker aim"):
        make_accelerator(RewardConfig.of(trackers=("aim",)), tmp_path)


class Heard(StopAt):
    """Keeps from where a training went on."""

    def on_start(self, step: int, steps: int) -> None:
        self.heard = (step, steps)


def test_a_training_says_from_where_it_goes_on(llama: Path, tmp_path: Path) -> None:
    first, second = Heard(5), Heard(99)
    with pytest.raises(KeyboardInterrupt):
        run(job(llama, save_every=2), tmp_path, first)
    trained = run(job(llama, save_every=2), tmp_path, second)
    assert (first.heard, second.heard, trained.resumed_from) == ((0, 6), (4, 6), 4)


def test_progress_says_from_where_it_goes_on() -> None:
    stream = io.StringIO()
    with training_progress(stream) as callback:
        callback.on_start(0, 9)
        assert stream.getvalue() == ""
        callback.on_start(3, 9)
    assert stream.getvalue() == "going on from step 3 of 9\n"


def test_a_state_is_written_when_time_has_passed(llama: Path, tmp_path: Path) -> None:
    """A ten-millionth of a minute passes in any step, so the first has a state though no evaluation is near."""
    with pytest.raises(KeyboardInterrupt):
        run(job(llama, save_minutes=1e-7, evaluations=1, epochs=4.0), tmp_path / "often", StopAt(2))
    assert [path.name for path in (tmp_path / "often" / STATE).glob("step-*")] == ["step-1"]
    with pytest.raises(KeyboardInterrupt):
        run(job(llama, save_minutes=0, evaluations=1, epochs=4.0), tmp_path / "never", StopAt(5))
    assert not (tmp_path / "never" / STATE).exists()


@pytest.mark.parametrize(
    "values",
    [
        {"quantization": "8bit", "lora_rank": 2},
        {"quantization": "4bit", "lora_rank": 2},
        {"optimizer": "adamw_8bit"},
    ],
)
def test_integers_hold_weights_and_moments(values: dict[str, Any], tmp_path: Path) -> None:
    package = bitsandbytes()
    wide = save(tmp_path / "wide", "llama", hidden_size=64, intermediate_size=128, head_dim=16, vocab_size=128)
    training = job(wide, pairs(32), epochs=4.0, dtype="auto", **values)
    trained = run(training, tmp_path / "model")
    rows = [row for row in trained.history if "loss" in row]
    assert rows[-1]["loss"] < rows[0]["loss"]
    if "quantization" in values:
        kinds = (package.nn.Linear4bit, package.nn.Linear8bitLt)
        assert sum(isinstance(part, kinds) for part in training.model.modules()) == 14  # two layers of seven
    else:
        [optimizer] = make_optimizers(training.model, training.config)
        assert isinstance(optimizer, package.optim.AdamW8bit)


def test_without_bitsandbytes_its_install_line_is_said(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rmjudge\[quantized\]'"):
        job(llama, optimizer="adamw_8bit")
