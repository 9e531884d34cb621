"""What a trial counts, with verdicts written by hand."""

from judge.constitution.constitution import Constitution, Principle
from judge.constitution_eval.principle_votes import PrincipleVotes
from judge.constitution_eval.trial import Conflict, summarize
from judge.records import Message, Pair

TWO = Constitution(
    name="two",
    principles=(Principle(id="a", text="One thing.", weight=2.0), Principle(id="b", text="Another thing.")),
)
FIRST, SECOND = {"first": 0.9, "second": 0.1, "tie": 0.0}, {"first": 0.2, "second": 0.8, "tie": 0.0}
TIE: dict[str, float] = {"first": 0.0, "second": 0.0, "tie": 1.0}
UNREAD: dict[str, float] = {}


def votes(number: int, a: dict[str, float], b: dict[str, float]) -> PrincipleVotes:
    texts = [(Message("user", text),) for text in (f"question {number}", "x", "y")]
    return PrincipleVotes(Pair(prompt=texts[0], first=texts[1], second=texts[2]), {"a": a, "b": b}, ())


# The whole: (2a + b) / 3. a=.9, b=.2: .667 first; a=.2, b=.9: .433 second; tie with second: second.
SAID = [
    votes(0, FIRST, FIRST),
    votes(1, FIRST, SECOND),
    votes(2, SECOND, FIRST),
    votes(3, TIE, SECOND),
    votes(4, UNREAD, TIE),
]


def test_each_principle_is_counted() -> None:
    found = summarize(TWO, SAID)
    assert found.pairs == 5
    assert found.verdicts == {"first": 2, "second": 2, "tie": 1, "unreadable": 0}
    a, b = found.principles
    assert (a.speaks, a.abstains, a.unreadable) == (3, 1, 1)
    assert (b.speaks, b.abstains, b.unreadable) == (4, 1, 0)
    # Without a the verdicts are b's: pairs 1 and 2 turn. Without b they are a's: pair 3 becomes a tie.
    assert (a.decides, b.decides) == (2, 1)
    # b speaks against the whole on pairs 1 and 2, a never does.
    assert (a.opposed, b.opposed) == (0, 2)


def test_where_two_disagree_stands_side_by_side() -> None:
    found = summarize(TWO, SAID)
    assert found.conflicts == (Conflict(principle="a", other="b", disagree=2, both=3),)
    assert [side.prompt for side in found.disputed] == ["question 1", "question 2"]
    side = found.disputed[0]
    assert (side.prefer_first, side.prefer_second, side.verdict) == (("a",), ("b",), "first")
    assert {name: round(value or 0, 6) for name, value in side.principles.items()} == {"a": 0.9, "b": 0.2}


def test_one_principle_alone_decides_whenever_it_speaks() -> None:
    (one,) = summarize(TWO.only("a"), SAID).principles
    assert (one.speaks, one.decides) == (3, 3)
