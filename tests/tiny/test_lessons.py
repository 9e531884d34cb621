"""What the embedded judge is taught: replies that are true, and prompts that are the ones it will be asked."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.prompting.template import load_template
from judge.records import Message, Pair, Solution
from judge.tasks import TASKS, Options
from judge.tiny.arithmetic import parse, value
from judge.tiny.lessons import (
    PROMPTS,
    Piece,
    Teacher,
    by_link,
    chains,
    check,
    claims,
    critique_reply,
    facts,
    glances,
    links,
    outcome_reply,
    preference_reply,
    quotes,
    solution_text,
    step_reply,
    sums,
)
from judge.tiny.moves import WritingStyle
from judge.tiny.problems import Node, join, problem, question
from judge.tiny.solutions import Step, solve
from judge.tiny.tokenizer import chat
from judge.verdicts import read_label

seeds = st.integers(0, 10**9)
NODE = join("*", Node(["(", 2, "+", 3, ")"]), Node(["(", 4, "-", 1, ")"]))


def read(task, reply):
    template = load_template(task, "brief")
    return read_label(reply, template.verdict, template.labels).verdict


def drawn(seed, **how):
    rng = Random(seed)
    return (node := problem(rng)), solve(rng, node, **how)


def test_a_right_step_is_worked_out_and_each_link_checked():
    links = ("(-9 - 5) * 2", "-14 * 2", "-28")
    step = Step(text="…", right=True, given=["(", -9, "-", 5, ")", "*", 2], links=links)
    assert step_reply(step) == (
        "(-9 - 5) * 2 = -14 * 2 = -28\n"  # the first link only repeats what is given
        "-14 * 2 = -28; -28 ok\n"
        "-28; -28 ok\n"
        "Verdict: [[right]]"
    )


def test_a_wrong_link_ends_the_check():
    step = Step(text="…", right=False, given=[-9, "-", 5, "-", 1], links=("-9 - 5 - 1", "-4 - 1", "-5"))
    assert check(step) == ["-9 - 5 - 1 = -14 - 1 = -15", "-4 - 1 = -5; -15 no"]


def test_the_last_step_is_checked_with_the_values_found():
    step = Step(
        text="…", right=False, given=["A", "-", "B"], values={"A": [7], "B": [-2]}, links=("A - B", "7 - -2", "5", "5")
    )
    assert check(step) == ["A - B = 7 - -2 = 9", "7 - -2 = 9; 9 ok", "5; 9 no"]


def test_a_plan_is_compared_with_the_problem():
    quotes = (("A = ", "(2 + 3)", "(2 + 3)"), ("B = ", "(4 - 1)", "(4 - 1)"), ("", "A * B", "A * B"))
    assert check(Step(text="…", right=True, quotes=quotes)) == [
        "A = (2 + 3); (2 + 3) ok",
        "B = (4 - 1); (4 - 1) ok",
        "A * B; A * B ok",
    ]
    quotes = (("A = ", "(2 + 3)", "(2 + 3)"), ("B = ", "(4 - 1)", "(4 + 1)"), ("", "A * B", "A * B"))
    assert check(Step(text="…", right=False, quotes=quotes)) == ["A = (2 + 3); (2 + 3) ok", "B = (4 - 1); (4 + 1) no"]


def test_a_preference_by_hand():
    right = solve(Random(0), NODE, neat=True)
    wrong = solve(Random(0), NODE, wrong=1)
    while wrong.answer == 15:
        wrong = solve(Random(1), NODE, wrong=1)
    solved = solution_text(right)
    assert preference_reply(NODE, right, wrong) == (
        f"{solved}\nA says 15; 15 ok\nB says {wrong.answer}; 15 no\nVerdict: [[A]]"
    )
    assert preference_reply(NODE, wrong, right).endswith("Verdict: [[B]]")
    assert preference_reply(NODE, right, right).endswith("Verdict: [[C]]")
    assert preference_reply(NODE, wrong, wrong).endswith("Verdict: [[C]]")


@given(seeds)
def test_the_check_of_a_step_says_what_its_label_says(seed):
    _, written = drawn(seed, wrong=0.4)
    for step in written.steps:
        lines = check(step)
        assert all(line.endswith(" ok") for line in lines[bool(step.links) : -1])
        assert lines[-1].endswith(" no") is (not step.right)
        assert read("steps", step_reply(step)) == ("right" if step.right else "wrong")


@given(seeds, st.booleans())
def test_every_equality_of_a_reply_holds(seed, right):
    _, written = drawn(seed, wrong=0 if right else 2)
    for step in written.steps[1:]:
        first, *links = check(step)
        honest = worth(first)
        for line in links:
            shown, given, mark = re.fullmatch(r"(.*); (-?\d+) (ok|no)", line).groups()
            assert int(given) == honest
            assert mark == ("ok" if worth(shown) == honest else "no")


def worth(chain):
    """The one value of all sides of a chain, by Python; sides with letters stand for those with numbers."""
    (number,) = {eval(side) for side in chain.split(" = ") if not re.search("[A-H]", side)}
    return number


@given(seeds)
def test_a_critique_ends_with_the_first_wrong_step(seed):
    _, written = drawn(seed, wrong=0.2)
    last = critique_reply(written).splitlines()[-1]
    assert last == ("No mistake found." if written.right else f"Step {written.first_wrong + 1} is wrong.")


@given(seeds)
def test_outcome_and_preference_follow_the_answer(seed):
    node, written = drawn(seed, wrong=0.3)
    right = written.answer == value(node.tokens)
    assert read("outcome", outcome_reply(node, written)) == ("right" if right else "wrong")
    neat = solve(Random(0), node, neat=True)
    assert read("preference", preference_reply(node, neat, written)) == ("tie" if right else "first")
    assert read("preference", preference_reply(node, written, neat)) == ("tie" if right else "second")


@pytest.mark.parametrize("page", [sums, chains])
def test_a_page_of_arithmetic_holds(page):
    for seed in range(20):
        lines = "".join(piece.text for piece in page(Random(seed))).splitlines()
        for line in lines:
            sides = [side[side.count("(") - side.count(")") :] for side in line.split(" = ")]
            assert len({eval(side) for side in sides}) == 1, line


@given(st.integers(0, 10**6))
def test_a_value_said_at_once_is_the_value(seed):
    page = facts(Random(seed))
    for asked, said in zip(page[::2], page[1::2], strict=True):
        assert value(parse(asked.text.removesuffix(" is"))) == int(said.text)


@given(st.integers(0, 10**6))
def test_a_claim_is_ok_when_it_is_true(seed):
    page = claims(Random(seed))
    for claim, verdict in zip(page[::2], page[1::2], strict=True):
        asked, said = claim.text.split(" = ")
        assert verdict.text == (" ok\n" if value(parse(asked)) == int(said) else " no\n")


@given(st.integers(0, 10**6))
def test_a_link_is_ok_while_it_keeps_the_value(seed):
    page = "".join(piece.text for piece in glances(Random(seed)))
    for line in page.splitlines():
        start, *links = line.split(" = ")
        for link in links:
            expression, verdict = link.rsplit(" ", 1)
            assert verdict == ("ok" if value(parse(expression)) == value(parse(start)) else "no")


@given(st.integers(0, 10**6))
def test_a_page_of_plans_says_what_each_misquotes(seed):
    lesson = quotes(Random(seed))
    for asked, reply in zip(lesson[::2], lesson[1::2], strict=True):
        problem_text, plan = asked.text.splitlines()
        compared(reply.text.splitlines(), right=solves(plan, problem_text))


def solves(plan, problem_text):
    """Whether a plan, its letters put in, has the problem's value, by Python."""
    shape, letters = re.search(r'"(.+?)", where (.+)\.$', plan).groups()
    for letter, definition in re.findall(r"([A-H]) = (.+?)(?=,? and [A-H]|, [A-H]|$)", letters):
        opened = definition.replace("((", "(", definition.count("(") - definition.count(")"))
        shape = shape.replace(letter, f"({opened})")
    return eval(shape) == eval(problem_text.removesuffix(" ="))


def compared(lines, *, right):
    """The lines of checking a plan: each part as written and as asked, ok while they are the same; a no ends them."""
    parts = [re.fullmatch(r"(?:[A-H] = )?(.*); (.*) (ok|no)", line).groups() for line in lines]
    assert all((written == wanted) == (mark == "ok") for written, wanted, mark in parts)
    assert [mark for _, _, mark in parts[:-1]] == ["ok"] * (len(parts) - 1)
    assert (parts[-1][2] == "ok") is right


@given(st.integers(0, 10**6))
def test_what_is_overlooked_is_a_plan_or_an_answer(seed):
    prompt, reply = Teacher(chat).overlooked(Random(seed))
    asked = re.search(r"<step>\n(.*)\n</step>", prompt.text)[1]
    verdict = re.search(r"\[\[(\w+)\]\]", reply.text)[1]
    if "where A = " in asked:  # the plan: all it takes from the problem, up to what it takes wrongly
        compared(reply.text.splitlines()[:-1], right=verdict == "right")
    else:
        links = asked.rstrip(".").split(" = ")[-1].split()
        assert (links[0].strip("().") == links[-1]) == (verdict == "right")


def test_a_glance_says_a_word_after_each_step_alone():
    lesson = Teacher(chat).glance(Random(3))
    assert [piece.learn for piece in lesson] == [False] + [False, True] * ((len(lesson) - 1) // 2)
    assert {piece.text for piece in lesson if piece.learn} <= {" ok\n", " no\n"}


def test_a_step_is_cut_into_links_and_asked_about_up_to_the_first_that_fails():
    text = "Let's calculate A = (2 + 3 + 4) = (6 + 4) = 10."
    step = Step(text=text, right=False, given=parse("(2 + 3 + 4)"), links=("(2 + 3 + 4)", "(6 + 4)", "10"))
    assert by_link(step) == [
        Piece("Let's calculate A", True, True),
        Piece(" = (2 + 3 + 4)", True, True),
        Piece(" = (6 + 4)", False, False),
        Piece(" = 10.\n", False, None),
    ]


def test_a_last_step_is_cut_where_its_answer_is_said_again():
    text = "Then, the final equation is A * B = 2 * 3 = 6. So the answer is 5"
    links, found = ("A * B", "2 * 3", "6", "5"), {"A": parse("2"), "B": parse("3")}
    step = Step(text=text, right=False, given=parse("A * B"), values=found, links=links)
    assert [(piece.text, piece.holds) for piece in by_link(step)] == [
        ("Then, the final equation is A * B", True),
        (" = 2 * 3", True),
        (" = 6. So the answer is 5\n", False),
    ]


@given(st.integers(0, 10**6))
def test_of_any_hand_the_links_say_what_the_step_says(seed):
    free = WritingStyle(grouping=0.5, bracketing=0.3, liberty=0.6, coarse=(0.0, 1.0), haste=(1, 2))
    for step in solve(Random(seed), problem(Random(seed)), wrong=0.5, style=free).steps:
        pieces = by_link(step)
        assert "".join(piece.text for piece in pieces) == f"{step.text}\n"
        assert all(piece.holds for piece in pieces) == step.right
        assert all(piece.learn == (piece.holds is True) for piece in pieces)


def test_a_lesson_of_any_hand_and_a_page_of_links_hold_both_kinds():
    for lesson in (Teacher(chat).hand, links):
        pieces = [piece for seed in range(20) for piece in lesson(Random(seed))]
        said = [piece.holds for piece in pieces if piece.holds is not None]
        assert 0.03 < said.count(False) / len(said) < 0.4


@pytest.mark.parametrize("task", PROMPTS)
def test_a_lesson_is_a_prompt_and_a_reply_to_learn(task):
    found = getattr(Teacher(chat), task)(Random(1))
    lessons = found if task == "steps" else [found]
    for prompt, reply in lessons:
        assert prompt.text.startswith("<|user|><problem>\n")
        assert prompt.text.endswith("<eos><|assistant|>")
        assert not prompt.learn
        assert reply.learn


def test_what_is_taught_is_what_a_run_asks():
    teacher = Teacher(chat)
    rng = Random(8)
    node = problem(rng)
    first, second = solve(rng, node, wrong=0), solve(rng, node, wrong=1)
    prompt = (Message("user", question(node)),)
    said = [(Message("assistant", solution_text(written)),) for written in (first, second)]
    pair = Pair(prompt=prompt, first=said[0], second=said[1])
    solution = Solution(prompt=prompt, steps=tuple(step.text for step in second.steps))
    taught = {
        "preference": teacher._prompt(
            "preference", prompt=first.question, first=solution_text(first), second=solution_text(second)
        ),
        "steps": teacher._prompt("steps", prompt=first.question, steps=list(solution.steps), index=0),
        "critique": teacher._prompt("critique", prompt=first.question, response=solution_text(second)),
        "outcome": teacher._prompt("outcome", prompt=first.question, response=solution_text(second)),
    }
    for task, lesson in taught.items():
        record = pair if task == "preference" else solution
        request = next(TASKS[task].program(record, load_template(task, "brief"), Options()))[0]
        assert [turn.role for turn in request.messages] == ["user"]
        assert chat(request.messages[0].content) == lesson
