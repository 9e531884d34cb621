"""Written solutions, read again from their text alone by a reader that shares no code with the writer."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.tiny.moves import USUAL, WritingStyle
from judge.tiny.problems import Node, join, problem, question
from judge.tiny.solutions import Written, solve

FREE = WritingStyle(grouping=0.5, bracketing=0.5, liberty=0.7, coarse=(0.0, 0.5, 1.0), haste=(1, 2))

DEFINITION = re.compile(r"\b([A-H]) = (.+?)(?=,? and [A-H] = |, [A-H] = |\.$)")
PLAN = re.compile(r'"(.+?)", where (.+)$')
PART = re.compile(r"\b([A-H]) = (.+)\.$")
LAST = re.compile(r"(?:is|Finally,|Together:|So we have) (.+?)\. (?:So the|The) answer is (-?\d+)\.?$")


def worth(text: str, letters: dict[str, str]) -> int:
    """Python's value of an expression; letters stand for bracketed text, a bracket too many at the front is dropped."""
    text = text[text.count("(") - text.count(")") :]
    return eval(re.sub("[A-H]", lambda match: f"({letters[match[0]]})", text))


def labels(asked: str, steps: list[str]) -> list[bool]:
    """Whether each step follows from what stands before it, from the text alone."""
    plan = PLAN.search(steps[0])
    assert plan, steps[0]
    definitions = {letter: text[text.count("(") - text.count(")") :] for letter, text in DEFINITION.findall(plan[2])}
    right = [worth(plan[1], definitions) == worth(asked.removesuffix(" ="), {})]
    found = {}
    for step in steps[1:-1]:
        part = PART.search(step)
        assert part, step
        links = part[2].split(" = ")
        right.append({worth(link, {}) for link in links} == {worth(definitions[part[1]], {})})
        found[part[1]] = str(worth(links[-1], {}))
    assert found.keys() == definitions.keys()
    last = LAST.search(steps[-1])
    assert last, steps[-1]
    values = {worth(link, found) for link in [*last[1].split(" = "), last[2]]}
    return [*right, values == {worth(plan[1], found)}]


def texts(written: Written) -> list[str]:
    return [step.text for step in written.steps]


@pytest.fixture
def node() -> Node:
    return join("*", Node(["(", -9, "-", 5, "-", 0, ")"]), Node(["(", 4, "+", 3, ")"]))


def test_the_reader_itself_on_a_solution_by_hand():
    asked = "((2 + 3) * (4 - 1)) ="
    steps = [
        'This equation can be written as "A * B", where A = (2 + 3) and B = (4 - 1).',
        "Let's calculate A = (2 + 3) = 6.",
        "Let's calculate B = (4 - 1) = 3.",
        "Then, the final equation is A * B = 6 * 3 = 18. So the answer is 18.",
    ]
    assert labels(asked, steps) == [True, False, True, True]
    steps[3] = "Then, the final equation is A * B = 6 * 3 = 18. So the answer is 15."
    assert labels(asked, steps) == [True, False, True, False]
    steps[0] = steps[0].replace("A * B", "A - B")
    assert labels(asked, steps)[0] is False


def test_the_neat_way_is_one_way(node):
    expected = [
        'This equation can be written as "A * B", where A = (-9 - 5 - 0) and B = (4 + 3).',
        "Let's calculate A = (-9 - 5 - 0) = (-14 - 0) = -14.",
        "Let's calculate B = (4 + 3) = 7.",
        "Then, the final equation is A * B = -14 * 7 = -98. So the answer is -98",
    ]
    assert texts(solve(Random(0), node, neat=True)) == texts(solve(Random(1), node, neat=True)) == expected
    assert all(texts(solve(Random(seed), node, neat=True, style=FREE)) == expected for seed in range(9))


@given(
    st.integers(0, 10**9),
    st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([USUAL, FREE]),
)
def test_every_label_is_what_the_text_says(seed, wrong, wide, neat, style):
    rng = Random(seed)
    asked = problem(rng, wide=wide, limit=20_000 if wide else 999, deep=0.0 if neat else 0.3)
    written = solve(rng, asked, wrong=wrong, neat=neat, style=style)
    assert [step.right for step in written.steps] == labels(question(asked), texts(written))


@given(st.integers(0, 10**9))
def test_a_right_solution_ends_in_the_true_answer(seed):
    rng = Random(seed)
    asked = problem(rng)
    truth = eval(question(asked).removesuffix(" ="))
    for neat in (False, True):
        written = solve(rng, asked, wrong=0, neat=neat)
        assert written.right
        assert written.first_wrong == -1
        assert written.answer == truth
        assert int(re.findall(r"-?\d+", texts(written)[-1])[-1]) == truth


@given(st.integers(0, 10**9), st.integers(1, 3))
def test_as_many_steps_are_wrong_as_asked_for(seed, wrong):
    rng = Random(seed)
    written = solve(rng, problem(rng), wrong=wrong)
    assert sum(not step.right for step in written.steps) == min(wrong, len(written.steps) - 1)
    assert not written.steps[written.first_wrong].right
    assert all(step.right for step in written.steps[: written.first_wrong])


def test_mistakes_come_as_often_as_asked_for():
    rng = Random(3)
    steps = [step for _ in range(400) for step in solve(rng, problem(rng), wrong=0.2).steps[1:]]
    share = sum(not step.right for step in steps) / len(steps)
    assert 0.16 < share < 0.24  # 0.2, with about 2,000 draws: a standard deviation of 0.009


def test_a_solution_is_its_seed(node):
    assert solve(Random(4), node, wrong=0.5) == solve(Random(4), node, wrong=0.5)
