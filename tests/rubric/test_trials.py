"""Rubrics on a judge: tried, ablated, compared and tested, with figures derived by hand."""

import pytest

import judge
from judge.records import HumanLabel, RubricItem
from judge.rubric.comparisons import comparisons
from judge.rubric.criterion_votes import CriterionVotes
from tests.rubric.support import judge_of, pair, response

RIGHT = RubricItem(text="It is right.", points=3.0, name="right")
RUDE = RubricItem(text="It is rude.", points=-1.0, name="rude")
SAYS = {(RIGHT.text, "a"): 0.9, (RIGHT.text, "b"): 0.2, (RUDE.text, "a"): 0.1, (RUDE.text, "b"): 0.1}


def test_one_answer_is_judged_criterion_by_criterion() -> None:
    trial = judge.try_rubric([RIGHT, RUDE], judges=judge_of(SAYS), question="Q", answer="a", progress=False)
    (answer,) = trial.answers
    assert answer.criteria == {"right": "met", "rude": "unmet"}
    assert answer.score == 1.0  # 3 of the 3 points on offer
    assert answer.expected == pytest.approx((3 * 0.9 - 0.1) / 3)
    assert answer.p_met == pytest.approx({"right": 0.9, "rude": 0.1})


def test_a_sample_is_counted_and_an_abstention_is_no_verdict() -> None:
    trial = judge.try_rubric([RIGHT, RUDE], [pair("a", "b"), response("c")], judges=judge_of(SAYS), progress=False)
    right, rude = trial.criteria
    assert (right.met, right.unmet, right.abstained, right.unreadable) == (1, 1, 1, 0)
    assert right.p_met == pytest.approx((0.9 + 0.2) / 2)
    assert (rude.met, rude.unmet, rude.abstained) == (0, 2, 1)
    assert (len(trial.answers), trial.scored) == (3, 2)  # nothing is decided of c
    assert trial.score == pytest.approx(((2.7 - 0.1) / 3 + (0.6 - 0.1) / 3) / 2)
    assert trial.answers[2].reason == "the judge abstains on every criterion"


def test_rows_may_bring_their_rubric_and_a_named_one_goes_before_it() -> None:
    rows = [{"prompt": "Q", "response": "a", "rubric": [{"criterion": RIGHT.text, "name": "own"}]}]
    assert [row.name for row in judge.try_rubric(None, rows, judges=judge_of(SAYS), progress=False).criteria] == ["own"]
    named = judge.try_rubric([RUDE], rows, judges=judge_of(SAYS), progress=False)
    assert [row.name for row in named.criteria] == ["rude"]
    with pytest.raises(judge.InputError, match=r"row 1: no rubric \(a column 'rubric'"):
        judge.try_rubric(None, [{"prompt": "Q", "response": "a"}], judges=judge_of(SAYS), progress=False)


def test_what_each_criterion_contributes_by_hand() -> None:
    useful, harmful = RubricItem(text="u", name="useful", points=2.0), RubricItem(text="h", name="harmful")
    answers = {
        "g0": (0.8, 0.3),
        "w0": (0.2, 0.7),
        "g1": (0.6, 0.1),
        "w1": (0.4, 0.7),
        "g2": (0.5, 0.5),
        "w2": (0.5, 0.9),
    }
    says = {
        (item.text, text): shares[place]
        for text, shares in answers.items()
        for place, item in enumerate((useful, harmful))
    }
    pairs = [pair(f"g{number}", f"w{number}", prompt=f"Q{number}") for number in range(3)]
    ablation = judge.ablate_rubric([useful, harmful], pairs, judges=judge_of(says), resamples=100, progress=False)
    # Scores (2u + h) / 3: 1.9 against 1.1, 1.3 against 1.5, 1.5 against 1.9 -> people are agreed with once in three.
    assert ablation.whole.value == pytest.approx(1 / 3) and ablation.pairs == 3
    by_name = {row.id: row for row in ablation.criteria}
    # u alone: right, right, a tie (half). h alone is wrong thrice.
    assert by_name["useful"].alone.value == pytest.approx(2.5 / 3) and by_name["harmful"].alone.value == 0.0
    assert by_name["useful"].without.value == 0.0 and by_name["useful"].gain.value == pytest.approx(1 / 3)
    assert by_name["harmful"].gain.value == pytest.approx(1 / 3 - 2.5 / 3)
    assert [row.id for row in ablation.criteria] == ["useful", "harmful"]
    assert ablation.whole.low is None  # three prompts are too few for an interval


def test_people_of_another_file_and_one_annotator() -> None:
    data = [pair("a", "b", "second", by="ann")]
    turned = [pair("b", "a", "second", by="bob")]
    says = SAYS | {(RIGHT.text, "a"): 0.9}
    both = judge.ablate_rubric([RIGHT, RUDE], data, judges=judge_of(says), human=turned, resamples=100, progress=False)
    assert both.whole.value == 1.0  # bob prefers a, in whichever order
    alone = judge.ablate_rubric([RIGHT, RUDE], data, judges=judge_of(says), human="ann", resamples=100, progress=False)
    assert alone.whole.value == 0.0
    with pytest.raises(judge.UnknownNameError, match="unknown annotator 'an'; did you mean 'ann'"):
        judge.ablate_rubric([RIGHT, RUDE], data, judges=judge_of(says), human="an", progress=False)
    with pytest.raises(judge.ConfigError, match="has one criterion"):
        judge.ablate_rubric([RIGHT], data, judges=judge_of(says), resamples=100, progress=False)


def test_a_difference_in_points_changes_scores_and_the_better_answer() -> None:
    after = [RIGHT, RubricItem(text=RUDE.text, points=-5.0, name="rude"), "It is short."]
    says = SAYS | {(RUDE.text, "a"): 0.6, ("It is short.", "a"): 0.5, ("It is short.", "b"): 0.5}
    diff = judge.diff_rubrics([RIGHT, RUDE], after, data=[pair("a", "b")], judges=judge_of(says), progress=False)
    assert [(change.kind, change.what, change.field, change.words) for change in diff.changes] == [
        ("changed", "rude", "points", "[--1-] {+-5+}"),
        ("added", "It is short.", "", "{+It is short.+}"),
    ]
    scores = {change.response: (change.before, change.after) for change in diff.score_changes}
    # a: (2.7 - 0.6) / 3, then (2.7 - 3.0 + 0.5) / 4; b: (0.6 - 0.1) / 3, then (0.6 - 0.5 + 0.5) / 4
    assert scores["a"] == pytest.approx((0.7, 0.05)) and scores["b"] == pytest.approx((0.5 / 3, 0.15))
    assert [(turn.before, turn.after) for turn in diff.pair_changes] == [("first", "second")]
    assert (diff.answers, diff.pairs) == (2, 1)


def test_what_two_rubrics_share_is_asked_once() -> None:
    engine = judge_of(SAYS)
    asked: list[str] = []
    submit = engine.submit
    engine.submit = lambda ticket, request: (asked.append(request.key), submit(ticket, request))[1]  # type: ignore[method-assign]
    judge.diff_rubrics([RIGHT, RUDE], [RUDE], data=[response("a")], judges=engine, progress=False)
    assert len(asked) == 2
    assert judge.diff_rubrics([RIGHT, RUDE], [RUDE]).answers is None


def test_examples_are_judged_by_their_criterion_alone(tmp_path: object) -> None:
    rubric = judge.RubricFile(
        name="mine",
        criteria=(RIGHT, RUDE),
        examples={
            "right": tuple(_example(text, verdict) for text, verdict in (("a", "met"), ("b", "met"), ("c", "unmet")))
        },
    )
    results = judge.test_rubric(rubric, judges=judge_of(SAYS), progress=False)
    assert [(result.verdict, result.passed) for result in results] == [
        ("met", True),
        ("unmet", False),
        ("abstained", False),  # never taken for "unmet"
    ]
    assert not results.passed and results.without == ("rude",)
    with pytest.raises(judge.ConfigError, match="no criterion has examples"):
        judge.test_rubric([RIGHT], judges=judge_of(SAYS))


def _example(text: str, verdict: str) -> "judge.rubric.rubric_file.CriterionExample":  # type: ignore[name-defined]
    from judge.rubric.rubric_file import CriterionExample

    return CriterionExample(prompt="Q", response=text, verdict=verdict)


def test_a_prompt_a_criterion_is_rendered() -> None:
    first, second = judge.render_rubric([RIGHT, RUDE])
    assert (first["criterion"], first["prompt"]) == ("right", "checklist/default")
    assert "<judging_criterion>\nIt is rude.\n</judging_criterion>" in second["messages"][-1]["content"]


def test_the_embedded_judge_has_not_learnt_it() -> None:
    with pytest.raises(judge.ConfigError, match="tiny has not learnt the task 'checklist'"):
        judge.try_rubric([RIGHT], judges="tiny", question="Q", answer="a")
    with pytest.raises(judge.ConfigError, match="--question is missing"):
        judge.try_rubric([RIGHT], judges=judge_of(SAYS), answer="a")


def scored(text: str, score: float, criterion: str = "", by: str = "ann") -> judge.Response:
    from dataclasses import replace

    return replace(response(text), human=(HumanLabel(annotator=by, verdict=score, criterion=criterion),))


def test_scores_and_right_answers_imply_which_answer_is_better() -> None:
    by_score = comparisons([scored("a", 4), scored("b", 2), scored("c", 4)])
    assert [(p.first[0].content, p.second[0].content, p.human[0].verdict) for p in by_score] == [
        ("a", "b", "first"),
        ("a", "c", "tie"),
        ("b", "c", "second"),
    ]
    # Two right answers say nothing about which is better.
    by_truth = comparisons([scored("a", 1, "correct"), scored("b", 0, "correct"), scored("c", 1, "correct")])
    assert [(p.first[0].content, p.second[0].content) for p in by_truth] == [("a", "b"), ("b", "c")]
    # Other people for each answer: their means are compared.
    other = comparisons([scored("a", 4), scored("b", 5, by="bob")])
    assert [(label.annotator, label.verdict) for label in other[0].human] == [("people", "second")]


def test_a_missing_score_is_no_tie() -> None:
    from judge.judgements import Checklist

    decided = Checklist(verdict={"": 1.0, "right": 1}, expected={"": 0.9, "right": 0.9})
    unreadable = Checklist(verdict={"": None, "right": None}, expected={"": None, "right": None})
    abstains = Checklist(verdict={"": None}, expected={"": None}, abstained=("right",))
    assert CriterionVotes(pair("a", "b"), (RIGHT,), decided, unreadable).verdict() is None
    assert CriterionVotes(pair("a", "b"), (RIGHT,), decided, unreadable).alone("right") is None
    assert CriterionVotes(pair("a", "b"), (RIGHT,), decided, abstains).alone("right") == "tie"
    assert CriterionVotes(pair("a", "b"), (RIGHT,), decided, abstains).margin("right") is None
