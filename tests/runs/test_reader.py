"""What a run directory gives back: its rows as objects, its counts, and what it shows of itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge.errors import InputError, RunError
from judge.formats import to_row
from judge.formats.judgement_rows import judgement_to_row
from judge.judgements import Preference
from judge.records import Message, Pair
from judge.runs.counts import Counts
from judge.runs.journal import Journal
from judge.runs.manifest import entries_of, new_manifest, write_manifest
from judge.runs.reader import holds_judgements, judged_in, open_run


def pair(number: int) -> Pair:
    turns = (Message("user", f"{number}?"),), (Message("assistant", "a"),), (Message("assistant", "b"),)
    return Pair(prompt=turns[0], first=turns[1], second=turns[2])


def make(directory: Path, *, manifest: bool = True) -> Path:
    """Three pairs that the first response wins, one that could not be read."""
    counts = Counts()
    with Journal(directory) as journal:
        for number in range(4):
            readable = number != 2
            said = Preference(verdict="first" if readable else None, p_first=0.9 if readable else None)
            row: dict[str, Any] = {**to_row(pair(number)), "judgement": judgement_to_row(said)}
            journal.write(row, readable=readable)
            counts.add_row(row, readable=readable)
    if manifest:
        write_manifest(directory, {**new_manifest({"task": "preference"}), **entries_of(counts)})
    return directory


def test_a_run_gives_its_judgements_by_id_and_its_rows_as_they_stand(tmp_path: Path) -> None:
    run = open_run(make(tmp_path / "run"))
    ids = [pair(number).id for number in (0, 1, 3)]
    assert [judged.record.id for judged in run] == sorted(ids)
    assert [row["id"] for row in run.rows()] == ids
    assert all(judged.judgement == Preference(verdict="first", p_first=0.9) for judged in run)
    assert {judged.place for judged in run} == {f"{tmp_path / 'run' / 'labels.jsonl'}:{n}" for n in (1, 2, 3)}
    assert [judged.record.id for judged in run.failures()] == [pair(2).id]
    assert (run.task, run.counts.rows, run.counts.unreadable, run.counts.verdicts["first"]) == ("preference", 4, 1, 3)


def test_rows_with_ids_of_another_kind_come_in_their_order_too(tmp_path: Path) -> None:
    labels = make(tmp_path / "run") / "labels.jsonl"
    first, second, third = (pair(number) for number in (0, 1, 3))
    labels.write_text(labels.read_text().replace(first.id, "b").replace(third.id, "A"))
    prompts = [judged.record.prompt for judged in open_run(tmp_path / "run")]
    by_id = {"b": first.prompt, second.id: second.prompt, "A": third.prompt}
    assert prompts == [by_id[name] for name in sorted(by_id)]


def test_a_run_shows_its_counts(tmp_path: Path) -> None:
    run = open_run(make(tmp_path / "a<b"))
    assert repr(run) == f"Run('{tmp_path}/a<b', task='preference', rows=4, first=3, unreadable=1)"
    assert "<th>first</th><td>3</td>" in run._repr_html_()
    assert "a&lt;b" in run._repr_html_()


def test_a_run_becomes_a_dataset(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    run = open_run(make(tmp_path / "run"))
    table = run.to_dataset()
    assert table["id"] == [judged.record.id for judged in run]
    assert table[0]["first"] == [{"role": "assistant", "content": "a"}]
    assert table[0]["judgement"]["verdict"] == "first"
    assert table[0]["meta"] == "{}"


def test_a_torn_last_line_is_passed_over_and_a_broken_one_before_is_named(tmp_path: Path) -> None:
    labels = make(tmp_path / "run") / "labels.jsonl"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-20])
    assert len(list(open_run(tmp_path / "run"))) == 2
    labels.write_bytes(b'{"id": 3}\n' + whole)
    with pytest.raises(InputError, match=r"labels\.jsonl:1: "):
        list(open_run(tmp_path / "run"))


def test_a_directory_without_a_manifest_is_read_on_request_and_counted(tmp_path: Path) -> None:
    make(tmp_path / "run", manifest=False)
    with pytest.raises(RunError, match=r"manifest\.json"):
        open_run(tmp_path / "run")
    run = open_run(tmp_path / "run", needs_manifest=False)
    assert (run.manifest, run.task, run.counts.labelled, run.counts.unreadable) == ({}, "preference", 3, 1)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        open_run(tmp_path)
    with pytest.raises(RunError, match="not a run directory"):
        open_run(tmp_path / "none", needs_manifest=False)


def test_a_file_of_judged_rows_is_told_from_a_data_file(tmp_path: Path) -> None:
    run, plain = make(tmp_path / "run"), tmp_path / "plain.jsonl"
    plain.write_text(json.dumps(to_row(pair(1))) + "\n")
    assert [holds_judgements(path) for path in (run, run / "labels.jsonl", plain, tmp_path, tmp_path / "none")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [judged.judgement for judged in judged_in(run / "failures.jsonl")] == [Preference(verdict=None)]
