"""A survey counts what is there and collects everything that is wrong."""

from pathlib import Path

import pytest

from judge.errors import InputError
from judge.files import write_rows
from judge.formats import judgement_to_row, to_row
from judge.formats.survey import as_json, label_lines, spread, survey
from judge.judgements import Critique, Judgement, Order, Preference, Reading, Score, Steps
from judge.records import Message, Pair, Record, Solution

LINES = """\
{"prompt": "pp", "chosen": "aaa", "rejected": "b"}
{"prompt": "pp", "chosen": "b"}
{"prompt": "pp", "chosen": 1, "rejected": "c"}

{"prompt": "pp", "chosen": "aaa", "rejected": "b"
{"prompt": "pppp", "chosen": "c", "rejected": "c"}
{"prompt": "pp", "chosen": "aaa", "rejected": "b"}
"""


def test_counts_and_problems(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(LINES)
    found = survey(file, first=1)
    assert (found.format, found.rows, found.records) == ("trl-preference", 6, 3)
    assert (found.duplicates, found.alike, found.empty, found.labelled) == (1, 1, 0, 3)
    assert spread(found.lengths["prompt"]) == (2, 2, 4)
    assert spread(found.lengths["response"]) == (1, 1, 3)
    assert list(label_lines(found)) == [("verdict", "first 3")]
    assert [problem.removeprefix(f"{file}:")[:2] for problem in found.problems] == ["2:", "3:", "5:"]
    assert len(found.first) == 1
    assert as_json(found)["characters"]["prompt"] == {"min": 2, "median": 2, "max": 4}


def test_a_first_row_that_is_wrong_does_not_hide_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"x": 1}\n{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
    found = survey(file)
    assert found.records == 1
    assert found.problems[0].startswith(f"{file}:1: no format fits the fields x")


def test_labels_of_every_kind_in_words(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [f'{{"prompt": "p", "steps": ["a{i}", "b"], "human": [{{"verdict": {i}}}]}}' for i in (-1, 0, 1)]
    file.write_text("\n".join(rows))
    assert list(label_lines(survey(file))) == [("first wrong step", "in 2, none in 1")]
    rows = [f'{{"prompt": "p", "response": "a{i}", "human": [{{"verdict": {i}, "criterion": "c"}}]}}' for i in (1, 2.5)]
    file.write_text("\n".join(rows))
    assert list(label_lines(survey(file))) == [("c", "2 from 1 to 2.5, mean 1.75")]


def test_a_file_of_wrong_rows_alone_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "p", "chosen": "a", "rejected": 1}\n' * 3)
    with pytest.raises(InputError, match=r"rows\.jsonl:1: field 'rejected': found 1"):
        survey(file)


def test_the_verdicts_of_a_run_are_counted_and_shown(tmp_path: Path) -> None:
    pair = Pair(prompt=(Message("user", "p"),), first=(Message("assistant", "a"),), second=(Message("assistant", "b"),))
    solution = Solution(prompt=(Message("user", "p"),), steps=("s", "t"))
    reading = Reading(asked="forward", verdict="first", text="I say [[A]].")
    judged: list[tuple[Record, Judgement]] = [
        (pair, Preference(verdict="first", p_first=0.9, readings=(reading,))),
        (pair, Preference(verdict=None, reason="no label")),
        (solution, Steps(verdict=("right", "wrong"), first_wrong=1)),
        (solution, Steps(verdict=("right", "right"), first_wrong=-1)),
        (solution, Score(verdict={"clarity": 4, "depth": None})),
        (solution, Critique(verdict="Good.")),
        (solution, Order(verdict=(0,))),
    ]
    write_rows(
        tmp_path / "labels.jsonl",
        (to_row(record) | {"judgement": judgement_to_row(judgement)} for record, judgement in judged),
    )
    found = survey(tmp_path)
    assert as_json(found)["judgements"] == {
        "preference": {"first": 1, "unreadable": 1},
        "steps": {"a step wrong": 1, "every step right": 1},
        "score": {"clarity 4": 1, "depth unreadable": 1},
        "critique": {"written": 1},
        "ranking": {"ordered": 1},
    }
    assert found.first[0]["judgement"] == {"task": "preference", "verdict": "first", "p_first": 0.9}
    assert found.first[0]["reply"] == "I say [[A]]."


def test_a_broken_judgement_is_a_wrong_row(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    row = '{"prompt": "p", "first": "a", "second": "b"'
    file.write_text(row + "}\n" + row + ', "judgement": {"task": "taste", "verdict": 1}}\n')
    assert survey(file).problems[0].startswith(f"{file}:2: field 'judgement.task': found \"taste\"")
