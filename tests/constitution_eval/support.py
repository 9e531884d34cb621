"""What the tests of trials share: pairs whose good response is known, and a judge that sees some principles only."""

import math
from hashlib import blake2b
from pathlib import Path

from judge.constitution.constitution import Constitution, Principle
from judge.engines.base import Completion, Request
from judge.records import HumanLabel, Message, Pair

FOUR = Constitution(
    name="four",
    principles=(
        Principle(id="idle-one", text="The response is written in ink."),
        Principle(id="idle-two", text="The response rhymes."),
        Principle(id="useful", text="The response is right."),
        Principle(id="idle-three", text="The response names a colour."),
    ),
)


def pairs(count: int) -> list[Pair]:
    """Pairs whose right response stands first in the even ones; a person always prefers it."""
    found = []
    for number in range(count):
        good, bad = f"right {number}", f"wrong {number}"
        first, second = (good, bad) if number % 2 == 0 else (bad, good)
        found.append(
            Pair(
                prompt=(Message("user", f"Question {number}?"),),
                first=(Message("assistant", first),),
                second=(Message("assistant", second),),
                human=(HumanLabel(annotator="person", verdict="first" if number % 2 == 0 else "second"),),
            )
        )
    return found


def choose(label: str, share: float) -> Completion:
    """A choice of one of A, B, C with a probability."""
    others = math.log((1 - share) / 2)
    return Completion(text=label, logprobs={one: math.log(share) if one == label else others for one in "ABC"})


def knows_the_right(request: Request) -> Completion:
    """Sees which response is right where the principle asks for it, nine times in ten; tosses a coin for the others,
    and abstains for one of them. A toss depends on the pair and the principle, never on the order."""
    said = request.messages[-1].content
    right_first = said.index("right ") < said.index("wrong ")
    number, principle = said.split("Question ")[1].split("?")[0], said.split("<judging_principle>")[1]
    toss = blake2b(f"{number}{principle}".encode(), digest_size=2).digest()
    if "is right" in principle:
        return choose("A" if right_first == (toss[0] % 10 != 0) else "B", 0.8)
    if "rhymes" in principle:
        return choose("C", 0.9)
    return choose("A" if right_first == (toss[0] % 2 == 0) else "B", 0.7)


def rules(path: Path, *lines: str) -> str:
    """The spec of a judge that answers by these rules."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return f"scripted:{path}"
