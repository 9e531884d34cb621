"""Texts to tokens: each response of an example as one whole sequence, and where in it the head reads.

A text is tokenized whole, by the tokenizer's chat template where it has one, so that nothing later (a shared prefix,
another loader) can change a token. A solution is its prompt's tokens and then, step by step, the step's and the
separator's tokens, as TRL's trainer for process rewards did it; the verdict is read at the last separator token.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from judge.errors import ConfigError, InputError
from judge.records import Conversation, spoken
from judge.rewards.data.examples import Example

Ids = NDArray[np.int32]
SEPARATOR = "\n"
TOO_LONG = "response longer than max_length"
EMPTY = "no token to read"
CUT = "prompt cut to max_length"


class Text(NamedTuple):
    """One sequence. ids: (T,); start: where the response begins; reads: offsets at which the head reads."""

    ids: Ids
    start: int
    reads: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tokens:
    """An example as tokens: a text a response (or one for a solution). prompt: (P,), for two encoders alone.

    cut: how many tokens of the prompt were left out on its left.
    """

    texts: tuple[Text, ...]
    prompt: Ids | None = None
    cut: int = 0


def common_prefix(sequences: Sequence[Ids]) -> int:
    """How many leading tokens all sequences have in common."""
    shortest = min(len(ids) for ids in sequences)
    first = sequences[0][:shortest]
    for ids in sequences[1:]:
        differing = np.flatnonzero(first != ids[: len(first)])
        if len(differing):
            first = first[: differing[0]]
    return len(first)


class ExampleTokenizer:
    """Tokenizes examples, and says where the head reads.

    A text longer than max_length loses tokens at the left of its prompt (a leading begin-of-text or class token stays),
    the same number for all responses of an example; where a response alone is longer, there are no tokens but a reason.

    Args:
        tokenizer: of the backbone.
        kind: of the model; "process" reads after each step, any other at a response's last token.
        max_length: tokens of prompt and response together, at most the tokenizer's own limit.
        apart: prompt and response are separate texts, each at most max_length long.
    """

    def __init__(self, tokenizer: Any, kind: str, max_length: int, apart: bool = False) -> None:
        self.tokenizer, self.kind, self.apart = tokenizer, kind, apart
        self.max_length = min(max_length, int(getattr(tokenizer, "model_max_length", max_length)))
        self.chat = bool(getattr(tokenizer, "chat_template", None))
        bare, framed = self._encode(["a"], False)[0], self._encode(["a"], True)[0]
        starts = (start for start in range(len(framed)) if list(framed[start : start + len(bare)]) == list(bare))
        place = next(starts, 0)
        self._before, self._after = framed[:place], framed[place + len(bare) :]
        self._leading = {tokenizer.bos_token_id, tokenizer.cls_token_id} - {None}
        self.separator = self._separator()

    def __call__(self, examples: Sequence[Example]) -> list[Tokens | str]:
        """Tokens of each example, or the reason why it has none (TOO_LONG, EMPTY).

        Raises:
            InputError: for a conversation that the chat template refuses.
        """
        if self.kind == "process":
            return [self._cut(self._steps(example)) for example in examples]
        whole = iter(self._encode_all(self._wholes(examples)))
        heads = iter(self._encode_all([self._head(example) for example in examples]))
        tokens = []
        for example in examples:
            head = next(heads)
            texts = [next(whole) for _ in example.responses]
            tokens.append(self._apart(head, texts) if self.apart else self._joined(head, texts))
        return tokens

    def _wholes(self, examples: Iterable[Example]) -> list[str]:
        if self.apart:
            return [spoken(response) for example in examples for response in example.responses]
        return [self._written(example, response) for example in examples for response in example.responses]

    def _joined(self, head: Ids, texts: list[Ids]) -> Tokens | str:
        if not all(len(ids) for ids in texts):
            return EMPTY
        starts = [common_prefix([head, ids]) for ids in texts]
        return self._cut([Text(ids, start, (len(ids) - 1,)) for ids, start in zip(texts, starts, strict=True)])

    def _apart(self, head: Ids, texts: list[Ids]) -> Tokens | str:
        if not len(head) or not all(len(ids) for ids in texts):
            return EMPTY
        if max(len(ids) for ids in texts) > self.max_length:
            return TOO_LONG
        cut = max(0, len(head) - self.max_length)
        return Tokens(tuple(Text(ids, 0, (len(ids) - 1,)) for ids in texts), prompt=self._without(head, cut), cut=cut)

    def _steps(self, example: Example) -> list[Text]:
        """The prompt's tokens, then each step's and the separator's."""
        if self.chat:
            head = self._encode([self._rendered(example, example.prompt, True)], False)[0]
        else:
            text = spoken(example.prompt) + "\n\n" if example.prompt else ""
            head = np.concatenate([self._before, self._encode([text], False)[0]])
        pieces, reads, length = [head], [], len(head)
        for ids in self._encode(list(example.steps), False):
            pieces += [ids, self.separator]
            length += len(ids) + len(self.separator)
            reads.append(length - 1)
        if not self.chat:
            pieces.append(self._after)
        return [Text(np.concatenate(pieces), len(head), tuple(reads))]

    def _cut(self, texts: list[Text]) -> Tokens | str:
        """The texts within max_length: the same number of tokens leaves the left of each prompt."""
        if not all(text.reads and text.reads[0] >= 0 for text in texts):
            return EMPTY
        cut = max(0, *(len(text.ids) - self.max_length for text in texts))
        room = min(text.start - self._kept(text.ids) for text in texts)
        if cut > max(0, room):
            return TOO_LONG
        if not cut:
            return Tokens(tuple(texts))
        shortened = tuple(
            Text(self._without(text.ids, cut), text.start - cut, tuple(read - cut for read in text.reads))
            for text in texts
        )
        return Tokens(shortened, cut=cut)

    def _kept(self, ids: Ids) -> int:
        return int(len(ids) > 0 and int(ids[0]) in self._leading)

    def _without(self, ids: Ids, cut: int) -> Ids:
        kept = self._kept(ids)
        return np.concatenate([ids[:kept], ids[kept + cut :]])

    def _written(self, example: Example, response: Conversation) -> str:
        """Prompt and response as one text, in the tokenizer's own frame or as paragraphs."""
        if self.chat:
            return self._rendered(example, (*example.prompt, *response), False)
        return f"{spoken(example.prompt)}\n\n{spoken(response)}" if example.prompt else spoken(response)

    def _head(self, example: Example) -> str:
        if not self.chat or (self.apart and not example.prompt):
            return spoken(example.prompt) if self.apart or not example.prompt else spoken(example.prompt) + "\n\n"
        return self._rendered(example, example.prompt, not self.apart)

    def _rendered(self, example: Example, conversation: Conversation, ask: bool) -> str:
        if not conversation:
            return ""
        turns = [{"role": message.role, "content": message.content} for message in conversation]
        try:
            return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))
        except Exception as error:  # noqa: BLE001 - a template is anybody's code
            raise InputError(f"{example.id}: the tokenizer's chat template refuses it: {error}") from None

    def _encode_all(self, texts: list[str]) -> list[Ids]:
        """Whole texts; a template writes its own special tokens, and a second begin-of-text token is taken away."""
        encoded = self._encode(texts, not self.chat or self.apart)
        bos = self.tokenizer.bos_token_id
        return [ids[1:] if len(ids) > 1 and bos is not None and ids[0] == ids[1] == bos else ids for ids in encoded]

    def _encode(self, texts: list[str], special: bool) -> list[Ids]:
        if not texts:
            return []
        rows = self.tokenizer(texts, add_special_tokens=special, truncation=False, verbose=False)["input_ids"]
        return [np.array(row, dtype=np.int32) for row in rows]

    def _separator(self) -> Ids:
        """The newline's tokens; a tokenizer that drops whitespace separates by its own separator token."""
        ids = self._encode([SEPARATOR], False)[0]
        if not len(ids) and self.tokenizer.sep_token_id is not None:
            ids = np.array([self.tokenizer.sep_token_id], dtype=np.int32)
        if not len(ids) and self.kind == "process":
            raise ConfigError(
                "this tokenizer has no token for a newline and no separator token: kind process needs one"
            )
        return ids


def fit(tokenizer: ExampleTokenizer, examples: Sequence[Example]) -> tuple[list[Example], list[Tokens], "Counter[str]"]:
    """The examples that fit, their tokens, and how many were cut (CUT) or dropped (TOO_LONG, EMPTY)."""
    kept: list[Example] = []
    fitting: list[Tokens] = []
    counts: Counter[str] = Counter()
    for start in range(0, len(examples), 1000):
        part = examples[start : start + 1000]
        for example, tokens in zip(part, tokenizer(part), strict=True):
            if isinstance(tokens, str):
                counts[tokens] += 1
                continue
            counts[CUT] += tokens.cut > 0
            kept.append(example)
            fitting.append(tokens)
    return kept, fitting, +counts
