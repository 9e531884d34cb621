"""What an engine is: two verbs, and the two rows that pass through them.

An engine is given requests and hands back completions, in any order, as they finish.
`scripted` is the fake that stands beside the protocol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from judge.records import Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing to ask a model.

    messages: the conversation; the model writes the next assistant turn.
    prefill: the beginning of that turn, already written; the model goes on from its last character.
    opening: how the turn should begin, such as "<critique>". An engine that goes on from a begun reply writes it as
        the turn's beginning, unless its model thinks aloud first; the completion's text then begins with it. Others
        leave it to the model.
    choices: when given, exactly one of these answers is returned, with the log-probability of each, normalised over
        the choices (they sum to 1 after exp). One decoded token where every choice is one token; a forward pass a
        choice where one is longer.
    schema: a JSON schema that the reply must follow.
    max_tokens: the longest reply, in tokens. temperature 0 is greedy. seed makes a sampled reply repeatable.
    judge: which of the run's engines answers (0 is the first; a jury has several).
    key: names what is asked, "record id/asked/judge/vote", the same in every run; engines that look answers up
        (`recorded`) find them by it, a model never sees it.
    """

    messages: Conversation
    prefill: str = ""
    opening: str = ""
    choices: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    judge: int = 0
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model answered.

    text: the reply without the prefill and without the model's thinking. thinking: what a reasoning model thought
    first, kept apart so that no verdict is read from it.
    logprobs: choice -> natural log of its probability among the choices; empty for free text.
    finish: "stop" (the model ended its turn), "length" (cut at max_tokens), "repetition" (cut because it wrote the same
    again and again), "error" (text says why; the engine has tried what it could, so the same is not asked again).
    continues: whether the engine goes on from a begun reply (`Request.prefill`); False where it is not known.
    prompt_tokens, cached_tokens, output_tokens: what it cost; cached ones are part of the prompt ones.
    """

    text: str
    thinking: str = ""
    logprobs: Mapping[str, float] = field(default_factory=dict)
    finish: str = "stop"
    continues: bool = False
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Engine(Protocol):
    """A model that answers."""

    def submit(self, ticket: int, request: Request) -> None:
        """Take a request; `ticket` names its completion. Never blocks on the model.

        Of requests that wait, an engine with a queue begins the lowest ticket first: what a record goes on to ask then
        finds its own prompt still in the prefix cache, and records are finished in about the order of the data.
        """

    def step(self) -> list[tuple[int, Completion]]:
        """Block until at least one request has finished; all that have. An empty list when none is pending."""
        ...

    def count_tokens(self, request: Request) -> int:
        """The number of prompt tokens of a request, for a dry run."""
        ...

    def describe(self) -> dict[str, Any]:
        """What belongs into a manifest: engine, model, revision, versions, settings. Equal if and only if the engine
        would answer alike."""
        ...

    def close(self) -> None:
        """Let go of the model. Safe to call twice."""


@runtime_checkable
class Durable(Protocol):
    """An engine whose work goes on when the process ends, such as batches on a server.

    window: how many records should be in work at once for it.
    """

    window: int

    def keep_in(self, directory: Path) -> None:
        """Keep in a directory what is needed to take the work up again, and take up what lies there."""

    def forget(self) -> None:
        """Remove what was kept of ended work: every record that stood on it is written down."""


SHORTEST_LOOP, LONGEST_LOOP, LOOP_COUNT = 8, 48, 4
"""A reply is in a loop when the same 8 to 48 tokens end it four times in a row."""


def loops(tokens: Sequence[int]) -> bool:
    """Whether a reply's tokens end in a loop."""
    for length in range(SHORTEST_LOOP, min(LONGEST_LOOP, len(tokens) // LOOP_COUNT) + 1):
        if tokens[-1] == tokens[-1 - length] and all(
            tokens[-length * (count + 1) :][:length] == tokens[-length:] for count in range(1, LOOP_COUNT)
        ):
            return True
    return False


def without_loop(text: str) -> str:
    """A text that ends in a loop, cut behind its first round."""
    for length in range(1, len(text) // 2 + 1):
        if text[-length:] == text[-2 * length : -length]:
            start = len(text) - length
            while start >= length and text[start - length : start] == text[-length:]:
                start -= length
            if len(text) - start >= max(3 * length, 32):
                return text[: start + length]
    return text
