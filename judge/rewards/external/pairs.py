"""Prompt and response as a pair of texts, as encoders read them: [CLS] prompt [SEP] response [SEP]."""

from itertools import chain
from typing import Any, NamedTuple

from judge.records import Conversation, spoken
from judge.rewards.data.markers import Markers
from judge.rewards.data.tokenize import EMPTY, TOO_LONG


class Row(NamedTuple):
    """One text. ids: its tokens; types: which of a pair each token belongs to, empty where the model is told nothing.

    cut: how many tokens of the prompt were left out on its left.
    """

    ids: list[int]
    types: list[int]
    cut: int = 0


class _Frame(NamedTuple):
    """What stands around texts, as (token, type): before the first, after each; and the types of the texts' own."""

    around: tuple[list[tuple[int, int]], ...]
    types: tuple[int, ...]


class PairTokenizer:
    """Writes pairs within `longest` tokens; a prompt that is too long loses tokens on its left.

    A special token inside the data is read as plain text.
    """

    def __init__(self, tokenizer: Any, longest: int) -> None:
        self._tokenizer, self._longest = tokenizer, longest
        self._markers = Markers(tokenizer, "", self._bare)
        self._single, self._pair = self._frame("a"), self._frame("a", "b")

    def __call__(self, prompt: Conversation, response: Conversation) -> Row | str:
        """The tokens of a pair, or of a response without a prompt alone; or why there are none."""
        answer = self._ids(spoken(response))
        if not answer:
            return EMPTY
        question = self._ids(spoken(prompt)) if prompt else []
        frame, texts = (self._pair, [question, answer]) if question else (self._single, [answer])
        count = sum(len(text) for text in texts) + sum(len(around) for around in frame.around)
        cut = max(0, count - self._longest)
        if cut >= max(1, len(question)):
            return TOO_LONG
        texts[0] = texts[0][cut:]
        places = list(frame.around[0])
        for text, kind, after in zip(texts, frame.types, frame.around[1:], strict=True):
            places += [(token, kind) for token in text] + after
        told = "token_type_ids" in self._tokenizer.model_input_names
        return Row([token for token, _ in places], [kind for _, kind in places] if told else [], cut)

    def _ids(self, text: str) -> list[int]:
        return list(chain.from_iterable(map(self._bare, self._markers.pieces(self._markers.hide(text)))))

    def _bare(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] if text else []
        return ids

    def _frame(self, *texts: str) -> _Frame:
        """Tried with short texts: what the tokenizer puts around them."""
        encoded = self._tokenizer(*texts, return_token_type_ids=True)
        ids, types = encoded["input_ids"], encoded["token_type_ids"]
        around, own_types, start = [], [], 0
        for text in texts:
            bare = self._bare(text)
            place = next(at for at in range(start, len(ids)) if ids[at : at + len(bare)] == bare)
            around.append(list(zip(ids[start:place], types[start:place], strict=True)))
            own_types.append(types[place])
            start = place + len(bare)
        return _Frame((*around, list(zip(ids[start:], types[start:], strict=True))), tuple(own_types))
