"""The tree of choices against probabilities worked out by hand."""

from math import exp, log

import pytest

from judge.engines.choices import ChoiceTree, likeliest, listed_logprobs
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


def listed(**shares: float) -> dict[str, float]:
    return {token: log(share) for token, share in shares.items()}


def test_listed_tokens_are_evidence_for_the_one_choice_that_they_begin() -> None:
    found = listed_logprobs({**listed(ri=0.3, wrong=0.2, The=0.1), " right": log(0.3)}, ("right", "wrong"))
    # right: 0.3 + 0.3, wrong: 0.2, of 0.8.
    assert {choice: exp(value) for choice, value in found.logprobs.items()} == pytest.approx(
        {"right": 0.75, "wrong": 0.25}
    )
    assert (found.reason, found.bounds) == ("", ())


def test_a_choice_that_is_not_listed_has_at_most_what_is_left() -> None:
    found = listed_logprobs(listed(A=0.9, B=0.06, The=0.02), ("A", "B", "C"))
    # left of the whole: 0.02, as much as the least listed; the whole of the three: 0.98.
    assert exp(found.logprobs["C"]) == pytest.approx(0.02 / 0.98)
    assert found.bounds == ("C",)


@pytest.mark.parametrize(
    ("tokens", "choices", "reason"),
    [
        (listed(**{"1": 0.93, "9": 0.05}), tuple(map(str, range(1, 11))), "the likeliest token begins several choices"),
        (
            listed(**{"-": 0.96, "0": 0.02, "1": 0.01}),
            ("-2", "-1", "0", "1", "2"),
            "the likeliest token begins several",
        ),
        (listed(**{"9": 0.6, "1": 0.3}), ("1", "9", "10"), "the likeliest token begins several choices"),
        (listed(The=0.9, A=0.01, Both=0.05), ("A", "B", "C"), "the choices hold 1% of the probability, less than 50%"),
        ({}, ("A", "B"), "the choices hold 0% of the probability, less than 50%"),
    ],
)
def test_what_the_list_does_not_support_has_no_probability(
    tokens: dict[str, float], choices: tuple[str, ...], reason: str
) -> None:
    found = listed_logprobs(tokens, choices)
    assert found.logprobs == {}
    assert found.reason.startswith(reason)
