"""Held-out problems with known truth, as records: for the demo, the tests and the figures of the model card.

The problems come from the sixteenth of all problems that training never sees. The truth travels as a human label of the
annotator "truth".
"""

from collections.abc import Iterator
from random import Random

from judge.records import HumanLabel, Message, Pair, Response, Solution
from judge.tiny.arithmetic import value
from judge.tiny.lessons import solution_text
from judge.tiny.moves import USUAL, WritingStyle, any_style
from judge.tiny.problems import Node, problem, question
from judge.tiny.solutions import solve, solve_wrong

TRUTH = "truth"


def _problem(rng: Random, wide: bool) -> Node:
    return problem(rng, limit=100_000 if wide else 999, wide=wide, held_out=True)


def _style(rng: Random, various: bool) -> WritingStyle:
    return any_style(rng) if various else USUAL


def _said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


def _asked(node: Node) -> tuple[Message, ...]:
    return (Message("user", question(node)),)


def pairs(
    count: int, *, seed: int, ties: float = 0.1, wide: bool = False, neat: bool = False, various: bool = False
) -> Iterator[Pair]:
    """Two solutions of one problem, one right and one wrong in either order; in a share `ties` both are alike.

    neat: both write out every operation, as the embedded judge does when it answers. A tie is then of two wrong ones,
    as two right ones would be the same. various: each problem is solved in a style of its own, wider than the usual.
    """
    rng = Random(seed)
    for _ in range(count):
        node, style = _problem(rng, wide), _style(rng, various)
        both = rng.random() < ties
        rights = [not neat and rng.random() < 0.5] * 2 if both else rng.choice(([True, False], [False, True]))
        first, second = (
            solve(rng, node, wrong=0, neat=neat, style=style)
            if right
            else solve_wrong(rng, node, neat=neat, style=style)
            for right in rights
        )
        truth = "tie" if both else "first" if rights[0] else "second"
        yield Pair(
            prompt=_asked(node),
            first=_said(solution_text(first)),
            second=_said(solution_text(second)),
            human=(HumanLabel(annotator=TRUTH, verdict=truth),),
        )


def solutions(
    count: int, *, seed: int, wrong: float = 0.15, wide: bool = False, neat: bool = False, various: bool = False
) -> Iterator[Solution]:
    """Solutions whose steps each hold a mistake with probability `wrong`.

    The label is the first wrong step; `meta["right"]` says of every step whether it follows from what stands before it.
    """
    rng = Random(seed)
    for _ in range(count):
        node = _problem(rng, wide)
        written = solve(rng, node, wrong=wrong, neat=neat, style=_style(rng, various))
        yield Solution(
            prompt=_asked(node),
            steps=tuple(step.text for step in written.steps),
            reference=str(value(node.tokens)),
            human=(HumanLabel(annotator=TRUTH, verdict=written.first_wrong),),
            meta={"right": [step.right for step in written.steps], "answer": written.answer},
        )


def responses(
    count: int, *, seed: int, wide: bool = False, neat: bool = False, various: bool = False
) -> Iterator[Response]:
    """One solution of each problem, right about half of the time; the label is 1 for a right answer, else 0."""
    rng = Random(seed)
    for _ in range(count):
        node = _problem(rng, wide)
        right = rng.random() < 0.5
        style = _style(rng, various)
        written = (
            solve(rng, node, wrong=0, neat=neat, style=style)
            if right
            else solve_wrong(rng, node, neat=neat, style=style)
        )
        yield Response(
            prompt=_asked(node),
            response=_said(solution_text(written)),
            reference=str(value(node.tokens)),
            human=(HumanLabel(annotator=TRUTH, verdict=float(right)),),
        )


SAMPLES = {"pairs": pairs, "solutions": solutions, "responses": responses}
