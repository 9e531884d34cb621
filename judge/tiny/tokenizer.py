"""The tokenizer of the embedded judge: byte-level BPE in which arithmetic falls into its natural pieces.

Every digit is a token, a spaced operator (" - ") is one token and another than a sign ("-"), a frame's tag is one.
Any other text still round-trips through bytes. Heavy libraries load inside the functions.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAD, END, SYSTEM, USER, ASSISTANT = "<pad>", "<eos>", "<|system|>", "<|user|>", "<|assistant|>"
VOCABULARY = 512
PIECES = r" [-+*/=] |\d|</?[a-z_]+>|[()\-]| ?[A-Za-z']+| ?[^\sA-Za-z\d]|\s"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if not (loop.last and continue_final_message | default(false)) %}{{ '<eos>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> Any:
    """A PreTrainedTokenizerFast trained on `texts`; its ids are the same for the same texts."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, SYSTEM, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a saved model: going on with another one would give every token a new meaning."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)


def chat(content: str) -> str:
    """The prompt of one user turn, as the chat template writes it."""
    return f"{USER}{content}{END}{ASSISTANT}"
