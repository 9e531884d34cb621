"""Which family a row is, and what is said when it is none or several."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge.errors import ConfigError, InputError, UnknownNameError
from judge.formats import FORMATS, BadRow, choose, read_records, recognise


def complaint(row: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        choose(row, "rows.jsonl:1")
    return str(caught.value)


def test_the_special_family_stands_over_the_general_one() -> None:
    assert recognise({"chosen": "a", "rejected": "b"}) == ["trl-preference"]
    assert recognise({"chosen": "\n\nHuman: p", "rejected": "\n\nHuman: p"}) == ["hh-rlhf"]
    for family in FORMATS.values():
        assert set(family.over) <= set(FORMATS)


def test_two_families_that_fit_are_named() -> None:
    row = {"prompt": "p", "response": "x", "chosen": "a", "rejected": "b"}
    assert complaint(row) == (
        "rows.jsonl:1: the fields fit rmjudge and trl-preference; "
        "choose with --format rmjudge or --format trl-preference"
    )


def test_a_misspelt_field_is_named_with_its_family() -> None:
    assert complaint({"prompt": "p", "chosn": "a", "rejected": "b"}) == (
        "rows.jsonl:1: no format fits the fields prompt, chosn, rejected; "
        "nearest is trl-preference, which lacks 'chosen', found 'chosn' (all: rmjudge data formats)"
    )


def test_a_row_of_nothing_known() -> None:
    assert complaint({"x": 1}) == "rows.jsonl:1: no format fits the fields x (all: rmjudge data formats)"
    assert complaint({}) == "rows.jsonl:1: no format fits the fields none (all: rmjudge data formats)"


def test_a_kind_makes_the_row_ours_and_its_faults_are_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"kind": "pair", "prompt": "p", "first": "a"}\n')
    with pytest.raises(InputError, match="no field 'second'"):
        list(read_records(file))


def test_an_unknown_format_is_refused_before_the_file_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown format 'llmbat'; did you mean 'llmbar'"):
        read_records(tmp_path / "none.jsonl", format="llmbat")


def test_the_family_of_the_first_row_holds_for_all(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}, {"prompt": "p", "completion": "a", "label": True}]
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=r"rows\.jsonl:2: no field 'chosen'"):
        list(read_records(file))


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    for name, text in (("rows.jsonl", "\n\n"), ("rows.json", "[]"), ("rows.csv", "a,b\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="no rows in it"):
            list(read_records(tmp_path / name))


def test_columns_of_other_names(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "p", "good": "a", "bad": "b", "topic": "t"}\n')
    form = "trl-preference:prompt=question,chosen=good,rejected=bad"
    ((_, record),) = read_records(file, format=form)
    file.write_text('{"prompt": "p", "chosen": "a", "rejected": "b", "topic": "t"}\n')
    ((_, plain),) = read_records(file)
    assert record == plain
    with pytest.raises(InputError, match=r"rows\.jsonl:1: no field 'question'"):
        list(read_records(file, format=form))
    with pytest.raises(ConfigError, match=r"found 'prompt' .accepted: trl-preference:field=source"):
        read_records(file, format="trl-preference:prompt")


def test_columns_of_labels_one_a_person(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("q,a,Ann,Bob,Tone\np,x,yes,unsure,curt\np,y,no,Yes,\n")
    form = "rmjudge:prompt=q,response=a,human=Ann,human=Bob,human=Tone"
    labels = [
        [(one.annotator, one.verdict, one.criterion) for one in row.record.human]
        for row in read_records(file, format=form)
    ]
    assert labels == [
        [("Ann", 1.0, "correct"), ("Tone", "curt", "")],
        [("Ann", 0.0, "correct"), ("Bob", 1.0, "correct")],
    ]
    file.write_text("prompt,first,second,Ann\np,x,y,B\np,x,z,left\n")
    bad: list[BadRow] = []
    (placed,) = read_records(file, format="rmjudge:human=Ann", on_bad=bad.append)
    assert placed.record.human[0].verdict == "second"
    assert bad[0].reason.startswith("field 'Ann': found \"left\" (accepted: first, second or tie")
