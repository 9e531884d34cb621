"""Patterns of other people's prompts: what would go back and forth for years stops, and its reply is unreadable."""

import time

import pytest

from judge.patterns import PatternError, PatternTimeout, compile_pattern, find_all, fits
from judge.prompting.template import lint
from judge.verdicts import read_label, read_steps, read_verdict

LABELS = {"first": "A", "second": "B"}


def test_a_pattern_that_goes_back_and_forth_stops() -> None:
    start = time.monotonic()
    with pytest.raises(PatternTimeout, match=r"the pattern takes more than 0\.2 s on 41 characters"):
        find_all(compile_pattern("(a|aa)+$"), "a" * 40 + "!", seconds=0.2)
    with pytest.raises(PatternTimeout):
        fits(compile_pattern("(a|aa)+"), "a" * 40 + "!", seconds=0.2)
    assert time.monotonic() - start < 10  # without the limit: years


def test_a_reply_on_which_the_pattern_is_not_done_is_unreadable() -> None:
    reply, reason = "a" * 40 + "!", "the pattern takes more than 1 s on 41 characters"
    assert read_label(reply, "(a|aa)+$", LABELS) == (None, reason, -1)
    assert read_verdict(reply, "(a|aa)+$", LABELS.get) == (None, reason, -1)
    assert read_steps(reply, "(a|aa)+$", LABELS, 2) == [(None, reason, -1)] * 2


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"missing \), unterminated subpattern at position 0"),
        ("(" * 4000, r"missing \), unterminated subpattern|maximum recursion depth"),
        ("a{99999999999}", "the repetition number is too large"),
        ("a" * 5001, "5,001 characters; accepted: up to 5,000"),
        # 1,000 · 1,000 letters.
        ("((?:a{1000}){1000})", "counted repeats inside counted repeats"),
        ("(((a{99}){99}){99})", "counted repeats inside counted repeats"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        compile_pattern(pattern)


def test_counted_repeats_side_by_side_are_many_prompts_way() -> None:
    pattern = compile_pattern(r"(?i)verdict[^\n]{0,1000}:[^\n]{0,1000}\[\[\s{0,1000}(A|B)\]\]")
    assert [match[1] for match in find_all(pattern, "My verdict is: [[ B]]")] == ["B"]


def test_lint_names_such_a_pattern(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.jinja"
    text = "---\ntask: preference\nlabels: {first: x, second: y}\nverdict: '%s'\n---\n{%% user %%}{%% enduser %%}"
    path.write_text(text % "(?:[xq]+)+(x|y)")
    start = time.process_time()
    messages = [finding.message for finding in lint(path)]
    assert (
        "'verdict' may take very long on a reply; repeats inside repeats, such as (a+)+, go back and forth" in messages
    )
    assert time.process_time() - start < 10  # without the bound: minutes
    path.write_text(text % r"\[\[(x|y)\]\]")
    assert not [finding for finding in lint(path) if "very long" in finding.message]


def test_a_number_of_too_many_digits_is_no_step_and_no_place() -> None:
    long = "9" * 5000  # more digits than Python turns into a number
    assert read_steps(f"step {long}: [[A]]", r"step (?P<step>\d+): \[\[(A|B)\]\]", LABELS, 1)[0].verdict is None
    from judge.tasks.ranking import read_order

    assert read_order(f"[[{long} > 1]]", r"\[\[(.*)\]\]", 2).verdict is None
