"""The principles' own examples as unit tests."""

from dataclasses import replace
from pathlib import Path

from judge.constitution.constitution import Constitution, Example, Principle
from judge.constitution_eval.example_tests import run_examples
from judge.constitution_eval.principle_votes import PrincipleJudge
from tests.constitution_eval.support import rules

SUM = Example(prompt="1+1?", first="It is 2, dear.", second="It is 3.", verdict="first")
TWO = Constitution(
    name="two",
    principles=(
        Principle(id="right", text="The answer is right.", examples=(SUM, replace(SUM, prompt="2-1?"))),
        Principle(id="short", text="The answer is short.", examples=(replace(SUM, verdict="second"),)),
        Principle(id="bare", text="The answer is polite."),
    ),
)
# 1+1: the one with "2" is right, whatever the order; the other question is not understood; "It is 3." is short.
JUDGE = (
    r'{"match": "1.1[\\s\\S]*response_a>\\nIt is 2[\\s\\S]*is right", "text": "A"}',
    r'{"match": "1.1[\\s\\S]*is right", "text": "B"}',
    r'{"match": "2-1", "text": "no idea"}',
    r'{"match": "response_a>\\nIt is 3[\\s\\S]*is short", "text": "A"}',
    r'{"match": "is short", "text": "B"}',
)


def test_each_example_is_judged_under_its_own_principle(tmp_path: Path) -> None:
    bench = PrincipleJudge([rules(tmp_path / "rules.jsonl", *JUDGE)])
    first, second, third = run_examples(TWO, bench)
    assert (first.principle, first.number, first.verdict, first.passed) == ("right", 1, "first", True)
    assert first.p_first is not None and first.p_first > 0.98
    assert (second.number, second.verdict, second.passed, second.p_first) == (2, None, False, None)
    assert "none of the choices" in second.reason
    assert (third.principle, third.verdict, third.passed) == ("short", "second", True)


def test_one_pair_under_two_principles_is_asked_under_these_alone(tmp_path: Path) -> None:
    bench = PrincipleJudge([rules(tmp_path / "rules.jsonl", '{"match": ".", "text": "C"}')])
    outcomes = run_examples(TWO, bench)
    assert bench.counts.calls == 2 * (2 + 1)  # the shared pair under two principles, the other under one
    assert [outcome.passed for outcome in outcomes] == [False, False, False]
