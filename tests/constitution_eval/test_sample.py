"""What a trial counts, with verdicts written by hand."""

from judge.constitution.constitution import Constitution, Principle
from judge.constitution_eval.principle_votes import Heard
from judge.constitution_eval.sample import Quarrel, sample
from judge.records import Message, Pair

TWO = Constitution(
    name="two",
    principles=(Principle(id="a", text="One thing.", weight=2.0), Principle(id="b", text="Another thing.")),
)
FIRST, SECOND = {"first": 0.9, "second": 0.1, "tie": 0.0}, {"first": 0.2, "second": 0.8, "tie": 0.0}
TIE: dict[str, float] = {"first": 0.0, "second": 0.0, "tie": 1.0}
UNREAD: dict[str, float] = {}


def heard(number: int, a: dict[str, float], b: dict[str, float]) -> Heard:
    texts = [(Message("user", text),) for text in (f"question {number}", "x", "y")]
    return Heard(Pair(prompt=texts[0], first=texts[1], second=texts[2]), {"a": a, "b": b}, ())


# The whole: (2a + b) / 3. a=.9, b=.2: .667 first; a=.2, b=.9: .433 second; tie with second: second.
SAID = [
    heard(0, FIRST, FIRST),
    heard(1, FIRST, SECOND),
    heard(2, SECOND, FIRST),
    heard(3, TIE, SECOND),
    heard(4, UNREAD, TIE),
]


def test_each_principle_is_counted() -> None:
    found = sample(TWO, SAID)
    assert found.pairs == 5
    assert found.verdicts == {"first": 2, "second": 2, "tie": 1, "unreadable": 0}
    a, b = found.conducts
    assert (a.speaks, a.abstains, a.unreadable) == (3, 1, 1)
    assert (b.speaks, b.abstains, b.unreadable) == (4, 1, 0)
    # Without a the verdicts are b's: pairs 1 and 2 turn. Without b they are a's: pair 3 becomes a tie.
    assert (a.decides, b.decides) == (2, 1)
    # b speaks against the whole on pairs 1 and 2, a never does.
    assert (a.opposed, b.opposed) == (0, 2)


def test_where_two_disagree_stands_side_by_side() -> None:
    found = sample(TWO, SAID)
    assert found.quarrels == (Quarrel(one="a", other="b", disagree=2, both=3),)
    assert [side.prompt for side in found.sides] == ["question 1", "question 2"]
    side = found.sides[0]
    assert (side.prefer_first, side.prefer_second, side.verdict) == (("a",), ("b",), "first")
    assert {name: round(value or 0, 6) for name, value in side.principles.items()} == {"a": 0.9, "b": 0.2}


def test_one_principle_alone_decides_whenever_it_speaks() -> None:
    (one,) = sample(TWO.only("a"), SAID).conducts
    assert (one.speaks, one.decides) == (3, 3)
