"""Anthropic's HH-RLHF: `chosen` and `rejected` are whole dialogues in one text, "\\n\\nHuman: …\\n\\nAssistant: …"."""

import re

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import label, rest, shared, text
from judge.records import Conversation, Message, Pair, Role

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ASSISTANT = "\n\nAssistant:"


def pair(row: Row) -> list[Pair]:
    """One pair. The prompt ends at the last "Assistant:" that both dialogues share; what follows is the response, also
    where it is empty (4 texts of the harmless test split) or says "Assistant:" itself (13 texts)."""
    chosen, rejected = text(row, "chosen"), text(row, "rejected")
    end = chosen.rfind(_ASSISTANT, 0, shared(chosen, rejected))
    if end < 1:
        raise InputError("fields 'chosen', 'rejected': no shared dialogue that ends with '\\n\\nAssistant:'")
    prompt = turns(chosen[:end], "Human")
    first, second = (turns(side[end:], "Assistant") for side in (chosen, rejected))
    meta = rest(row, ("chosen", "rejected"))
    return [Pair(prompt=prompt, first=first, second=second, human=label("chosen", "first"), meta=meta)]


def turns(dialogue: str, speaker: str) -> Conversation:
    """A dialogue as messages. A marker that does not change the speaker is part of what is said: models of that time
    wrote on past their turn."""
    names: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
    messages: list[Message] = []
    begin, current = 0, ""
    for mark in _TURN.finditer(dialogue):
        if mark[1] != current:
            if current:
                messages.append(Message(names[current], dialogue[begin : mark.start()].strip()))
            begin, current = mark.end(), mark[1]
    if not current or (not messages and current != speaker):
        raise InputError(f"found a dialogue that does not begin with '{speaker}:'")
    messages.append(Message(names[current], dialogue[begin:].strip()))
    return tuple(messages)


FORMATS = (
    Format(
        name="hh-rlhf",
        about="Anthropic HH-RLHF: chosen, rejected, each a dialogue 'Human: … Assistant: …'",
        fields=("chosen", "rejected"),
        read=pair,
        fits=lambda row: all(str(row[name]).startswith("\n\nHuman:") for name in ("chosen", "rejected")),
        over=("trl-preference", "openrlhf"),
    ),
)
