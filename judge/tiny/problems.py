"""Problems of the embedded judge's field: multistep integer arithmetic with signs and brackets.

A problem is a tree of flat sums and products, "(((-9 - 5 - 0) - (4 + 3)) * (7 - -7 * 4)) =". Everything is drawn from
the random generator that the caller seeds; nothing is read from any data set.
"""

from dataclasses import dataclass
from random import Random
from zlib import crc32

from judge.tiny.arithmetic import OPERATORS, Tokens, next_operation, operate, render, tidy


@dataclass(frozen=True, slots=True)
class Node:
    """A leaf (`tokens`, with its brackets) or an operation on two nodes."""

    tokens: Tokens
    operator: str = ""
    left: "Node | None" = None
    right: "Node | None" = None


def _leaf(rng: Random, shortest: int, longest: int) -> Node:
    tokens: Tokens = ["(", rng.randint(-9, 9)]
    for _ in range(rng.randint(shortest, longest) - 1):
        tokens += [rng.choice(OPERATORS), rng.randint(-9, 9)]
    return Node([*tokens, ")"])


def join(operator: str, left: Node, right: Node) -> Node:
    """(left operator right), in brackets of its own."""
    return Node(["(", *left.tokens, operator, *right.tokens, ")"], operator, left, right)


def largest(tokens: Tokens) -> int:
    """The largest magnitude that appears while the expression is worked out."""
    tokens, top = tidy(tokens), 0
    while True:
        top = max([top, *(abs(token) for token in tokens if isinstance(token, int))])
        if len(tokens) == 1:
            return top
        tokens = operate(tokens, next_operation(tokens), long=False)


def is_held_out(node: Node) -> bool:
    """Whether a problem is in the sixteenth of all that training never sees, by the checksum of its text."""
    return crc32(question(node).encode()) % 16 == 0


def _deep(rng: Random) -> Node:
    """Eight leaves of two numbers."""
    nodes = [_leaf(rng, 2, 2) for _ in range(8)]
    while len(nodes) > 1:
        nodes = [join(rng.choice(OPERATORS), *pair) for pair in zip(nodes[::2], nodes[1::2], strict=True)]
    return nodes[0]


def problem(rng: Random, *, limit: int = 999, wide: bool = False, held_out: bool = False, deep: float = 0.0) -> Node:
    """A problem whose working never leaves -limit…limit. `wide` draws longer leaves as well; a share `deep` of them is
    one floor deeper, with leaves of two numbers."""
    while True:
        if deep and rng.random() < deep:
            node = _deep(rng)
            if is_held_out(node) == held_out and largest(node.tokens) <= 100 * limit:
                return node
            continue
        shortest, longest = (2, 5) if wide and rng.random() < 0.3 else (2, 4)
        size = rng.choice((3, 4)) if rng.random() < 0.6 else longest  # most problems keep one length of leaf
        leaves = [_leaf(rng, min(size, shortest if rng.random() < 0.3 else size), size) for _ in range(4)]
        shape = rng.random()
        operators = [rng.choice(OPERATORS) for _ in range(3)]
        if shape < 0.25:
            node = join(operators[0], leaves[0], leaves[1])
        elif shape < 0.85:
            node = join(operators[0], join(operators[1], *leaves[:2]), join(operators[2], *leaves[2:]))
        elif shape < 0.92:
            node = join(operators[0], join(operators[1], *leaves[:2]), leaves[2])
        else:
            node = join(operators[0], leaves[0], join(operators[1], leaves[1], leaves[2]))
        if is_held_out(node) == held_out and largest(node.tokens) <= limit:
            return node


def question(node: Node) -> str:
    """The text of a problem, as it is asked."""
    return f"{render(node.tokens)} ="
