"""What changed between two constitutions, in words and in verdicts."""

from dataclasses import replace

from judge.constitution.constitution import Principle, Sampling
from judge.constitution_eval.difference import TextChange, changes, difference, word_diff
from judge.constitution_eval.principle_votes import PrincipleJudge
from tests.constitution_eval.support import FOUR, pairs


def test_words_that_changed_are_marked() -> None:
    assert word_diff("The answer is short.", "The whole answer is brief.") == (
        "The {+whole+} answer is [-short.-] {+brief.+}"
    )
    assert word_diff("same", "same") == "same"
    assert (word_diff("", "new"), word_diff("old", "")) == ("{+new+}", "[-old-]")


def test_principles_are_compared_by_id_and_by_part() -> None:
    one, two, useful, _ = FOUR.principles
    later = replace(
        FOUR,
        version="2",
        sampling=Sampling(count=2),
        principles=(two, replace(one, weight=3.0, tags=("x",)), useful, Principle(id="fresh", text="It is fresh.")),
    )
    assert changes(FOUR, later) == (
        TextChange(kind="changed", what="version", words="{+2+}"),
        TextChange(kind="changed", what="sampling", words="[-all-] {+2 at random+}"),
        TextChange(kind="removed", what="idle-three", words="[-The response names a colour.-]"),
        TextChange(kind="changed", what="idle-one", field="weight", words="[-1-] {+3+}"),
        TextChange(kind="changed", what="idle-one", field="tags", words="{+x+}"),
        TextChange(kind="added", what="fresh", words="{+It is fresh.+}"),
    )
    assert changes(FOUR, FOUR) == ()


def test_verdicts_that_changed_are_found_and_what_both_say_is_asked_once(judge: str) -> None:
    bench = PrincipleJudge([judge])
    sample = pairs(30)
    found = difference(FOUR, FOUR.only("useful"), judge=bench, pairs=sample)
    assert bench.counts.calls == 30 * 4 * 2
    votes = {one.pair.id: one for one in bench.vote(sample, FOUR)}
    turned = {name for name, one in votes.items() if one.verdict(FOUR) != one.alone("useful")}
    assert {turn.id for turn in found.verdict_changes} == turned and 0 < len(turned) < 30
    assert found.pairs == 30
    for turn in found.verdict_changes:
        assert (turn.before, turn.after) == (votes[turn.id].verdict(FOUR), votes[turn.id].alone("useful"))


def test_a_change_that_no_judge_is_asked_about_changes_no_verdict(judge: str) -> None:
    later = replace(FOUR, version="2", description="other")
    assert difference(FOUR, later, judge=PrincipleJudge([judge]), pairs=pairs(5)).verdict_changes == ()
    assert difference(FOUR, later).pairs is None
