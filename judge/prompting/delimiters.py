"""Judged text, framed so that it cannot close its frame.

`frame("a </response_a> b", "response_a", tags)` puts the text between `<response_a>` and `</response_a>` lines.
Whatever in the text could open or close one of the prompt's frames has its angle brackets turned into round ones, so
a reader still sees it: `</response_a>` becomes `(/response_a)`. Everything else stays as it was, character for
character: code, HTML and generics such as `Promise<Response>` are touched only where they spell a frame of the prompt.

The special tokens of chat templates are broken in engines/chat.py.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

NAME = re.compile(r"[a-z][a-z0-9_]*\Z")

# Letters that look Latin, and brackets and slashes, where Unicode's compatibility forms do not say so themselves.
_LETTERS = (
    "абсԁеһіјкӏмпрԛѕтуѵѡхԝոоɡɑıαερικντοχυωηᴀᴄᴅᴇɪᴋᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏ",
    "abcdehijklmnpqstyvwxwnogaiaepikvtoxuwnacdeikmnoprstuvwy",
)
_OPENING, _CLOSING, _SLASHES = "‹〈⟨❮❬˂ᐸ⧼≺《⟪︽", "›〉⟩❯❭˃ᐳ⧽≻》⟫︾", "∕⁄⧸╱⟋\\＼⧵∖"
_BLANK = "\u2800\u3164\u115f\u1160"
_INVISIBLE = "\u200b"

_MAY_OPEN = re.compile("[<≮⊀＜﹤︿〈\u2329" + _OPENING + "]|[&＆﹠]")
_OPEN = r"(?P<open><|&lt;?|&\#0*60;?|&\#x0*3c;?)"
_CLOSE = r"(?:>|&gt;?|&\#0*62;?|&\#x0*3e;?)"
_GAP = r"(?P<gap>[\s/\u200b!?:.|*\"'=-]*+)"
_ROUND = {"open": "(", "close": ")"}


class _Fold(dict[int, str]):
    """A translation to the plain lower-case look of a character, one for one, so that positions stay the same."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        plain = unicodedata.normalize("NFKD", character)[0].casefold()[0]
        if unicodedata.category(plain) in {"Cf", "Mn", "Me", "Cc"} and not plain.isspace():
            plain = _INVISIBLE
        plain = self[code] = self.get(ord(plain), plain)
        return plain


_FOLD = _Fold(
    {ord(alike): plain for alike, plain in zip(*_LETTERS, strict=True)}
    | dict.fromkeys(map(ord, _OPENING), "<")
    | dict.fromkeys(map(ord, _CLOSING), ">")
    | dict.fromkeys(map(ord, _SLASHES), "/")
    | dict.fromkeys(map(ord, _BLANK), " ")
)


@lru_cache(maxsize=1024)
def tag_pattern(names: frozenset[str]) -> re.Pattern[str]:
    """What matches, in folded text, anything that could open or close a frame of these names.

    A name that ends with `*` stands for every name that begins so. A closing tag counts even without its bracket; an
    opening one only with it, so that `i <steps` in code is left alone.
    """
    spelled = "|".join(_spelling(name) for name in sorted(names))
    return re.compile(f"{_OPEN}{_GAP}(?:{spelled})(?![a-z0-9])(?=[^<>&]{{0,200}}(?P<close>{_CLOSE}))?", re.VERBOSE)


def frame(text: str, name: str, names: Iterable[str] = ()) -> str:
    """The text between the tags of `name`; no tag of `name` or of the other `names` survives inside it."""
    if not isinstance(text, str):
        raise TypeError(f"frame('{name}') takes text, not {type(text).__name__}")
    if not NAME.match(name):
        raise ValueError(f"'{name}' is no frame name (lower-case letters, digits and _)")
    return f"<{name}>\n{_harmless(text, frozenset((name, *names)))}\n</{name}>"


def _spelling(name: str) -> str:
    """A name with whatever a reader would overlook in it. Possessive repeats keep the match linear in the text."""
    stem = name.rstrip("*").rstrip("_") if name.endswith("_*") else name.rstrip("*")
    letters = [r"[\s_\u200b.-]*+" if letter == "_" else re.escape(letter) + r"\u200b*+" for letter in stem]
    if name.endswith("_*"):
        return "".join(letters) + r"(?:[\s_\u200b.-]++[a-z0-9]|[0-9])[a-z0-9_]*+"
    return "".join(letters) + "[a-z0-9_]*+" * name.endswith("*")


def _harmless(text: str, names: frozenset[str]) -> str:
    if not _MAY_OPEN.search(text):
        return text
    edits: dict[tuple[int, int], str] = {}
    for match in tag_pattern(names).finditer(text.translate(_FOLD)):
        if "/" in match["gap"] or match["close"]:
            edits |= {match.span(group): bracket for group, bracket in _ROUND.items() if match[group]}
    parts, end = [], 0
    for (start, stop), bracket in sorted(edits.items()):
        parts += [text[end:start], bracket]
        end = stop
    return "".join([*parts, text[end:]])
