"""The loop of critique and revision, played against functions and lists of strings."""

from collections.abc import Callable
from dataclasses import replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.constitution.constitution import Constitution, Principle, Sampling
from judge.engines.base import Completion, Request
from judge.engines.scripted import Rule, complete
from judge.errors import ConfigError, UnknownNameError
from judge.formats import judgement_from_row, judgement_to_row
from judge.judgements import Revision
from judge.prompting.template import Template, load_template
from judge.records import Message, Response, Solution
from judge.tasks.base import Options, play
from judge.tasks.critique import read_text
from judge.tasks.revision import PRESETS, Loop, Prompts, Roles, draws, revision

ABC = {"first": "A", "second": "B", "tie": "C"}


def template(task: str, body: str, *, verdict: str = "", labels: dict[str, str] | None = None) -> Template:
    names = {"critique": "prompt response principles", "revision": "prompt response critique principles"}
    return Template(
        name=f"{task}/test",
        task=task,
        source="test.jinja",
        hash="0",
        body=f"{{% user %}}{body}{{% enduser %}}",
        variables=tuple(names.get(task, "prompt first second").split()),
        defaults={"principles": "none"},
        verdict=verdict,
        labels=labels or {},
    )


PROMPTS = Prompts(
    critique=template("critique", "critique|{{ response }}|{{ principles }}"),
    revision=template("revision", "revise|{{ response }}|{{ critique }}|{{ principles }}"),
    preference=template("preference", "compare|{{ first }}|{{ second }}", labels=ABC, verdict=r"\[\[([ABC])\]\]"),
)
ASKED = (Message("user", "Count."),)


def response(text: str = "1") -> Response:
    return Response(prompt=ASKED, response=(Message("assistant", text),) if text else ())


PRINCIPLES = tuple(Principle(id=name, text=f"Be {name}.") for name in ("kind", "brief", "right", "clear"))
ALL = Constitution(name="four", principles=PRINCIPLES)
ONE = replace(ALL, sampling=Sampling(count=1))

Asked = list[Request]


def model(
    better: Callable[[str, str], str] = lambda first, second: "A" if int(first) > int(second) else "B",
    *,
    critic: Callable[[str], str] = lambda text: f"{text} is too small.",
    author: Callable[[str], str] = lambda text: str(int(text) + 1),
) -> tuple[Callable[[Request], Completion], Asked]:
    """Texts are numbers, larger ones are better: a critic, an author who adds one, a referee; what they were asked."""
    asked: Asked = []

    def answer(request: Request) -> Completion:
        asked.append(request)
        what, *parts = request.messages[-1].content.split("|")
        if what == "critique":
            said = critic(parts[0])
        elif what == "revise":
            said = author(parts[0])
        elif what == "compare":
            said = f"[[{better(parts[0], parts[1])}]]"
        else:
            said = "0"
        return complete(Rule(match="", text=said), request)

    return answer, asked


def run(record: Response | Solution, answer: Callable[[Request], Completion], **loop: object) -> Revision:
    return play(revision(record, PROMPTS, Options(), loop=Loop(**loop)), answer)  # type: ignore[arg-type]


def test_a_better_text_is_kept_round_after_round() -> None:
    answer, asked = model()
    done = run(response("1"), answer, rounds=3)
    assert (done.original, done.verdict, done.stopped) == ("1", "4", "rounds")
    assert [(one.number, one.critique, one.text, one.kept) for one in done.rounds] == [
        (1, "1 is too small.", "2", True),
        (2, "2 is too small.", "3", True),
        (3, "3 is too small.", "4", True),
    ]
    # Both orders say 0.99 for the revision and 0.005 for each of the others: the margin is 0.99 - 0.005.
    assert done.rounds[0].p_better == pytest.approx((1 + 0.99 - 0.005) / 2)
    assert done.rounds[0].consistent is True
    # Each round: a critique, a revision, and two orders with a second request each for the probabilities.
    assert len(asked) == 3 * (1 + 1 + 2 * 2)
    assert [reading.asked for reading in done.readings[:4]] == [
        "round 1 critique",
        "round 1 revision",
        "round 1 forward",
        "round 1 swapped",
    ]


def test_a_worse_text_is_never_kept_and_the_loop_ends() -> None:
    answer, _ = model(author=lambda text: str(int(text) - 1))
    done = run(response("5"), answer, rounds=3)
    assert (done.original, done.verdict, done.stopped) == ("5", "5", "not better")
    (only,) = done.rounds
    assert (only.text, only.verdict, only.kept, only.reason) == ("4", "second", False, "the text before is better")
    assert only.p_better == pytest.approx(1 - (1 + 0.99 - 0.005) / 2)


def test_a_referee_that_is_wrong_on_purpose_keeps_only_what_it_prefers_and_the_data_says_so() -> None:
    smaller = model(lambda first, second: "A" if int(first) < int(second) else "B")[0]
    upward, downward = (
        run(response("5"), smaller),
        play(
            revision(response("5"), PROMPTS, Options(), loop=Loop()),
            model(
                lambda first, second: "A" if int(first) < int(second) else "B", author=lambda text: str(int(text) - 1)
            )[0],
        ),
    )
    assert upward.verdict == "5" and not any(one.kept for one in upward.rounds)
    assert [one.verdict for one in upward.rounds] == ["second"]
    assert downward.verdict == "3"
    assert all(one.kept and one.verdict == "first" and (one.p_better or 0) > 0.9 for one in downward.rounds)


def test_a_referee_that_follows_the_position_keeps_nothing() -> None:
    done = run(response("1"), model(lambda first, second: "A")[0])
    assert done.verdict == "1"
    assert (done.rounds[0].verdict, done.rounds[0].p_better, done.rounds[0].consistent) == ("tie", 0.5, False)
    assert done.rounds[0].reason == "neither is better"


@pytest.mark.parametrize(("margin", "kept"), [(0.4, True), (0.49, True), (0.51, False)])
def test_a_revision_has_to_win_by_the_margin(margin: float, kept: bool) -> None:
    # Choices at 0.75, 0.25 and 0 in either order: p = (1 + 0.75 - 0.25) / 2 = 0.75, the margin 0.5
    # (less a little: no probability is below a millionth).
    def answer(request: Request) -> Completion:
        if not request.choices:
            return model()[0](request)
        _, first, second = request.messages[-1].content.split("|")
        shares = (-0.28768207245178085, -1.3862943611198906)
        high, low = shares if int(first) > int(second) else shares[::-1]
        return complete(Rule(match="", text="", logprobs={"A": high, "B": low, "C": -1e9}), request)

    done = run(response("1"), answer, margin=margin, rounds=1)
    assert done.rounds[0].p_better == pytest.approx(0.75, abs=1e-5)
    assert done.rounds[0].kept is kept
    assert done.verdict == ("2" if kept else "1")
    assert kept or done.rounds[0].reason == "better by less than the margin"


@given(first=st.floats(0.0, 1.0), second=st.floats(0.0, 1.0), margin=st.floats(0.0, 1.0))
def test_nothing_is_kept_that_the_referee_did_not_prefer_by_the_margin(
    first: float, second: float, margin: float
) -> None:
    """Whatever a referee says in either order: `first` and `second` are its probabilities for the place A."""

    def answer(request: Request) -> Completion:
        what, shown, *_ = request.messages[-1].content.split("|")
        if what in ("critique", "revise"):
            return model()[0](request)
        place = first if shown == "2" else second
        if not request.choices:
            return complete(Rule(match="", text="[[A]]" if place >= 0.5 else "[[B]]"), request)
        logprobs = {"A": log(max(place, 1e-12)), "B": log(max(1.0 - place, 1e-12)), "C": -30.0}
        return complete(Rule(match="", text="", logprobs=logprobs), request)

    (one,) = run(response("1"), answer, rounds=1, margin=margin).rounds
    assert one.p_better is not None
    assert one.kept == (one.verdict == "first" and 2 * one.p_better - 1 >= margin)
    assert not one.kept or first > 1.0 - first or second < 0.5
    if first > 0.5 > second:
        assert one.p_better > 0.5
    if first < 0.5 < second:
        assert not one.kept


@pytest.mark.parametrize(
    "said", ["All is well.\nNo faults found.", "Step 1: 2 ok\nNo mistake found.", "**No faults found.**"]
)
def test_a_critique_that_finds_nothing_ends_the_loop(said: str) -> None:
    answer, asked = model(critic=lambda text: said)
    done = run(response("1"), answer)
    assert (done.verdict, done.stopped, done.rounds[0].text) == ("1", "nothing found", None)
    assert len(asked) == 1


def test_a_critique_that_speaks_of_no_faults_on_the_way_does_not() -> None:
    answer, _ = model(critic=lambda text: "In line 1 no faults found. Line 2 is wrong.")
    assert run(response("1"), answer, rounds=1).verdict == "2"


def test_a_prompt_alone_is_answered_first_by_the_author() -> None:
    answer, asked = model()
    done = run(response(""), answer, rounds=1)
    assert (done.original, done.verdict) == ("0", "1")
    assert asked[0].messages == ASKED  # without a prompt of its own the conversation goes as it is
    assert asked[0].key.split("/")[1:] == ["answer", "0", "0"]


def test_an_author_who_gives_no_answer_leaves_nothing_to_say() -> None:
    done = run(response(""), lambda request: Completion(text="", finish="length"))
    assert (done.verdict, done.original, done.rounds) == (None, None, ())
    assert done.reason == "answer: cut at max_tokens"


def test_a_solution_is_its_steps_a_line_each() -> None:
    answer, _ = model(author=lambda text: str(len(text)), better=lambda first, second: "C")
    done = run(Solution(prompt=ASKED, steps=("1", "2")), answer)
    assert (done.original, done.rounds[0].text) == ("1\n2", "3")


def test_a_revision_that_changes_nothing_is_not_judged() -> None:
    answer, asked = model(author=lambda text: text)
    done = run(response("1"), answer)
    assert (done.verdict, done.rounds[0].verdict, done.rounds[0].p_better) == ("1", None, None)
    assert not any("compare" in request.messages[-1].content for request in asked)


def test_what_cannot_be_read_is_none_with_a_reason_and_never_a_number() -> None:
    done = run(response("1"), model(lambda first, second: "?")[0])
    assert (done.verdict, done.original, done.stopped) == (None, "1", "unreadable")
    assert (done.rounds[0].text, done.rounds[0].p_better, done.rounds[0].kept) == ("2", None, False)
    assert "round 1 forward: verdict not on offer" in done.reason or "no verdict" in done.reason


def test_rounds_before_an_unreadable_one_stand() -> None:
    answer, _ = model(lambda first, second: "?" if "3" in (first, second) else "A" if int(first) > int(second) else "B")
    done = run(response("1"), answer, rounds=5)
    assert (done.verdict, done.stopped, len(done.rounds)) == ("2", "unreadable", 2)


# ---------------------------------------------------------------------------------------------------------------------
# Principles


def test_without_a_number_all_principles_are_one_try() -> None:
    assert draws(ALL, Loop(tries=3), 0, "x") == [PRINCIPLES]
    assert draws(None, Loop(), 0, "x") == [()]


def test_tries_draw_principles_that_were_not_tried() -> None:
    tries = draws(ONE, Loop(tries=9), 0, "x")
    assert sorted(one.id for (one,) in tries) == ["brief", "clear", "kind", "right"]
    assert tries[:2] == draws(ONE, Loop(tries=2), 0, "x")
    assert tries[0] == ONE.draw(0, "x")
    assert len({draws(ONE, Loop(), 0, f"record {n}")[0] for n in range(50)}) == 4
    assert [len(one) for one in draws(ALL, Loop(tries=2, principles=3), 0, "x")] == [3, 1]


def test_another_principle_is_tried_when_one_leads_nowhere() -> None:
    first, second = (one.id for (one,) in draws(ONE, Loop(tries=2), 0, f"{response('1').id}/round 1"))

    def answer(request: Request) -> Completion:
        what, *parts = request.messages[-1].content.split("|")
        if what == "critique" and parts[1] == f"Be {first}.":
            return complete(Rule(match="", text="No faults found."), request)
        return model()[0](request)

    done = play(revision(response("1"), PROMPTS, Options(), loop=Loop(rounds=1, tries=2), constitution=ONE), answer)
    assert [(one.number, one.principles, one.kept) for one in done.rounds] == [
        (1, (first,), False),
        (1, (second,), True),
    ]
    assert (done.verdict, done.stopped) == ("2", "rounds")
    assert [reading.principle for reading in done.readings if "critique" in reading.asked] == [first, second]


def test_prompts_are_told_the_principles_and_the_requests() -> None:
    principle = Principle(id="kind", text="Be kind.", critique_request="Where is it rude?", revision_request="Soften.")
    answer, asked = model()
    held = Constitution(name="one", principles=(principle,))
    play(revision(response("1"), PROMPTS, Options(), loop=Loop(rounds=1), constitution=held), answer)
    texts = [request.messages[-1].content for request in asked]
    assert texts[0] == "critique|1|Be kind. Where is it rude?"
    assert texts[1] == "revise|1|1 is too small.|Be kind. Soften."
    answer, asked = model()
    play(revision(response("1"), PROMPTS, Options(), loop=Loop(rounds=1), constitution=ALL), answer)
    assert asked[0].messages[-1].content.endswith("|1. Be kind.\n2. Be brief.\n3. Be right.\n4. Be clear.")


def test_each_part_is_played_by_its_engine() -> None:
    answer, asked = model()
    roles = Roles(critic=0, author=1, referee=2)
    play(revision(response(""), PROMPTS, Options(), loop=Loop(rounds=1), roles=roles), answer)
    parts = [(request.messages[-1].content.split("|")[0], request.judge) for request in asked]
    assert parts == [("Count.", 1), ("critique", 0), ("revise", 1), *[("compare", 2)] * 4]


def test_every_request_has_a_key_of_its_own_and_a_seed_that_follows_from_it() -> None:
    answer, asked = model()
    play(revision(response("1"), PROMPTS, Options(temperature=1.0), loop=Loop(rounds=3)), answer)
    free = [request for request in asked if not request.choices]
    assert len({request.key for request in free}) == len(free)
    again, repeated = model()
    play(revision(response("1"), PROMPTS, Options(temperature=1.0), loop=Loop(rounds=3)), again)
    assert [request.seed for request in asked] == [request.seed for request in repeated]
    # The referee judges greedily, whatever the author's temperature.
    assert {request.temperature for request in free if "compare" in request.messages[-1].content} == {0.0}


def test_several_votes_are_the_referees_alone() -> None:
    answer, asked = model()
    options = Options(votes=3, temperature=0.7)
    done = play(revision(response(""), PROMPTS, options, loop=Loop(rounds=1)), answer)
    free = [request for request in asked if not request.choices]
    parts = [request.messages[-1].content.split("|")[0] for request in free]
    assert {part: parts.count(part) for part in parts} == {"Count.": 1, "critique": 1, "revise": 1, "compare": 6}
    assert {request.temperature for request in free} == {0.7}
    assert len({request.seed for request in free}) == len(free)
    assert [reading.vote for reading in done.readings] == [0, 0, 0, 0, 1, 2, 0, 1, 2]


# ---------------------------------------------------------------------------------------------------------------------
# Settings


def test_the_settings_of_bai_2022_go_on_with_every_revision() -> None:
    preset = PRESETS["bai-2022"]
    assert (preset.loop.rounds, preset.loop.principles, preset.temperature) == (4, 1, 1.0)
    answer, _ = model(author=lambda text: str(int(text) - 1), critic=lambda text: "No faults found.")
    done = play(revision(response("5"), PROMPTS, Options(), loop=preset.loop, constitution=ALL), answer)
    assert done.verdict == "1"
    assert [(one.verdict, one.kept, len(one.principles)) for one in done.rounds] == [("second", True, 1)] * 4


@pytest.mark.parametrize(
    "wrong", [{"rounds": 0}, {"tries": 0}, {"principles": 0}, {"margin": 1.5}, {"margin": -0.1}, {"keep": "beter"}]
)
def test_settings_that_cannot_be_meant(wrong: dict[str, object]) -> None:
    with pytest.raises((ConfigError, UnknownNameError)):
        Loop(**wrong)  # type: ignore[arg-type]


def test_a_revision_goes_through_json_and_back() -> None:
    done = run(response("1"), model()[0])
    assert judgement_from_row(judgement_to_row(done)) == done


def test_the_shipped_prompts_serve_the_loop() -> None:
    prompts = Prompts(
        critique=load_template("critique", "thought"),
        revision=load_template("revision", "default"),
        preference=load_template("preference", "default"),
    )

    def answer(request: Request) -> Completion:
        said = request.messages[-1].content
        if "Compare response A" in said:
            text = "Verdict: [[A]]" if said.index("better text") < said.index("text so far") else "Verdict: [[B]]"
        elif "Write the revised response" in said:
            assert "<critique_of_response>\nToo short.\n</critique_of_response>" in said
            text = "Here it is: <revised_response>\nbetter text\n</revised_response>"
        else:
            text = "Let me think. <critique> Too short. </critique>"
        return complete(Rule(match="", text=text), request)

    done = play(revision(response("text so far"), prompts, Options(), loop=Loop(rounds=1), constitution=ONE), answer)
    assert (done.verdict, done.rounds[0].critique) == ("better text", "Too short.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<revised_response>\nOne.\n\n<revised_response>\n", "One."),  # a loop, cut where the tag is opened anew
        ("<revised_response>\nOne.\n<revised_response>\nTwo.", "Two."),
        ("<revised_response>\n\n<revised_response>\n", None),
    ],
)
def test_a_tag_that_is_opened_anew(text: str, words: str | None) -> None:
    assert read_text(text, load_template("revision", "default")).verdict == words
