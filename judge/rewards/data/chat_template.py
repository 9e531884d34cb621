"""Conversations in a tokenizer's chat template: folded where it refuses a turn, its date pinned, its omissions named.

A template is a program of the model's makers. It may raise for a conversation, leave a turn out, or write today's
date, which would give the same text another score tomorrow.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from judge.errors import EngineError
from judge.sandbox.chat_templates import TooMuch, render_chat

log = logging.getLogger(__name__)

PINNED_DATE = date(2024, 7, 26)  # the day that Llama 3's templates fall back on where they are told none
_LITERAL_FORMAT = re.compile(r"""strftime_now\(\s*(?:format\s*=\s*)?(["'])(.*?)\1\s*\)""")
_ANY_FORMAT = f"{{%- macro strftime_now(format) -%}}{PINNED_DATE.isoformat()}{{%- endmacro -%}}"
Turns = Sequence[Mapping[str, Any]]


class RefusedError(Exception):
    """A conversation that a chat template takes in no way; its text is the template's own reason."""


class ChatTemplate:
    """The chat template of a tokenizer, "" where it has none.

    Attributes:
        text: the template.
        leaves_out: the roles of turns whose words did not all appear in a rendered text so far.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._name = getattr(tokenizer, "name_or_path", "") or "this model"
        self.text = _text_of(tokenizer)
        self.leaves_out: set[str] = set()

    def render(self, turns: Turns, *, ask: bool, tools: Sequence[Any] = ()) -> str:
        """A conversation as text.

        A template that takes no system turn gets it atop the first user turn, as judges' templates do; one that wants
        user and assistant in turn gets turns of one role joined.

        Args:
            turns: role and content of each.
            ask: whether the text ends where the assistant's turn begins.
            tools: offered to a template that knows them.

        Raises:
            RefusedError: for what the template takes in no way.
        """
        return self._accepted(turns, ask, tools)[1]

    def folded(self, turns: Turns) -> Turns:
        """The turns in the form in which the template takes them; RefusedError where it takes them in none."""
        return self._accepted(turns, False, ())[0]

    def _accepted(self, turns: Turns, ask: bool, tools: Sequence[Any]) -> tuple[Turns, str]:
        reason = ""
        for way in (turns, without := _without_system(turns), _alternating(without)):
            try:
                text = render_chat(self._tokenizer, way, ask=ask, tools=tools)
            except TooMuch as error:
                raise EngineError(f"the chat template of '{self._name}' is refused: {error}") from None
            except Exception as error:  # noqa: BLE001 - a template is anybody's code
                reason = reason or (str(error).strip().splitlines() or [type(error).__name__])[0]
                continue
            for role in roles_left_out(way, text):
                self.leaves_out.add(role)
                _say_once(self._name, role)
            return way, text
        raise RefusedError(reason)


@cache
def _say_once(model: str, role: str) -> None:
    log.warning("the chat template of %s leaves out words of %s turns: scores do not depend on them", model, role)


def roles_left_out(turns: Turns, text: str) -> Iterator[str]:
    """The role of each turn whose content is not in a rendered text, neither as it is nor as a JSON string."""
    for turn in turns:
        content = str(turn.get("content") or "").strip()
        if content and content not in text and json.dumps(content, ensure_ascii=False)[1:-1] not in text:
            yield str(turn["role"])


def pin_date(tokenizer: Any) -> Any:
    """The tokenizer, its chat template changed to write PINNED_DATE where it would write today's date.

    The changed template is saved with the model, so that every loader gives the score of today tomorrow, too.
    """
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):
        tokenizer.chat_template = {name: pinned(text) for name, text in template.items()}
    elif template:
        tokenizer.chat_template = pinned(template)
    return tokenizer


def pinned(template: str) -> str:
    """A template without today's date: formats that stand in it are written out, any other gives the day as ISO."""
    written = _LITERAL_FORMAT.sub(lambda call: f"{call[1]}{PINNED_DATE.strftime(call[2])}{call[1]}", template)
    calls = "strftime_now(" in written and not written.startswith(_ANY_FORMAT)
    return _ANY_FORMAT + written if calls else written


def _text_of(tokenizer: Any) -> str:
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):  # several named ones, as some tool-using models have
        template = template.get("default", "")
    return template or ""


def _without_system(turns: Turns) -> list[Mapping[str, Any]]:
    """The turns with a leading system turn put atop the user turn that follows it."""
    if len(turns) < 2 or turns[0]["role"] != "system" or turns[1]["role"] != "user":
        return list(turns)
    return [{"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}, *turns[2:]]


def _alternating(turns: Turns) -> list[Mapping[str, Any]]:
    """The turns with neighbours of one role joined, a system turn among them as the user's."""
    joined: list[Mapping[str, Any]] = []
    for turn in turns:
        role = "user" if turn["role"] == "system" else turn["role"]
        if joined and joined[-1]["role"] == role and joined[-1].keys() == turn.keys() == {"role", "content"}:
            joined[-1] = {"role": role, "content": f"{joined[-1]['content']}\n\n{turn['content']}"}
        else:
            joined.append({**turn, "role": role})
    return joined
