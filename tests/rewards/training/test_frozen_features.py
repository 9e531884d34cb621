"""Features of a frozen backbone: computed once, kept under their key, and the weights are those of computing again."""

import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import set_seed

import judge
from judge.errors import RunError
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Features
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.red_flags import reversed_order
from judge.rewards.losses.registry import training_loss
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model
from judge.rewards.preparation import load_tokenizer
from judge.rewards.training.frozen_features import FrozenFeatures, Joined, _write, can_be_cached, frozen_features
from judge.rewards.training.loop import TrainingJob, make_accelerator, train
from tests.rewards.models import pairs, said

EXAMPLES = pairs(12)
SETTINGS: dict[str, Any] = {"freeze_backbone": True, "epochs": 3, "batch_size": 4, "learning_rate": 0.01}


def made(backbone: Path, **settings: Any) -> tuple[RewardModule, Any]:
    config = RewardConfig.of(backbone=str(backbone), **SETTINGS | settings)
    tokenizer = load_tokenizer(str(backbone))
    return build_reward_model(config, tokenizer), tokenizer


def calls(model: RewardModule) -> list[int]:
    """Grows by one whenever the backbone computes."""
    counted: list[int] = []
    model.backbone.register_forward_hook(lambda module, given, out: counted.append(1))
    return counted


def trained(backbone: Path, folder: Path, *, cached: bool, **settings: Any) -> tuple[dict[str, torch.Tensor], int]:
    """The head's weights after a training, and how often the backbone computed."""
    model, tokenizer = made(backbone, **settings)
    counted, collate = calls(model), model.collator(tokenizer)
    job = TrainingJob(
        model=model,
        collate=FrozenFeatures(model, collate) if cached else collate,
        loss=training_loss(model.config.updated(loss="bradley_terry")),
        examples=EXAMPLES,
        validation=(),
        config=model.config,
        targets=lambda batch: Targets.of(batch, "scalar"),
    )
    set_seed(0)
    train(job, folder, make_accelerator(model.config, folder))
    return model.own_state(), len(counted)


@pytest.mark.parametrize("family", ["llama", "bert"])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_training_on_cached_features_ends_in_the_same_weights(
    family: str, head: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """12 pairs in batches of 4 are 3 forwards an epoch: 9 in three epochs, and 3 with the cache."""
    backbone = request.getfixturevalue(family)
    plain, plain_calls = trained(backbone, tmp_path / "plain", cached=False, head=head, dtype="float32")
    cached, cached_calls = trained(backbone, tmp_path / "cached", cached=True, head=head, dtype="float32")
    assert (plain_calls, cached_calls) == (9, 3)
    assert plain.keys() == cached.keys()
    start = made(backbone, head=head)[0].own_state()
    assert any(float((start[name] - value).abs().max()) > 1e-3 for name, value in plain.items())
    for name, value in plain.items():
        torch.testing.assert_close(cached[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_features_are_computed_in_evaluation_whatever_the_dropout(llama: Path) -> None:
    model, tokenizer = made(llama, dropout=0.5)
    model.train()
    first = FrozenFeatures(model, model.collator(tokenizer)).compute(EXAMPLES)
    again = FrozenFeatures(model, model.collator(tokenizer)).compute(EXAMPLES)
    assert model.training
    assert torch.equal(first, again) and first.shape == (24, 32)


def test_an_example_in_another_order_is_known(llama: Path) -> None:
    model, tokenizer = made(llama)
    features = FrozenFeatures(model, model.collator(tokenizer))
    forward = features(EXAMPLES)
    counted = calls(model)
    backward = features(reversed_order(EXAMPLES))
    assert counted == [] and isinstance(backward, Features)
    assert torch.equal(backward.values.view(12, 2, 32), forward.values.view(12, 2, 32).flip(1))


def test_steps_have_a_feature_each(llama: Path) -> None:
    model, tokenizer = made(llama, kind="process")
    examples = [
        Example(id=str(number), group=str(number), prompt=said("user", "w10"), steps=("w20", "w21 w22", f"w{number}"))
        for number in range(30, 33)
    ]
    features = FrozenFeatures(model, model.collator(tokenizer))
    with torch.no_grad():
        wanted = model(model.collator(tokenizer)(examples))
        got = model(features(examples))
    assert got.shape == (9, 2)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_kept_features_are_read_under_their_key_alone(llama: Path, tmp_path: Path) -> None:
    def features(key: str) -> tuple[torch.Tensor, int]:
        model, tokenizer = made(llama)
        counted = calls(model)
        accelerator = make_accelerator(model.config, tmp_path)
        cache = frozen_features(model, model.collator(tokenizer), EXAMPLES, tmp_path, key, accelerator)
        return cache(EXAMPLES).values, len(counted)

    first, computed = features("a")
    assert computed > 0
    again, recomputed = features("a")
    assert recomputed == 0 and torch.equal(first, again)
    assert features("b")[1] > 0
    (file,) = tmp_path.glob("features-1-of-1.safetensors")
    file.write_bytes(file.read_bytes()[:-10])  # a disk that was full
    mended, recomputed = features("b")
    assert recomputed > 0 and torch.equal(first, mended)


def test_parts_are_one_after_another_and_shares_are_every_so_many() -> None:
    every = Joined((EXAMPLES[:5], [], EXAMPLES[5:]))
    assert list(every) == EXAMPLES and every[-1] == EXAMPLES[-1]
    assert list(every[1::3]) == EXAMPLES[1::3] and list(every[1::3][1:3]) == EXAMPLES[4:8:3]
    assert len(Joined(([], []))) == 0


def test_features_on_the_disk_are_those_in_memory_in_any_precision(llama: Path, tmp_path: Path) -> None:
    """24 reads of 32 numbers; bf16 has a file of half the size, 24 · 32 · 2 bytes behind its header."""
    sizes = []
    for dtype in ("float32", "bfloat16"):
        model, tokenizer = made(llama, dtype=dtype)
        accelerator = make_accelerator(model.config, tmp_path)
        collate, folder = model.collator(tokenizer), tmp_path / dtype
        folder.mkdir()
        in_memory = FrozenFeatures(model, collate, accelerator.autocast).compute(EXAMPLES)
        cache = frozen_features(model, collate, EXAMPLES, folder, "a", accelerator)
        assert torch.equal(cache(EXAMPLES).values, in_memory) and in_memory.shape == (24, 32)
        (file,) = folder.iterdir()
        sizes.append((in_memory.dtype.itemsize, file.stat().st_size))
    for width, size in sizes:
        assert 0 < size - 24 * 32 * width < 200


def test_a_full_disk_ends_in_a_line(tmp_path: Path) -> None:
    """No file can have more than 100 KB, and 1,000 features of 32 numbers take 128."""
    file = tmp_path / "features.safetensors"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(RunError) as caught:
            _write(file, "a", lambda new: new((1000, 32), torch.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value) == f"{tmp_path}/features.new: cannot be written: File too large"
    assert not list(tmp_path.iterdir())


def test_a_system_that_cannot_reserve_room_makes_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("reserved", "truncated"):
        _write(tmp_path / name, "a", lambda new: new((3, 2), torch.float32).fill_(1.5))
        monkeypatch.delattr("os.posix_fallocate", raising=False)
    assert (tmp_path / "truncated").read_bytes() == (tmp_path / "reserved").read_bytes()


def test_what_reads_more_than_features_is_not_cached() -> None:
    assert can_be_cached(RewardConfig.of(freeze_backbone=True))
    for other in (
        {"freeze_backbone": False},
        {"encoder": "fusion"},
        {"kind": "hierarchical"},
        {"head": "likelihood", "kind": "outcome"},
    ):
        assert not can_be_cached(RewardConfig.of(**{"freeze_backbone": True, **other})), other


def test_distill_goes_the_whole_way_on_cached_features(bert: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"w{6 + number} w7", "chosen": f"w10 w{20 + number}", "rejected": f"w40 w{20 + number}"}
        for number in range(30)
    ]
    out = tmp_path / "model"
    model = judge.distill(
        rows, kind="scalar", backbone=str(bert), out=out, validation_fraction=0.3, progress=False, **SETTINGS
    )
    assert model.figures["accuracy"] > 0.5
    assert not (out / "state").exists()
    assert model.score("w7", "w10").value is not None
