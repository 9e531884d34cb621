"""The nouns of the house: rows in (what is judged) and rows out (what a judge said).

A record is immutable plain data with an id made from its content, so the same text has the same id in every run and
on every machine. Human labels and source fields travel with a record but never enter its id: two annotators of one
pair meet under one id. Higher is better everywhere; a probability is P(the first is better) or P(right).

This module refuses to know files, models, prompts and metrics.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, ClassVar, Literal

Role = Literal["system", "user", "assistant", "tool"]
PairVerdict = Literal["first", "second", "tie"]
StepVerdict = Literal["right", "wrong", "neutral"]
OutcomeVerdict = Literal["right", "wrong"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Conversation = tuple[Message, ...]


def spoken(conversation: Conversation) -> str:
    """The text of a conversation as a judge reads it: the content of a single turn, else `Role: content` blocks."""
    if len(conversation) == 1:
        return conversation[0].content
    return "\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in conversation)


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanLabel:
    """One person's verdict on a record.

    verdict: "first" | "second" | "tie" for a pair; a number for a response (its score); for a solution the 0-based
    index of the first wrong step, -1 when every step is right; for a ranking the order, best first.
    criterion: which quality was judged, "" for the whole. "correct" on a response or solution is 1 or 0, whether the
    final answer is right; on a ranking it is the indices of the right responses.
    """

    annotator: str
    verdict: str | float | tuple[int, ...]
    criterion: str = ""


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def content_id(*parts: Any) -> str:
    """32 hexadecimal digits from the content: the same for equal JSON values in any process (blake2b, 16 bytes)."""
    return blake2b(_ENCODER.encode(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(conversation: Conversation) -> list[list[str]]:
    return [[message.role, message.content] for message in conversation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two responses to one prompt. `first` is the chosen one in data that says chosen/rejected.

    Data of votes alone (MT-Bench's, PandaLM's predictions) gives pairs without any text: `judgeable` is false, and
    `meta["key"]` (source, question, models) makes the id.
    """

    kind: ClassVar[str] = "pair"
    prompt: Conversation
    first: Conversation
    second: Conversation
    human: tuple[HumanLabel, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def judgeable(self) -> bool:
        """Whether there are texts to judge."""
        return bool(self.first and self.second)

    @property
    def id(self) -> str:
        if not self.judgeable:
            return content_id(self.kind, self.meta.get("key"))
        return content_id(self.kind, _plain(self.prompt), _plain(self.first), _plain(self.second))

    def swap(self) -> "Pair":
        """The same pair in the other order, without its labels (they name a place, not a response)."""
        return replace(self, first=self.second, second=self.first, human=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One response to a prompt, with a reference answer where one is known."""

    kind: ClassVar[str] = "response"
    prompt: Conversation
    response: Conversation
    reference: str = ""
    human: tuple[HumanLabel, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return content_id(self.kind, _plain(self.prompt), _plain(self.response), self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A solution written in steps, with the true answer where one is known."""

    kind: ClassVar[str] = "solution"
    prompt: Conversation
    steps: tuple[str, ...]
    reference: str = ""
    human: tuple[HumanLabel, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return content_id(self.kind, _plain(self.prompt), self.steps, self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Two or more responses to one prompt, to be put in order."""

    kind: ClassVar[str] = "ranking"
    prompt: Conversation
    responses: tuple[Conversation, ...]
    human: tuple[HumanLabel, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return content_id(self.kind, _plain(self.prompt), [_plain(response) for response in self.responses])

    def pair(self, first: int, second: int) -> Pair:
        """The pair of two of its responses, by 0-based index."""
        return Pair(prompt=self.prompt, first=self.responses[first], second=self.responses[second])


Record = Pair | Response | Solution | Ranking
