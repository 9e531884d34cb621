"""What labels teach: soft where they are soft, dropped with a count where they cannot be read."""

from collections import Counter
from typing import Any

import pytest

from judge.errors import ConfigError, InputError, UnknownNameError
from judge.judgements import Critique, Judgement, Order, Outcome, Preference, Reading, Score, Steps
from judge.records import HumanLabel, Message, Pair, Ranking, Record, Response, Solution
from judge.rewards.data.examples import TWICE, Example, LabelSummary, examples
from judge.rewards.data.grouping import split
from judge.rewards.data.label_conversion import ALIKE, EMPTY, UNLABELLED, UNREADABLE


def asked(text: str = "2 + 2 ="):
    return (Message("user", text),)


def said(text: str):
    return (Message("assistant", text),)


def pair(first: str = "4", second: str = "5", prompt: str = "2 + 2 =", **fields: Any) -> Pair:
    return Pair(prompt=asked(prompt), first=said(first), second=said(second), **fields)


def solution(*steps: str, **fields: Any) -> Solution:
    return Solution(prompt=asked(), steps=steps or ("2 + 2", "4"), **fields)


def one(record: Record, judgement: Judgement | None, kind: str, labels: str = "judge") -> Example:
    (example,), dropped = examples([(record, judgement)], kind, labels)
    assert not dropped
    return example


def label(verdict: Any, criterion: str = "", annotator: str = "ann") -> HumanLabel:
    return HumanLabel(annotator=annotator, verdict=verdict, criterion=criterion)


# ---- by a judge ------------------------------------------------------------------------------------------------------


def test_a_preference_keeps_its_probability_and_its_tie() -> None:
    readings = (
        Reading(asked="forward", verdict="first", probabilities={"first": 0.6, "second": 0.1, "tie": 0.3}),
        Reading(asked="swapped", verdict="first", probabilities={"first": 0.7, "second": 0.2, "tie": 0.1}),
    )
    example = one(pair(), Preference(verdict="first", p_first=0.75, readings=readings), "scalar")
    assert (example.p_first, example.p_tie) == (0.75, pytest.approx(0.2))  # the mean of 0.3 and 0.1
    assert example.responses == (said("4"), said("5"))


def test_p_tie_never_says_more_than_p_first_leaves_room_for() -> None:
    readings = (Reading(asked="forward", verdict="tie", probabilities={"first": 0.1, "second": 0.0, "tie": 0.9}),)
    example = one(pair(), Preference(verdict="tie", p_first=0.9, readings=readings), "ensemble")
    assert example.p_tie == pytest.approx(0.2)  # P(first) = 0.9 - 0.1 and P(second) = 0: the tie has 2 (1 - 0.9)


def test_a_ranking_of_three_keeps_its_order_and_one_of_two_is_a_pair() -> None:
    three = Ranking(prompt=asked(), responses=(said("a"), said("b"), said("c")))
    example = one(three, Order(verdict=(2, 0, 1)), "scalar")
    assert (example.responses, example.order) == (three.responses, (2, 0, 1))
    partial = one(three, Order(verdict=(2, 0)), "scalar")
    assert (partial.responses, partial.order, partial.p_first) == ((said("c"), said("a")), (), 1.0)


def test_scores_are_the_expected_ones_where_there_are_any() -> None:
    response = Response(prompt=asked(), response=said("4"))
    judgement = Score(verdict={"help": 4, "harm": 2, "style": None}, expected={"help": 3.5, "harm": None})
    assert one(response, judgement, "multi").scores == ({"help": 3.5, "harm": 2.0},)
    assert one(response, judgement, "scalar").scores == ({"": 2.75},)  # (3.5 + 2) / 2
    assert LabelSummary([one(response, judgement, "multi")]).objectives == {"harm", "help"}


def test_one_run_of_steps_teaches_process_and_outcome() -> None:
    judgement = Steps(verdict=("right", "wrong", None), p_right=(0.9, 0.2, None), first_wrong=1)
    steps = ("a", "b", "c")
    process = one(solution(*steps), judgement, "process")
    assert process.steps == steps
    assert process.step_probabilities == (
        pytest.approx((0.9, 0.1, 0.0)),
        pytest.approx((0.2, 0.8, 0.0)),
        None,  # unreadable: no loss there
    )
    outcome = one(solution(*steps), judgement, "outcome")
    assert outcome.p_correct == pytest.approx(0.18)  # 0.9 * 0.2, the unread step after the first wrong one left out
    assert outcome.responses == (said("a\nb\nc"),)


def test_neutral_is_a_class_of_its_own_and_never_wrong() -> None:
    hard = Steps(verdict=("neutral", "right"), first_wrong=-1)
    assert one(solution("a", "b"), hard, "process").step_probabilities == ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    shares = {"right": 0.3, "wrong": 0.2, "neutral": 0.5}
    soft = Steps(
        verdict=("neutral",),
        p_right=(0.8,),
        first_wrong=-1,
        readings=(Reading(asked="step 1", verdict="neutral", probabilities=shares),),
    )
    assert one(solution("a"), soft, "process").step_probabilities == (pytest.approx((0.3, 0.2, 0.5)),)


def test_an_outcome_keeps_its_probability() -> None:
    assert one(solution(), Outcome(verdict="right", p_correct=0.7), "outcome").p_correct == 0.7


# ---- by people -------------------------------------------------------------------------------------------------------


def test_several_people_make_a_share() -> None:
    votes = tuple(label(verdict) for verdict in ("first", "first", "tie", "second"))
    example = one(pair(human=votes, meta={"margin": 2}), None, "scalar", "human")
    assert (example.p_first, example.p_tie, example.margin) == (0.625, 0.25, 2.0)  # (1 + 1 + 0.5 + 0) / 4


def test_several_orders_make_one_by_their_mean_places() -> None:
    orders = (label((0, 1, 2)), label((1, 0, 2)), label((1, 2, 0)))
    ranking = Ranking(prompt=asked(), responses=(said("a"), said("b"), said("c")), human=orders)
    assert one(ranking, None, "scalar", "human").order == (1, 0, 2)  # summed places: a 0+1+2, b 1+0+0, c 2+2+1


def test_the_first_wrong_step_says_nothing_of_those_after_it() -> None:
    example = one(solution("a", "b", "c", human=(label(1),)), None, "process", "human")
    assert example.step_probabilities == ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), None)
    two = one(solution("a", "b", human=(label(1), label(-1))), None, "process", "human")
    assert two.step_probabilities == ((1.0, 0.0, 0.0), (0.5, 0.5, 0.0))


def test_ratings_of_every_step_are_taken_as_they_are() -> None:
    rated = solution("a", "b", "c", "d", human=(label(-1),), meta={"ratings": [1, 0, -1, None]})
    expected = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), None)
    assert one(rated, None, "process", "human").step_probabilities == expected
    soft = solution("a", "b", meta={"labels": [0.25, 1.0]})
    assert one(soft, None, "process", "human").step_probabilities == ((0.25, 0.75, 0.0), (1.0, 0.0, 0.0))


def test_outcomes_by_people() -> None:
    response = Response(prompt=asked(), response=said("4"), human=(label(1.0), label(0.0)))
    assert one(response, None, "outcome", "human").p_correct == 0.5
    assert one(solution(human=(label(1), label(1.0, "correct"))), None, "outcome", "human").p_correct == 1.0
    assert one(solution(human=(label(1),)), None, "outcome", "human").p_correct == 0.0
    rated = Response(prompt=asked(), response=said("4"), human=(label(7.0),))
    with pytest.raises(InputError, match="a score of 7 is no outcome"):
        examples([(rated, None)], "outcome", "human")


# ---- what is dropped -------------------------------------------------------------------------------------------------


def test_every_row_that_is_dropped_is_counted() -> None:
    better = Preference(verdict="first", p_first=0.9)
    rows: list[tuple[Record, Judgement | None]] = [
        (pair(), better),
        (pair(), better),
        (pair("a", "b"), None),
        (pair("c", "d"), Preference(verdict=None, reason="no verdict")),
        (pair(" ", "d"), better),
        (pair("e", "e"), better),
        (pair("f", "g"), Critique(verdict="fine")),
    ]
    made, dropped = examples(rows, "scalar")
    assert len(made) == 1
    assert dropped == Counter(
        {TWICE: 1, UNLABELLED: 1, UNREADABLE: 1, EMPTY: 1, ALIKE: 1, "critique does not teach scalar": 1}
    )


@pytest.mark.parametrize(
    ("rows", "kind", "labels", "said"),
    [
        (
            [(pair(), Preference(verdict="tie", p_first=0.5))],
            "process",
            "judge",
            "preference cannot teach kind process",
        ),
        ([(pair(human=(label("first"),)), None)], "scalar", "judge", "people's labels are taken with --labels human"),
        ([(pair(), None)], "scalar", "human", "no row is left to learn from: 1 no label"),
        ([], "scalar", "human", "there are no rows"),
        ([], "scaler", "human", "did you mean 'scalar'"),
        ([], "scalar", "humans", "did you mean 'human'"),
    ],
)
def test_nothing_to_learn_is_said_in_one_line(rows: Any, kind: str, labels: str, said: str) -> None:
    with pytest.raises((ConfigError, InputError, UnknownNameError)) as caught:
        examples(rows, kind, labels)
    assert said in str(caught.value)


def test_ties_alone_one_class_alone_and_one_score_alone_teach_nothing() -> None:
    tied = one(pair(), Preference(verdict="tie", p_first=0.5), "scalar")
    with pytest.raises(InputError, match="all 2 pairs are ties"):
        LabelSummary([tied, tied]).check("scalar")
    LabelSummary([tied, one(pair(), Preference(verdict="first", p_first=0.9), "scalar")]).check("scalar")
    right = one(solution(), Outcome(verdict="right", p_correct=0.7), "outcome")
    with pytest.raises(InputError, match="all 1 answers are correct"):
        LabelSummary([right]).check("outcome")
    steps = one(solution("a", "b"), Steps(verdict=("wrong", "wrong"), first_wrong=0), "process")
    with pytest.raises(InputError, match="all 2 steps are wrong"):
        LabelSummary([steps]).check("process")
    scored = one(Response(prompt=asked(), response=said("4")), Score(verdict={"": 3}), "scalar")
    with pytest.raises(InputError, match="all 2 rows have the same score"):
        LabelSummary([scored, scored]).check("scalar")


# ---- the split -------------------------------------------------------------------------------------------------------


def test_a_split_keeps_groups_whole_and_does_not_depend_on_order() -> None:
    rows = [(pair(prompt=f"{number} =", second=text), None) for number in range(50) for text in "abc"]
    labelled = [(pair, Preference(verdict="first", p_first=0.9)) for pair, _ in rows]
    made, _ = examples(labelled, "scalar")
    train, held = split(made, 0.2, seed=1)
    assert len(held) == 30
    assert {one.group for one in train}.isdisjoint(one.group for one in held)
    again = split(made[::-1], 0.2, seed=1)[1]
    assert {one.id for one in again} == {one.id for one in held}
    assert {one.id for one in split(made, 0.2, seed=2)[1]} != {one.id for one in held}
    assert split(made, 0.0, seed=1) == (made, [])
    assert split(made[:3], 0.9, seed=1) == (made[:3], [])  # one group cannot be cut
