"""Probabilities of a few fixed answers: exact ones from a tree of tokens, and those that listed top tokens support.

The answers' token sequences form a tree. At each inner node a model is asked once for the log-probabilities of that
node's children (full vocabulary, before any restriction); their sums along the branches are the answers' own. Where
every answer is one token the tree is its root, and that is one decoded token. A `node` is the tuple of tokens that
leads to it, `()` for the root.

A server that gives no more than its likeliest first tokens supports less: `listed_logprobs` says what, and why not.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from judge.errors import ConfigError

Node = tuple[int, ...]
FLOOR = 1e-12  # least probability of "and no more": rounding may bring the children's sum a hair above one

LEAST_SHARE = 0.5
"""The share of all probability that must lie on the choices before anything is concluded from listed tokens."""

MOST_SHARED = 0.01
"""The share of the choices' own probability that may lie on tokens which begin several of them."""


class ChoiceTree:
    """The token sequences of the answers on offer, as a tree."""

    def __init__(self, sequences: Mapping[str, Sequence[int]]) -> None:
        """sequences: answer -> its tokens after the prompt, at least one each, no two alike."""
        self.sequences: dict[str, Node] = {answer: tuple(tokens) for answer, tokens in sequences.items()}
        if len(set(self.sequences.values())) < len(self.sequences) or not all(self.sequences.values()):
            raise ConfigError(f"choices that the model's tokenizer cannot tell apart: {sorted(self.sequences)}")
        children: dict[Node, dict[int, None]] = {}
        for tokens in self.sequences.values():
            for depth, token in enumerate(tokens):
                children.setdefault(tokens[:depth], {})[token] = None
        self.nodes: dict[Node, list[int]] = {node: list(tokens) for node, tokens in children.items()}

    @property
    def depth(self) -> int:
        """Tokens of the longest node: what a prompt grows by when that node is asked."""
        return max(len(node) for node in self.nodes)

    @property
    def ends(self) -> list[Node]:
        """The nodes that no other node goes on from: on the ways to them lie all nodes."""
        begun = {node[:depth] for node in self.nodes for depth in range(len(node))}
        return [node for node in self.nodes if node not in begun]

    def logprobs(self, scores: Mapping[Node, Mapping[int, float]]) -> dict[str, float]:
        """Natural log-probability of each answer among the answers: log p(a) - log sum_b p(b).

        scores: for every node, child token -> log p(token | prompt + node) over the whole vocabulary.
        p(a) is the product of its tokens' probabilities. An answer that begins another one ("1" and "10") also has to
        end there, so it is multiplied by 1 - sum of the probabilities of its own children; else "1" would hold the mass
        of "10" too.
        """
        raw = {answer: self._own(tokens, scores) for answer, tokens in self.sequences.items()}
        top = max(raw.values())
        if top == -math.inf:
            return {answer: -math.log(len(raw)) for answer in raw}
        total = top + math.log(sum(math.exp(value - top) for value in raw.values()))
        return {answer: value - total for answer, value in raw.items()}

    def _own(self, tokens: Node, scores: Mapping[Node, Mapping[int, float]]) -> float:
        log_p = sum(scores[tokens[:depth]][token] for depth, token in enumerate(tokens))
        if tokens in self.nodes:
            going_on = sum(math.exp(value) for value in scores[tokens].values())
            log_p += math.log(max(1.0 - going_on, FLOOR))
        return log_p


def likeliest(logprobs: Mapping[str, float]) -> str:
    """The answer with the highest log-probability, the earlier one of equals."""
    return max(logprobs, key=lambda answer: logprobs[answer])


class Listed(NamedTuple):
    """What a list of likeliest tokens says of the choices.

    logprobs: choice -> log-probability among the choices (they sum to 1 after exp); {} when the list supports none.
    reason: why it is {}, "" otherwise. bounds: choices of which no token is listed; theirs are the most they can have.
    """

    logprobs: dict[str, float]
    reason: str = ""
    bounds: tuple[str, ...] = ()


def listed_logprobs(listed: Mapping[str, float], choices: Sequence[str]) -> Listed:
    """The choices' log-probabilities from those of the likeliest first tokens of a reply.

    A token is evidence for a choice when it spells or begins that one alone; white space before it does not matter. A
    token that begins several ("1" of 1 and 10, "-" of -1 and -2) is evidence for none of them. Nothing is concluded
    when less than LEAST_SHARE of the whole probability is evidence, or when the tokens that begin several choices hold
    more than MOST_SHARED of what is. A choice without a listed token gets the least probability listed, or what is
    left of the whole if that is less.

    Args:
        listed: token -> natural log-probability over the whole vocabulary.
        choices: the answers on offer.
    """
    evidence: dict[str, float] = {}
    shared = 0.0
    for token, logprob in listed.items():
        word = token.strip()
        meant = [choice for choice in choices if word and choice.strip().startswith(word)]
        if len(meant) == 1:
            evidence[meant[0]] = evidence.get(meant[0], 0.0) + math.exp(logprob)
        elif meant:
            shared += math.exp(logprob)
    support = math.fsum(evidence.values())
    if shared > MOST_SHARED * support and shared + support >= LEAST_SHARE:
        return Listed({}, "the likeliest token begins several choices")
    if support < LEAST_SHARE:
        return Listed({}, f"the choices hold {support:.0%} of the probability, less than {LEAST_SHARE:.0%}")
    left = max(1.0 - math.fsum(math.exp(logprob) for logprob in listed.values()), 0.0)
    bound = max(min(math.exp(min(listed.values())), left), FLOOR)
    full = {choice: evidence.get(choice, bound) for choice in choices}
    total = math.log(math.fsum(full.values()))
    bounds = tuple(choice for choice in choices if choice not in evidence)
    return Listed({choice: math.log(value) - total for choice, value in full.items()}, "", bounds)
