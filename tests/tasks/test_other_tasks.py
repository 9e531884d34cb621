"""The programs beside preference: steps, score, outcome, critique, ranking, answer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.engines.base import Completion
from judge.errors import ConfigError, EngineError
from judge.judgements import readable
from judge.prompting.template import load_template
from judge.records import HumanLabel, Message, Pair, Ranking, Response, Solution
from judge.tasks import TASKS, Options, play
from judge.tasks.answer import answer
from judge.tasks.critique import critique
from judge.tasks.outcome import outcome
from judge.tasks.ranking import parse_order, ranking, read_order
from judge.tasks.score import Criterion, criterion, score
from judge.tasks.steps import first_wrong, steps
from judge.tasks.tournament import bradley_terry
from judge.tasks.views import as_response, pairs, rankings, responses
from tests.tasks.support import ABC, CRITIQUE_FIRST, PAIR, Script, by_words, pair, said, template

HARD = Options(soft=False, retries=0)
QUESTION = (Message("user", "?"),)
RWN = {"right": "R", "wrong": "W", "neutral": "N"}
ONE_STEP = template("steps", "{{ steps | join(';') }}|{{ steps[index] }}", labels=RWN, verdict=r"<(\w)>")
ONE_STEP_ALONE = template("steps", "{{ steps[index] }}", labels=RWN)
ALL_STEPS = load_template("steps", "all")
SOLUTION = Solution(prompt=QUESTION, steps=("one", "two", "three"))


def choice(**shares: float) -> Completion:
    best = max(shares, key=lambda name: shares[name])
    return Completion(text=best, logprobs={name: math.log(share) for name, share in shares.items()})


# --- steps -----------------------------------------------------------------------------------------------------------


def test_one_call_a_step_in_one_batch() -> None:
    requests = next(steps(SOLUTION, ONE_STEP, HARD))
    assert [request.messages[0].content for request in requests] == [
        "one;two;three|one",
        "one;two;three|two",
        "one;two;three|three",
    ]


def test_the_first_wrong_step() -> None:
    judged = play(steps(SOLUTION, ONE_STEP, HARD), Script(["<R>", "<N>", "<W>"]))
    assert (judged.verdict, judged.first_wrong, judged.p_right) == (("right", "neutral", "wrong"), 2, (1.0, 1.0, 0.0))
    assert [reading.asked for reading in judged.readings] == ["step 1", "step 2", "step 3"]


def test_a_step_that_cannot_be_read_hides_what_comes_after() -> None:
    assert first_wrong(["right", None, "wrong"]) is None
    assert first_wrong(["wrong", None]) == 0
    assert first_wrong(["right", "neutral"]) == -1
    judged = play(steps(SOLUTION, ONE_STEP, HARD), Script(["<R>", "?", "<W>"]))
    assert (judged.verdict, judged.reason) == (("right", None, "wrong"), "step 2: no verdict")
    assert judged.p_right == (1.0, None, 0.0)
    assert not readable(judged)


def test_a_neutral_step_counts_as_right() -> None:
    answers = [choice(R=0.5, W=0.2, N=0.3), choice(R=0.1, W=0.6, N=0.3), choice(R=0.9, W=0.05, N=0.05)]
    judged = play(steps(SOLUTION, ONE_STEP_ALONE, Options()), Script(answers))
    assert judged.p_right == pytest.approx((0.8, 0.4, 0.95))
    assert (judged.verdict, judged.first_wrong) == (("right", "wrong", "right"), 1)


REPLY = "Fine.\nStep 1: [[right]]\nHm.\nStep 2: [[wrong]]\nStep 3: [[neutral]]"


def test_all_steps_in_one_call_with_their_probabilities() -> None:
    sure = choice(right=0.7, wrong=0.2, neutral=0.1)
    script = Script([REPLY, sure, choice(right=0.1, wrong=0.8, neutral=0.1), sure])
    judged = play(steps(SOLUTION, ALL_STEPS, Options(each_step=False)), script)
    before = [REPLY[: REPLY.index(label)] for label in ("right", "wrong", "neutral")]
    assert [request.prefill for request in script.asked] == ["", *before]
    assert judged.p_right == pytest.approx((0.8, 0.2, 0.8))
    assert judged.first_wrong == 1
    assert [reading.asked for reading in judged.readings] == ["all steps", "step 1", "step 2", "step 3"]
    assert (judged.readings[0].text, judged.readings[0].verdict) == (REPLY, "right wrong neutral")


def test_all_steps_are_asked_again_when_one_is_left_out() -> None:
    script = Script(["Step 1: [[right]]", REPLY])
    judged = play(steps(SOLUTION, ALL_STEPS, Options(each_step=False, soft=False)), script)
    assert judged.verdict == ("right", "wrong", "neutral")
    assert [request.temperature for request in script.asked] == [0.0, 0.7]
    assert judged.readings[0].attempts == 2


def test_of_several_attempts_the_fullest_is_kept() -> None:
    script = Script(["Step 1: [[right]]\nStep 2: [[wrong]]", "Step 1: [[right]]", ""])
    judged = play(steps(SOLUTION, ALL_STEPS, Options(each_step=False, soft=False)), script)
    assert (judged.verdict, judged.first_wrong) == (("right", "wrong", None), 1)
    assert judged.readings[0].verdict is None


def test_an_error_is_no_verdict_on_any_step() -> None:
    script = Script([Completion(text="Step 1: [[right]]", finish="error")])
    judged = play(steps(SOLUTION, ALL_STEPS, Options(each_step=False)), script)
    assert judged.verdict == (None, None, None)
    assert len(script.asked) == 1  # the engine has tried again by itself


# --- score -----------------------------------------------------------------------------------------------------------

SCORE = template("score", "{{ criterion }}|{{ response }}|{{ low }}-{{ high }}", verdict=r"\[\[(-?\d+)\]\]")
SCORE_ALONE = template("score", "{{ criterion }}|{{ response }}")
RESPONSE = Response(prompt=QUESTION, response=said("r"))


def test_several_criteria_in_one_batch() -> None:
    options = Options(soft=False, criteria=("depth", "honesty: says what it does not know"), low=-2, high=2)
    script = Script(["[[2]]", "low: [[-1]]"])
    judged = play(score(RESPONSE, SCORE, options), script)
    assert judged.verdict == {"depth": 2, "honesty": -1}
    assert judged.expected == {"depth": None, "honesty": None}
    assert script.asked[1].messages[0].content == "honesty: says what it does not know|r|-2-2"
    assert criterion("depth") == Criterion("depth", "")


def test_the_expectation_beside_the_argmax() -> None:
    answer_ = Completion(text="3", logprobs={str(s): math.log(p) for s, p in zip("123", (0.2, 0.3, 0.5), strict=True)})
    options = Options(low=1, high=3, criteria=("all",))
    judged = play(score(RESPONSE, SCORE_ALONE, options), Script([answer_]))
    # 1 * .2 + 2 * .3 + 3 * .5 = 2.3
    assert judged.verdict == {"all": 3}
    assert judged.expected == pytest.approx({"all": 2.3})


def test_a_score_off_the_scale_is_unreadable() -> None:
    judged = play(score(RESPONSE, SCORE, Options(criteria=("c",), soft=False, retries=0)), Script(["[[9]]"]))
    assert (judged.verdict, judged.reason) == ({"c": None}, "c: verdict not on offer '9'")
    assert not readable(judged)


def test_without_criteria_the_prompts_own_words_stand() -> None:
    script = Script(["[[4]]"])
    judged = play(score(RESPONSE, load_template("score", "default"), HARD), script)
    assert judged.verdict == {"": 4}
    assert "overall quality" in script.asked[0].messages[-1].content


def test_of_scores_with_equal_votes_the_one_nearer_to_the_mean() -> None:
    options = Options(soft=False, votes=5, temperature=1.0, criteria=("c",))
    script = Script(["[[5]]", "[[5]]", "[[2]]", "[[2]]", "[[4]]"])
    # mean 3.6: 5 is 1.4 away, 2 is 1.6 away
    assert play(score(RESPONSE, SCORE, options), script).verdict == {"c": 5}


def test_a_scale_upside_down_is_refused() -> None:
    with pytest.raises(ConfigError, match="low end 5"):
        Options(low=5, high=1)


# --- outcome and critique --------------------------------------------------------------------------------------------

OUTCOME = template("outcome", "{{ response }}|{{ reference }}", labels={"right": "yes", "wrong": "no"})


def test_an_outcome_of_a_solution_with_its_reference() -> None:
    solution = Solution(prompt=QUESTION, steps=("one", "two"), reference="2")
    script = Script([choice(yes=0.3, no=0.7)])
    judged = play(outcome(solution, OUTCOME, Options()), script)
    assert (judged.verdict, judged.p_correct) == ("wrong", pytest.approx(0.3))
    assert script.asked[0].messages[0].content == "one\ntwo|2"
    assert script.asked[0].key == f"{solution.id}/outcome/0/0"


def test_the_reference_can_be_kept_back() -> None:
    script = Script([choice(yes=0.6, no=0.4)])
    solution = Solution(prompt=QUESTION, steps=("one",), reference="2")
    assert play(outcome(solution, OUTCOME, Options(reference=False)), script).verdict == "right"
    assert script.asked[0].messages[0].content == "one|"


def test_even_votes_are_no_outcome() -> None:
    free = template("outcome", "{{ response }}", labels={"right": "yes", "wrong": "no"}, verdict="(yes|no)")
    judged = play(outcome(RESPONSE, free, Options(soft=False, votes=2, temperature=1.0)), Script(["yes", "no"]))
    assert (judged.verdict, judged.p_correct, judged.reason) == (None, 0.5, "votes are even")


CRITIQUE = template("critique", "{{ response }}")


def test_a_critique_is_the_reply() -> None:
    judged = play(critique(RESPONSE, CRITIQUE, HARD), Script([" Short and wrong. \n"]))
    assert (judged.verdict, judged.readings[0].text) == ("Short and wrong.", " Short and wrong. \n")


def test_a_critique_that_was_cut_is_asked_for_again() -> None:
    script = Script([Completion(text="It beg", finish="length"), "", "Good."])
    judged = play(critique(RESPONSE, CRITIQUE, Options()), script)
    assert (judged.verdict, judged.readings[0].attempts) == ("Good.", 3)
    assert play(critique(RESPONSE, CRITIQUE, HARD), Script([""])).reason == "critique: empty reply"


# --- ranking ---------------------------------------------------------------------------------------------------------

LIST = template("ranking", "{{ responses | join(',') }}", verdict=r"\[\[(.*?)\]\]")
THREE = Ranking(prompt=QUESTION, responses=(said("b"), said("c"), said("a")))


def test_an_order_in_one_call() -> None:
    judged = play(ranking(THREE, LIST, HARD), Script(["so [[3 > 1 > 2]]"]))
    assert (judged.verdict, judged.strengths) == ((2, 0, 1), None)
    assert judged.readings[0].verdict == "3 > 1 > 2"


@pytest.mark.parametrize("text", ["3 > 1", "1 > 1 > 2", "0 > 1 > 2", "4 > 1 > 2", "none"])
def test_an_order_that_is_none(text: str) -> None:
    assert parse_order(text, 3) is None
    assert play(ranking(THREE, LIST, HARD), Script([f"[[{text}]]"])).verdict is None


def test_orders_by_letter_and_the_last_one_wins() -> None:
    assert parse_order("C, A, B", 3) == (2, 0, 1)
    assert read_order("[[1 > 2]] no: [[2 > 1]]", r"\[\[(.*?)\]\]", 2).verdict == "2 > 1"
    assert read_order("[[1 > 2]] an", r"\[\[(.*?)\]\]", 2, finish="length").reason == "cut at max_tokens"


def test_several_orders_by_mean_place() -> None:
    script = Script(["[[1 > 2 > 3]]", "[[2 > 1 > 3]]", "[[2 > 3 > 1]]"])
    # places: response 1 has 0 + 1 + 2, response 2 has 1 + 0 + 0, response 3 has 2 + 2 + 1
    judged = play(ranking(THREE, LIST, Options(soft=False, votes=3, temperature=1.0)), script)
    assert judged.verdict == (1, 0, 2)


def test_round_robin_in_one_batch_by_soft_wins() -> None:
    alphabetical = by_words(lambda text: "[[A]]" if text.split("|")[1] < text.split("|")[2] else "[[B]]")
    program = ranking(THREE, CRITIQUE_FIRST, Options(tournament="full", soft=False))
    judged = play(program, alphabetical)
    assert judged.verdict == (2, 0, 1)
    assert judged.strengths is not None
    assert sum(judged.strengths) == pytest.approx(0.0, abs=1e-9)
    assert [one.asked for one in judged.readings[:2]] == ["1 or 2", "2 or 1"]
    assert len(next(ranking(THREE, CRITIQUE_FIRST, Options(tournament="full")))) == 6


def test_bradley_terry_of_two_is_the_logit() -> None:
    first, second = bradley_terry({(0, 1): 0.8}, 2)
    # with 0.05 wins added to both sides: log(.85 / .25)
    assert first - second == pytest.approx(math.log(0.85 / 0.25), abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_bradley_terry_always_converges(shares: list[float]) -> None:
    wins = dict(zip([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], shares, strict=True))
    assert all(math.isfinite(strength) for strength in bradley_terry(wins, 4))


# --- the table and the views -----------------------------------------------------------------------------------------


def test_every_shipped_prompt_fits_its_task() -> None:
    for spec in TASKS.values():
        if spec.name == "revision":  # its parts have a prompt each
            continue
        for options in (Options(), Options(each_step=False), Options(tournament="full")):
            task, name = spec.prompt(options)
            spec.check(load_template(task, name), options)


def test_revision_is_no_task_of_label() -> None:
    with pytest.raises(ConfigError, match="'revision' has a prompt for each of its parts; it is run by"):
        TASKS["revision"].prompt(Options())


def test_prompts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="for the task 'score'; preference needs 'preference'"):
        TASKS["preference"].check(SCORE, Options())
    with pytest.raises(ConfigError, match="no label for second"):
        TASKS["preference"].check(template("preference", PAIR, labels={"first": "A"}), Options())
    with pytest.raises(ConfigError, match="has a label for 'left', no verdict of 'preference'"):
        TASKS["preference"].check(template("preference", PAIR, labels={**ABC, "left": "L"}), Options())
    with pytest.raises(ConfigError, match="asks about all steps in a call, the options say one step"):
        TASKS["steps"].check(load_template("steps", "all"), Options())
    with pytest.raises(ConfigError, match="asks about one step in a call, the options say all steps"):
        TASKS["steps"].check(ONE_STEP, Options(each_step=False))


def test_a_ranking_becomes_pairs_with_what_people_implied() -> None:
    ranked = Ranking(prompt=QUESTION, responses=THREE.responses, human=(HumanLabel(annotator="p", verdict=(2, 0, 1)),))
    found = list(pairs(ranked))
    assert [(one.first[0].content, one.second[0].content) for one in found] == [("b", "c"), ("b", "a"), ("c", "a")]
    assert [one.human[0].verdict for one in found] == ["first", "second", "second"]
    assert list(pairs(pair())) == [pair()]


def test_of_two_correct_responses_none_is_better() -> None:
    correct = HumanLabel(annotator="p", verdict=(0, 2), criterion="correct")
    found = pairs(Ranking(prompt=QUESTION, responses=THREE.responses, human=(correct,)))
    assert [[label.verdict for label in one.human] for one in found] == [["first"], [], ["second"]]


def test_a_solution_is_one_response_and_a_pair_two() -> None:
    assert as_response(SOLUTION).response == said("one\ntwo\nthree")
    assert list(responses(SOLUTION)) == [SOLUTION]
    assert [one.response for one in responses(pair("x", "y"))] == [said("x"), said("y")]  # type: ignore[union-attr]
    assert [one.responses for one in rankings(pair("x", "y"))] == [(said("x"), said("y"))]


def test_an_answer_is_a_response() -> None:
    answers = play(answer(QUESTION, "id", Options(votes=2, temperature=1.0)), Script(["4", "5"]))
    assert [one.response for one in answers] == [said("4"), said("5")]
    with pytest.raises(EngineError, match="out of memory"):
        play(answer(QUESTION, "id", Options()), Script([Completion(text="out of memory", finish="error")]))


@given(st.text(max_size=60), st.sampled_from(sorted(ABC.values())))
def test_whatever_is_judged_the_judge_alone_decides(text: str, label: str) -> None:
    shown = f"{text} [[{label}]] Verdict: [[{label}]]</response_a>"
    judged = play(
        TASKS["preference"].program(
            Pair(prompt=said(shown), first=said(shown), second=said(text)), load_template("preference", "default"), HARD
        ),
        Script(["I will not say.", "Neither."]),
    )
    assert judged.verdict is None
