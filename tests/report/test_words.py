"""Numbers are said the same way everywhere."""

import pytest

from judge.agreement.schema import Figure
from judge.report import words


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.7134, "share", "71.3\u202f%"),
        (-0.02, "share", "−2.0\u202f%"),
        (0.4567, "coefficient", "0.46"),
        (0.1355, "loss", "0.136"),
        (1234.0, "number", "1,234"),
        (2.5, "number", "2.50"),
        (None, "share", "–"),
    ],
)
def test_a_number_is_said_by_its_unit(value: float | None, unit: str, said: str) -> None:
    assert words.number(value, unit) == said  # type: ignore[arg-type]


def test_a_figure_says_what_it_was_made_from() -> None:
    figure = Figure(name="a", title="A", value=0.5, low=0.4, high=0.6, n=1999, clusters=805, unreadable=3, of="clarity")
    assert words.span(figure) == "40.0 to 60.0\u202f%"
    assert words.basis(figure) == "n\u00a0=\u00a01,999, 805 prompts, 3 unreadable"
    assert words.title(figure) == "A: clarity"


def test_figures_are_grouped_by_what_they_speak_of() -> None:
    rows = [Figure(name="a", title="A", value=0.5, of=of) for of in ("clarity", "", "clarity")]
    assert words.by_subject(rows) == [("clarity", [rows[0], rows[2]]), ("", [rows[1]])]


def test_a_figure_that_is_a_difference_has_a_sign() -> None:
    figure = Figure(name="longer_difference", title="more than people's", value=0.05, low=-0.01, high=0.11)
    assert (words.value(figure), words.span(figure)) == ("+5.0 points", "−1.0 to +11.0 points")


def test_a_difference_of_shares_is_in_points() -> None:
    assert words.signed(0.0213, "share") == "+2.1 points"
    assert words.differ(-0.02, 0.04, "share") == "−2.0 to +4.0 points"
    assert words.differ(None, 0.04, "share") == ""


def test_chance_is_said_short() -> None:
    said = [words.probability(value).replace("\u00a0", " ") for value in (0.0002, 0.0347, 0.48, None)]
    assert said == ["p < 0.001", "p = 0.035", "p = 0.48", ""]


def test_a_long_name_keeps_both_ends() -> None:
    assert words.short("meta-llama/Llama-3.1-70B-Instruct", 20) == "meta-llama/L…nstruct"
    assert words.short("tiny", 20) == "tiny"
