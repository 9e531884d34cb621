"""Charts hold for any figures: alone, without intervals, all alike, of one row, with names that no font has."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.agreement.schema import Calibration, CalibrationCurve, Figure, LengthBin, ReliabilityBin, SelectivePoint
from judge.report import charts
from judge.report.charts import Line, Mark, forest
from judge.report.svg import Sheet
from tests.report.sample import HOSTILE, calibration, figure, report

LOSS = figure("ece", "Expected calibration error", 0.1, unit="loss")
numbers = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 0.5, 1e-9])
figures = st.builds(
    Figure,
    name=st.just("a"),
    title=st.text(max_size=40),
    value=numbers | st.none(),
    low=numbers | st.none(),
    high=numbers | st.none(),
    unit=st.sampled_from(["share", "coefficient", "number", "loss"]),
)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


@settings(max_examples=15)
@given(st.lists(st.tuples(st.text(max_size=60), figures), max_size=4))
def test_any_figures_make_a_chart_or_none(rows: list[tuple[str, Figure]]) -> None:
    svg = forest(Sheet(), [Line(name, (Mark("judge", row),)) for name, row in rows], label="any")
    assert bool(svg) == any(row.value is not None for _, row in rows)
    if svg:
        ElementTree.fromstring(svg)


def test_a_name_from_data_is_text_of_the_drawing() -> None:
    sheet = Sheet()
    svg = forest(sheet, [Line('$x^2$ <b>"&', (Mark("judge", figure("a", "A", 0.5)),))], label=HOSTILE[:60])
    assert '$x^2$ <b>"&' in texts(svg)
    assert "style=" not in svg and "<script" not in svg and "<b>" not in svg
    assert "font-family" not in sheet.css and "var(--judge)" in sheet.css


def test_shares_are_in_per_cent_and_a_figure_without_value_has_no_line() -> None:
    lines = [Line("seen", (Mark("judge", figure("a", "A", 0.5)),)), Line("unseen", (Mark("judge", None),))]
    words = texts(forest(Sheet(), lines, label="any"))
    assert "seen" in words and "unseen" not in words
    assert any(word.endswith(" %") for word in words)


def test_two_drawings_of_a_page_share_classes_and_never_ids() -> None:
    sheet = Sheet()
    drawings = [forest(sheet, [Line("a", (Mark("judge", figure("a", "A", 0.5)),))], label="any") for _ in range(2)]
    ids = [{element.get("id") for element in ElementTree.fromstring(svg).iter()} - {None} for svg in drawings]
    assert ids[0] and not ids[0] & ids[1]


@pytest.mark.parametrize("n", [1, 2])
def test_little_data_is_drawn_or_left_out(n: int) -> None:
    one = ReliabilityBin(low=0.9, high=1.0, n=n, confidence=0.95, accuracy=1, accuracy_low=0.2, accuracy_high=1)
    curve = CalibrationCurve(name="as_stated", bins=(one,), ece=LOSS, brier=LOSS, log_loss=LOSS)
    points = tuple(SelectivePoint(coverage=(k + 1) / n, accuracy=1, confidence=0.9, n=1) for k in range(n))
    seen = Calibration(curves=(curve,), selective=points, selective_area=LOSS)
    bins = (LengthBin(low=-9, high=9, n=n, human_first=0, judge_first=1, agreement=0),)
    assert charts.reliability(Sheet(), curve)
    assert bool(charts.selective(Sheet(), seen, None)) == (n == 2)
    assert charts.length(Sheet(), bins) == ""
    assert charts.reliability(Sheet(), replace(calibration(0.2).curves[0], bins=())) == ""


def test_the_borders_of_length_are_factors() -> None:
    cuts = ((-9.0, -0.6931), (-0.6931, 0.6931), (0.6931, 9.0))
    bins = [LengthBin(low=a, high=b, n=9, human_first=0.4, judge_first=0.6, agreement=0.8) for a, b in cuts]
    words = texts(charts.length(Sheet(), bins))
    assert [word for word in words if word[0] in "÷×"] == ["÷2", "×2"]


def test_the_triangle_stands_without_figures() -> None:
    seen = report(1).triangle
    assert seen is not None
    none = replace(seen.human_judge, value=None)
    empty = replace(seen, human_judge=none, human_model=none, judge_model=none)
    assert texts(charts.triangle(Sheet(), empty)).count("–") == 3
