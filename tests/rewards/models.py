"""Small random models and a tokenizer of whole words, so that a test can count tokens by hand."""

from pathlib import Path
from typing import Any

import torch

from judge.records import Conversation, Message
from judge.rewards.data.examples import Example

SPECIAL = ("<pad>", "<eos>", "<bos>", "<user>", "<assistant>", "\n")
WORDS = 60
CHAT = (
    "{{ bos_token }}{% for m in messages %}{{ ' <' + m['role'] + '> ' + m['content'] + ' <eos>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' <assistant> ' }}{% endif %}"
)


def tokenizer(chat: bool = True, bos: bool = False, pad: str = "<pad>") -> Any:
    """Word `wN` is token N; <pad> 0, <eos> 1, <bos> 2, <user> 3, <assistant> 4, a newline 5."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(SPECIAL)}
    words |= {f"w{number}": number for number in range(len(SPECIAL), WORDS)}
    made = Tokenizer(models.WordLevel(words, unk_token="<eos>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(" "), "removed"), pre_tokenizers.Split(Regex("\n"), "isolated")]
    )
    if bos:
        made.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=pad,
        eos_token="<eos>",
        bos_token="<bos>" if bos or chat else None,
        clean_up_tokenization_spaces=False,
    )
    fast.add_special_tokens({"additional_special_tokens": ["<user>", "<assistant>"]})
    if chat:
        fast.chat_template = CHAT
    return fast


def save(folder: Path, family: str, **more: Any) -> Path:
    """A random model of a family with its tokenizer: llama, mistral, qwen3, gpt2, bloom, bert, roberta or t5."""
    import transformers

    torch.manual_seed(0)
    small: dict[str, Any] = {
        "vocab_size": WORDS,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "initializer_range": 0.2,
    }
    if family in ("llama", "mistral", "qwen3", "gemma2"):
        small |= {"num_key_value_heads": 2, "head_dim": 8, "eos_token_id": 1, "bos_token_id": None}
    if family == "gpt2":
        small = {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 1}
        small |= {"initializer_range": 0.2}
    if family == "bloom":
        small = {"vocab_size": WORDS, "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
    if family == "t5":
        small = {"vocab_size": WORDS, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
    name = {"gpt2": "GPT2", "t5": "T5", "roberta": "Roberta"}.get(family, family.capitalize())
    config = getattr(transformers, f"{name}Config")(**small | more)
    getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    tokenizer(chat=family not in ("bert", "roberta")).save_pretrained(folder)
    return folder


def said(role: str, text: str) -> Conversation:
    return (Message(role, text),) if text else ()  # type: ignore[arg-type]


def words(*numbers: int) -> str:
    return " ".join(f"w{number}" for number in numbers)


def example(prompt: str, *responses: str, name: str = "", group: str = "", **more: Any) -> Example:
    """An example of one user turn and responses to it."""
    return Example(
        id=name or f"{prompt}|{'|'.join(responses)}"[:40],
        group=group or prompt,
        prompt=said("user", prompt),
        responses=tuple(said("assistant", response) for response in responses),
        **more,
    )


def pairs(count: int, seed: int = 0, responses: int = 2, most: int = 12) -> list[Example]:
    """Random examples of unequal lengths, each with a prompt of its own."""
    drawn = torch.Generator().manual_seed(seed)

    def text() -> str:
        length = int(torch.randint(1, most, (), generator=drawn))
        return words(*torch.randint(6, WORDS, (length,), generator=drawn).tolist())

    return [
        example(text(), *(text() for _ in range(responses)), name=f"row {number}", group=str(number), p_first=1.0)
        for number in range(count)
    ]
