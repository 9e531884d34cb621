"""Chat templates read backwards: texts with a template's marks as turns.

Trainers send what their policy read and wrote, marks and all. A reward model has a template of its own, so the turns
are what it needs. The marks are those of ChatML (Qwen, SmolLM2), Llama 3, Gemma, Zephyr and Phi, DeepSeek, and
Mistral.
"""

import re
from typing import NamedTuple

from judge.records import Conversation, Message, Role

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "ipython": "tool",
}
_NAMES = "|".join(_ROLES)
_STARTS = re.compile(
    rf"<\|im_start\|>[ \t]*(?P<chatml>{_NAMES})[ \t]*\n?"
    rf"|<\|start_header_id\|>\s*(?P<llama>{_NAMES})\s*<\|end_header_id\|>\s*"
    rf"|<start_of_turn>\s*(?P<gemma>{_NAMES})[ \t]*\n?"
    rf"|<\|(?P<zephyr>{_NAMES})\|>[ \t]*\n?"
    r"|<｜(?P<deepseek>User|Assistant)｜>"
)
_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<|end|>",
    "</s>",
    "<eos>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<｜end▁of▁sentence｜>",
    "<pad>",
    "<|pad|>",
)
_BEGINNINGS = ("<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>", "<｜begin▁of▁sentence｜>")
_END_LENGTH = 64
_INSTRUCTION = re.compile(r"\[INST\](?P<user>.*?)\[/INST\](?P<assistant>.*?)(?=\[INST\]|\Z)", re.DOTALL)


class Exchange(NamedTuple):
    """What was asked and what was answered."""

    prompt: Conversation
    response: Conversation


def turns_of(text: str) -> Conversation | None:
    """The turns of a text with a template's marks; None for a text without. A last turn that is only opened has ""."""
    starts = list(_STARTS.finditer(text))
    if not starts:
        return _instructions(text)
    ends = [*(start.start() for start in starts[1:]), len(text)]
    return tuple(
        Message(_ROLES[next(filter(None, start.groups())).lower()], without_ends(text[start.end() : end]))
        for start, end in zip(starts, ends, strict=True)
    )


def exchange(query: str, prompt: str | None) -> Exchange:
    """A trainer's text as prompt and response.

    Args:
        query: prompt and response in the policy's template, or the response alone.
        prompt: its prompt where the trainer sends it. What follows it in the query is the response as it is, whatever
            marks the policy wrote into it; without a prompt the last turn of the assistant is.
    """
    query = without_beginning(query)
    if prompt:
        prompt = without_beginning(prompt)
        answer = _answer_behind(prompt, query)
        if answer is None and turns_of(query) is None:
            answer = query  # a trainer that does not merge them
        if answer is not None:
            return _answered(prompt, answer)
    turns = turns_of(query)
    if turns is None or turns[-1].role != "assistant":
        return Exchange((), _turn("assistant", without_ends(query)))
    return Exchange(turns[:-1], _turn("assistant", turns[-1].content))


def _answer_behind(prompt: str, query: str) -> str | None:
    """What follows the prompt; one that was cut on its left to the policy's length is found by its end."""
    if query.startswith(prompt):
        return query[len(prompt) :]
    end = prompt[-_END_LENGTH:]
    place = query.find(end) if len(prompt) > _END_LENGTH else -1
    return query[place + len(end) :] if place >= 0 else None


def _answered(prompt: str, answer: str) -> Exchange:
    turns = turns_of(prompt)
    if turns is None:
        return Exchange(_turn("user", prompt), _turn("assistant", without_ends(answer)))
    begun = ""
    if turns[-1].role == "assistant":  # the turn that the template opened, with what was put into it already
        turns, begun = turns[:-1], turns[-1].content
    return Exchange(turns, _turn("assistant", without_ends(begun + answer)))


def without_ends(text: str) -> str:
    """A text without the tokens that end a turn at its end, and the space around these."""
    stripped = text
    while True:
        bare = stripped.rstrip()
        end = next((mark for mark in _ENDS if bare.endswith(mark)), None)
        if end is None:
            return stripped
        stripped = bare.removesuffix(end)


def without_beginning(text: str) -> str:
    """A text without a token that begins a text."""
    for mark in _BEGINNINGS:
        if text.startswith(mark):
            return text[len(mark) :]
    return text


def _instructions(text: str) -> Conversation | None:
    """Turns between [INST] and [/INST]."""
    turns: list[Message] = []
    for match in _INSTRUCTION.finditer(text):
        turns += [Message("user", match["user"].strip()), Message("assistant", without_ends(match["assistant"]))]
    return tuple(turns) or None


def _turn(role: Role, text: str) -> Conversation:
    return (Message(role, text),) if text else ()
