"""Markers of a tokenizer and its chat template inside data, so that a text can neither become one nor open a turn.

`hide` puts a stand-in in the place of each; the chat template then writes its own markers around it; `pieces` finds the
stand-ins again, and the tokens of what they stand for are plain text's.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

BREAKERS = ("\u200d", "\u2060", " ")  # tried in turn: a tokenizer's normalizer may drop the invisible ones
_WRITTEN = re.compile(r"<[|｜][^|｜<>\n]{1,48}[|｜]>|\[/?[A-Z][A-Z_]+\]|<</?SYS>>|</?[A-Za-z_]\w*>")
_OPEN, _CLOSE, _FIRST = "\ufdd0", "\ufdd1", 0xF0000  # no characters of any text: two noncharacters, a private plane
_STAND_IN = re.compile(f"{_OPEN}(.){_CLOSE}", re.DOTALL)


class Markers:
    """The markers of one tokenizer.

    Tokens that were added to the vocabulary, special or not, count as markers unless they are plain words; so do the
    tags that its chat template writes as ordinary text.
    """

    def __init__(self, tokenizer: Any, template: str, encode: Callable[[str], list[int]]) -> None:
        """encode: token ids of a text, nothing added at its ends."""
        special = set(getattr(tokenizer, "all_special_tokens", ()))
        added = {str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values()} | special
        self._tokens = sorted(token for token in added if _marks(token, special))
        self._numbers = {token: number for number, token in enumerate(self._tokens)}
        self._written = {
            marker: _broken(marker, encode) for marker in _WRITTEN.findall(template) if marker not in self._numbers
        }
        longest_first = sorted({*self._tokens, *self._written}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def hide(self, text: str) -> str:
        """The text with a stand-in for each token among the markers, and the template's tags broken."""
        return self._pattern.sub(self._replacement, text)

    def hide_all(self, value: Any) -> Any:
        """A JSON value with every text in it hidden."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {self.hide(str(name)): self.hide_all(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide_all(item) for item in value]
        return value

    def pieces(self, text: str) -> Iterator[str]:
        """The text in pieces, none of which holds a marker that `hide` has hidden; most texts are one piece."""
        end = 0
        for match in _STAND_IN.finditer(text):
            number = ord(match[1]) - _FIRST
            if 0 <= number < len(self._tokens):
                marker = self._tokens[number]
                yield from (text[end : match.start()], marker[0], marker[1:])
                end = match.end()
        yield text[end:]

    def _replacement(self, match: re.Match[str]) -> str:
        number = self._numbers.get(match[0])
        return self._written[match[0]] if number is None else f"{_OPEN}{chr(_FIRST + number)}{_CLOSE}"


def _marks(token: str, special: set[str]) -> bool:
    return len(token) > 1 and bool(token.strip()) and (token in special or not token.strip().isalnum())


def _broken(marker: str, encode: Callable[[str], list[int]]) -> str:
    """A tag with something in it that a reader overlooks and the tokenizer does not."""
    whole = encode(f"x{marker}x")
    broken = (marker[0] + breaker + marker[1:] for breaker in BREAKERS)
    return next((text for text in broken if encode(f"x{text}x") != whole), marker[0] + BREAKERS[-1] + marker[1:])
