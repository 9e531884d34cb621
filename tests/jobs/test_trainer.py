"""`judge.RewardTrainer`: a torch data set, a loss and callbacks of the caller's own, evaluation, and the way back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import logsigmoid
from torch.utils.data import Dataset, IterableDataset

import judge
from judge.errors import ConfigError, InputError, RmjudgeError, RunChangedError
from judge.files import write_rows
from judge.jobs.training.progress import figures
from judge.judgements import Preference
from judge.records import HumanLabel, Message, Pair
from judge.rewards.data.targets import Targets
from tests.jobs.test_reward_model import NO, SETTINGS, YES, rows
from tests.rewards.models import save


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("llama"), "llama")


class Mapped(Dataset[dict[str, Any]]):
    """Map-style, as most are: a length, and rows by index; it says nothing of where it ends."""

    def __init__(self, table: list[Any]) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Any:
        return self.table[index]


class Streamed(IterableDataset[Any]):
    def __init__(self, table: list[Any]) -> None:
        self.table = table

    def __iter__(self) -> Iterator[Any]:
        return iter(self.table)


def records(count: int) -> list[Pair]:
    """The pairs of `rows`, as records."""
    made = []
    for row in rows(count):
        first, second = ((Message("assistant", row[side]),) for side in ("first", "second"))
        human = (HumanLabel(annotator="ann", verdict=row["human"][0]["verdict"]),)
        made.append(Pair(prompt=(Message("user", row["prompt"]),), first=first, second=second, human=human))
    return made


class Watch:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.evaluated: list[dict[str, Any]] = []

    def on_step(self, row: dict[str, Any]) -> None:
        self.steps.append(row["step"])

    def on_evaluate(self, row: dict[str, Any]) -> None:
        self.evaluated.append(row)


def logistic(rewards: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Bradley and Terry's loss, written out."""
    pairs = targets.pairs(rewards)
    p, d = pairs.p_first[:, None], pairs.difference
    return -(p * logsigmoid(d) + (1 - p) * logsigmoid(-d)).mean()


def weights(model: judge.RewardModel) -> bytes:
    return (model.path / "model.safetensors").read_bytes()


def trainer(data: Any, llama: Path, out: Path, **more: Any) -> judge.RewardTrainer:
    return judge.RewardTrainer(data, kind="scalar", backbone=str(llama), out=out, **{**SETTINGS, **more})


@pytest.fixture(scope="module")
def plain(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> judge.RewardModel:
    """What `judge.distill` makes of the rows."""
    out = tmp_path_factory.mktemp("plain") / "model"
    return judge.distill(rows(40), kind="scalar", backbone=str(llama), out=out, **SETTINGS)


@pytest.mark.parametrize(
    "data",
    [Mapped(rows(40)), Streamed(rows(40)), Mapped(records(40)), records(40)],
    ids=["map", "stream", "records", "list"],
)
def test_a_data_set_of_ones_own_makes_the_same_model(
    data: Any, plain: judge.RewardModel, llama: Path, tmp_path: Path
) -> None:
    model = trainer(data, llama, tmp_path / "model").train()
    assert weights(model) == weights(plain)
    assert {path.name for path in model.path.iterdir()} == {path.name for path in plain.path.iterdir()}
    assert model.training is not None and model.training["examples"] == 28


def test_rows_may_bring_their_judgement(llama: Path, tmp_path: Path) -> None:
    judged = [(record, Preference(verdict="first", p_first=0.75)) for record in records(6)]
    made = trainer(Streamed(judged), llama, tmp_path / "model")
    assert made.prepared.labels == "judge"
    assert {example.p_first for example in made.prepared.examples} == {0.75}


def test_a_loss_of_ones_own_is_minimised_validated_and_named(
    plain: judge.RewardModel, llama: Path, tmp_path: Path
) -> None:
    """It is Bradley-Terry's, so the weights are those of the registered loss."""
    watch = Watch()
    made = trainer(rows(40), llama, tmp_path / "model", loss=logistic, callbacks=[watch])
    model = made.train()
    own, registered = (torch.frombuffer(bytearray(weights(each)), dtype=torch.uint8) for each in (model, plain))
    assert own.shape == registered.shape
    assert model.figures["loss"] == pytest.approx(plain.figures["loss"], abs=1e-4)
    assert model.metadata["figures"]["loss"] == "tests.jobs.test_trainer.logistic"
    assert (
        "| loss | tests.jobs.test\\_trainer.logistic |" in model.card
        or "tests.jobs.test_trainer.logistic" in model.card
    )
    assert watch.steps == list(range(1, 17))  # 28 examples in batches of 8, four times
    assert [row["step"] for row in watch.evaluated] == [2, 4, 6, 8, 10, 12, 14, 16]
    assert judge.load_reward_model(model.path).score("w7 w6", YES).value is not None


def test_evaluate_gives_what_validation_gives(plain: judge.RewardModel, llama: Path, tmp_path: Path) -> None:
    made = trainer(Mapped(rows(40)), llama, tmp_path / "model")
    before = made.evaluate()
    assert before["examples"] == before["prompts"] == 12
    made.train()
    after = made.evaluate()
    assert after["accuracy"] == plain.figures["accuracy"] == 1.0
    assert after["loss"] == pytest.approx(plain.figures["loss"], abs=1e-5)
    assert after["margin"] == pytest.approx(plain.figures["margin"], abs=1e-4)
    assert (after["accuracy_low"], after["accuracy_high"]) == (pytest.approx(0.025 ** (1 / 12)), 1.0)
    assert before["loss"] > after["loss"]
    # Turned-round labels are told wrong, by the trainer and by the model that it made.
    turned = [
        {**row, "human": [{"annotator": "ann", "verdict": "second" if row["first"] == YES else "first"}]}
        for row in rows(9)
    ]
    assert made.evaluate(Streamed(turned))["accuracy"] == 0.0
    assert judge.load_reward_model(tmp_path / "model").evaluate(turned)["accuracy"] == 0.0


def test_killed_and_taken_up_again(plain: judge.RewardModel, llama: Path, tmp_path: Path) -> None:
    class Killer(Watch):
        def on_step(self, row: dict[str, Any]) -> None:
            super().on_step(row)
            if row["step"] == 9:
                raise KeyboardInterrupt

    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        trainer(rows(40), llama, out, callbacks=[Killer()]).train()
    with pytest.raises(RunChangedError, match="its loss is another"):
        trainer(rows(40), llama, out, loss=logistic).train()
    watch = Watch()
    assert weights(trainer(Mapped(rows(40)), llama, out, callbacks=[watch]).train()) == weights(plain)
    assert watch.steps == list(range(9, 17))  # on from the state of step 8


def test_what_was_tokenized_is_read_from_the_state(plain: judge.RewardModel, llama: Path, tmp_path: Path) -> None:
    """By a file's content: the same under another name is the same data, a further row is another."""
    data, out = tmp_path / "pairs.jsonl", tmp_path / "model"
    about = out / "state" / "examples" / "about.json"
    write_rows(data, rows(40))
    write_rows(tmp_path / "other.jsonl", rows(40))
    first = trainer(data, llama, out)
    written = about.stat().st_ino
    again = trainer(tmp_path / "other.jsonl", llama, out, learning_rate=0.5)
    assert about.stat().st_ino == written
    assert list(again.prepared.examples) == list(first.prepared.examples)
    again = trainer(rows(41), llama, out)
    assert about.stat().st_ino != written and len(again.prepared.examples) == 29
    assert weights(first.train()) == weights(plain)


def test_a_trainer_that_is_refused_or_never_trains_leaves_nothing(llama: Path, tmp_path: Path) -> None:
    for wrong in ({"eval": {"x": [{"prompt": "w6"}]}}, {"best_by": "accurracy"}):
        with pytest.raises(RmjudgeError):
            trainer(rows(20), llama, tmp_path / "model", **wrong)
        assert not list(tmp_path.iterdir())
    assert trainer(rows(20), llama, tmp_path / "model").prepared.steps > 0
    assert not list(tmp_path.iterdir())


def test_validation_data_of_ones_own_holds_nothing_else_out(llama: Path, tmp_path: Path) -> None:
    made = trainer(rows(20), llama, tmp_path / "model", validation_data=Mapped(rows(30)[20:]))
    assert (len(made.prepared.examples), len(made.prepared.validation)) == (20, 10)
    with pytest.raises(InputError, match="5 prompts of the validation data are in the training data too"):
        trainer(rows(20), llama, tmp_path / "model", validation_data=rows(30)[15:])


def test_a_trainer_says_what_is_missing(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="distill needs out"):
        judge.RewardTrainer(rows(20), kind="scalar", backbone=str(llama), progress=False)
    planned = judge.RewardTrainer(rows(20), kind="scalar", backbone=str(llama), progress=False, dry_run=True)
    assert planned.prepared.steps > 0
    with pytest.raises(ConfigError, match="this training has no directory"):
        planned.train()
    with pytest.raises(ConfigError, match="data of the type int"):
        trainer(7, llama, tmp_path / "model")
    with pytest.raises(ConfigError, match="loss arguments are for losses by name"):
        trainer(rows(9), llama, tmp_path / "model", loss=logistic, settings={"loss.smoothing": 0.1})


def labelled(kind: str, count: int) -> list[dict[str, Any]]:
    """Rows that teach a kind of model to like YES."""
    if kind in ("scalar", "ensemble", "hierarchical"):
        return rows(count)
    asked = [f"w{6 + number % 50} w{6 + number // 50}" for number in range(count)]
    said = [YES if number % 2 else NO for number in range(count)]
    if kind == "process":
        return [
            {"prompt": prompt, "completions": [YES, text], "labels": [True, text == YES]}
            for prompt, text in zip(asked, said, strict=True)
        ]
    scores = [[("helpful", number % 2), ("short", number % 3)] for number in range(count)]
    human = [
        [{"annotator": "ann", "criterion": name, "verdict": value} for name, value in scores[number]]
        if kind == "multi"
        else [{"annotator": "ann", "verdict": float(text == YES)}]
        for number, text in enumerate(said)
    ]
    return [
        {"kind": "response", "prompt": prompt, "response": text, "human": labels}
        for prompt, text, labels in zip(asked, said, human, strict=True)
    ]


@pytest.mark.parametrize("kind", ["scalar", "ensemble", "hierarchical", "multi", "outcome", "process"])
def test_every_kind_is_evaluated_while_and_after_it_is_trained(kind: str, llama: Path, tmp_path: Path) -> None:
    """The figures of the last evaluation of held-out rows, of the trainer and of the saved model agree."""
    table = labelled(kind, 60)
    watch = Watch()
    made = judge.RewardTrainer(
        table[:40],
        kind=kind,
        backbone=str(llama),
        out=tmp_path / "model",
        validation_data=Mapped(table[40:50]),
        eval={"mine": table[50:]},
        callbacks=[watch],
        **{**SETTINGS, "dtype": "float32"},
    )
    model = made.train()
    names = {"multi": "correlation"}
    figure = names.get(kind, "accuracy")
    last = watch.evaluated[-1]
    assert made.evaluate()[figure] == pytest.approx(model.figures[figure], abs=1e-5)
    again = judge.load_reward_model(model.path).evaluate(table[50:])
    if kind != "ensemble":  # whose members are fitted once more after training
        assert again[figure] == pytest.approx(last[f"eval_mine_{figure}"], abs=1e-5)
        assert again["loss"] == pytest.approx(last["eval_mine_loss"], rel=1e-3, abs=1e-5)
    assert again["examples"] == 10
    response = f"{YES}\n{YES}" if kind == "process" else YES
    assert model.score("w7 w6", response).value is not None
    assert model.rank("w7 w6", [response, NO]) in ([0, 1], [1, 0])


# ---- evaluation data -------------------------------------------------------------------------------------------------


def rewardbench(path: Path) -> Path:
    """Two rows of the section Chat whose chosen one is YES, two of Safety whose chosen one is NO."""
    table = []
    for number, (subset, chosen) in enumerate([("alpacaeval-easy", YES), ("refusals-dangerous", NO)] * 2):
        rejected = NO if chosen == YES else YES
        models = {"chosen_model": "a", "rejected_model": "b"}
        prompt = f"w{6 + number} w50"
        table.append(
            {"prompt": prompt, "chosen": chosen, "rejected": rejected, **models, "subset": subset, "id": number}
        )
    write_rows(path, table)
    return path


def test_benchmarks_are_counted_by_their_protocol_during_training(llama: Path, tmp_path: Path) -> None:
    """A model that likes YES has all of Chat and nothing of Safety: sections 1 and 0, their mean 0.5."""
    bench, held = rewardbench(tmp_path / "bench.jsonl"), tmp_path / "held.jsonl"
    write_rows(held, rows(60)[50:])
    watch = Watch()
    made = trainer(rows(40), llama, tmp_path / "model", eval=[str(bench), f"mine={held}"], callbacks=[watch])
    model = made.train()
    last = watch.evaluated[-1]
    assert last["eval_bench_score"] == 0.5
    assert (last["eval_bench_section/Chat"], last["eval_bench_section/Safety"]) == (1.0, 0.0)
    assert last["eval_mine_accuracy"] == last["validation_accuracy"] == 1.0
    kept = model.metadata["figures"]["evaluations"]
    assert (kept["bench_score"], kept["mine_accuracy"]) == (0.5, 1.0)
    assert "bench score" in model.card
    report = judge.agree(judge.score(model, str(bench), out=tmp_path / "run", progress=False), benchmark="rewardbench")
    assert report.data.benchmarks[0].figures[0].value == 0.5


def test_a_mapping_names_the_data_and_a_benchmarks_name_its_protocol(llama: Path, tmp_path: Path) -> None:
    made = trainer(
        rows(20), llama, tmp_path / "model", eval={"llmbar": rows(60)[50:], "other": rows(70)[60:]}, epochs=1
    )
    kept = made.train().metadata["figures"]["evaluations"]
    assert {name for name in kept if name.startswith("other_")} == {"other_accuracy", "other_margin", "other_loss"}
    assert kept["llmbar_equal"] == 1.0  # a model that scores each response by itself says the same in both orders


def test_progress_names_the_main_figures() -> None:
    row = {"validation_loss": 0.5, "validation_accuracy": 0.75, "eval_rb_score": 0.5, "eval_rb_section/Chat": 1.0}
    assert figures(row) == "loss 0.500, accuracy 75.0%, rb score 0.500"


def test_best_by_evaluation_data_is_checked_before_training(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'yours' \(accepted: loss, accuracy, margin, correlation, mine\)"):
        trainer(rows(20), llama, tmp_path / "model", eval={"mine": rows(30)[20:]}, best_by="yours")
    assert not (tmp_path / "model").exists()


def test_evaluation_data_that_do_not_fit_are_refused_before_training(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="processbench counts verdicts of the task steps; kind scalar gives preference"
    ):
        trainer(rows(20), llama, tmp_path / "model", eval={"processbench": rows(9)})
    with pytest.raises(ConfigError, match="two sources have the name 'rows'"):
        trainer(rows(20), llama, tmp_path / "model", eval=[Mapped(rows(9)), Mapped(rows(8))])
    with pytest.raises(InputError, match="no such file"):
        trainer(rows(20), llama, tmp_path / "model", eval="nowhere.jsonl")
