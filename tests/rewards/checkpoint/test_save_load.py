"""A saved model is the model: by our loader and by transformers' own, with adapters, and after a crash."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizer,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
)

import judge
from judge.errors import EngineError, InputError, RunError
from judge.records import Message
from judge.rewards.checkpoint import save_load as checkpoint
from judge.rewards.checkpoint.metadata import read_metadata
from judge.rewards.checkpoint.padding import padding_conflict, set_padding
from judge.rewards.checkpoint.save_load import export_merged, load, merge, save
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.inference.loader_parity import check_loaders
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model

TINY = Path(judge.__file__).parent / "tiny" / "model"


def save_llama(folder: Path, **given: Any) -> Path:
    """A random causal backbone with the embedded judge's tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=458,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        **given,
    )
    LlamaModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(TINY).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random bidirectional backbone whose tokenizer knows a few words."""
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"what is 1 2 3 4 + = ? the answer it".split()]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


Made = tuple[RewardModule, Any, RewardConfig]


def make(backbone: Path, **given: Any) -> Made:
    """A model that was not trained, with a head that is not nothing."""
    config = RewardConfig.of(backbone=str(backbone), max_length=64, **given)
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    return build_reward_model(config, tokenizer).eval(), tokenizer, config


PAIR = Example(
    id="a",
    group="g",
    prompt=(Message("user", "what is 1 + 2 ?"),),
    responses=((Message("assistant", "3"),), (Message("assistant", "the answer is 1 + 2 = 4"),)),
)
SOLUTION = Example(id="b", group="g", prompt=PAIR.prompt, steps=("1 + 2 = 3", "the answer is 3"))


def values(model: RewardModule, tokenizer: Any, kind: str) -> torch.Tensor:
    """(N, C) of the pair, or of the solution."""
    with torch.no_grad():
        return model.rewards(model.collator(tokenizer)([SOLUTION if kind == "process" else PAIR])).values


KINDS: dict[str, dict[str, Any]] = {
    "scalar": {},
    "outcome": {"kind": "outcome"},
    "multi": {"kind": "multi", "objectives": ("kind", "true"), "objective_weights": (1.0, 3.0)},
    "gated": {"kind": "multi", "objectives": ("kind", "true"), "gated": True},
    "ensemble": {"kind": "ensemble", "members": 3},
    "process": {"kind": "process"},
    "process3": {"kind": "process", "classes": 3},
    "hierarchical": {"kind": "hierarchical"},
    "mlp": {"head": "mlp"},
    "pulled": {"l2_sp": 0.1},
    "bank": {"bank": "fifo", "bank_size": 4},
    "enhanced": {"kind": "ensemble", "head": "mlp", "bank": "reservoir", "bank_size": 4},
    "fusion": {"encoder": "fusion"},
    "cross": {"encoder": "cross"},
    "lora": {"lora_rank": 4},
    "lora process": {"kind": "process", "lora_rank": 4},
    "lora members": {"kind": "ensemble", "members": 2, "lora_rank": 2, "member_kind": "adapters"},
    "lora mlp": {"head": "mlp", "lora_rank": 4},
}


def shaken(model: RewardModule) -> None:
    """Adapters begin as nothing, banks empty: give every weight a value that only a reloaded file can have."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_" in name or not name.startswith("backbone."):
                weight.normal_(std=0.3)
        if model.bank is not None:
            model.bank.add(torch.randn(3, 32), torch.randn(3, model.config.model.outputs))


@pytest.mark.parametrize(
    ("name", "family"),
    [*((name, "llama") for name in KINDS), *((name, "bert") for name in ("scalar", "process3", "enhanced", "lora"))],
)
def test_what_is_loaded_is_what_was_saved(
    name: str, family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model, tokenizer, config = make(request.getfixturevalue(family), **KINDS[name])
    shaken(model)
    wanted = values(model, tokenizer, config.model.kind)
    save(model, tokenizer, config, None, [{"step": 1}], tmp_path / "model", parents=[{"kind": "run"}])
    loaded = load(tmp_path / "model", device="cpu")
    assert torch.equal(values(loaded.model, loaded.tokenizer, config.model.kind), wanted)
    assert loaded.config == config
    assert loaded.metadata["parents"] == [{"kind": "run"}]
    assert loaded.metadata["history"] == [{"step": 1}]
    assert not loaded.model.training


@pytest.mark.parametrize("name", ["scalar", "gated", "ensemble", "bank"])
def test_transformers_reads_a_causal_model_as_a_sequence_classifier(name: str, llama: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(llama, **KINDS[name])
    shaken(model)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    theirs, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(info.values())
    assert theirs.config.num_labels == config.model.outputs
    assert theirs.config.pad_token_id == 0 != theirs.config.eos_token_id
    assert theirs.config.problem_type == "regression"  # or vLLM would squash a reward
    rows = model.collator(tokenizer)([PAIR])
    texts = [[*PAIR.prompt, *response] for response in PAIR.responses]
    turns = [[{"role": turn.role, "content": turn.content} for turn in text] for text in texts]
    own = AutoTokenizer.from_pretrained(tmp_path / "model")
    ids = [own.apply_chat_template(text, tokenize=True)["input_ids"] for text in turns]
    with torch.no_grad():
        wanted = model(rows)
        for side in ("left", "right"):
            own.padding_side = side
            batch = own.pad({"input_ids": ids}, return_tensors="pt")
            torch.testing.assert_close(theirs.eval()(**batch).logits, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "family"), [("process", "llama"), ("process3", "llama"), ("process3", "bert")])
def test_transformers_reads_a_process_model_as_a_token_classifier(
    name: str, family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model, tokenizer, config = make(request.getfixturevalue(family), **KINDS[name])
    save(model, tokenizer, config, None, [], tmp_path / "model")
    theirs = AutoModelForTokenClassification.from_pretrained(tmp_path / "model").eval()
    text = model.collator(tokenizer).tokenizer([SOLUTION])[0].texts[0]  # type: ignore[union-attr]
    with torch.no_grad():
        wanted = values(model, tokenizer, "process")
        logits = theirs(torch.tensor([text.ids.tolist()])).logits[0, list(text.reads)]
    # On the disk 0 is wrong and 1 is right, as in other people's process models; ours are the other way round.
    assert theirs.config.id2label[0] == "wrong" and theirs.config.id2label[1] == "right"
    torch.testing.assert_close(logits[:, [1, 0, 2][: config.model.step_classes]], wanted, atol=1e-5, rtol=0)


def test_what_transformers_4_reads_is_said_in_its_names_too(tmp_path: Path) -> None:
    """RewardBench 0.1.4 asks for transformers 4.51, which knows neither the newer names nor that they are missing."""
    rotary = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaled = save_llama(tmp_path / "backbone", rope_parameters=rotary | {"original_max_position_embeddings": 64})
    model, tokenizer, config = make(scaled)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    said = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    assert said["rope_theta"] == 5e5 and said["rope_scaling"]["factor"] == 8.0
    words = json.loads((tmp_path / "model" / "tokenizer_config.json").read_text("utf-8"))
    assert words["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert words["model_input_names"] == ["input_ids", "attention_mask"]  # or 4 adds token types, which a Llama refuses
    assert "<|user|>" in words["additional_special_tokens"] and "extra_special_tokens" not in words
    loaded = load(tmp_path / "model", device="cpu")
    assert loaded.model.backbone.config.rope_parameters == model.backbone.config.rope_parameters
    assert loaded.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert loaded.tokenizer.all_special_tokens == tokenizer.all_special_tokens
    torch.testing.assert_close(values(loaded.model, loaded.tokenizer, "scalar"), values(model, tokenizer, "scalar"))


def test_learnt_positions_are_padded_on_the_right(tmp_path: Path) -> None:
    torch.manual_seed(0)
    GPT2Model(GPT2Config(vocab_size=458, n_embd=32, n_layer=1, n_head=2, n_positions=64)).save_pretrained(
        tmp_path / "b"
    )
    AutoTokenizer.from_pretrained(TINY, padding_side="left").save_pretrained(tmp_path / "b")
    model, tokenizer, config = make(tmp_path / "b")
    save(model, tokenizer, config, None, [], tmp_path / "model")
    assert AutoTokenizer.from_pretrained(tmp_path / "model").padding_side == "right"
    found = check_loaders(tmp_path / "model", vllm=False)
    assert max(one.largest for one in found if one.largest is not None) < 1e-4
    assert any("counts positions" in one.note for one in found)


def test_a_bidirectional_model_says_that_only_we_load_it(bert: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(bert)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    assert read_metadata(tmp_path / "model")["loads_as"] == "rmjudge"
    assert (tmp_path / "model" / "head.safetensors").is_file()


# -- low-rank adapters ------------------------------------------------------------------------------------------------


def test_an_adapter_is_saved_with_its_head_and_peft_reads_both(llama: Path, tmp_path: Path) -> None:
    from peft import AutoPeftModelForSequenceClassification

    model, tokenizer, config = make(llama, lora_rank=4)
    shaken(model)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    assert not (tmp_path / "model" / "model.safetensors").exists()
    theirs = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "model", num_labels=1).eval()
    ids = model.collator(tokenizer).tokenizer([PAIR])[0].texts[1].ids.tolist()  # type: ignore[union-attr]
    with torch.no_grad():
        got = theirs(torch.tensor([ids])).logits
    torch.testing.assert_close(got[0], values(model, tokenizer, "scalar")[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["lora", "lora process"])
def test_a_merged_adapter_is_a_plain_model(name: str, llama: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(llama, **KINDS[name])
    shaken(model)
    wanted = values(model, tokenizer, config.model.kind)
    save(model, tokenizer, config, None, [], tmp_path / "adapter")
    merge(load(tmp_path / "adapter", device="cpu"), tmp_path / "merged")
    loaded = load(tmp_path / "merged", device="cpu")
    assert loaded.config == config.updated(lora_rank=0)
    torch.testing.assert_close(values(loaded.model, loaded.tokenizer, config.model.kind), wanted, atol=1e-5, rtol=1e-4)
    parent = loaded.metadata["parents"][-1]
    assert parent["weights"] == read_metadata(tmp_path / "adapter")["weights"]
    # Merging made a copy: the model that was saved can train on.
    assert torch.equal(values(model, tokenizer, config.model.kind), wanted)


def test_an_adapter_over_bf16_weights_is_merged_in_fp32_and_keeps_card_and_curves(llama: Path, tmp_path: Path) -> None:
    """W + alpha / rank · B A of the weights as they were saved, to the last bits of fp32: bf16 has three digits."""
    model, tokenizer, config = make(llama, lora_rank=4, dtype="bfloat16")
    shaken(model)
    card = "# A card\n\nrmjudge score adapter DATA --out RUN\n\n**For other tools, merge it first:** because.\n"
    save(model, tokenizer, config, None, [], tmp_path / "adapter", files={"README.md": card, "curves.svg": b"<svg/>"})
    export_merged(tmp_path / "adapter", tmp_path / "whole")
    base = load_file(llama / "model.safetensors")["layers.0.mlp.up_proj.weight"].bfloat16().float()
    adapter = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    (a,) = [value for name, value in adapter.items() if "layers.0.mlp.up_proj.lora_A" in name]
    (b,) = [value for name, value in adapter.items() if "layers.0.mlp.up_proj.lora_B" in name]
    merged = load_file(tmp_path / "whole" / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    assert merged.dtype == torch.float32
    wanted = base + config.model.lora_alpha / 4 * b.float() @ a.float()
    torch.testing.assert_close(merged, wanted, rtol=1e-6, atol=1e-6)
    written = (tmp_path / "whole" / "README.md").read_text()
    assert "rmjudge score whole DATA" in written and "merge it first" not in written
    assert (tmp_path / "whole" / "curves.svg").read_bytes() == b"<svg/>"
    with pytest.raises(RunError, match="whole"):
        export_merged(tmp_path / "adapter", tmp_path / "whole")


# -- padding ----------------------------------------------------------------------------------------------------------


def test_padding_is_never_the_end_of_text(llama: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(llama)
    tokenizer.pad_token = tokenizer.eos_token
    save(model, tokenizer, config, None, [], tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    saved = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert saved.pad_token_id == config["pad_token_id"] == 0 != saved.eos_token_id  # the spare <pad>


def test_a_padding_token_is_added_where_there_is_none_to_spare(llama: Path) -> None:
    model, tokenizer, _ = make(llama)
    tokenizer.pad_token = None
    renamed = tokenizer.get_vocab

    def without_spare() -> dict[str, int]:
        return {name: number for name, number in renamed().items() if name != "<pad>"}

    tokenizer.get_vocab = without_spare
    pad = set_padding(tokenizer, model.backbone)
    assert pad == 458 and tokenizer.pad_token == "<|pad|>"
    assert model.backbone.get_input_embeddings().num_embeddings == 459


def _pads_with_its_end(folder: Path, template: str) -> Path:
    """A backbone whose config and tokenizer pad with the end of text."""
    save_llama(folder)
    (folder / "config.json").write_text(
        json.dumps(json.loads((folder / "config.json").read_text()) | {"pad_token_id": 1})
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token, tokenizer.chat_template = tokenizer.eos_token, template
    tokenizer.save_pretrained(folder)
    return folder


ENDS_OTHERWISE = (
    "{% for m in messages %}<|{{ m['role'] }}|> {{ m['content'] }} <eos><|user|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)
ENDS_IN_PADDING = ENDS_OTHERWISE.replace("<eos><|user|>", "<eos>")


def test_an_adapter_over_a_base_that_pads_with_its_end_scores_alike_everywhere(tmp_path: Path) -> None:
    model, tokenizer, config = make(_pads_with_its_end(tmp_path / "base", ENDS_OTHERWISE), lora_rank=4)
    shaken(model)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    assert AutoTokenizer.from_pretrained(tmp_path / "model").pad_token_id == 1  # as the base's config has it
    assert not any("embed" in name for name in load_file(tmp_path / "model" / "adapter_model.safetensors"))
    differences = check_loaders(tmp_path / "model", vllm=False)
    ran = {row.loader: row.largest for row in differences if row.largest is not None}
    for loader in ("peft", "transformers"):
        for way in ("one at a time", "4 a batch, padded right", "4 a batch, padded left"):
            assert f"{loader}, adapter over the base, {way}" in ran
    assert max(ran.values()) < 1e-4, ran
    merge(load(tmp_path / "model", device="cpu"), tmp_path / "merged")
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").pad_token_id == 0  # the spare <pad>


def test_a_base_whose_padding_ends_texts_is_caught_and_merging_mends_it(tmp_path: Path) -> None:
    model, tokenizer, config = make(_pads_with_its_end(tmp_path / "base", ENDS_IN_PADDING), lora_rank=4)
    shaken(model)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    assert "pads with the token that texts end in" in padding_conflict(tokenizer, model.backbone)
    rows = check_loaders(tmp_path / "model", vllm=False)
    assert any("--out MERGED` mends it" in row.note for row in rows)
    largest = {row.loader: row.largest for row in rows}
    for way in ("one at a time", "4 a batch, padded right"):
        assert (largest[f"peft, adapter over the base, {way}"] or 0) > 1e-2
    merged = [value for loader, value in largest.items() if loader.endswith(", merged") and value is not None]
    assert len(merged) >= 4 and max(merged) < 1e-4


def test_batches_that_a_base_without_padding_refuses_are_said_and_not_run(tmp_path: Path) -> None:
    save_llama(tmp_path / "base")
    path = tmp_path / "base" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token_id": None}))
    model, tokenizer, config = make(tmp_path / "base", lora_rank=4)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    rows = {row.loader: row for row in check_loaders(tmp_path / "model", vllm=False)}
    refused = rows["peft, adapter over the base, 4 a batch, padded right"]
    assert refused.largest is None and "names no padding token" in refused.note
    assert max(row.largest for row in rows.values() if row.largest is not None) < 1e-4


def test_progress_names_each_loader_before_it_runs(llama: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(llama)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    told: list[tuple[str, int, int]] = []
    rows = check_loaders(tmp_path / "model", vllm=False, watch=lambda *progress: told.append(progress))
    assert [(loader, done) for loader, done, _ in told[:-1]] == [(row.loader, at) for at, row in enumerate(rows)]
    assert told[-1] == ("", len(rows), len(rows))


# -- the directory ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["_write_own", "write_metadata"])
def test_a_crash_in_saving_leaves_nothing(
    broken: str, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer, config = make(llama)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, broken, stop)
    with pytest.raises(KeyboardInterrupt):
        save(model, tokenizer, config, None, [], tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer, config = make(llama)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_metadata", full)
    with pytest.raises(RunError, match="cannot be written: No space left on device"):
        save(model, tokenizer, config, None, [], tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_cleared(llama: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(llama)
    (tmp_path / ".model.abc.part").mkdir()
    (tmp_path / ".model.abc.part" / "model.safetensors").write_bytes(b"half")
    save(model, tokenizer, config, None, [], tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nothing_is_overwritten(llama: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(llama)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with pytest.raises(RunError, match="holds a reward model already"):
        save(model, tokenizer, config, None, [], tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_a_model_is_put_beside_the_states_of_its_training(llama: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(llama)
    (tmp_path / "model" / "state").mkdir(parents=True)
    (tmp_path / "model" / "state" / "plan.json").write_text("{}")
    save(model, tokenizer, config, None, [], tmp_path / "model", files={"README.md": "# a card"})
    assert (tmp_path / "model" / "state" / "plan.json").is_file()
    assert (tmp_path / "model" / "README.md").read_text() == "# a card"
    assert load(tmp_path / "model", device="cpu").config == config
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda folder: (folder / "reward.json").unlink(), InputError, "not a reward model"),
        (lambda folder: (folder / "reward.json").write_text("{"), InputError, "reward.json: cannot be read"),
        (lambda folder: (folder / "reward.json").write_text("{}"), InputError, "has no 'config'"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), EngineError, "tokenizer cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), EngineError, "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").unlink(), EngineError, "cannot be loaded"),
    ],
    ids=["no description", "broken", "empty", "tokenizer", "torn weights", "no weights"],
)
def test_what_is_no_model_is_refused_in_one_line(
    spoil: Callable[[Path], object], error: type[Exception], message: str, llama: Path, tmp_path: Path
) -> None:
    model, tokenizer, config = make(llama)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    spoil(tmp_path / "model")
    with pytest.raises(error, match=message) as told:
        load(tmp_path / "model", device="cpu")
    assert "\n" not in str(told.value)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        load(tmp_path / "nothing")


def test_a_process_adapter_has_a_bias_of_zeros_for_classes_that_have_one(llama: Path, tmp_path: Path) -> None:
    model, tokenizer, config = make(llama, kind="process", lora_rank=4)
    shaken(model)
    save(model, tokenizer, config, None, [], tmp_path / "model")
    bias = load_file(tmp_path / "model" / "adapter_model.safetensors")["base_model.model.score.bias"]
    assert bias.tolist() == [0.0] * model.config.model.outputs
    rows = {row.loader: row.largest for row in check_loaders(tmp_path / "model", vllm=False)}
    peft = [largest for loader, largest in rows.items() if loader.startswith("peft")]
    assert peft and all(largest is not None and largest < 1e-5 for largest in peft)
