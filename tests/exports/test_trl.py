"""TRL's own checks: its data functions and its trainers take the exports as they are."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from judge.exports.export import ExportOptions, export_run
from judge.formats import judgement_to_row, to_row
from judge.judgements import Judgement, Preference, Steps
from judge.records import Message, Pair, Record, Solution

if find_spec("trl") is None:
    pytest.skip("trl is not installed: pip install trl", allow_module_level=True)

# TRL, what it imports and the threads that it starts warn of their own affairs, not only in a test's own lines: the
# mark covers the module's fixtures too, and what is found when they are taken down.
pytestmark = pytest.mark.filterwarnings("ignore")

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A tokenizer of single words with a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<end>", "<unk>", "<", ">", "user", "assistant", "good", "bad", "question", "step", "?"]
    whole = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=whole, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    fast.chat_template = TEMPLATE
    return fast


def loaded(tmp_path: Path, items: list[tuple[Record, Judgement]], **choice: Any) -> Any:
    """The training split of an export, as `load_dataset("json", …)` gives it."""
    from datasets import load_dataset

    run = tmp_path / "run"
    run.mkdir()
    rows = [to_row(record) | {"judgement": judgement_to_row(judgement)} for record, judgement in items]
    (run / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "manifest.json").write_text(json.dumps({"config": {"task": items[0][1].task}}))
    export_run(run, tmp_path / "out", ExportOptions(to="trl", validation=0.0, **choice))
    files = str(tmp_path / "out" / "train.jsonl")
    return load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))


def pairs() -> list[tuple[Record, Judgement]]:
    return [
        (
            Pair(
                prompt=(Message("user", f"question {n} ?"),),
                first=(Message("assistant", "good"),),
                second=(Message("assistant", "bad bad"),),
            ),
            Preference(verdict="first", p_first=0.75, consistent=True),
        )
        for n in range(8)
    ]


def solutions() -> list[tuple[Record, Judgement]]:
    return [
        (
            Solution(prompt=(Message("user", f"question {n} ?"),), steps=("step", "step bad")),
            Steps(verdict=("right", "wrong"), p_right=(0.9, 0.2), first_wrong=1),
        )
        for n in range(4)
    ]


def test_its_data_functions_take_preferences(tmp_path: Path, tokenizer: Any) -> None:
    from trl.data_utils import apply_chat_template, is_conversational, maybe_extract_prompt, unpair_preference_dataset

    data = loaded(tmp_path, pairs())
    row = data[0]
    assert is_conversational(row)
    assert maybe_extract_prompt(row)["prompt"] == row["prompt"]
    written = apply_chat_template({key: row[key] for key in ("prompt", "chosen", "rejected")}, tokenizer)
    assert written["prompt"].endswith("<end><assistant>")
    assert (written["chosen"], written["rejected"]) == ("good<end>", "bad bad<end>")
    # TRL's way from preferences to unpaired data ends where our own export of unpaired data does.
    other = tmp_path / "other"
    other.mkdir()
    ours = loaded(other, pairs(), kind="unpaired")
    theirs = unpair_preference_dataset(data.remove_columns(["margin", "p"]))

    def told(rows: Any) -> list[str]:
        return sorted(json.dumps([one["prompt"], one["completion"], one["label"]]) for one in rows)

    assert told(ours) == told(theirs)
    assert is_conversational(ours[0])


def trained(trainer: Any, config: Any, data: Any, model: Any, tokenizer: Any, folder: Path) -> Any:
    """One step of a trainer on the CPU; the features that it made of the data."""
    settings = config(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        disable_tqdm=True,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
    )
    made = trainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
    made.train()
    return made.train_dataset


def small(tokenizer: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
        num_labels=1,
    )


def test_its_reward_trainer_takes_preferences_with_their_margin(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import LlamaForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    model = LlamaForSequenceClassification(small(tokenizer))
    seen = trained(RewardTrainer, RewardConfig, loaded(tmp_path, pairs()), model, tokenizer, tmp_path / "model")
    assert {"chosen_ids", "rejected_ids", "margin"} <= set(seen.column_names)
    assert seen["margin"][0] == 0.5


def test_its_kto_trainer_takes_unpaired_data(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import LlamaForCausalLM
    from trl import KTOConfig, KTOTrainer

    LlamaForCausalLM(small(tokenizer)).save_pretrained(tmp_path / "small")  # the trainer loads it again as reference
    model = LlamaForCausalLM.from_pretrained(tmp_path / "small")
    data = loaded(tmp_path, pairs(), kind="unpaired")
    seen = trained(KTOTrainer, KTOConfig, data, model, tokenizer, tmp_path / "model")
    assert sorted(set(seen["label"])) == [False, True]


def test_stepwise_data_has_the_types_that_trl_documents(tmp_path: Path, tokenizer: Any) -> None:
    from datasets import Features, Sequence, Value
    from trl.data_utils import is_conversational

    data = loaded(tmp_path, solutions())
    plain = Features({"prompt": Value("string"), "completions": [Value("string")], "labels": [Value("bool")]})
    assert {name: data.features[name] for name in plain} == dict(plain)
    assert data.features["p_right"] in (Sequence(Value("float64")), [Value("float64")])
    assert not is_conversational(data[0])
    assert data[0]["labels"] == [True, False]
    try:
        from trl.experimental.prm import PRMTrainer  # the versions of 1.x that have it
    except ImportError:
        return
    row = PRMTrainer.tokenize_row(data[0], tokenizer, "?", None, None, False, False)
    assert [label for label in row["labels"] if label != -100] == [1, 0]
