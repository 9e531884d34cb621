"""Each family's row gives the records that a reader of it expects; what is wrong is named in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge.errors import InputError
from judge.formats import FORMATS, read_records, recognise
from judge.records import Message, Pair, Record, Solution
from tests.formats.cases import CASES, label, msgs, pair, said, user


def read(folder: Path, row: dict[str, Any], format: str | None = None) -> list[Record]:
    file = folder / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    return [record for _, record in read_records(file, format=format)]


@pytest.mark.parametrize(("name", "row", "expected"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_a_row_of_the_family(tmp_path: Path, name: str, row: dict[str, Any], expected: list[Record]) -> None:
    assert recognise(row) == [name]
    assert read(tmp_path, row) == expected
    assert read(tmp_path, row, format=name) == expected


def test_every_family_is_tested_here_or_by_itself() -> None:
    elsewhere = {"rmjudge", "openrlhf", "rm-bench", "mt-bench", "finegrained-rlhf", "prm800k-samples"}
    assert {name for name, _, _ in CASES} | elsewhere == set(FORMATS)


def test_rm_bench_gives_the_nine_pairs_of_styles(tmp_path: Path) -> None:
    row = {"id": 1, "prompt": "p", "chosen": ["a", "b", "c"], "rejected": ["x", "y", "z"], "domain": "chat"}
    assert recognise(row) == ["rm-bench"]
    records = read(tmp_path, row)
    assert len(records) == len({record.id for record in records}) == 9
    assert records[5] == pair(
        "p",
        "b",
        "z",
        label("rm-bench", "first"),
        id=1,
        domain="chat",
        chosen_style="detailed",
        rejected_style="markdown",
    )


def test_mt_bench_with_its_conversations(tmp_path: Path) -> None:
    row = {
        "question_id": 81,
        "model_a": "m",
        "model_b": "n",
        "winner": "tie (inconsistent)",
        "judge": "j",
        "conversation_a": msgs("p", "a1", "q", "a2"),
        "conversation_b": msgs("p", "b1", "q", "b2"),
        "turn": 1,
    }
    assert recognise(row) == ["mt-bench"]
    key = {"key": ["mt-bench", 81, 1, "m", "n"]}
    rest = {"question_id": 81, "model_a": "m", "model_b": "n", "winner": "tie (inconsistent)", "turn": 1}
    assert read(tmp_path, row) == [pair("p", "a1", "b1", label("j", "tie"), **rest, **key)]
    turned = {"model_a": "z", "winner": "model_a"}
    (other,) = read(tmp_path, row | turned)
    assert isinstance(other, Pair)
    assert (other.first, other.human[0].verdict) == (said("b1"), "second")
    (second,) = read(tmp_path, row | {"turn": 2})
    assert isinstance(second, Pair)
    assert second.first == (Message("assistant", "a1"), Message("user", "q"), Message("assistant", "a2"))


def test_finegrained_pairs_come_in_the_published_order(tmp_path: Path) -> None:
    row = {"question": "q", "passages": [["T", "One.", "Two."], ["U", "U\n\nUs."]], "preference": [0, 1, 2, 1, 2, 0]}
    row |= {f"prediction {number}": f"a{number}" for number in (1, 2, 3, 4)}
    assert recognise(row) == ["finegrained-rlhf"]
    records = read(tmp_path, row)
    assert records[4] == pair(
        "q\n\nT\n\nOne. Two.\n\nU\n\nUs.", "a2", "a4", label("finegrained-rlhf", "second"), question="q", answers=[2, 4]
    )
    answers = [record.meta["answers"] for record in records]
    assert answers == [[1, 2], [1, 3], [1, 4], [2, 3], [2, 4], [3, 4]]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("trl-preference", {"prompt": "p", "chosen": 3, "rejected": "b"}, "field 'chosen': found 3 (accepted: a text or"),
    ("trl-preference", {"prompt": " ", "chosen": "a", "rejected": ""}, "field 'prompt': found an empty text"),
    ("trl-preference", {"prompt": "p", "chosen": "a", "rejected": msgs("b")}, "field 'rejected': found [{"),
    ("trl-preference", {"chosen": "a", "rejected": "b"}, "fields 'chosen', 'rejected': no shared prompt"),
    ("trl-stepwise", {"prompt": "p", "completions": ["s"], "labels": [1, 0]}, "field 'labels': found [1, 0]"),
    ("trl-stepwise", {"prompt": "p", "completions": ["s"], "labels": [2]}, "field 'labels[0]': found 2"),
    (
        "trl-unpaired",
        {"prompt": "p", "completion": "a", "label": "yes"},
        "field 'label': found \"yes\" (accepted: true",
    ),
    ("llmbar", {"input": "p", "output_1": "a", "output_2": "b", "label": 0}, "field 'label': found 0 (accepted: 1, 2)"),
    ("llmbar", {"input": "p", "output_1": "a", "output_2": "b", "label": True}, "field 'label': found true"),
    ("judgebench", {"question": "p", "response_A": "a", "response_B": "b", "label": "A"}, "field 'label': found \"A\""),
    ("processbench", {"problem": "p", "steps": ["s"], "label": 1}, "field 'label': found 1 (accepted: -1 to 0"),
    ("math-shepherd", {"input": "q Step 1: a ки", "label": "q Step 1: b +"}, "field 'label': after 0 steps"),
    ("openrlhf-prm", {"input": "q\na ки", "label": ["?"]}, "field 'labels[0]': found \"?\""),
    (
        "helpsteer3",
        {"context": "p", "response1": "a", "response2": "b", "overall_preference": 4},
        "field 'overall_pref",
    ),
    ("gsm8k", {"question": "p", "answer": "#### "}, "field 'answer': found no final answer"),
    ("hhh", {"chosen_instruction": "x", "rejected_instruction": "y"}, "field 'chosen_instruction': found no '###The"),
    ("rewardbench2", {"prompt": "p", "chosen": [], "rejected": ["b"]}, "field 'chosen': found [] (accepted: a list of"),
    ("nemo", {"context": "p", "completions": []}, "field 'completions': found 0 (accepted: two or more)"),
    ("mr-ben", {"Question": "p"}, "no field 'Model_Solution_Steps' (found: Question)"),
]


@pytest.mark.parametrize(("name", "row", "message"), WRONG, ids=[f"{i}-{case[0]}" for i, case in enumerate(WRONG)])
def test_a_wrong_row_is_one_line_with_its_place(tmp_path: Path, name: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, row, format=name)
    assert str(caught.value).startswith(f"{tmp_path / 'rows.jsonl'}:1: {message}")
    assert "\n" not in str(caught.value)


def test_csv_cells_hold_lists_as_json(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('prompt,completions,labels\n[1 2],"[""s"", ""t""]","[true, false]"\n')
    (placed,) = read_records(file)
    assert placed.record == Solution(prompt=user("[1 2]"), steps=("s", "t"), human=(label("labels", 1),))
