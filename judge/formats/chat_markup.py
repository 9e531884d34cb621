"""Prompts that a chat template has already turned into one text, back to messages.

Trainers hand such texts to their reward functions; a reward model has a template of its own. The markers are those of
the templates that models are published with; a text without any is one user turn.
"""

import re
from typing import NamedTuple, cast

from judge.records import Conversation, Message, Role


class Markup(NamedTuple):
    """How a family of templates writes a turn.

    Attributes:
        opening: what begins a turn; its group `role` names who speaks.
        closing: what ends one.
    """

    opening: re.Pattern[str]
    closing: tuple[str, ...]


_PLAIN_ROLE = r"(?P<role>system|user|assistant|tool)"
MARKUPS: dict[str, Markup] = {
    "chatml": Markup(re.compile(rf"<\|im_start\|>{_PLAIN_ROLE}\n"), ("<|im_end|>", "<|endoftext|>")),  # Qwen, SmolLM2
    "llama-3": Markup(
        re.compile(rf"<\|start_header_id\|>{_PLAIN_ROLE}<\|end_header_id\|>\n\n"),
        ("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
    ),
    "gemma": Markup(re.compile(r"<start_of_turn>(?P<role>user|model)\n"), ("<end_of_turn>", "<eos>")),
    "zephyr": Markup(  # Phi 3 and the embedded judge too
        re.compile(rf"<\|{_PLAIN_ROLE}\|>\n?"), ("<|end|>", "<|endoftext|>", "</s>", "<eos>")
    ),
    "deepseek": Markup(re.compile(r"<｜(?P<role>User|Assistant)｜>"), ("<｜end▁of▁sentence｜>",)),
    "llama-2": Markup(re.compile(r"(?P<role>\[INST\]|\[/INST\])\s?"), ("</s>", "<s>")),  # Mistral too
}
_ROLES = {"model": "assistant", "[INST]": "user", "[/INST]": "assistant"}
_END_LENGTH = 64
_CLOSINGS = tuple(dict.fromkeys(closing for markup in MARKUPS.values() for closing in markup.closing))


def prompt_turns(text: str) -> Conversation:
    """A templated prompt as messages, without the opening of the answer; a plain text as one user turn."""
    for markup in MARKUPS.values():
        openings = list(markup.opening.finditer(text))
        if not openings:
            continue
        ends = [*(opening.start() for opening in openings[1:]), len(text)]
        turns = [
            Message(_role(opening["role"]), without_closing(text[opening.end() : end]))
            for opening, end in zip(openings, ends, strict=True)
        ]
        return tuple(turn for turn in turns if turn.content)
    return (Message("user", text),)


def without_closing(text: str) -> str:
    """A text without the markers and blanks at its end."""
    while (bare := text.rstrip()) and (closing := next(filter(bare.endswith, _CLOSINGS), "")):
        text = bare.removesuffix(closing)
    return text.rstrip()


def answer_of(query: str, prompt: str) -> str | None:
    """What a text of prompt and answer says after its prompt; None where the prompt is not in it.

    A prompt that was cut on its left to the policy's length is found by its end.
    """
    if query.startswith(prompt):
        return without_closing(query[len(prompt) :])
    end = prompt[-_END_LENGTH:]
    place = query.find(end)
    return without_closing(query[place + len(end) :]) if place >= 0 and end.strip() else None


def _role(name: str) -> Role:
    return cast(Role, _ROLES.get(name, name.lower()))
