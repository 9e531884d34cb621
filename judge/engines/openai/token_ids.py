"""Exact probabilities of choices from a server that takes token ids (vLLM): the same sums as in one's own process.

/tokenize renders the conversation with each choice as the begun reply, so choices are tokenised in context; the tree of
their tokens is asked node by node with `logprob_token_ids`, over the whole vocabulary.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from judge.engines.base import Completion, Request
from judge.engines.choices import ChoiceTree, Node, likeliest
from judge.engines.openai.answers import Failure, usage_of
from judge.engines.openai.connection import Connection
from judge.engines.openai.dialect import Dialect
from judge.engines.thinking import KNOWN_MARKS
from judge.errors import ConfigError
from judge.records import Message

SAME_TOKENS = 6  # so many equal tokens before the choices' own, and the choices are tokenised as before
KEY_LETTERS = 24
END_TOKENS = 16
UNLIKELY = -9999.0  # how the protocol writes a probability of 0
PROBE = Request(messages=(Message("user", "A or B?"),), choices=("A", "B"))
PROBE_TRIES = 3


T = TypeVar("T")


class _Branches(NamedTuple):
    """The tokens of each choice behind a prompt that ends in `tail`."""

    tail: list[int]
    sequences: dict[str, list[int]]


class TokenIds:
    """The exact way to a choice, for one model on one server."""

    def __init__(self, connection: Connection, model: str) -> None:
        self._connection = connection
        self._model = model
        self._known: dict[tuple[str, tuple[str, ...]], _Branches] = {}

    async def available(self) -> bool:
        """Whether the server tokenises a begun reply and gives the probabilities of named tokens."""
        for _ in range(PROBE_TRIES):
            result = await self.choose(PROBE, Dialect(), once=True)
            if not isinstance(result, Failure) or result.kind not in ("sick", "busy"):
                return not isinstance(result, Failure)
        return False

    async def opens_thinking(self) -> bool:
        """Whether the chat template begins a reply inside the model's thinking; False where it cannot be seen."""
        root = self._connection.address.root_url
        body = {"model": self._model, "messages": [{"role": "user", "content": "A or B?"}]}
        ids = await self._ask(root("/tokenize"), body, True, read_ids)
        if isinstance(ids, Failure):
            return False
        end = {"model": self._model, "tokens": ids[-END_TOKENS:]}
        text = await self._ask(root("/detokenize"), end, True, _read_prompt)
        return isinstance(text, str) and any(text.rstrip().endswith(marks.start) for marks in KNOWN_MARKS)

    async def choose(self, request: Request, dialect: Dialect, *, once: bool = False) -> Completion | Failure:
        """The likeliest choice with the exact log-probabilities of all. once: without patience."""
        tree = await self._tree(request, dialect, once)
        if isinstance(tree, Failure):
            return tree
        prompt, choices = tree
        answers = await asyncio.gather(
            *(self._node([*prompt, *node], children, once) for node, children in choices.nodes.items())
        )
        scores: dict[Node, Mapping[int, float]] = {}
        usage: list[Completion] = []
        for node, answer in zip(choices.nodes, answers, strict=True):
            if isinstance(answer, Failure):
                return answer
            scores[node] = answer[0]
            usage.append(answer[1])
        logprobs = choices.logprobs(scores)
        return Completion(
            text=likeliest(logprobs),
            logprobs=logprobs,
            prompt_tokens=sum(cost.prompt_tokens for cost in usage),
            cached_tokens=sum(cost.cached_tokens for cost in usage),
            output_tokens=sum(cost.output_tokens for cost in usage),
        )

    async def _tree(self, request: Request, dialect: Dialect, once: bool) -> tuple[list[int], ChoiceTree] | Failure:
        """The prompt's ids and the tree of the choices' tokens after them."""
        key = (request.prefill[-KEY_LETTERS:], request.choices)
        first, *others = request.choices
        ids = await self._tokenize(request, first, dialect, once)
        if isinstance(ids, Failure):
            return ids
        known = self._known.get(key)
        if known is not None:
            end = len(ids) - len(known.sequences[first])
            if ids[end:] == known.sequences[first] and ids[:end][-SAME_TOKENS:] == known.tail:
                return ids[:end], ChoiceTree(known.sequences)
        sequences = {first: ids}
        for choice, answer in zip(
            others,
            await asyncio.gather(*(self._tokenize(request, other, dialect, once) for other in others)),
            strict=True,
        ):
            if isinstance(answer, Failure):
                return answer
            sequences[choice] = answer
        shared = min(len(tokens) for tokens in sequences.values()) - 1
        while any(tokens[:shared] != ids[:shared] for tokens in sequences.values()):
            shared -= 1
        branches = {choice: tokens[shared:] for choice, tokens in sequences.items()}
        try:
            tree = ChoiceTree(branches)
        except ConfigError as error:
            return Failure("refused", str(error))
        self._known[key] = _Branches(ids[:shared][-SAME_TOKENS:], branches)
        return ids[:shared], tree

    async def _tokenize(self, request: Request, choice: str, dialect: Dialect, once: bool) -> list[int] | Failure:
        begun = replace(request, prefill=request.prefill + choice, choices=())
        body = dialect.body(self._model, begun, quiet=True)
        fields = ("model", "messages", "continue_final_message", "add_generation_prompt", "chat_template_kwargs")
        return await self._ask(
            self._connection.address.root_url("/tokenize"),
            {name: body[name] for name in fields if name in body},
            once,
            read_ids,
        )

    async def _node(
        self, prompt: list[int], children: list[int], once: bool
    ) -> tuple[dict[int, float], Completion] | Failure:
        """child -> its log-probability after the prompt, and what it cost."""
        body = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": 1,
            "logprob_token_ids": children,
            "return_tokens_as_token_ids": True,
        }
        url = self._connection.address.url("/completions")
        return await self._ask(url, body, once, lambda content: read_scores(content, children))

    async def _ask(
        self, url: str, body: Mapping[str, Any], once: bool, read: Callable[[Any], T | Failure]
    ) -> T | Failure:
        if once:
            return await self._connection.ask_once(url, body, read)
        return await self._connection.ask(url, body, read)


def read_ids(content: Any) -> list[int] | Failure:
    """The token ids in an answer of /tokenize."""
    tokens = content.get("tokens") if isinstance(content, dict) else None
    if not isinstance(tokens, list) or len(tokens) < 2 or not all(isinstance(token, int) for token in tokens):
        return Failure("odd", "no token ids in the answer of /tokenize")
    return tokens


def _read_prompt(content: Any) -> str | Failure:
    text = content.get("prompt") if isinstance(content, dict) else None
    return text if isinstance(text, str) else Failure("odd", "no text in the answer of /detokenize")


def read_scores(content: Any, children: list[int]) -> tuple[dict[int, float], Completion] | Failure:
    """token -> log-probability of the named tokens in an answer of /completions, and what it cost."""
    try:
        listed = content["choices"][0]["logprobs"]["top_logprobs"][0]
        scores = {child: float(listed[f"token_id:{child}"]) for child in children}
    except (LookupError, TypeError, ValueError):
        return Failure("odd", "no log-probabilities of the named tokens in the answer of /completions")
    scores = {child: -float("inf") if value <= UNLIKELY else min(value, 0.0) for child, value in scores.items()}
    return scores, usage_of(content)
