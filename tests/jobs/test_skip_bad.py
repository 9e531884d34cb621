"""`skip_bad=True` from Python: bad rows of files and of data in memory, and how a run tells of them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import judge
from judge.formats import BadRow
from tests.constitution_eval.support import FOUR, pairs
from tests.jobs.test_label import ROWS, rules
from tests.jobs.test_verbs import engine
from tests.test_schemas import validator

BAD: list[Any] = [ROWS[0], {**ROWS[1], "chosen": 7}, "no dict", ROWS[3]]


def test_rows_in_memory(tmp_path: Path) -> None:
    spec, out = rules(tmp_path / "rules.jsonl"), tmp_path / "run"
    run = judge.label([BAD[0], BAD[1], BAD[3]], task="preference", judges=spec, out=out, skip_bad=True, progress=False)
    assert (run.counts.rows, run.counts.skipped) == (2, 1)
    assert [bad.place for bad in run.skipped()] == ["row 2"]
    assert list(run.failures()) == []
    assert "skipped=1" in repr(run)
    opened = judge.open_run(out)
    assert opened.counts.skipped == 1 and [row.judgement.verdict for row in opened] == ["first", "first"]
    (out / "manifest.json").unlink()
    counts = judge.runs.reader.open_run(out, needs_manifest=False).counts
    assert (counts.rows, counts.skipped) == (2, 1)


def test_a_source_tells_of_its_bad_rows() -> None:
    heard: list[BadRow] = []
    source = judge.runs.data.RowSource(BAD)
    assert [place for place, _ in source.records("trl-preference", heard.append)] == ["row 1", "row 4"]
    assert [bad.place for bad in heard] == ["row 2", "row 3"]
    assert heard[1].reason == "found str where a dict belongs"


def test_lines_of_skipped_rows_fit_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in BAD))
    spec = rules(tmp_path / "rules.jsonl")
    judge.label(path, task="preference", judges=spec, out=tmp_path / "run", skip_bad=True, progress=False)
    lines = (tmp_path / "run" / "failures.jsonl").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        validator("row").validate(json.loads(line))
    with pytest.raises(jsonschema.ValidationError):
        validator("row").validate({**json.loads(lines[0]), "reason": None})
    validator("manifest").validate(json.loads((tmp_path / "run" / "manifest.json").read_text()))


def test_equal_bad_lines_are_counted_each(tmp_path: Path) -> None:
    """Two files of one name with the same fault in the same line are two bad rows, also after a second attempt."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        good = {**ROWS[0], "prompt": name}
        (tmp_path / name / "data.jsonl").write_text(json.dumps(good) + '\n{"prompt":\n{"prompt":\n')
    files = [tmp_path / name / "data.jsonl" for name in ("a", "b")]
    spec, out = rules(tmp_path / "rules.jsonl"), tmp_path / "run"
    for _ in range(2):
        run = judge.label(files, task="preference", judges=spec, out=out, skip_bad=True, progress=False)
        assert (run.counts.rows, run.counts.skipped) == (2, 4)
        assert [bad.place for bad in run.skipped()] == [f"{file}:{line}" for file in files for line in (2, 3)]


def test_where_every_row_is_bad_there_is_nothing_to_judge(tmp_path: Path) -> None:
    spec, out = rules(tmp_path / "rules.jsonl"), tmp_path / "run"
    with pytest.raises(judge.InputError, match="holds nothing to judge"):
        judge.label(
            [{"prompt": 1}], format="rmjudge", task="preference", judges=spec, out=out, skip_bad=True, progress=False
        )
    assert not out.exists()


def test_distill_and_agree_take_judged_rows_in_memory(tmp_path: Path) -> None:
    spec = rules(tmp_path / "rules.jsonl")
    run = judge.label(ROWS, task="preference", judges=spec, out=tmp_path / "run", progress=False)
    rows: list[Any] = [*run.rows(), {"id": "x", "judgement": {"task": "preference"}}]
    plan = judge.distill(rows, kind="scalar", backbone="tiny", dry_run=True, skip_bad=True)
    assert isinstance(plan, judge.TrainingPlan)
    assert plan.counts["dropped"] == [{"reason": "could not be read", "count": 1}]
    people = [*ROWS, {**ROWS[0], "chosen": 7}]
    report = judge.agree(run, human=people, format="trl-preference", skip_bad=True, resamples=0)
    assert report.figures["accuracy"].n == 6
    (note,) = [flag for flag in report.data.flags if flag.name == "skipped"]
    assert note.evidence == "1 row: row 7"


def test_constitutions_are_tried_on_the_good_rows() -> None:
    good = [judge.to_row(pair) for pair in pairs(6)]
    rows = [*good, {"prompt": 1}, {"kind": "solution", "prompt": "Sum?", "steps": ["1"]}]
    with pytest.raises(judge.InputError, match="row 7: "):
        judge.try_constitution(FOUR, rows, judges=engine(), progress=False)
    options: dict[str, Any] = {"judges": engine(), "skip_bad": True, "progress": False}
    trial = judge.try_constitution(FOUR, rows, **options)
    assert (trial.pairs, trial.skipped, trial.to_row()["skipped"]) == (6, 2, 2)
    ablation = judge.ablate_constitution(FOUR, rows, resamples=100, **options)
    assert (ablation.pairs, ablation.skipped) == (6, 2)
    difference = judge.diff_constitutions(FOUR, FOUR.without("useful"), data=rows, **options)
    assert (difference.pairs, difference.skipped) == (6, 2)
