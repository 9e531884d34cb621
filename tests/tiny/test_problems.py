"""Problems: bounded, seeded, and never both taught and asked."""

from random import Random
from zlib import crc32

import pytest

from judge.tiny.arithmetic import parse, rewrite
from judge.tiny.problems import Node, is_held_out, join, largest, problem, question


def drawn(count, *, seed=0, **how):
    rng = Random(seed)
    return [problem(rng, **how) for _ in range(count)]


def test_a_joined_problem_and_its_question():
    left, right = Node(["(", -9, "-", 5, ")"]), Node(["(", 4, "+", 3, ")"])
    assert question(join("*", left, right)) == "((-9 - 5) * (4 + 3)) ="


def test_the_largest_number_on_the_way():
    # (9 * 9 - 80) * 2: 81, then 1, then 2; the 81 is the largest
    assert largest(parse("(9 * 9 - 80) * 2")) == 81
    assert largest(parse("-90 + 3")) == 90


@pytest.mark.parametrize("held_out", [False, True])
def test_problems_stay_within_their_limit_and_side(held_out):
    for node in drawn(200, held_out=held_out):
        assert largest(node.tokens) <= 999
        assert is_held_out(node) is held_out
        assert is_held_out(node) == (crc32(question(node).encode()) % 16 == 0)


def test_held_out_and_taught_problems_never_meet():
    taught = {question(node) for wide in (False, True) for node in drawn(600, wide=wide)}
    asked = {question(node) for wide in (False, True) for node in drawn(600, wide=wide, held_out=True)}
    assert len(taught) > 1000
    assert len(asked) > 1000
    assert not taught & asked


def test_a_problem_is_its_seed():
    assert drawn(20, seed=5) == drawn(20, seed=5) != drawn(20, seed=6)


def test_the_value_of_a_problem_is_pythons():
    for node in drawn(100, wide=True, limit=100_000):
        assert rewrite(node.tokens)[-1] == [eval(question(node).removesuffix(" ="))]
