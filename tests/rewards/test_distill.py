"""From labelled records to a model directory that others load."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from judge.engines.spec import read_settings
from judge.errors import ConfigError, EngineError, InputError, RmjudgeError, RunChangedError, RunError, UnknownNameError
from judge.judgements import Preference, Score
from judge.records import Message, Pair, Response
from judge.rewards.checkpoint.save_load import load
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Labelled
from judge.rewards.distill import distill
from judge.rewards.preparation import max_tokens, prepare
from judge.rewards.training.claim import FINGERPRINT, begin_saving, claim, refuse_other
from judge.rewards.training.resume import STATE
from tests.rewards.training.test_loop import StopAt, asked, outcomes, pairs, solutions


def scores(count: int) -> list[Labelled]:
    made: list[Labelled] = []
    for number in range(count):
        response = Response(prompt=asked(number), response=(Message("assistant", f"w{10 + number % 5}"),))
        made.append((response, Score(verdict={"help": number % 5, "harm": number % 2})))
    return made


def config(llama: Path, **values: Any) -> RewardConfig:
    return RewardConfig.of(
        **{"backbone": str(llama), "kind": "scalar", "batch": 8, "rate": 3e-3, "validation": 0.3, **values}
    )


@pytest.mark.parametrize(
    ("kind", "labelled", "outputs"),
    [
        ("scalar", pairs, 1),
        ("scalar", scores, 1),
        ("multi", scores, 2),
        ("outcome", outcomes, 1),
        ("process", solutions, 2),
        ("ensemble", pairs, 5),
        ("hierarchical", pairs, 1),
    ],
)
def test_every_kind_goes_the_whole_way(
    kind: str, labelled: Callable[[int], list[Labelled]], outputs: int, llama: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    parent = {"kind": "run", "path": "runs/x", "hash": "0" * 32}
    prepared = prepare(labelled(40), config(llama, kind=kind), parents=[parent], out=out)
    done = distill(prepared, out)
    assert done is not None
    names = {path.name for path in out.iterdir()}
    assert {"reward.json", "README.md", "curves.svg", "tokenizer.json"} <= names
    assert STATE not in names
    about = json.loads((out / "reward.json").read_text("utf-8"))
    assert [one["kind"] for one in about["parents"]] == ["run", "backbone"]
    assert about["parents"][1]["weights"].keys() == {"model.safetensors"}
    assert about["figures"]["validation_examples"] == len(prepared.validation) == 12
    loaded = load(out)
    assert loaded.config.model.kind == kind
    assert loaded.model(loaded.model.collator(loaded.tokenizer)(prepared.validation[:1])).shape[-1] == outputs
    assert "validation" in done.to_dict()


def test_members_may_be_adapters(llama: Path, tmp_path: Path) -> None:
    values = {"kind": "ensemble", "member_kind": "adapters", "members": 2, "lora_rank": 2}
    done = distill(prepare(pairs(24), config(llama, **values)), tmp_path / "model")
    assert done is not None
    assert load(tmp_path / "model").config.model.members == 2


def test_a_reward_model_is_the_backbone_of_another(llama: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "process", tmp_path / "scalar"
    distill(prepare(solutions(24), config(llama, kind="process")), first)
    distill(prepare(pairs(24), config(first)), second)
    parent = json.loads((second / "reward.json").read_text("utf-8"))["parents"][-1]
    assert parent["kind"] == "process"
    assert parent["parents"][-1]["kind"] == "backbone"  # and so back to where it began


def test_texts_that_are_too_long_are_cut_or_dropped_with_a_count(llama: Path) -> None:
    said = Preference(verdict="first", p_first=0.9)

    def one(prompt: int, response: int, number: int) -> Labelled:
        first, second = ((Message("assistant", " ".join([word] * response)),) for word in ("w7", "w8"))
        prompted = (Message("user", " ".join([f"w{20 + number}"] * prompt)),)
        return Pair(prompt=prompted, first=first, second=second), said

    labelled = [one(2, 3, 0), one(40, 3, 1), one(2, 40, 2), one(2, 40, 3)]
    prepared = prepare(labelled, config(llama, max_length=24, validation=0.0))
    assert len(prepared.examples) == 2
    assert prepared.cut == 1
    assert dict(prepared.dropped) == {"response longer than max_length": 2}
    account = prepared.to_dict()
    assert account["prompts_cut"] == 1
    with pytest.raises(InputError, match=r"no example is left: 2 response longer than max_length \(max_length is 24"):
        prepare(labelled[2:], config(llama, max_length=24))


def test_a_backbone_with_learnt_positions_takes_no_longer_texts(bert: Path, llama: Path) -> None:
    assert max_tokens(config(bert, max_length=5000)) == 256
    assert max_tokens(config(bert, max_length=100)) == 100
    assert max_tokens(config(llama, max_length=5000)) == 5000


def tied(count: int) -> list[Labelled]:
    return [(record, Preference(verdict="tie", p_first=0.5)) for record, _ in pairs(count)]


@pytest.mark.parametrize(
    ("labelled", "values", "error", "said"),
    [
        (tied(4), {}, InputError, "all 4 pairs are ties"),
        (outcomes(9)[1::2], {"kind": "outcome"}, InputError, "all 4 answers are correct"),
        (pairs(4), {"kind": "process"}, ConfigError, "preference cannot teach kind process"),
        (pairs(4), {"backbone": ""}, ConfigError, "needs a backbone"),
        (pairs(4), {"backbone": "no/such-model"}, EngineError, "the tokenizer of 'no/such-model' cannot be loaded"),
        (pairs(4), {"loss": "bradley-tery"}, UnknownNameError, "did you mean 'bradley_terry'"),
        (pairs(4), {"loss": "steps"}, ConfigError, "kind scalar is not trained by loss step_cross_entropy"),
        (scores(9), {"kind": "multi", "objectives": ("helb",)}, UnknownNameError, "did you mean 'help'"),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_anything_is_written(
    labelled: list[Labelled], values: dict[str, Any], error: type[RmjudgeError], said: str, llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        prepare(labelled, config(llama, **values), out=tmp_path / "model")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_a_directory_that_holds_something_is_left_alone(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"is not empty \(thesis.tex\)"):
        prepare(pairs(4), config(llama), out=out)
    distill(prepare(pairs(24), config(llama)), tmp_path / "other")
    with pytest.raises(RunError, match="holds a reward model already"):
        prepare(pairs(24), config(llama), out=tmp_path / "other")


def test_an_interrupted_training_goes_on_only_as_itself(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    chosen = config(llama, save_every=1, batch=4)
    with pytest.raises(KeyboardInterrupt):
        distill(prepare(pairs(24), chosen, out=out), out, StopAt(2))
    assert {path.name for path in (out / STATE).iterdir()} == {FINGERPRINT, "step-1"}
    other = config(llama, save_every=1, batch=4, rate=1e-3)
    with pytest.raises(RunChangedError, match=r"not this one: learning_rate was 0\.003, is 0\.001"):
        prepare(pairs(24), other, out=out)
    with pytest.raises(RunChangedError, match=r"not this one: learning_rate was 0\.003, is 0\.001"):
        distill(prepare(pairs(24), other), out)
    with pytest.raises(RunChangedError, match="the data is another"):
        prepare(pairs(25), chosen, out=out)
    with pytest.raises(RunChangedError, match=r"gradient_accumulation_steps was 1, is 2"):
        distill(prepare(pairs(24), config(llama, save_every=1, batch=4, accumulate=2), out=out), out)
    done = distill(prepare(pairs(24), config(llama, save_every=2, batch=4), out=out), out)
    assert done is not None
    assert done.to_dict()["resumed_from_step"] == 1
    assert (out / "reward.json").is_file()


def interrupted(llama: Path, out: Path, **values: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        distill(prepare(pairs(24), config(llama, save_every=1, batch=4, **values), out=out), out, StopAt(2))


def test_another_backbone_of_the_same_name_is_refused(llama: Path, tmp_path: Path) -> None:
    backbone, out = tmp_path / "backbone", tmp_path / "model"
    shutil.copytree(llama, backbone)
    interrupted(backbone, out)
    weights = load_file(backbone / "model.safetensors")
    weights["norm.weight"] += 1
    save_file(weights, backbone / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunChangedError, match=r"the weights of the backbone '.*/backbone' are others"):
        prepare(pairs(24), config(backbone, save_every=1, batch=4), out=out)


def test_another_chat_template_is_refused(llama: Path, tmp_path: Path) -> None:
    backbone, out = tmp_path / "backbone", tmp_path / "model"
    shutil.copytree(llama, backbone)
    interrupted(backbone, out)
    template = (backbone / "chat_template.jinja").read_text()
    (backbone / "chat_template.jinja").write_text(template.replace("<eos>", "<pad>"))
    with pytest.raises(RunChangedError, match="the tokenizer or its chat template makes other tokens"):
        prepare(pairs(24), config(backbone, save_every=1, batch=4), out=out)


def test_another_number_of_processes_goes_on_where_a_step_takes_the_same_batches(llama: Path, tmp_path: Path) -> None:
    """Two processes of one batch are one process of two; with dropout they draw apart, and are refused."""
    fingerprint = prepare(pairs(24), config(llama)).fingerprint()
    claim(fingerprint, tmp_path / "two", 2)
    with pytest.raises(RunChangedError) as caught:
        refuse_other(fingerprint, tmp_path / "two", 1)
    assert str(caught.value).endswith(
        "it was begun by 2 processes, and now there is 1 (accepted: 2 processes, or gradient_accumulation_steps=2, "
        "which takes the same batches a step)"
    )
    two = prepare(pairs(24), config(llama, accumulate=2)).fingerprint()
    refuse_other(two, tmp_path / "two", 1)
    dropout = prepare(pairs(24), config(llama, dropout=0.1)).fingerprint()
    claim(dropout, tmp_path / "dropout", 1)
    with pytest.raises(RunChangedError, match=r"now there are 2 \(accepted: 1 process\)"):
        refuse_other(dropout, tmp_path / "dropout", 2)


def test_what_a_killed_saving_left_is_filled_in(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    interrupted(llama, out)
    (out / "tokenizer.json").write_text("half of it")
    with pytest.raises(RunError, match=r"is not empty \(tokenizer.json\)"):
        prepare(pairs(24), config(llama, save_every=1, batch=4), out=out)
    begin_saving(out)
    done = distill(prepare(pairs(24), config(llama, save_every=1, batch=4), out=out), out)
    assert done is not None
    assert load(out).config.model.kind == "scalar"


def test_a_state_that_a_killed_process_left_beside_its_model_is_removed(llama: Path, tmp_path: Path) -> None:
    """A state that does not say that it was saving is not ours, and stays."""
    out = tmp_path / "model"
    interrupted(llama, out)
    (out / "reward.json").write_text("{}")
    with pytest.raises(RunError, match="holds a reward model already"):
        prepare(pairs(24), config(llama), out=out)
    assert (out / STATE / FINGERPRINT).is_file()
    begin_saving(out)
    with pytest.raises(RunError, match="holds a reward model already"):
        prepare(pairs(24), config(llama), out=out)
    assert [path.name for path in out.iterdir()] == ["reward.json"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trackers": "aim"}, "tracker aim is not installed"),
        ({"head": "likelihood"}, "embeddings are one"),
        ({"lora_rank": 2, "lora_target_modules": "nowhere"}, "lora_target_modules"),
        ({"dtype": "float16"}, "dtype float16 needs a GPU"),
        ({"lora_rank": 2, "quantization": "4bit"}, "(bitsandbytes|blocks of 64)"),
        ({"quantization": "8bit"}, "needs a lora_rank above 0"),
    ],
)
def test_what_training_would_refuse_is_refused_before(values: dict[str, Any], said: str, llama: Path) -> None:
    if "float16" in values.values() and torch.cuda.is_available():
        pytest.skip("a GPU multiplies fp16")
    with pytest.raises(RmjudgeError, match=said) as caught:
        prepare(pairs(8), config(llama, **values))
    assert "\n" not in str(caught.value)


def test_packed_batches_of_a_bidirectional_backbone_are_refused_before(bert: Path) -> None:
    with pytest.raises(ConfigError, match="bidirectional"):
        prepare(pairs(8), config(bert, layout="packed"))


@pytest.mark.parametrize("text", ["rate=1e-4", "learning_rate=1e-4", "lr=1E-4", "rate=0.0001"])
def test_rates_are_read_as_people_write_them(text: str) -> None:
    assert RewardConfig.of(**read_settings([text])).training.learning_rate == 0.0001
