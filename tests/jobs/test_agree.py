"""`judge.agree` from Python: data of every sort, figures by name, saved and shown."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge

SAVED = Path(__file__).parent.parent / "saved"


def row(number: int, verdict: str, human: str) -> dict[str, Any]:
    """A judged pair as rmjudge writes it, with one person's label."""
    pair = judge.Pair(
        prompt=(judge.Message("user", f"question {number}"),),
        first=(judge.Message("assistant", "a"),),
        second=(judge.Message("assistant", "b"),),
        human=(judge.HumanLabel(annotator="ann", verdict=human),),
    )
    judgement = judge.Preference(verdict=verdict, p_first=0.9)  # type: ignore[arg-type]
    return judge.to_row(pair) | {"judgement": judge.judgement_to_row(judgement)}


ROWS = [row(number, "first", "second" if number < 2 else "first") for number in range(8)]  # six of eight are right


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def test_rows_in_memory_a_file_a_directory_and_a_dataset_give_the_same_figures(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    file = write(tmp_path / "run" / "labels.jsonl", ROWS)
    table = datasets.Dataset.from_list([{**each, "meta": {"n": 1}} for each in ROWS])
    for data in (ROWS, file, str(file), file.parent, table):
        report = judge.agree(data, resamples=0)
        accuracy = report.figures["accuracy"]
        assert (accuracy.value, accuracy.n, accuracy.low) == (0.75, 8, None)


def test_labels_may_be_rows_in_memory_too() -> None:
    bare = [{name: value for name, value in each.items() if name != "human"} | {"human": []} for each in ROWS]
    people = [{name: value for name, value in each.items() if name != "judgement"} for each in ROWS[:4]]
    report = judge.agree(bare, human=people, resamples=0)
    assert (report.figures["accuracy"].value, report.figures["accuracy"].n) == (0.5, 4)


def test_hand_written_rows_need_no_id() -> None:
    rows = [
        {"prompt": "2 + 2?", "first": "4", "second": "5", "judgement": {"task": "preference", "verdict": "first"}},
        {"prompt": "2 + 3?", "first": "4", "second": "5", "judgement": {"task": "preference", "verdict": "first"}},
    ]
    labelled = [each | {"human": [{"annotator": "ann", "verdict": "first"}]} for each in rows]
    assert judge.agree(labelled, resamples=0).figures["accuracy"].value == 1.0


def test_several_runs_are_compared(tmp_path: Path) -> None:
    better = [each | {"judgement": {"task": "preference", "verdict": each["human"][0]["verdict"]}} for each in ROWS]
    files = [write(tmp_path / "plain" / "labels.jsonl", ROWS).parent, write(tmp_path / "good.jsonl", better)]
    report = judge.agree(files, resamples=0)
    assert [each.name for each in report.judges] == ["plain", "good"]
    assert [each.figures["accuracy"].value for each in report.judges] == [0.75, 1.0]
    assert report.data.league is not None and report.data.league.rows[0].name == "good"


def test_a_report_is_saved_and_read_again(tmp_path: Path) -> None:
    report = judge.agree(ROWS, resamples=20)
    report.save(tmp_path / "report.json")
    report.save(tmp_path / "page.html")
    assert judge.Report.load(tmp_path / "report.json").data == report.data
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)  # no NaN, no Infinity


def test_it_shows_itself() -> None:
    report = judge.agree(ROWS, resamples=0)
    assert "Accuracy, a tie is a verdict 75.0 %, n = 8" in repr(report) and report.headline in repr(report)
    html = report._repr_html_()
    assert html.startswith("<iframe srcdoc=") and html.count("<") == 2  # the page is quoted as a whole
    assert html.startswith('<iframe srcdoc="&lt;!doctype html&gt;')


def test_worse_than_a_baseline(tmp_path: Path) -> None:
    judge.agree(ROWS, resamples=0).save(tmp_path / "before.json")
    fewer = [each | {"judgement": {"task": "preference", "verdict": "second"}} for each in ROWS]
    assert judge.agree(fewer, resamples=0, baseline=tmp_path / "before.json").worse
    assert not judge.agree(ROWS, resamples=0, baseline=tmp_path / "before.json").worse


def test_a_report_of_the_version_before_is_still_read() -> None:
    report = judge.Report.load(SAVED / "report_1.json")
    assert [flag.name for flag in report.flags] == ["too_few", "too_few", "copies_annotator"]
    assert report.data.triangle is not None and dict(report.data.triangle.parts) == {
        "all_agree": 8,
        "model_alone": 0,
        "judge_alone": 0,
        "human_alone": 0,
        "all_differ": 0,
    }
    calibration = report.judges[0].calibration
    assert calibration is not None and calibration.curves[0].name == "as_stated"
    assert report.figures["accuracy"].n == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "no saved report of rmjudge"), ('{"version": "rmjudge-report/9"}', "accepted: 'rmjudge-report/2'")],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(judge.InputError, match=message):
        judge.Report.load(tmp_path / "x.json")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(judge.InputError, match="nowhere"):
        judge.agree(tmp_path / "nowhere")
    with pytest.raises(judge.UnknownNameError, match="did you mean 'llmbar'"):
        judge.agree(ROWS, benchmark="llmbr")
    with pytest.raises(judge.InputError, match="no row has a field 'topic'"):
        judge.agree(ROWS, slices=["topic"])
    with pytest.raises(judge.ConfigError, match="two runs"):
        judge.agree(ROWS, triangle=True)
