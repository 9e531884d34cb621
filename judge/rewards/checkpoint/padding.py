"""The padding token that a model is saved with.

transformers' sequence classifiers read a text at its rightmost token that is not `pad_token_id`. A padding token that
ends texts would be passed over, and a text read elsewhere. An adapter's loaders take that id from the base's config,
which the adapter's directory cannot change.
"""

import re
from typing import Any

from judge.errors import EngineError
from judge.rewards.checkpoint.hf_format import is_adapted
from judge.rewards.data.chat_template import ChatTemplate, RefusedError
from judge.rewards.modeling.states import learnt_positions

_PAD_TOKENS = (
    "<|pad|>",
    "<pad>",
    "[PAD]",
    "<|finetune_right_pad_id|>",
    "<|fim_pad|>",
    "<|reserved_special_token_0|>",
    "<|endoftext|>",
)
_RESERVED = re.compile(r"reserved|unused|extra_id", re.IGNORECASE)


def set_padding(tokenizer: Any, backbone: Any, *, merge: bool = False) -> int:
    """Give a tokenizer a padding token that no text ends in.

    Of an adapter it is the one that the base's config names, wherever no text ends in it, even if it is the end of
    text: an embedding that grew by a token would have to lie in the adapter. Of a whole model it is the tokenizer's own
    where it is not the end of text. Else a spare token of the vocabulary; where there is none, one is added. A backbone
    that counts positions from the first token on, padding or not, gets texts padded on the right.

    Args:
        tokenizer: changed in place.
        backbone: its embeddings grow where a token is added.
        merge: whether an adapter is about to be merged, so that the model is a whole one.

    Returns:
        The id of the padding token.
    """
    if counts_positions(backbone):
        tokenizer.padding_side = "right"
    rows = backbone.get_input_embeddings().num_embeddings
    endings = text_endings(tokenizer)
    base_pad = _base_pad(backbone)
    if is_adapted(backbone) and not merge and base_pad is not None and base_pad < rows and base_pad not in endings:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(base_pad)
        return base_pad
    taken = endings | _end_of_text(tokenizer, backbone)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in taken:
        spare = _spare_token(tokenizer, taken | {tokenizer.bos_token_id}, rows)
        tokenizer.add_special_tokens({"pad_token": spare or _PAD_TOKENS[0]})
    if tokenizer.pad_token_id >= rows:
        backbone.resize_token_embeddings(tokenizer.pad_token_id + 1, mean_resizing=False)
    return int(tokenizer.pad_token_id)


def padding_conflict(tokenizer: Any, backbone: Any) -> str:
    """Why other tools score an adapter's texts wrongly, or refuse batches of them; "" where they do not.

    Args:
        tokenizer: of the model.
        backbone: wrapped by peft; any other has no conflict.
    """
    if not is_adapted(backbone):
        return ""
    base_pad = _base_pad(backbone)
    if base_pad is None:
        return (
            "the base model's config names no padding token, so transformers and peft refuse batches of texts over "
            "the adapter"
        )
    if base_pad in text_endings(tokenizer):
        return (
            "the base model's config pads with the token that texts end in, so transformers and peft read texts at "
            "the wrong place over the adapter"
        )
    return ""


def counts_positions(backbone: Any) -> bool:
    """Whether positions are learnt ones, one a place in the row: GPT-2's, BERT's."""
    return learnt_positions(backbone) is not None


def text_endings(tokenizer: Any) -> set[int]:
    """The special tokens that texts end in: after a response by the chat template, or after any text."""
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}]
        try:
            text = ChatTemplate(tokenizer).render(turns, ask=False)
        except RefusedError as error:
            raise EngineError(f"the chat template refuses a user's turn and an answer: {error}") from None
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    else:
        ids = tokenizer("a")["input_ids"]
    return set(ids[-1:]) & set(tokenizer.all_special_ids)


def _base_pad(backbone: Any) -> int | None:
    pad: int | None = getattr(backbone.config.get_text_config(), "pad_token_id", None)
    return pad


def _end_of_text(tokenizer: Any, backbone: Any) -> set[int]:
    configured = getattr(backbone.config.get_text_config(), "eos_token_id", None)
    ids = configured if isinstance(configured, list | tuple) else [configured]
    return {number for number in (tokenizer.eos_token_id, *ids) if number is not None}


def _spare_token(tokenizer: Any, taken: set[int | None], rows: int) -> str | None:
    """A token that the vocabulary keeps for padding, or for nothing."""
    known = tokenizer.get_vocab()
    reserved = sorted(name for name in tokenizer.get_added_vocab() if _RESERVED.search(name))
    names = [name for name in (*_PAD_TOKENS, *reserved) if name in known]
    return next((name for name in names if known[name] not in taken and known[name] < rows), None)
