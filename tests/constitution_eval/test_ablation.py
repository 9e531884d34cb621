"""Which principle earns its place: a useful one among three idle ones, and figures derived by hand."""

from hashlib import blake2b
from pathlib import Path

import pytest

from judge.constitution.constitution import Constitution, Principle
from judge.constitution_eval.ablation import ablate, agreement, human_labels
from judge.constitution_eval.principle_votes import PrincipleJudge, PrincipleVotes, read_pairs
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError, InputError, UnknownNameError
from judge.records import HumanLabel, Message, Pair, spoken
from tests.constitution_eval.support import FOUR, choose, pairs

PAIRS = pairs(200)
LABELS = {pair.id: pair.human for pair in PAIRS}


def person(verdict: str, name: str = "person") -> HumanLabel:
    return HumanLabel(annotator=name, verdict=verdict)


def test_the_useful_principle_comes_first_with_an_interval_that_excludes_zero(judge: str) -> None:
    found = ablate(FOUR, PrincipleJudge([judge]).vote(PAIRS, FOUR), LABELS, resamples=1000)
    best, *others = found.principles
    assert best.id == "useful"
    assert best.gain.low is not None and best.gain.low > 0.1
    assert best.alone.value is not None and 0.85 <= best.alone.value <= 0.95  # right nine times in ten
    assert best.alone.low is not None and best.alone.low > 0.5
    for use in others:
        assert use.gain.low is not None and use.gain.high is not None
        assert use.gain.low <= 0.0 or use.gain.value is None
    idle = next(use for use in others if use.id == "idle-two")
    # It always abstains, so alone it is right half the time, and without it nothing changes.
    assert idle.alone.value == 0.5 and idle.gain[:3] == (0.0, 0.0, 0.0)
    assert (found.pairs, found.prompts, found.unlabelled, found.unreadable) == (200, 200, 0, 0)


def test_the_useful_principle_comes_first_on_hhh(judge: str, data_dir: Path) -> None:
    """Real prompts and responses: the judge sees under `useful` what people preferred in four pairs of five."""
    records = read_pairs([str(data_dir / "hhh" / "hhh_alignment_eval.json")])
    assert len(records) == 221
    chosen = {spoken(pair.first)[:200] for pair in records}

    def answer(request: Request) -> Completion:
        said = request.messages[-1].content
        shown_first = said.split("<response_a>\n")[1][:200].split("\n</response_a>")[0]
        head, principle = said.split("<judging_principle>")
        toss = blake2b((head.split("</user_prompt>")[0] + principle).encode(), digest_size=2).digest()[0]
        right_first = any(text.startswith(shown_first) for text in chosen)
        right = toss % 5 != 0 if "is right" in principle else toss % 2 == 0
        return choose("A" if right_first == right else "B", 0.8)

    bench = PrincipleJudge([judge])
    bench.engines = [ScriptedEngine(answer)]
    found = ablate(FOUR, bench.vote(records, FOUR), human_labels(records, records), resamples=1000)
    assert (found.pairs, found.unlabelled, found.unreadable) == (221, 0, 0)
    best, *others = found.principles
    assert best.id == "useful" and best.gain.low is not None and best.gain.low > 0.0
    assert all(use.gain.low is not None and use.gain.low <= 0.0 for use in others)


def test_the_same_seed_gives_the_same_intervals_whatever_the_order_of_answers(judge: str) -> None:
    votes = PrincipleJudge([judge]).vote(PAIRS[:60], FOUR)
    again = PrincipleJudge([judge]).vote(PAIRS[:60], FOUR)
    assert ablate(FOUR, votes, LABELS, resamples=200) == ablate(FOUR, again, LABELS, resamples=200)
    other = ablate(FOUR, votes, LABELS, resamples=200, seed=1)
    assert other.whole.value == ablate(FOUR, votes, LABELS, resamples=200).whole.value
    assert other.whole != ablate(FOUR, votes, LABELS, resamples=200).whole


def test_figures_by_hand() -> None:
    two = Constitution(
        name="two", principles=(Principle(id="a", text="One.", weight=2.0), Principle(id="b", text="Another."))
    )
    first, second = {"first": 1.0, "second": 0.0}, {"first": 0.0, "second": 1.0}
    says = [(first, second), (second, first), (second, first), (first, {})]
    records = pairs(8)[::2]  # people prefer the first response in all of them
    votes = [PrincipleVotes(pair, {"a": a, "b": b}, ()) for pair, (a, b) in zip(records, says, strict=True)]
    found = ablate(two, votes, {pair.id: pair.human for pair in records}, resamples=100)
    # The whole follows a, which weighs more: right on pairs 0 and 3.
    assert found.whole[0] == 0.5 and found.whole.pairs == 4
    uses = {use.id: use for use in found.principles}
    assert (uses["a"].alone.value, uses["b"].alone.value) == (0.5, 2 / 3)
    assert uses["b"].alone.pairs == 3
    # Without a: b's verdicts 0, 1, 1 and a tie (½) where b could not be read: 2.5 of 4. The gain of a is 0.5 − 0.625.
    assert uses["a"].without.value == 0.625 and uses["a"].gain.value == pytest.approx(-0.125)
    assert uses["b"].gain.value == 0.0
    assert [use.id for use in found.principles] == ["b", "a"]
    assert found.whole.low is None  # four prompts are too few to say


def test_pairs_of_one_prompt_are_drawn_together(judge: str) -> None:
    alike = [
        Pair(
            prompt=(Message("user", f"Question {number // 2}?"),),
            first=(Message("assistant", f"right {number}"),),
            second=(Message("assistant", f"wrong {number}"),),
            human=(person("first"),),
        )
        for number in range(20)
    ]
    found = ablate(
        FOUR, PrincipleJudge([judge]).vote(alike, FOUR), {pair.id: pair.human for pair in alike}, resamples=100
    )
    assert (found.pairs, found.prompts) == (20, 10)


@pytest.mark.parametrize(
    ("verdict", "labels", "expected"),
    [
        ("first", ["first"], 1.0),
        ("first", ["second"], 0.0),
        ("tie", ["second"], 0.5),
        ("first", ["tie"], 0.5),
        ("tie", ["tie"], 1.0),
        ("first", ["first", "second", "tie"], 0.5),
        (None, ["first"], None),
        ("first", [], None),
    ],
)
def test_agreement(verdict: str | None, labels: list[str], expected: float | None) -> None:
    assert agreement(verdict, [person(label) for label in labels]) == expected


def test_labels_from_another_file_are_matched_whichever_way_round() -> None:
    one, other = pairs(2)
    source = [one, other.swap()]
    assert human_labels([one, other], source) == {one.id: one.human}
    turned = Pair(prompt=other.prompt, first=other.second, second=other.first, human=(person("first"),))
    assert human_labels([other], [turned]) == {other.id: (person("second"),)}


def test_one_annotator_can_be_named() -> None:
    two = Pair(
        prompt=(Message("user", "p"),),
        first=(Message("assistant", "a"),),
        second=(Message("assistant", "b"),),
        human=(person("first", "ann"), person("second", "bob")),
    )
    assert human_labels([two], [two], "bob") == {two.id: (person("second", "bob"),)}
    with pytest.raises(UnknownNameError, match=r"unknown annotator 'an'; did you mean 'ann'"):
        human_labels([two], [two], "an")
    with pytest.raises(InputError, match="none of the pairs has a human label"):
        human_labels([two.swap()], [two.swap()])


def test_a_single_principle_cannot_be_left_out(judge: str) -> None:
    with pytest.raises(ConfigError, match="four has one principle"):
        ablate(FOUR.only("useful"), [], {})
