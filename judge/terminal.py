"""What reaches a terminal: one console and one function, through which everything that is drawn passes.

Names and texts come from data, models and servers. Whatever of them would move a terminal's cursor, set its title,
hide words or turn their order is shown as it would be written in JSON (`\\u001b`), and no text is markup.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# C0 but for tab and newline, DEL and C1, the signs that turn the order of words, lone surrogates.
_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """A text whose control characters are spelled out; a JSON text stays the same JSON."""
    return text if text.isascii() and text.isprintable() else _ACTIVE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)


def console(file: TextIO | None = None, **options: Any) -> "Console":
    """A console of rich that draws texts as they are: no markup, no highlighting, control characters spelled out."""
    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

    class SafeConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            # Before it is laid out, so that columns are wide enough.
            return super().render_str(visible(text), **options)

        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else visible(text), style, control)

    return SafeConsole(file=file, **{"markup": False, "highlight": False, "emoji": False, **options})
