"""People among themselves, without a judge: every number counted by hand."""

import json
from collections.abc import Sequence
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

import judge
from judge.errors import ConfigError, InputError
from judge.report.page import page
from judge.report.report import Report
from tests.agreement.support import Row, pair_row, votes


def alone(rows: Sequence[Row], **options: Any) -> Report:
    return judge.agree(human=list(rows), **{"resamples": 0, **options})


def pairs(letters: Sequence[str]) -> list[Row]:
    return [votes(pair_row(number), row) for number, row in enumerate(letters)]


def response(number: int, *labels: Any, criterion: str = "") -> Row:
    people = [
        {"annotator": "abcdefg"[who], "verdict": verdict, "criterion": criterion} for who, verdict in enumerate(labels)
    ]
    return {
        "id": str(number),
        "kind": "response",
        "prompt": [{"role": "user", "content": f"question {number}"}],
        "response": [{"role": "assistant", "content": "an answer"}],
        "reference": "",
        "human": people,
        "meta": {},
    }


def of_pair(report: Report, number: int = 0) -> dict[str, float | None]:
    assert report.people is not None
    return {figure.name: figure.value for figure in report.people.pairs[number].figures}


def test_two_people_on_pairs() -> None:
    """ff, ff, ss, fs and one row of a alone. Agreed 3/4; a says f 3/4 and b 1/2, so by chance 3/8 + 1/8: κ = 1/2.
    α: coincidences off the diagonal 2 of 8 labels, 5 f and 3 s: 1 - 7 · 2 / (2 · 15). Fleiss: by chance 34/64."""
    report = alone(pairs(["ff", "ff", "ss", "fs", "f-"]))
    assert of_pair(report) == {"agreement": 3 / 4, "cohen_kappa": pytest.approx(1 / 2)}
    figures = report.figures
    assert figures["human_agreement"].value == 3 / 4
    assert figures["alpha_nominal"].value == pytest.approx(8 / 15)
    assert figures["fleiss_kappa"].value == pytest.approx((48 - 34) / (64 - 34))
    assert (figures["alpha_nominal"].n, figures["alpha_nominal"].missing) == (4, 0)
    people = report.people
    assert people is not None
    assert (people.labelled, people.shared, people.split, people.votes) == (5, 4, 1, 9)
    assert [(row.name, row.n, row.agreement.value) for row in people.annotators] == [("a", 5, 3 / 4), ("b", 4, 3 / 4)]
    assert report.judges == ()


def test_two_people_on_scores() -> None:
    """(5, 4), (5, 5), (1, 2). κ: equal 1/3, by chance 2/3 · 1/3: 1/7. α: Σ o δ = 4, n Σ v² - (Σ v)² = 6 · 96 - 22²."""
    report = alone([response(0, 5, 4), response(1, 5, 5), response(2, 1, 2)])
    assert of_pair(report)["agreement"] == pytest.approx(1 / 3)
    assert of_pair(report)["cohen_kappa"] == pytest.approx(1 / 7)
    assert report.figures["alpha_interval"].value == pytest.approx(1 - 5 * 4 / (2 * 92))
    assert report.figures["human_agreement"].value == pytest.approx(-2 / 3)  # distances 1, 0, 1, each seen twice
    assert report.level == "unknown"  # three rows say little


def test_criteria_are_kept_apart() -> None:
    """On "clear" both always differ by 1, on "short" they never do; a criterion has figures of its own."""
    rows = [response(number, number, number + 1, criterion="clear") for number in range(3)]
    for number, row in enumerate(rows):
        row["human"] += response(number, number, number, criterion="short")["human"]
    report = alone(rows)
    assert report.people is not None
    equal = [(figure.of, figure.value) for figure in report.people.pairs[0].figures if figure.name == "agreement"]
    assert equal == [("clear", 0), ("short", 1)]
    assert report.figures["alpha_interval/short"].value == 1
    assert report.figures["alpha_interval/clear"].n == 3


def test_categories_of_any_name() -> None:
    """kind kind, kind blunt, odd odd: agreed 2/3; a has kind 2/3, b 1/3 each: by chance 2/9 + 1/9; κ = 1/2."""
    report = alone([response(0, "kind", "kind"), response(1, "kind", "blunt"), response(2, "odd", "odd")])
    assert of_pair(report) == {"agreement": pytest.approx(2 / 3), "cohen_kappa": pytest.approx(1 / 2)}


def test_first_wrong_steps() -> None:
    """-1 -1, 0 1, 2 2: agreed 2/3; each of -1 and 2 a third by both: by chance 2/9, κ = 4/7."""
    rows = []
    for number, (first, second) in enumerate([(-1, -1), (0, 1), (2, 2)]):
        people = [{"annotator": "a", "verdict": first}, {"annotator": "b", "verdict": second}]
        prompt = [{"role": "user", "content": f"problem {number}"}]
        more = {"steps": ["x", "y", "z"], "reference": "", "human": people, "meta": {}}
        rows.append({"id": str(number), "kind": "solution", "prompt": prompt, **more})
    assert of_pair(alone(rows))["cohen_kappa"] == pytest.approx((2 / 3 - 2 / 9) / (7 / 9))


def test_a_pair_seen_the_other_way_round_is_the_same_pair() -> None:
    """a and b agree on all three pairs, though b saw them the other way round."""
    saw, other = [], []
    for number, letter in enumerate("fst"):
        first, second = ({"role": "assistant", "content": f"{side} {number}"} for side in ("one", "two"))
        row = {"prompt": f"question {number}", "first": [first], "second": [second]}
        words = {"f": ("first", "second"), "s": ("second", "first"), "t": ("tie", "tie")}[letter]
        saw.append({**row, "human": [{"annotator": "a", "verdict": words[0]}]})
        turned = {**row, "first": [second], "second": [first]}
        other.append({**turned, "human": [{"annotator": "b", "verdict": words[1]}]})
    report = alone(saw + other)
    assert of_pair(report) == {"agreement": 1, "cohen_kappa": 1}
    assert report.figures["human_agreement"].n == 3


def test_more_than_a_hundred_people_are_said() -> None:
    """101 people on one row: all 101 · 100 / 2 pairs count in the figures, 100 people and 100 pairs have a line."""
    row = pair_row(0)
    row["human"] = [{"annotator": f"p{number}", "verdict": "first"} for number in range(101)]
    report = alone([row])
    people = report.people
    assert people is not None
    assert (people.votes, len(people.annotators), people.annotators_total) == (101, 100, 101)
    assert (len(people.pairs), people.pairs_total) == (100, 5050)
    told = {flag.name: flag.evidence for flag in report.flags}
    assert told["annotators_not_listed"].startswith("101 annotators")
    assert told["pairs_not_listed"].startswith("5,050 pairs")


def test_one_label_a_row_says_so() -> None:
    report = alone(pairs(["f", "s"]))
    assert report.headline == "No row has two people's labels, so nobody knows how far people agree."
    assert report.figures["human_agreement"].value is None
    assert "NaN" not in report.to_json()


@pytest.mark.parametrize(("wrong", "level"), [(0, "good"), (6, "fair"), (20, "poor")])
def test_the_level_follows_krippendorffs_alpha(wrong: int, level: str) -> None:
    """40 rows, as many f as s said by a; b differs on none, 3 f and 3 s (α about .70), or half of them (about 0)."""
    letters = [("fs" if row % 2 else "sf") if row < wrong else ("ff" if row % 2 else "ss") for row in range(40)]
    assert alone(pairs(letters)).level == level


def test_labels_of_another_kind_are_counted() -> None:
    rows = [response(0, 5, 4), response(1, 5, 5)]
    rows[1]["human"].append({"annotator": "a", "verdict": 1.0, "criterion": "correct"})
    (flag,) = [flag for flag in alone(rows).flags if flag.name == "other_labels"]
    assert flag.evidence == "1 × number of the criterion 'correct' on a response"


def test_a_report_comes_back_and_is_a_baseline(tmp_path: Path) -> None:
    before = alone(pairs(["ff", "ss", "fs", "ff"]))
    before.save(tmp_path / "people.json")
    assert Report.load(tmp_path / "people.json").data == before.data
    worse = alone(pairs(["ff", "sf", "fs", "fs"]), baseline=tmp_path / "people.json")
    assert worse.worse
    assert {change.judge for change in worse.data.changes} == {"people"}


def test_page_and_terminal_show_everyone() -> None:
    report = alone(pairs(["ff", "ss", "fs"]), resamples=20)
    html = page(report.data)
    assert "People among themselves" in html
    assert "<caption>a and b</caption>" in html
    assert "Disagreements" not in html
    out = StringIO()
    Console(file=out, width=140).print(report)
    assert "a and b: Cohen's κ" in out.getvalue()
    assert "Krippendorff's α among people" in out.getvalue()


def test_what_needs_a_judge_says_so() -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        judge.agree()
    with pytest.raises(ConfigError, match="benchmark needs a judge's run"):
        alone(pairs(["ff"]), benchmark="llmbar")
    with pytest.raises(InputError, match="no human label"):
        alone([pair_row(0)])
    ranking = {"prompt": "q", "responses": ["x", "y"], "human": [{"annotator": "a", "verdict": [0, 1]}]}
    with pytest.raises(InputError, match="not compared by rankings"):
        alone([ranking])


def test_pandalms_annotators(data_dir: Path) -> None:
    """Cohen's κ between each two as PandaLM's README has them; of 999 rows."""
    report = judge.agree(human=data_dir / "pandalm" / "testset-v1.json", key="idx", resamples=0)
    assert [round(of_pair(report, number)["cohen_kappa"] or 0, 4) for number in range(3)] == [0.8520, 0.8789, 0.8617]
    assert report.figures["alpha_nominal"].n == 999
    assert json.loads(report.to_json())["judges"] == []


def test_the_json_is_as_its_schema_says() -> None:
    schema = json.loads(files("judge").joinpath("schemas", "report.json").read_text("utf-8"))
    row = json.loads(alone(pairs(["ff", "ss", "fs"])).to_json())
    Draft202012Validator(schema).validate(row)
    assert row["people"]["annotators_total"] == 2
