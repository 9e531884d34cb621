"""Exact probabilities of a few fixed answers, whatever their number of tokens.

The answers' token sequences form a tree. At each inner node a model is asked once for the log-probabilities of that
node's children (full vocabulary, before any restriction); their sums along the branches are the answers' own. Where
every answer is one token the tree is its root, and that is one decoded token. A `node` is the tuple of tokens that
leads to it, `()` for the root.

This module refuses to know tokenizers (chat.py) and models (vllm.py, hf.py).
"""

import math
from collections.abc import Mapping, Sequence

from judge.errors import ConfigError

Node = tuple[int, ...]
FLOOR = 1e-12  # least probability of "and no more": rounding may bring the children's sum a hair above one


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
