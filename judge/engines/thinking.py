"""Where a reasoning model's thinking ends and its reply begins.

A verdict must never be read from the thinking: a model that weighs "[[A]]" and then decides for B has said B. A few
known pairs of marks are split here; anything else is named by vLLM's own `reasoning_parser`.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Marks(NamedTuple):
    """The strings around a model's thinking.

    skip: what is written after the generation prompt so that the model replies without thinking, where the template
    did not open the thinking itself; most models need nothing.
    """

    start: str
    end: str
    skip: str = ""


KNOWN_MARKS = (
    Marks("<think>", "</think>"),
    Marks("<seed:think>", "</seed:think>"),
    Marks("<thinking>", "</thinking>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("◁think▷", "◁/think▷"),
    Marks("<|begin_of_thought|>", "<|end_of_thought|>"),
    Marks("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|channel|>final<|message|>"),
)


class Thought(NamedTuple):
    """A model's output in its two parts."""

    thinking: str
    reply: str


def marks_of(template: str, vocabulary: Iterable[str]) -> Marks | None:
    """The marks that a model's chat template or added tokens speak of, None for a model that does not think aloud."""
    words = set(vocabulary)
    for marks in KNOWN_MARKS:
        if marks.end in words or any(mark in template for mark in (marks.start, marks.end)):
            return marks
    if "<|channel|>" in words:
        return KNOWN_MARKS[-1]
    return None


def split_thinking(text: str, marks: Marks | None, *, opened: bool = False) -> Thought:
    """Split at the last end mark.

    The last one, because thinking may quote the mark and a reply has no reason to. Without an end mark everything is
    thinking where it was begun (opened: the prompt itself ended inside it), and nothing is where it was not. What a
    model begins with a known mark and never ends is thinking, whatever marks it is known for.
    """
    if marks is not None:
        thinking, end, reply = text.rpartition(marks.end)
        if end:
            return _closed(Thought(thinking.strip().removeprefix(marks.start).strip(), reply.lstrip()))
        if opened:
            return Thought(text.strip().removeprefix(marks.start).strip(), "")
    return _closed(Thought("", text))


def _closed(thought: Thought) -> Thought:
    """The reply up to thinking that is begun on a line of its own and never ends; the rest of it is thinking."""
    for mark in _START.finditer(thought.reply):
        marks = next(marks for marks in KNOWN_MARKS if marks.start == mark[1])
        if marks.end not in thought.reply[mark.end() :]:
            unclosed = thought.reply[mark.end() :].strip()
            thinking = f"{thought.thinking}\n\n{unclosed}" if thought.thinking else unclosed
            return Thought(thinking, thought.reply[: mark.start()].rstrip())
    return thought


_START = re.compile(rf"(?m)^[ \t]*({'|'.join(re.escape(marks.start) for marks in KNOWN_MARKS)})")
