"""A pair judged under a constitution: what is asked in one batch, and how the principles' verdicts become one."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.constitution.constitution import Constitution, Principle, Sampling, load_constitution
from judge.engines.base import Completion, Request
from judge.errors import ConfigError, UnknownNameError
from judge.formats.judgement_rows import judgement_from_row, judgement_to_row
from judge.prompting.template import load_template
from judge.tasks import TASKS
from judge.tasks.base import Options, play
from judge.tasks.constitution_preference import Clamp, Voice, clamped, merge_principles, preset, principled, under
from tests.tasks.support import VERDICT_ALONE, pair

THREE = Constitution(
    name="three",
    principles=(
        Principle(id="right", text="The answer is right.", weight=2.0),
        Principle(id="kind", text="The tone is kind."),
        Principle(id="short", text="The answer is short."),
    ),
)
TEMPLATE = load_template("preference", "principle-verdict")
OPTIONS = Options(retries=0)
CLOSE = 1e-6  # a label at probability 0 enters the logarithm as one millionth


def answer_by(words: dict[str, dict[str, float]], *, good: str = "x") -> Callable[[Request], Completion]:
    """Answers by the principle, in terms of the response `good`: {"The tone": {"good": 0.9, "bad": 0.1}}."""

    def answer(request: Request) -> Completion:
        asked = request.messages[-1].content
        says = next(says for principle, says in words.items() if principle in asked)
        if not says:
            return Completion(text="down", finish="error")
        stands_first = f"<response_a>\n{good}\n" in asked
        names = {"good": "A" if stands_first else "B", "bad": "B" if stands_first else "A", "tie": "C"}
        shares = {names[name]: share for name, share in says.items()}
        logprobs = {label: math.log(shares[label]) if shares.get(label) else -math.inf for label in "ABC"}
        return Completion(text=max(logprobs, key=lambda label: logprobs[label]), logprobs=logprobs)

    return answer


def test_every_principle_is_asked_once_an_order_in_one_batch_that_shares_its_beginning() -> None:
    program = principled(pair("x", "y"), TEMPLATE, OPTIONS, constitution=THREE)
    requests = next(program)
    record = pair("x", "y").id
    assert [request.key for request in requests] == [
        f"{record}/{order}/{name}/0/0" for order in ("forward", "swapped") for name in ("right", "kind", "short")
    ]
    for order in (requests[:3], requests[3:]):
        assert len({request.messages[0] for request in order}) == 1
        heads = {request.messages[1].content.partition("<judging_principle>")[0] for request in order}
        assert len(heads) == 1
        assert all(request.messages[1].content.endswith("</judging_principle>") for request in order)
    with pytest.raises(StopIteration):
        program.send([Completion(text="C", logprobs={"A": -9.0, "B": -9.0, "C": -0.01})] * 6)


def computed(texts: list[str], block: int = 64) -> int:
    """Characters that a prefix cache of whole blocks leaves to be computed when the texts come one after another."""
    known: set[str] = set()
    new = 0
    for text in texts:
        heads = [text[:end] for end in range(block, len(text) + 1, block)]
        new += len(text) - block * sum(head in known for head in heads)
        known.update(heads)
    return new


def test_eight_principles_cost_less_than_half_of_what_is_sent() -> None:
    eight = load_constitution("helpful")
    assert len(eight.principles) == 8
    pairs = [example.pair for principle in eight.principles for example in principle.examples]
    texts = [
        "\n".join(message.content for message in request.messages)
        for one in pairs
        for request in next(principled(one, TEMPLATE, OPTIONS, constitution=eight))
    ]
    # Responses of a line each, the least favourable case: what is shared is what stands before the principle.
    assert computed(texts) <= 0.45 * sum(len(text) for text in texts)


def test_principles_are_merged_by_weight_and_each_ones_probability_is_kept() -> None:
    says = {"right": {"good": 0.9, "bad": 0.1}, "kind": {"good": 0.2, "bad": 0.8}, "short": {"good": 0.5, "bad": 0.5}}
    judged = play(principled(pair("x", "y"), TEMPLATE, OPTIONS, constitution=THREE), answer_by(says))
    # Without ties the weighted mean: (2 · 0.9 + 0.2 + 0.5) / 4 = 0.625
    assert judged.p_first == pytest.approx(0.625, abs=CLOSE)
    assert judged.verdict == "first" and judged.consistent is True
    assert judged.principles == pytest.approx({"right": 0.9, "kind": 0.2, "short": 0.5}, abs=CLOSE)
    assert [reading.principle for reading in judged.readings] == ["right", "kind", "short"] * 2
    assert [reading.asked for reading in judged.readings] == ["forward"] * 3 + ["swapped"] * 3
    assert judgement_from_row(judgement_to_row(judged)) == judged


def test_an_abstention_is_no_vote_for_a_tie() -> None:
    idle = {"good": 0.02, "bad": 0.02, "tie": 0.96}
    says = {"right": {"good": 0.8, "bad": 0.1, "tie": 0.1}, "kind": idle, "short": idle}
    judged = play(principled(pair("x", "y"), TEMPLATE, OPTIONS, constitution=THREE), answer_by(says))
    # m(tie) = 0.1 · sqrt(0.96) · sqrt(0.96) = 0.096 (weights 1 of at most 2); the sides are 1.64 : 0.24.
    first, second = 0.904 * 1.64 / 1.88, 0.904 * 0.24 / 1.88
    assert judged.verdict == "first"
    assert judged.p_first == pytest.approx(0.5 + (first - second) / 2, abs=CLOSE)


def test_all_abstaining_is_a_tie() -> None:
    says = {key: {"good": 0.0, "bad": 0.0, "tie": 1.0} for key in ("right", "kind", "short")}
    judged = play(principled(pair("x", "y"), TEMPLATE, OPTIONS, constitution=THREE), answer_by(says))
    assert (judged.verdict, judged.p_first, judged.consistent) == ("tie", 0.5, True)


def test_an_unreadable_principle_is_left_out_and_said_so() -> None:
    says: dict[str, dict[str, float]] = {
        "right": {},
        "kind": {"good": 0.7, "bad": 0.3},
        "short": {"good": 0.9, "bad": 0.1},
    }
    judged = play(principled(pair("x", "y"), TEMPLATE, OPTIONS, constitution=THREE), answer_by(says))
    assert judged.p_first == pytest.approx(0.8, abs=CLOSE)
    assert judged.principles["right"] is None
    assert {r.reason for r in judged.readings if r.principle == "right"} == {"engine error: down"}
    nothing = {key: dict[str, float]() for key in ("right", "kind", "short")}
    unread = play(principled(pair("x", "y"), TEMPLATE, OPTIONS, constitution=THREE), answer_by(nothing))
    assert unread.verdict is None and unread.p_first is None and "forward: engine error: down" in unread.reason


def test_only_what_is_drawn_is_asked_and_the_rest_is_none() -> None:
    one = replace(THREE, sampling=Sampling(count=1))
    record = pair("x", "y")
    requests = next(principled(record, TEMPLATE, OPTIONS, constitution=one))
    (drawn,) = one.draw(0, record.id)
    assert [request.key.split("/")[2] for request in requests] == [drawn.id] * 2
    judged = play(
        principled(record, TEMPLATE, OPTIONS, constitution=one),
        answer_by({key: {"good": 0.9, "bad": 0.1} for key in ("right", "kind", "short")}),
    )
    assert [name for name, value in judged.principles.items() if value is not None] == [drawn.id]
    assert list(judged.principles) == ["right", "kind", "short"]


def test_clamping_bounds_each_principle_before_they_are_merged() -> None:
    says = {
        "right": {"good": 0.99, "bad": 0.01},
        "kind": {"good": 0.55, "bad": 0.45},
        "short": {"good": 0.0, "bad": 1.0},
    }
    clamp = Clamp(0.4, 0.6)
    judged = play(principled(pair("x", "y"), TEMPLATE, OPTIONS, constitution=THREE, clamp=clamp), answer_by(says))
    # (2 · 0.6 + 0.55 + 0.4) / 4
    assert judged.p_first == pytest.approx(0.5375, abs=CLOSE)
    assert judged.principles["right"] == pytest.approx(0.99, abs=CLOSE)


def test_a_clamp_that_would_turn_a_verdict_is_refused() -> None:
    for clamp in (Clamp(0.6, 0.9), Clamp(0.1, 0.4), Clamp(-0.1, 0.6)):
        with pytest.raises(ConfigError, match=r"low must be 0 to 0\.5, high 0\.5 to 1"):
            under(TASKS["preference"], THREE, clamp)


shares = st.tuples(*[st.floats(0.001, 1)] * 3).map(
    lambda raw: {name: value / sum(raw) for name, value in zip(("first", "second", "tie"), raw, strict=True)}
)


@given(shares, st.floats(0, 0.5), st.floats(0.5, 1))
def test_a_clamped_distribution_is_one_and_keeps_its_tie(says: dict[str, float], low: float, high: float) -> None:
    found = clamped(says, Clamp(low, high))
    p = found["first"] + found["tie"] / 2
    assert math.isclose(sum(found.values()), 1.0) and found["tie"] == says["tie"]
    assert min(found.values()) >= -1e-12 and low - 1e-9 <= p <= high + 1e-9


@given(st.lists(st.tuples(st.floats(0.1, 10), shares), min_size=1, max_size=6))
def test_merging_gives_a_distribution_that_mirrors_with_its_parts(
    given_voices: list[tuple[float, dict[str, float]]],
) -> None:
    mirror = {"first": "second", "second": "first", "tie": "tie"}
    voices = [Voice(weight, says) for weight, says in given_voices]
    turned = [Voice(weight, {mirror[name]: share for name, share in says.items()}) for weight, says in given_voices]
    merged, other = merge_principles(voices), merge_principles(turned)
    assert math.isclose(sum(merged.values()), 1.0)
    assert merged == {mirror[name]: share for name, share in other.items()}


@given(st.floats(0.1, 10), shares)
def test_one_principle_says_what_it_says_and_weights_have_no_unit(weight: float, says: dict[str, float]) -> None:
    assert merge_principles([Voice(weight, says)]) == pytest.approx(says)
    twice = [Voice(weight, says), Voice(2 * weight, says)]
    scaled = [Voice(3 * weight, says), Voice(6 * weight, says)]
    assert merge_principles(twice) == pytest.approx(merge_principles(scaled))


def test_a_prompt_without_a_place_for_a_principle_is_refused() -> None:
    with pytest.raises(ConfigError, match="prompt preference/test has no place for a principle"):
        principled(pair(), VERDICT_ALONE, OPTIONS, constitution=THREE)


def test_only_preferences_take_a_constitution() -> None:
    assert under(TASKS["preference"], THREE).prompt(OPTIONS).name == "principle-verdict"
    with pytest.raises(ConfigError, match="the task 'steps' takes no constitution"):
        under(TASKS["steps"], THREE)


def test_the_settings_of_the_paper_have_names() -> None:
    plain, thought = preset("bai-2022"), preset("bai-2022-cot")
    assert (plain.clamp, thought.clamp) == (None, (0.4, 0.6))
    for one in (plain, thought):
        assert dict(load_template("preference", one.prompt).labels) == {"first": "A", "second": "B"}
    with pytest.raises(UnknownNameError, match="did you mean 'bai-2022'"):
        preset("bai-2023")


def test_multiple_choice_is_averaged_over_the_principles_as_in_the_paper() -> None:
    says = {"right": {"good": 0.9, "bad": 0.1}, "kind": {"good": 0.6, "bad": 0.4}, "short": {"good": 0.3, "bad": 0.7}}

    def answer(request: Request) -> Completion:
        assert request.prefill == "(" and request.choices == ("A", "B")
        asked = request.messages[-1].content.replace("option_a", "response_a")
        return answer_by(says)(replace(request, messages=(replace(request.messages[-1], content=asked),)))

    equal = replace(THREE, principles=tuple(replace(principle, weight=1.0) for principle in THREE.principles))
    template = load_template("preference", preset("bai-2022").prompt)
    judged = play(principled(pair("x", "y"), template, OPTIONS, constitution=equal), answer)
    assert judged.p_first == pytest.approx((0.9 + 0.6 + 0.3) / 3, abs=CLOSE)
