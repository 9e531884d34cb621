"""The tree of choices against probabilities worked out by hand."""

from math import exp, log

import pytest

from judge.engines.choices import ChoiceTree, likeliest
from judge.errors import ConfigError


def test_one_token_each_is_one_node_and_a_plain_normalisation() -> None:
    tree = ChoiceTree({"A": [7], "B": [8]})
    assert tree.nodes == {(): [7, 8]}
    assert tree.depth == 0
    # 0.3 and 0.1 of the whole vocabulary: 3/4 and 1/4 among themselves.
    logprobs = tree.logprobs({(): {7: log(0.3), 8: log(0.1)}})
    assert exp(logprobs["A"]) == pytest.approx(0.75)
    assert exp(logprobs["B"]) == pytest.approx(0.25)


def test_longer_choices_are_the_product_of_their_tokens() -> None:
    tree = ChoiceTree({"right": [1], "wrong": [2, 3]})
    assert tree.nodes == {(): [1, 2], (2,): [3]}
    # p(right) = 0.2; p(wrong) = 0.4 * 0.5 = 0.2.
    logprobs = tree.logprobs({(): {1: log(0.2), 2: log(0.4)}, (2,): {3: log(0.5)}})
    assert exp(logprobs["right"]) == pytest.approx(0.5)


def test_a_choice_that_begins_another_must_end_there() -> None:
    tree = ChoiceTree({"1": [1], "10": [1, 0], "2": [2]})
    # p("1...") = 0.6, of which 3/4 go on with "0": "10" has 0.45, "1" has 0.15, "2" has 0.4.
    logprobs = tree.logprobs({(): {1: log(0.6), 2: log(0.4)}, (1,): {0: log(0.75)}})
    assert exp(logprobs["1"]) == pytest.approx(0.15)
    assert exp(logprobs["10"]) == pytest.approx(0.45)
    assert exp(logprobs["2"]) == pytest.approx(0.40)
    assert likeliest(logprobs) == "10"


def test_rounding_above_one_is_no_crash() -> None:
    tree = ChoiceTree({"1": [1], "10": [1, 0]})
    logprobs = tree.logprobs({(): {1: 0.0}, (1,): {0: 1e-9}})
    assert exp(logprobs["10"]) == pytest.approx(1.0)


def test_choices_that_share_every_token_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot tell apart"):
        ChoiceTree({"a": [1], "b": [1]})
    with pytest.raises(ConfigError, match="cannot tell apart"):
        ChoiceTree({"": [], "b": [1]})


def test_equals_go_to_the_earlier_one() -> None:
    assert likeliest({"B": log(0.5), "A": log(0.5)}) == "B"
