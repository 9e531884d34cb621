"""Texts to tokens: each response of an example as one whole sequence, and where in it the head reads.

A text is tokenized whole, by the tokenizer's chat template where it has one, so that nothing later (a shared prefix,
another loader) can change a token. A solution is its prompt's tokens and then, step by step, the step's and the
separator's tokens, as TRL's trainer for process rewards did it; the verdict is read at the last separator token.
A special token or a tag of the chat template inside the data is read as plain text.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from judge.errors import ConfigError
from judge.json_input import load_json
from judge.records import Conversation, Message, spoken, tagged, whole_characters
from judge.rewards.data.chat_template import ChatTemplate, RefusedError
from judge.rewards.data.examples import Example
from judge.rewards.data.markers import Markers

Ids = NDArray[np.int32]
SEPARATOR = "\n"
TOO_LONG = "response longer than max_length"
EMPTY = "no token to read"
CUT = "prompt cut to max_length"
REFUSED = "refused by the chat template"


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

    @property
    def length(self) -> int:
        """How many tokens there are, the prompt's counted once."""
        return max(text.start for text in self.texts) + sum(len(text.ids) - text.start for text in self.texts)


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
        unread: a token that is taken away from the ends of texts: one before it is read.
    """

    def __init__(
        self, tokenizer: Any, kind: str, max_length: int, apart: bool = False, unread: int | None = None
    ) -> None:
        self.tokenizer, self.kind, self.apart, self.unread = tokenizer, kind, apart, unread
        self.max_length = min(max_length, int(getattr(tokenizer, "model_max_length", max_length)))
        self.template = ChatTemplate(tokenizer)
        self.chat = bool(self.template.text)
        self._markers = Markers(tokenizer, self.template.text, lambda text: list(self._plain_ids(text)))
        bare, framed = self._encode(["a"], False)[0], self._encode(["a"], True)[0]
        starts = (start for start in range(len(framed)) if list(framed[start : start + len(bare)]) == list(bare))
        place = next(starts, 0)
        self._before, self._after = framed[:place], framed[place + len(bare) :]
        self._leading = {tokenizer.bos_token_id, tokenizer.cls_token_id} - {None}
        self.separator = self._separator()

    def __call__(self, examples: Sequence[Example]) -> list[Tokens | str]:
        """Tokens of each example, or why it has none (TOO_LONG, EMPTY, or REFUSED and the template's words)."""
        if self.kind == "process":
            return [self._process(example) for example in examples]
        written = [self._texts(example) for example in examples]
        accepted = [texts for texts in written if not isinstance(texts, str)]
        heads = iter(self._encode_all([texts[0] for texts in accepted]))
        whole = iter(self._encode_all([text for texts in accepted for text in texts[1:]]))
        made: list[Tokens | str] = []
        for texts in written:
            if isinstance(texts, str):
                made.append(texts)
                continue
            head, responses = next(heads), [next(whole) for _ in texts[1:]]
            made.append(self._apart(head, responses) if self.apart else self._joined(head, responses))
        return made

    def _texts(self, example: Example) -> list[str] | str:
        """The prompt and each response as texts, or why the chat template refuses them."""
        try:
            return [self._head(example), *(self._written(example, response) for response in example.responses)]
        except RefusedError as error:
            return _refusal(error)

    def _process(self, example: Example) -> Tokens | str:
        try:
            return self._cut(self._steps(example))
        except RefusedError as error:
            return _refusal(error)

    def _joined(self, head: Ids, texts: list[Ids]) -> Tokens | str:
        texts = [self._read_part(ids) for ids in texts]
        if not all(len(ids) for ids in texts):
            return EMPTY
        starts = [common_prefix([head, ids]) for ids in texts]
        return self._cut([Text(ids, start, (len(ids) - 1,)) for ids, start in zip(texts, starts, strict=True)])

    def _read_part(self, ids: Ids) -> Ids:
        """The tokens up to the last one that is read; of a text of nothing else the first."""
        if self.unread is None or not len(ids):
            return ids
        read = np.flatnonzero(ids != self.unread)
        return ids[: int(read[-1]) + 1 if len(read) else 1]

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
            head = self._encode([self._rendered(example.prompt, True)], False)[0]
        else:
            text = self._spoken(example.prompt) + "\n\n" if example.prompt else ""
            head = np.concatenate([self._before, self._encode([text], False)[0]])
        pieces, reads, length = [head], [], len(head)
        for ids in self._encode([self._markers.hide(step) for step in example.steps], False):
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
        """Prompt and response as one text, in the tokenizer's own frame or as paragraphs; of two encoders the response
        alone."""
        if self.apart:
            return self._spoken(response)
        if self.chat:
            return self._rendered((*example.prompt, *response), False)
        answer = self._spoken(response)
        return f"{self._spoken(example.prompt)}\n\n{answer}" if example.prompt else answer

    def _head(self, example: Example) -> str:
        if not self.chat or (self.apart and not example.prompt):
            text = self._spoken(example.prompt)
            return text if self.apart or not example.prompt else text + "\n\n"
        return self._rendered(example.prompt, not self.apart)

    def _spoken(self, conversation: Conversation) -> str:
        return self._markers.hide(spoken(conversation))

    def _rendered(self, conversation: Conversation, ask: bool) -> str:
        """A conversation in the tokenizer's chat template; RefusedError for what it takes in no way."""
        if not conversation:
            return ""
        tools = [self._markers.hide_all(tool) for message in conversation for tool in message.tools]
        offered = tools if "tools" in self.template.text else []
        turns = [self._turn(message, bool(offered)) for message in conversation]
        return self.template.render(turns, ask=ask, tools=offered)

    def _turn(self, message: Message, tools_are_given: bool) -> dict[str, Any]:
        """A turn as a chat template reads it. A template without tool calls gets them as text, as judges do."""
        hide = self._markers.hide
        turn: dict[str, Any] = {"role": message.role, "content": hide(message.content)}
        if not message.more:
            return turn
        shown = message if not tools_are_given else replace(message, tools=())
        if (message.tool_calls or message.role == "tool") and "tool_calls" not in self.template.text:
            return {"role": "user" if message.role == "tool" else message.role, "content": hide(tagged(shown))}
        if shown.tools or (message.reasoning_content and "reasoning_content" not in self.template.text):
            turn["content"] = hide(tagged(replace(shown, tool_calls=())))
        elif message.reasoning_content:
            turn["reasoning_content"] = hide(message.reasoning_content)
        if message.tool_calls:
            turn["tool_calls"] = [self._markers.hide_all(_call(call)) for call in message.tool_calls]
        return turn | {key: hide(value) for key in ("tool_call_id", "name") if (value := getattr(message, key))}

    def _encode_all(self, texts: list[str]) -> list[Ids]:
        """Whole texts; a template writes its own special tokens, and a second begin-of-text token is taken away."""
        encoded = self._encode(texts, not self.chat or self.apart)
        bos = self.tokenizer.bos_token_id
        return [ids[1:] if len(ids) > 1 and bos is not None and ids[0] == ids[1] == bos else ids for ids in encoded]

    def _encode(self, texts: list[str], special: bool) -> list[Ids]:
        """Token ids of texts; what stands for a marker in them is read as plain text."""
        if not texts:
            return []
        pieces = [list(self._markers.pieces(text)) for text in texts]
        plain = [text for text, parts in zip(texts, pieces, strict=True) if len(parts) == 1]
        rows = iter(self._tokenised(plain, special) if plain else [])
        return [next(rows) if len(parts) == 1 else self._joined_pieces(parts, special) for parts in pieces]

    def _joined_pieces(self, pieces: list[str], special: bool) -> Ids:
        ids = np.concatenate([self._plain_ids(piece) for piece in pieces if piece])
        return np.concatenate([self._before, ids, self._after]) if special else ids

    def _plain_ids(self, text: str) -> Ids:
        return self._tokenised([text], False)[0]

    def _tokenised(self, texts: list[str], special: bool) -> list[Ids]:
        texts = [whole_characters(text) for text in texts]
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


def _refusal(error: RefusedError) -> str:
    return f"{REFUSED}: {error}"


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call as chat templates read it: its arguments an object, not JSON in a text."""
    body = dict(call["function"] if isinstance(call.get("function"), Mapping) else call)
    with suppress(ValueError, RecursionError, TypeError):
        body["arguments"] = load_json(body["arguments"])
    return (
        {"type": "function", **call, "function": body} if "function" in call else {"type": "function", "function": body}
    )
