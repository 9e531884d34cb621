"""Expressions as text and tokens, and the one way of working them out; Python's own arithmetic is the referee."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.tiny.arithmetic import (
    innermost,
    next_operation,
    operate,
    parse,
    place_values,
    render,
    rewrite,
    substitute,
    tidy,
    value,
)

numbers = st.integers(-120, 120)


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Two to four parts in brackets with operators between them."""
    tail = st.lists(st.tuples(st.sampled_from("+-*"), parts), min_size=1, max_size=3)
    return st.tuples(parts, tail).map(lambda both: "(" + both[0] + "".join(f" {o} {p}" for o, p in both[1]) + ")")


expressions = st.recursive(numbers.map(str), joined, max_leaves=8)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("-14 - 0", [-14, "-", 0]),
        ("3 - -7", [3, "-", -7]),
        ("3--7", [3, "-", -7]),
        ("(-9 - 5) * A", ["(", -9, "-", 5, ")", "*", "A"]),
        ("(4) - (-7)", ["(", 4, ")", "-", "(", -7, ")"]),
        ("A - -3 * B", ["A", "-", -3, "*", "B"]),
        ("", []),
    ],
)
def test_parse(text, tokens):
    assert parse(text) == tokens


def test_render_puts_one_space_around_operators_and_none_before_a_sign():
    assert render(["(", -9, "-", -5, ")", "*", "A"]) == "(-9 - -5) * A"


@given(expressions)
def test_text_survives_parsing(text):
    assert render(parse(text)) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(5)", "5"),
        ("((-5))", "-5"),
        ("-4 + (35) + 4", "-4 + 35 + 4"),
        ("((3 + 4))", "((3 + 4))"),  # only brackets around one number or letter go
        ("((3 + 4)", "(3 + 4)"),  # one bracket too many: the one that opens last is kept
        ("3 + 4))", "3 + 4"),
        ("((A) - (B))", "(A - B)"),
        ("3 + 4", "3 + 4"),
    ],
)
def test_tidy(before, after):
    assert render(tidy(parse(before))) == after


def test_innermost_is_inside_the_first_bracket_that_closes():
    tokens = parse("(1 + (2 * 3)) - (4 + 5)")
    start, end = innermost(tokens)
    assert tokens[start:end] == [2, "*", 3]
    assert innermost(parse("1 + 2")) == (0, 3)


@pytest.mark.parametrize(
    ("text", "left_of", "right_of"),
    [("2 + 3 * 4", 3, 4), ("9 - 3 - 4", 9, 3), ("2 * 3 * 4", 2, 3), ("1 * (2 - 3 * 4)", 3, 4), ("(1 - 2) * 3", 1, 2)],
)
def test_the_next_operation(text, left_of, right_of):
    tokens = parse(text)
    place = next_operation(tokens)
    assert (tokens[place - 1], tokens[place + 1]) == (left_of, right_of)


@pytest.mark.parametrize(
    ("number", "parts"),
    [(-308, [-300, -8]), (47, [40, 7]), (60, [60]), (0, []), (-5, [-5]), (1234, [1000, 200, 30, 4])],
)
def test_place_values(number, parts):
    assert place_values(number) == parts


FACTS = [
    ("(3 - 7)", "-4"),  # brackets go with what they held
    ("((3 - 7))", "-4"),
    ("2 * (3 - 7)", "2 * -4"),
    ("60 * 35", "2100"),  # three digits other than zero
    ("-14 * 7", "-98"),
    ("47 - 30", "17"),  # one digit and zeros, on a larger number
    ("-638 + 9", "-629"),
    ("0 - 85", "-85"),
    ("85 - 85", "0"),
    ("0 * 345", "0"),
]
SPREAD = [
    ("47 - 35", "47 - 30 - 5"),
    ("47 - 85", "-85 + 40 + 7"),  # the larger one first
    ("5 - 80", "-80 + 5"),
    ("-20 - -347", "347 - 20"),
    ("45 + 45", "45 + 40 + 5"),
    ("47 * 35", "47 * 30 + 47 * 5"),
    ("47 * -35", "47 * -30 + 47 * -5"),
    ("-12 * 345", "-10 * 345 + -2 * 345"),  # the shorter one is spread when both are long
    ("2 * 345", "2 * 300 + 2 * 40 + 2 * 5"),  # the longer one beside a single digit
    ("345 * 2", "300 * 2 + 40 * 2 + 5 * 2"),
    ("(47 * 35)", "(47 * 30 + 47 * 5)"),  # alone in its brackets: they serve
    ("3 - (47 * 35)", "3 - (47 * 30 + 47 * 5)"),
    ("(47 - 85 - 3) * 2", "(-85 + 40 + 7 - 3) * 2"),
]


@pytest.mark.parametrize(("before", "after"), [*FACTS, *SPREAD])
def test_operate_at_the_next_operation(before, after):
    tokens = parse(before)
    assert render(operate(tokens, next_operation(tokens))) == after


@pytest.mark.parametrize(("before", "after"), SPREAD)
def test_in_one_go_when_asked(before, after):
    tokens = parse(before)
    whole = operate(tokens, next_operation(tokens), long=False)
    assert len(whole) < len(tokens)
    assert eval(render(whole)) == eval(before) == eval(after)


def test_a_spread_product_beside_others_gets_brackets():
    tokens = parse("3 - 47 * 35")
    assert render(operate(tokens, 3)) == "3 - (47 * 30 + 47 * 5)"
    assert operate(tokens, 3, long=False) == [3, "-", 1645]


def test_rewrite_does_one_operation_a_line():
    assert [render(line) for line in rewrite(parse("(-9 - 5) * 2"))] == ["(-9 - 5) * 2", "-14 * 2", "-28"]


def test_rewrite_of_a_long_multiplication():
    lines = [render(line) for line in rewrite(parse("2 - 47 * 35"))]
    # 47 * 35 = 47 * 30 + 47 * 5 = 1410 + 235 = 1645, and 2 - 1645 = -1643
    assert lines == [
        "2 - 47 * 35",
        "2 - (47 * 30 + 47 * 5)",
        "2 - (1410 + 47 * 5)",
        "2 - (1410 + 235)",
        "2 - (1410 + 200 + 30 + 5)",
        "2 - (1610 + 30 + 5)",
        "2 - (1640 + 5)",
        "2 - 1645",
        "-1645 + 2",
        "-1643",
    ]


def test_rewrite_tidies_first_and_leaves_its_argument_alone():
    tokens = parse("((5) - 3")
    assert [render(line) for line in rewrite(tokens)] == ["((5) - 3", "5 - 3", "2"]
    assert tokens == parse("((5) - 3")


@given(expressions)
def test_every_line_has_pythons_value(text):
    lines = rewrite(parse(text))
    assert {eval(render(line)) for line in lines} == {eval(text)}
    assert value(parse(text)) == eval(text)
    assert lines[-1] == [eval(text)]


def test_substitute():
    values = {"A": [5], "B": ["(", 1, "-", 2, ")"]}
    assert render(substitute(parse("A - B * 3 + C"), values)) == "5 - (1 - 2) * 3 + C"
