"""A reply that goes round in circles is seen as such, and cut behind its first round."""

from hypothesis import given
from hypothesis import strategies as st

from judge.engines.base import LOOP_COUNT, SHORTEST_LOOP, loops, without_loop


def test_four_rounds_of_eight_tokens_are_a_loop_and_three_are_none() -> None:
    one_round = list(range(SHORTEST_LOOP))
    assert loops([99, *one_round * LOOP_COUNT])
    assert not loops([99, *one_round * (LOOP_COUNT - 1)])
    assert not loops([*one_round * LOOP_COUNT, 99])
    assert loops([7] * SHORTEST_LOOP * LOOP_COUNT)
    assert not loops([])


@given(st.lists(st.integers(0, 3), max_size=80))
def test_a_loop_is_what_ends_in_equal_parts(tokens: list[int]) -> None:
    lengths = range(SHORTEST_LOOP, len(tokens) // LOOP_COUNT + 1)
    expected = any(tokens[-size * LOOP_COUNT :] == tokens[-size:] * LOOP_COUNT for size in lengths)
    assert loops(tokens) == expected


def test_a_text_is_cut_behind_the_first_round() -> None:
    assert without_loop("Yes. " + "It is good, all in all. " * 4) == "Yes. It is good, all in all. "
    assert without_loop("It is good... It is bad...") == "It is good... It is bad..."
    assert without_loop("") == ""
