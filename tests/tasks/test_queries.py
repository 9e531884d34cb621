"""What becomes of a reply that cannot be read: gone on with where the engine can, asked for again where it cannot."""

from collections.abc import Callable
from math import log

import pytest

from judge.engines.base import Completion, Request
from judge.judgements import Critique, Preference
from judge.prompting.template import load_template
from judge.tasks import TASKS, Options, play
from judge.tasks.queries import whole_sentences
from tests.tasks.support import pair

ONE = Options(one_order=True, retries=1)
CHOSEN = {"A": log(0.25), "B": log(0.6), "C": log(0.15)}


def reply(text: str, *, continues: bool, finish: str = "stop") -> Callable[[Request], Completion]:
    """An engine that always writes one text, and chooses B where it goes on from a begun reply."""

    def answer(request: Request) -> Completion:
        if request.prefill and not continues:
            return Completion(text="cannot go on from a begun reply", finish="error")
        if request.choices:
            return Completion(text="B", logprobs=CHOSEN, continues=continues)
        return Completion(text=text, finish=finish, continues=continues)

    return answer


def judged(answer: Callable[[Request], Completion]) -> Preference:
    template = load_template("preference", "default")
    done = play(TASKS["preference"].program(pair("x", "y"), template, ONE), answer)
    assert isinstance(done, Preference)
    return done


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "cut at max_tokens"), ("stop", "no verdict"), ("repetition", "cut where it repeats")],
)
def test_a_reply_without_a_verdict_is_gone_on_with_to_its_label(finish: str, reason: str) -> None:
    done = judged(reply("Response B is", continues=True, finish=finish))
    (read,) = done.readings
    assert (done.verdict, read.attempts, read.text) == ("second", 1, "Response B is\n\nVerdict: [[B]]")
    assert read.reason.startswith(reason) and read.reason.endswith("; chosen behind 'Verdict: [['")
    assert read.probabilities == pytest.approx({"first": 0.25, "second": 0.6, "tie": 0.15})
    assert done.p_first == pytest.approx(0.5 + (0.25 - 0.6) / 2)


def test_without_such_an_engine_it_is_asked_for_again() -> None:
    done = judged(reply("Response B is", continues=False, finish="length"))
    assert (done.verdict, done.readings[0].attempts) == (None, 2)
    assert done.reason == "forward: cut at max_tokens"


def test_different_verdicts_are_asked_for_again_before_the_label_is_chosen() -> None:
    done = judged(reply("[[A]] (B would have got [[B]] with a source.)", continues=True))
    (read,) = done.readings
    assert (done.verdict, read.attempts) == ("second", 2)
    assert read.reason == "different verdicts and none of them at the end: A, B; chosen behind 'Verdict: [['"


def test_probabilities_that_contradict_a_greedy_verdict_are_dropped_and_said() -> None:
    done = judged(reply("Verdict: [[A]]", continues=True))
    (read,) = done.readings
    assert (read.verdict, read.probabilities) == ("first", {})
    assert read.reason == "probabilities dropped: they say 'second'"
    assert done.p_first == 1.0


def test_why_an_engine_gives_no_probabilities_stands_in_the_row() -> None:
    (read,) = judged(reply("Verdict: [[A]]", continues=False)).readings
    assert (read.verdict, read.probabilities, read.reason) == ("first", {}, "cannot go on from a begun reply")


@pytest.mark.parametrize("text", ["<think>\nAt first [[A]]", "<think>[[A]]. But B is better", "[THINK] [[A]]"])
def test_thinking_that_never_ends_is_never_read(text: str) -> None:
    done = judged(reply(text, continues=False))
    assert (done.verdict, done.reason) == (None, "forward: thinking that never ends")


def critique(prompt: str, answer: Callable[[Request], Completion]) -> Critique:
    spec = TASKS["critique"]
    (record,) = list(spec.split(pair("x", "y")))[:1]
    done = play(spec.program(record, load_template("critique", prompt), ONE), answer)
    assert isinstance(done, Critique)
    return done


def test_a_tag_that_the_model_forgot_is_put_into_its_mouth() -> None:
    def answer(request: Request) -> Completion:
        if request.prefill:
            assert request.prefill == "I think of the first principle.\n\n<critique>\n"
            assert request.stop == ("</critique>",)
            return Completion(text="It names no source.\n", continues=True)
        return Completion(text="I think of the first principle.", continues=True)

    assert critique("thought", answer).verdict == "It names no source."


def test_an_opening_is_asked_for_and_its_closing_tag_is_the_stop() -> None:
    def answer(request: Request) -> Completion:
        assert (request.opening, request.stop) == ("<critique>\n", ("</critique>",))
        return Completion(text=f"{request.opening}It names no source.\n", continues=True)

    assert critique("few-shot", answer).verdict == "It names no source."


def test_an_opening_that_was_left_to_the_model_is_put_into_its_mouth_in_the_end() -> None:
    def answer(request: Request) -> Completion:
        if request.prefill:
            assert request.prefill == "Here you are.\n\n<critique>\n"
            return Completion(text="It names no source.", continues=True)
        return Completion(text="Here you are.", continues=True)

    done = critique("few-shot", answer)
    assert (done.verdict, done.readings[0].attempts) == ("It names no source.", 1)


def test_words_that_go_round_in_circles_are_read_up_to_there() -> None:
    text = "It is long. " + "It repeats what was said before. " * 5
    done = critique("default", reply(text, continues=True, finish="repetition"))
    assert done.verdict == "It is long. It repeats what was said before."
    assert done.readings[0].reason == "cut where it repeats itself; read up to there"


def test_words_that_were_cut_are_asked_for_again_then_read_to_their_last_sentence() -> None:
    done = critique("default", reply("It is long. It is also ver", continues=True, finish="length"))
    assert (done.verdict, done.readings[0].attempts) == ("It is long.", 2)
    assert critique("default", reply("It is long. It is als", continues=False, finish="length")).verdict is None


def test_whole_sentences() -> None:
    assert whole_sentences('He said "no." Then he we') == 'He said "no."'
    assert whole_sentences("- one\n- tw") == "- one\n"
    assert whole_sentences("no end") == ""


def test_what_an_engine_gave_up_is_not_asked_again() -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Completion:
        asked.append(request)
        return Completion(text="status 500: boom", finish="error")

    template = load_template("preference", "default")
    done = play(TASKS["preference"].program(pair("x", "y"), template, Options(one_order=True, retries=5)), answer)
    assert isinstance(done, Preference)
    assert (len(asked), done.readings[0].attempts, done.readings[0].reason) == (1, 1, "engine error: status 500: boom")
