"""From a completion to a verdict, and from several verdicts to one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.judgements import Reading
from judge.verdicts import (
    Label,
    consistent,
    largest,
    mean,
    merge_orders,
    p_first,
    preferred,
    probabilities,
    read_label,
    read_steps,
    swapped_labels,
    turn,
)

ABC = {"first": "A", "second": "B", "tie": "C"}
BRACKETS = r"\[\[\s*(A|B|C|D)\s*\]\]"


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        ("[[A]]", "first", ""),
        ("At first [[A]], but no: [[B]]", "second", ""),
        ("Verdict: **[[ C ]]**.", "tie", ""),
        ("[[B]] and then some words", "second", ""),
        ("[[A]] ... [[D]]", "first", ""),  # the last one that is on offer
        ("[[D]]", None, "verdict not on offer 'D'"),
        ("A is better", None, "no verdict"),
        ("", None, "empty reply"),
        (" \n", None, "empty reply"),
    ],
)
def test_the_last_verdict_on_offer_wins(text: str, verdict: str | None, reason: str) -> None:
    found = read_label(text, BRACKETS, ABC)
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('It says "[[A]]" to sway me.', None),
        ("It orders me to write `[[A]]`, which I will not do.", None),
        ('Although it says "[[A]]", my verdict is [[B]]', "second"),
        ('[[B]], whatever "[[A]]" in it wants', "second"),
        ('Final verdict: "[[A]]".', "first"),  # the last word of the reply
        ("Final verdict: `[[C]]`", "tie"),
        ("the judge's choice: [[A]]", "first"),
    ],
)
def test_a_quoted_verdict_is_a_quotation(text: str, verdict: str | None) -> None:
    assert read_label(text, BRACKETS, ABC).verdict == verdict


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        ("The first one claims [[A]] and the sec", None, "cut at max_tokens"),
        ("A long critique [[A]]", "first", ""),
        ("", None, "cut at max_tokens"),
        ("only words", None, "cut at max_tokens"),
    ],
)
def test_a_reply_that_was_cut_counts_only_when_it_ends_with_its_verdict(
    text: str, verdict: str | None, reason: str
) -> None:
    found = read_label(text, BRACKETS, ABC, finish="length")
    assert (found.verdict, found.reason) == (verdict, reason)


def test_a_label_alone_is_the_whole_reply() -> None:
    assert read_label(" B\n", "", ABC) == Label("second", "", 0)
    assert read_label("b", "", ABC).verdict == "second"
    assert read_label("B is better", "", ABC) == Label(None, "verdict not on offer 'B is better'")
    assert read_label("x" * 60, "", ABC).reason == f"verdict not on offer '{'x' * 39}…'"


def test_the_label_begins_where_it_was_read() -> None:
    text = "First [[A]]. Then, after all: [[ B ]]"
    found = read_label(text, BRACKETS, ABC)
    assert text[: found.start] == "First [[A]]. Then, after all: [[ "


def test_the_pattern_may_carry_a_step_before_its_label() -> None:
    pattern = r"step (?P<step>\d+): (right|wrong)"
    assert read_label("step 1: wrong", pattern, {"right": "right", "wrong": "wrong"}).verdict == "wrong"


RW = {"right": "right", "wrong": "wrong"}
NUMBERED = r"(?im)^step (?P<step>\d+): (?P<label>\w+)"


def test_steps_are_read_by_their_numbers() -> None:
    text = "Step 2: wrong\nStep 1: right\nstep 3: maybe\nStep 1: right\nStep 9: right"
    found = read_steps(text, NUMBERED, RW, 4)
    assert [label.verdict for label in found] == ["right", "wrong", None, None]
    assert [label.reason for label in found[2:]] == ["verdict not on offer 'maybe'", "no verdict"]
    assert text[: found[1].start] == "Step 2: "


def test_a_step_with_two_verdicts_has_none() -> None:
    found = read_steps("Step 1: right\nStep 1: wrong\nStep 2: wrong", NUMBERED, RW, 2)
    assert found[0] == Label(None, "different verdicts on one step: right, wrong")
    assert found[1].verdict == "wrong"


def test_steps_without_numbers_must_be_as_many_as_there_are() -> None:
    assert [label.verdict for label in read_steps("[right] [wrong]", r"\[(\w+)\]", RW, 2)] == ["right", "wrong"]
    found = read_steps("[right] [wrong] [right]", r"\[(\w+)\]", RW, 2)
    assert found == [Label(None, "3 verdicts for 2 steps")] * 2


def test_steps_of_an_empty_or_cut_reply() -> None:
    assert read_steps("", NUMBERED, RW, 2) == [Label(None, "empty reply")] * 2
    cut = read_steps("Step 1: right\nStep", NUMBERED, RW, 2, finish="length")
    assert [(label.verdict, label.reason) for label in cut] == [("right", ""), (None, "cut at max_tokens")]


def test_probabilities_are_normalised_over_the_labels() -> None:
    logprobs = {"A": math.log(0.3), "B": math.log(0.1), "Z": math.log(0.6)}
    assert probabilities(logprobs, ABC) == pytest.approx({"first": 0.75, "second": 0.25, "tie": 0.0})
    assert probabilities({}, ABC) == {}
    assert probabilities({"A": -math.inf}, {"first": "A"}) == {}


@given(st.lists(st.floats(-1000, 0), min_size=3, max_size=3))
def test_probabilities_sum_to_one(values: list[float]) -> None:
    shares = probabilities(dict(zip("ABC", values, strict=True)), ABC)
    assert math.fsum(shares.values()) == pytest.approx(1.0, abs=1e-12)


def test_turning_twice_changes_nothing() -> None:
    assert [turn(turn(verdict)) for verdict in ("first", "second", "tie")] == ["first", "second", "tie"]
    assert swapped_labels(ABC) == {"second": "A", "first": "B", "tie": "C"}
    assert list(swapped_labels(ABC).values()) == ["A", "B", "C"]


def reading(verdict: str | None, **shares: float) -> Reading:
    return Reading(asked="forward", verdict=verdict, probabilities=shares)


def test_a_position_bonus_cancels_between_the_orders() -> None:
    """A judge with logits s = 1 for the first response and a bonus of 2 for whatever stands first."""

    def softmax(first: float, second: float, tie: float) -> dict[str, float]:
        total = math.exp(first) + math.exp(second) + math.exp(tie)
        return {"first": math.exp(first) / total, "second": math.exp(second) / total, "tie": math.exp(tie) / total}

    merged = merge_orders([reading("first", **softmax(1 + 2, 0, 0.5))], [reading("second", **softmax(1, 0 + 2, 0.5))])
    assert math.log(merged["first"] / merged["second"]) == pytest.approx(1.0)


def test_two_labels_pool_to_the_mean_logit() -> None:
    merged = merge_orders([reading("first", first=0.9, second=0.1)], [reading("second", first=0.4, second=0.6)])
    mean_logit = (math.log(0.9 / 0.1) + math.log(0.4 / 0.6)) / 2
    assert merged["first"] == pytest.approx(1 / (1 + math.exp(-mean_logit)))


def test_a_probability_of_zero_is_held_at_one_in_a_million() -> None:
    merged = merge_orders([reading("first", first=1.0, second=0.0)], [reading("first", first=0.5, second=0.5)])
    # odds sqrt(1e6 * 1) = 1000
    assert merged["first"] == pytest.approx(1000 / 1001)


def test_hard_verdicts_are_averaged_not_pooled() -> None:
    merged = merge_orders([reading("first"), reading("second"), reading("first")], [reading("first")])
    assert merged == pytest.approx({"first": (2 / 3 + 1) / 2, "second": 1 / 6})


def test_mixed_readings_are_averaged() -> None:
    merged = merge_orders([reading("first", first=0.8, second=0.2)], [reading("second")])
    assert merged == pytest.approx({"first": 0.4, "second": 0.6})


def test_unreadable_orders_are_left_out() -> None:
    assert merge_orders([reading(None)], [reading("first")]) == {"first": 1.0}
    assert merge_orders([reading(None)], []) == {}


def test_the_largest_must_be_alone() -> None:
    assert largest({"first": 0.4, "second": 0.3, "tie": 0.3}) == "first"
    assert largest({"first": 0.4, "second": 0.4, "tie": 0.2}) is None
    assert preferred({"first": 0.4, "second": 0.4, "tie": 0.2}) == "tie"
    assert preferred({"second": 1.0}) == "second"
    with pytest.raises(ValueError, match="'right' is not a verdict on a pair"):
        preferred({"right": 1.0})


def test_consistency_is_that_of_the_majorities() -> None:
    assert consistent([reading("first")], [reading("first")]) is True
    assert consistent([reading("first")], [reading("tie")]) is False
    assert consistent([reading("first"), reading("first"), reading("tie")], [reading("first")]) is True
    assert consistent([reading("first")], [reading(None)]) is None
    assert consistent([reading("first")], []) is None


def test_mean_of_hard_verdicts_is_their_share() -> None:
    assert mean([{"a": 1.0}, {"b": 1.0}, {"a": 1.0}, {}]) == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    assert mean([]) == {}


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda one: sum(one) > 0))
def test_p_first_and_its_mirror_add_up_to_one(shares: list[float]) -> None:
    total = sum(shares)
    first, second, tie = (share / total for share in shares)
    one = p_first({"first": first, "second": second, "tie": tie})
    other = p_first({"first": second, "second": first, "tie": tie})
    assert one + other == 1.0
    assert 0.0 <= one <= 1.0


@given(st.text(max_size=80))
def test_no_text_gives_a_verdict_that_is_not_in_it(text: str) -> None:
    found = read_label(text, BRACKETS, ABC)
    assert found.verdict is None or ABC[found.verdict] in text
