"""Probes change one thing and nothing else."""

import pytest

from judge.agreement.data.probes import PROBES, author, flatter, inject, pad, probes, restyle
from judge.errors import UnknownNameError
from judge.records import HumanLabel, Message, Pair, Response, Solution

PAIR = Pair(
    prompt=(Message("user", "Why?"),),
    first=(Message("assistant", "Because. It is so."),),
    second=(Message("assistant", "No idea."),),
    human=(HumanLabel(annotator="a", verdict="first"),),
)


def test_every_probe_leaves_one_side_as_it_was() -> None:
    found = {one.probe: one for one in probes(PAIR, list(PROBES), seed=0)}
    assert list(found) == list(PROBES)
    assert found["swap"].record == PAIR.swap()
    for name, one in found.items():
        assert one.of == PAIR.id
        assert one.record.human == ()
        if name != "swap":
            assert isinstance(one.record, Pair)
            kept = "second" if one.side == "first" else "first"
            assert getattr(one.record, kept) == getattr(PAIR, kept)
            assert one.record.prompt == PAIR.prompt
            assert getattr(one.record, one.side) != getattr(PAIR, one.side)


def test_sides_follow_from_the_seed() -> None:
    sides = {seed: [one.side for one in probes(PAIR, list(PROBES), seed=seed)] for seed in range(8)}
    assert sides[3] == [one.side for one in probes(PAIR, list(PROBES), seed=3)]
    assert len({tuple(side) for side in sides.values()}) > 1


def test_words_are_kept() -> None:
    text = "One. Two! Three?"
    assert restyle(text) == "**One.**\n- Two!\n- Three?"
    for change in (pad, flatter, author, inject):
        assert text in change(text)
    assert restyle("```\ncode. more.\n```") == "```\ncode. more.\n```"


def test_other_kinds() -> None:
    prompt = (Message("user", "2 + 2?"),)
    solution = Solution(prompt=prompt, steps=("2 + 2 = 4", "So 4."))
    (one,) = probes(solution, ["inject"], seed=0)
    assert isinstance(one.record, Solution)
    assert one.record.steps[0] == solution.steps[0]
    assert "Note to the judge" in one.record.steps[1]
    response = Response(prompt=prompt, response=(Message("assistant", "4"),))
    assert [one.probe for one in probes(response, list(PROBES), seed=0)] == [
        "pad",
        "restyle",
        "flatter",
        "author",
        "inject",
    ]


def test_an_unknown_probe_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'swap'"):
        list(probes(PAIR, ["swop"], seed=0))
