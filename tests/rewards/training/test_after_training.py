"""What is fitted after training: levels, gates, scales, uncertainty; and calibration sees what scoring gives."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import judge
from judge.errors import InputError
from judge.files import write_rows
from judge.formats import to_row
from judge.judgements import Preference, Score
from judge.records import HumanLabel, Message, Pair, Response
from judge.rewards.checkpoint.save_load import load, save
from judge.rewards.data.examples import Labelled
from judge.rewards.distill import distill
from judge.rewards.inference.scoring import collator_for, compute_rewards
from judge.rewards.modeling.reward_model import RewardModule
from judge.rewards.preparation import prepare
from judge.rewards.training.after_training import complete_model, predict_scores
from judge.rewards.training.loop import TrainingJob
from tests.rewards.test_distill import config
from tests.rewards.training.test_loop import asked, job, outcomes, pairs


def add_to_members(model: RewardModule, constants: list[float]) -> None:
    """Add a constant to what each member says of every text, by the bias that the encoder's last layer has."""
    weight = model.head.score.weight  # type: ignore[union-attr]
    shift = torch.linalg.lstsq(weight, torch.tensor(constants)[:, None]).solution[:, 0]  # type: ignore[arg-type]
    with torch.no_grad():
        model.encoder.out.bias += shift  # type: ignore[operator, union-attr]


def finished(llama: Path, folder: Path, constants: list[float] | None, **settings: Any) -> tuple[TrainingJob, Path]:
    """An ensemble that is completed and saved, its members moved by constants first."""
    made = job(llama, encoder="cross", kind="ensemble", members=3, **settings)
    assert isinstance(made.model, RewardModule)
    if constants:
        add_to_members(made.model, constants)
    completed = complete_model(made, (), "cpu")
    save(made.model, made.collate.tokenizer.tokenizer, completed, None, [], folder)
    return made, folder


def people(folder: Path) -> Path:
    """The pairs of the tests as a file with a human label each."""
    rows = []
    for record, judgement in pairs(12):
        assert isinstance(record, Pair) and isinstance(judgement, Preference) and judgement.p_first is not None
        verdict = "first" if judgement.p_first > 0.5 else "second"
        human = (HumanLabel(annotator="ann", verdict=verdict),)
        rows.append(to_row(Pair(prompt=record.prompt, first=record.first, second=record.second, human=human)))
    write_rows(folder / "pairs.jsonl", rows)
    return folder / "pairs.jsonl"


@pytest.mark.parametrize(("method", "lower"), [("members", 1.0), ("laplace", 0.0), ("refit", 1.0)])
def test_a_constant_added_to_a_member_changes_nothing(method: str, lower: float, llama: Path, tmp_path: Path) -> None:
    data, numbers, best, headlines = people(tmp_path), [], [], []
    for name, constants in (("plain", None), ("moved", [5.0, -2.0, 0.5])):
        made, folder = finished(llama, tmp_path / name, constants, uncertainty=method, feature_bank="fifo")
        values, reward, _ = predict_scores(made, made.examples, "cpu")
        loaded = load(folder, device="cpu")
        again = compute_rewards(loaded, collator_for(loaded, cache_size=99), made.examples)
        flat = [read for reads in again for read in reads]
        assert torch.tensor([read.values for read in flat]) == pytest.approx(values, abs=1e-4)
        assert [read.reward for read in flat] == pytest.approx(reward.tolist(), abs=1e-4)
        run = judge.score(folder, data, out=tmp_path / f"run-{name}", lower=lower, best_of=True, progress=False)
        rows = [row["meta"]["reward"] for row in run.rows()]
        numbers.append([[*row["scores"], *row["mean"], *row["std"], row["difference_std"]] for row in rows])
        members = [value for row in rows for member in row["members"] for value in member]
        numbers[-1].append(members)
        best.append(
            [json.loads(line)["completion"] for line in (run.directory / "best.jsonl").read_text("utf-8").splitlines()]
        )
        headlines.append(judge.agree(run, human=data).figures["accuracy"].value)
    for plain, moved in zip(*numbers, strict=True):
        assert moved == pytest.approx(plain, abs=1e-3)
    assert best[0] == best[1] and headlines[0] == headlines[1]


@pytest.mark.parametrize("method", ["laplace", "refit", "dropout"])
def test_a_scalar_model_knows_what_it_does_not_know(method: str, llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert distill(prepare(pairs(40), config(llama, uncertainty=method)), out) is not None
    model = judge.load_reward_model(out)
    assert model.config.model.uncertainty == method
    index = json.loads((out / "model.safetensors.index.json").read_text("utf-8"))
    assert (out / "head.safetensors").is_file()
    assert set(index["weight_map"].values()) == {"model.safetensors"}  # all that vLLM reads
    reward, both = model.score("w7 w6", "w10 w31"), model.compare("w7 w6", "w10 w31", "w20 w31")
    assert reward.value is not None and reward.std is not None and reward.std > 0
    assert reward.lower == pytest.approx(reward.value - reward.std)
    assert both.difference == pytest.approx(reward.value - float(model.score("w7 w6", "w20 w31")), abs=1e-5)
    assert both.std is not None and both.std > 0
    assert model.compare("w7 w6", "w10", "w10").std == pytest.approx(0.0, abs=1e-4)
    run = judge.score(out, [to_row(pairs(1)[0][0])], out=tmp_path / "run", lower=1.0, progress=False)
    (row,) = run.rows()
    numbers = row["meta"]["reward"]
    assert numbers["scores"] == pytest.approx([m - s for m, s in zip(numbers["mean"], numbers["std"], strict=True)])


def test_outcomes_and_scores_have_a_posterior_too(llama: Path, tmp_path: Path) -> None:
    for kind, labelled in (("outcome", outcomes), ("scalar", scored), ("multi", scored)):
        out = tmp_path / kind
        assert distill(prepare(labelled(40), config(llama, kind=kind)), out) is not None
        assert judge.load_reward_model(out).score("w7 w6", "w10").std > 0  # type: ignore[operator]


def test_a_frozen_backbone_is_read_by_its_cached_features(llama: Path, tmp_path: Path) -> None:
    ensemble = prepare(pairs(24), config(llama, kind="ensemble", freeze_backbone=True))
    gated = prepare(scored(40), config(llama, kind="multi", gated=True, freeze_backbone=True))
    for name, prepared in (("ensemble", ensemble), ("gated", gated)):
        assert distill(prepared, tmp_path / name) is not None
    assert judge.load_reward_model(tmp_path / "ensemble").score("w7 w6", "w10").std > 0  # type: ignore[operator]
    gate = load(tmp_path / "gated", device="cpu").model.gate
    assert gate is not None and gate.layers[-1].weight.abs().max() > 1e-3  # type: ignore[operator]


def test_no_uncertainty_is_none(llama: Path, tmp_path: Path) -> None:
    assert distill(prepare(pairs(24), config(llama, uncertainty="none")), tmp_path / "model") is not None
    assert judge.load_reward_model(tmp_path / "model").score("w7", "w10").std is None


# -- objectives and their gate ----------------------------------------------------------------------------------------


def scored(count: int) -> list[Labelled]:
    """Two objectives of very different scales: one is 1000 times the other."""
    rows: list[Labelled] = []
    for number in range(count):
        response = Response(prompt=asked(number // 2), response=(Message("assistant", f"w{10 + number % 5}"),))
        rows.append((response, Score(verdict={"help": number % 5, "harm": 1000 * (number % 2)})))
    return rows


def test_objectives_are_learnt_in_standard_units_and_given_back_in_their_own(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    prepared = prepare(scored(40), config(llama, kind="multi", epochs=8))
    assert distill(prepared, out) is not None
    loaded = load(out, device="cpu")
    harm = [example.scores[0]["harm"] for example in prepared.examples]
    mean = sum(harm) / len(harm)
    deviation = (sum((score - mean) ** 2 for score in harm) / len(harm)) ** 0.5
    assert loaded.model.score_mean[0] == pytest.approx(mean)  # "harm" comes first by the alphabet
    assert loaded.model.score_scale[0] == pytest.approx(deviation)
    reward = judge.load_reward_model(out).score("w7 w6", "w10")
    assert reward.objectives is not None
    standard = [
        (reward.objectives[name] - float(loaded.model.score_mean[place])) / float(loaded.model.score_scale[place])
        for place, name in enumerate(("harm", "help"))
    ]
    assert reward.value == pytest.approx(sum(standard) / 2, abs=1e-4)  # either counts alike, whatever its scale


def preferred_by(rows: list[Labelled]) -> list[Labelled]:
    """Pairs of the same prompts, decided by the first word's number alone: by "help"."""
    made: list[Labelled] = []
    for number in range(0, len(rows), 2):
        (first, one), (second, other) = rows[number], rows[number + 1]
        assert isinstance(first, Response) and isinstance(second, Response)
        assert isinstance(one, Score) and isinstance(other, Score)
        better = int(one.verdict["help"] > other.verdict["help"])  # type: ignore[operator]
        pair = Pair(prompt=first.prompt, first=first.response, second=second.response)
        made.append((pair, Preference(verdict="first" if better else "second", p_first=float(better))))
    return made


def test_a_gate_is_trained_by_a_plain_distill(llama: Path, tmp_path: Path) -> None:
    rows = scored(60)
    values = {"kind": "multi", "gated": True, "epochs": 6}
    prepared = prepare([*rows, *preferred_by(rows)], config(llama, **values))
    held_out = {example.group for example in prepared.validation}
    assert prepared.gate_pairs and not held_out & {pair.group for pair in prepared.gate_pairs}
    assert not prepared.dropped
    assert distill(prepared, tmp_path / "model") is not None
    loaded = load(tmp_path / "model", device="cpu")
    with torch.inference_mode():
        rewards = loaded.model.rewards(collator_for(loaded)(prepared.gate_pairs))
    assert rewards.weights is not None
    assert rewards.weights.sum(-1).tolist() == pytest.approx([1.0] * len(rewards.weights))
    assert float(rewards.weights.std(0).max()) > 0.01  # it began with a half each, everywhere

    labels = torch.tensor([pair.p_first for pair in prepared.gate_pairs])

    def loss(reward: torch.Tensor) -> float:
        difference = reward[0::2] - reward[1::2]
        return float(torch.nn.functional.binary_cross_entropy_with_logits(difference, labels))

    assert loss(rewards.combined[:, 0]) < 0.9 * loss(rewards.values.mean(-1))


def test_a_gate_without_pairs_learns_by_the_scores_of_a_prompt_or_is_refused(llama: Path) -> None:
    # Prompts have two responses each: 20 pairs, of which those of held-out prompts are left out.
    prepared = prepare(scored(40), config(llama, kind="multi", gated=True))
    assert len(prepared.gate_pairs) == len({example.group for example in prepared.examples})
    single = [(response, judgement) for response, judgement in scored(40)[::2]]
    with pytest.raises(InputError, match="gated: a gate is fitted to preferences"):
        prepare(single, config(llama, kind="multi", gated=True))


# -- the same numbers everywhere --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labelled", "settings"),
    [
        (pairs, {"feature_bank": "fifo"}),
        (pairs, {"kind": "ensemble", "feature_bank": "reservoir"}),
        (scored, {"kind": "multi", "gated": True}),
    ],
)
def test_calibration_sees_what_scoring_gives(
    labelled: Any, settings: dict[str, Any], llama: Path, tmp_path: Path
) -> None:
    prepared = prepare(labelled(60), config(llama, **settings))
    assert distill(prepared, tmp_path / "model") is not None
    loaded = load(tmp_path / "model", device="cpu")
    assert loaded.calibration is not None
    reads = compute_rewards(loaded, collator_for(loaded, cache_size=99), prepared.validation)
    rewards = torch.tensor([read.reward for row in reads for read in row], dtype=torch.float64)
    assert loaded.calibration.mean == pytest.approx(float(rewards.mean()), abs=1e-4)
    assert loaded.calibration.scale == pytest.approx(float(rewards.std(correction=0)), rel=1e-3)
    shown = judge.load_reward_model(tmp_path / "model", normalize=True)
    if settings.get("kind") != "multi":
        batch = shown.score_batch([record for record, _ in labelled(60)])
        assert all(reward.std is not None for row in batch for reward in row)
    record, _ = labelled(60)[0]
    run = judge.score(tmp_path / "model", [to_row(record)], out=tmp_path / "run", normalize=True, progress=False)
    (row,) = run.rows()
    (rewards_of_record,) = shown.score_batch([record])
    assert row["meta"]["reward"]["scores"] == pytest.approx([float(reward) for reward in rewards_of_record], abs=1e-4)
    text = prepared.validation[0]
    plain = judge.load_reward_model(tmp_path / "model").score(text.prompt, text.responses[0])
    normal = shown.score(text.prompt, text.responses[0])
    assert float(normal) == pytest.approx((float(plain) - loaded.calibration.mean) / loaded.calibration.scale, abs=1e-4)
