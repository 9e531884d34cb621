"""A model that TRL's RewardTrainer trained and saved, scored from its directory untouched, beside one of ours."""

from pathlib import Path
from typing import Any

import pytest

import judge
from tests.rewards.external.test_published import ANSWERS, CPU, PROMPT, by_transformers
from tests.rewards.models import save, words

PAIRS: list[dict[str, Any]] = [
    {
        "prompt": [{"role": "user", "content": words(7 + number, 8, 9)}],
        "chosen": [{"role": "assistant", "content": words(10, 11 + number)}],
        "rejected": [{"role": "assistant", "content": words(20, 21 + number)}],
    }
    for number in range(16)
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen steps of TRL over a small Llama."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    folder = tmp_path_factory.mktemp("trl")
    args = RewardConfig(
        output_dir=str(folder / "steps"),
        max_steps=16,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        model_init_kwargs={"dtype": "float32"},
    )
    backbone = str(save(folder / "backbone", "llama"))
    trainer = RewardTrainer(model=backbone, args=args, train_dataset=Dataset.from_list(PAIRS))
    trainer.train()
    trainer.save_model(str(folder / "model"))
    return folder / "model"


@pytest.mark.filterwarnings("ignore")  # TRL's and transformers' own
def test_its_scores_are_those_of_transformers(trained: Path) -> None:
    model = judge.open_reward(trained, **CPU)
    rewards = model.score_batch([(PROMPT, answer) for answer in ANSWERS])
    for (reward,), answer in zip(rewards, ANSWERS, strict=True):
        assert reward.value == pytest.approx(by_transformers(trained, PROMPT, answer)[0], abs=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_it_learnt_and_its_run_is_read_like_a_judges(trained: Path, tmp_path: Path) -> None:
    """Held to TRL's own labels: `chosen` is better, and the model has learnt so."""
    run = judge.score(trained, PAIRS, out=tmp_path / "run", progress=False, best_of=True, **CPU)
    assert run.task == "preference" and run.counts.rows == 16
    assert run.config["model"]["architecture"] == "LlamaForSequenceClassification"
    report = judge.agree(run, human=PAIRS, resamples=0)
    accuracy = report.data.judges[0].figures["accuracy"]
    assert accuracy.value is not None and accuracy.value >= 0.9
    assert run.written["best.jsonl"] == 16
    examined = judge.robustness(trained, PAIRS, probe="pad", k=0, resamples=10, dtype="float32", device="cpu")
    assert examined.data is not None


@pytest.mark.filterwarnings("ignore")
def test_it_is_audited(trained: Path, tmp_path: Path) -> None:
    """A model that reads texts one by one cannot see the order of a pair: no verdict moves with it."""
    audited = judge.audit(PAIRS, model=trained, probe="swap", out=tmp_path / "audit", progress=False)
    (swap,) = audited.probes
    assert (swap.probe, swap.moved.value, swap.moved.n) == ("swap", 0.0, 16)
    with pytest.raises(judge.ConfigError, match="task: a reward model is audited without"):
        judge.audit(PAIRS, model=trained, task="preference", out=tmp_path / "other")


def test_ours_is_scored_by_transformers_as_by_us(trained: Path, tmp_path: Path) -> None:
    backbone = str(trained.parent / "backbone")
    ours = judge.distill(PAIRS, kind="scalar", backbone=backbone, out=tmp_path / "ours", progress=False)
    assert isinstance(judge.open_reward(ours.path, **CPU), judge.RewardModel)
    for answer in ANSWERS:
        assert ours.score(PROMPT, answer).value == pytest.approx(
            by_transformers(ours.path, PROMPT, answer)[0], abs=1e-4
        )
