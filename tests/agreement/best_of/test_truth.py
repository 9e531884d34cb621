"""Final answers in one form, and what records say of their responses."""

import pytest

from judge.agreement.best_of.truth import final_answer, known_answer, plain_answer, truth_of
from judge.records import HumanLabel, Message, Pair, Ranking, Response, Solution
from tests.tasks.support import said

QUESTION = (Message("user", "?"),)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("x\nThen, the final equation is A + B = 3 + 4 = 7. So the answer is 7", "7"),
        ("So the answer is -12.", "-12"),
        ("The answer is 5. Then I stop.", "5"),
        ("The answer is 3 + 4 = 7", "7"),
        ("Final answer: 12 apples", "12"),
        ("the answer is (B)", "b"),
        (r"so \boxed{\frac{1}{2}} holds", "1/2"),
        (r"\boxed{1} no, \boxed{x^{2}}", "x^{2}"),
        ("He sells 9 eggs.\n#### 1,018", "1018"),
        ("we get 0.50", "1/2"),
        ("First 3 apples.\nThat makes 4 pears", "4"),
        ("I do not know", None),
        ("", None),
        (r"the answer is \frac{3}{4}", "3/4"),
    ],
)
def test_a_final_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


def test_answers_in_one_form() -> None:
    assert plain_answer("$1,234.50$.") == "2469/2"
    assert plain_answer(r"\text{Yes}") == "yes"
    assert plain_answer("50 %") == "50"
    assert plain_answer(" ") is None


def test_what_a_reference_answers() -> None:
    assert known_answer("42") == "42"
    assert known_answer("Paris") == "paris"
    assert known_answer("#### 7") == "7"
    assert known_answer("A long text that tells how this is done, and then says:\n#### 18") == "18"
    assert known_answer("") is None


def one(*human: HumanLabel, reference: str = "", text: str = "the answer is 4") -> Response:
    return Response(prompt=QUESTION, response=said(text), reference=reference, human=human)


def label(verdict: object, criterion: str = "") -> HumanLabel:
    return HumanLabel(annotator="p", verdict=verdict, criterion=criterion)  # type: ignore[arg-type]


def test_the_truth_of_a_response() -> None:
    assert truth_of(one(reference="4")) == [1.0]
    assert truth_of(one(reference="5")) == [0.0]
    assert truth_of(one(reference="4", text="I do not know")) == [0.0]
    assert truth_of(one(label(1, "correct"), label(0, "correct"), reference="4")) == [0.5]
    assert truth_of(one(label(3), label(4))) == [3.5]
    assert truth_of(one()) == [None]


def test_the_truth_of_a_solution() -> None:
    solution = Solution(prompt=QUESTION, steps=("a", "the answer is 4"), human=(label(-1), label(1)))
    assert truth_of(solution) == [0.5]


def test_the_truth_of_a_ranking_and_a_pair() -> None:
    three = tuple(said(text) for text in "abc")
    assert truth_of(Ranking(prompt=QUESTION, responses=three, human=(label((1, 2), "correct"),))) == [0, 1, 1]
    # places 2, 0, 1 of three: the share of the others below
    assert truth_of(Ranking(prompt=QUESTION, responses=three, human=(label((1, 2, 0)),))) == [0, 1, 0.5]
    assert truth_of(Ranking(prompt=QUESTION, responses=three)) == [None] * 3
    pair = Pair(prompt=QUESTION, first=said("a"), second=said("b"), human=(label("first"), label("tie")))
    assert truth_of(pair) == [0.75, 0.25]
