"""The prompt stands once, wherever a file repeats it, and is never guessed past a column that holds it."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge.errors import InputError
from judge.formats import BadRow, read_records
from judge.records import Pair, Record


def turns(*texts: str, system: str = "") -> list[dict[str, str]]:
    head = [{"role": "system", "content": system}] if system else []
    return head + [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def read(folder: Path, row: dict[str, Any], format: str | None = None) -> Record:
    file = folder / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (placed,) = read_records(file, format=format)
    return placed.record


def texts(record: Record) -> tuple[list[str], list[str], list[str]]:
    assert isinstance(record, Pair)
    first, second, third = ([turn.content for turn in part] for part in (record.prompt, record.first, record.second))
    return first, second, third


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"prompt": "Q: a sea?\nA:", "chosen": "Q: a sea?\nA: Aral", "rejected": "Q: a sea?\nA: Oslo"},
            ["Q: a sea?\nA:"],
        ),
        ({"prompt": "A sea?", "chosen": turns("A sea?", "Aral"), "rejected": turns("A sea?", "Oslo")}, ["A sea?"]),
        (
            {
                "prompt": "A sea?",
                "chosen": turns("A sea?", "Aral", system="s"),
                "rejected": turns("A sea?", "Oslo", system="s"),
            },
            ["s", "A sea?"],
        ),
        (
            {
                "prompt": "Else?",
                "chosen": turns("A sea?", "Red", "Else?", "Aral"),
                "rejected": turns("A sea?", "Red", "Else?", "Oslo"),
            },
            ["A sea?", "Red", "Else?"],
        ),
        (
            {
                "prompt": "A sea?",
                "chosen": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "Aral"}],
                "rejected": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "Oslo"}],
            },
            ["s", "A sea?"],
        ),
        ({"question": "A sea?", "system": "s", "chosen": "Aral", "rejected": "Oslo"}, ["s", "A sea?"]),
        (
            {"instruction": "Name one.", "input": "A sea?", "chosen": "Aral", "rejected": "Oslo"},
            ["Name one.\n\nA sea?"],
        ),
        ({"query": "A sea?", "system": "", "chosen": "Aral", "rejected": "Oslo"}, ["A sea?"]),
    ],
)
def test_the_prompt_is_taken_out(tmp_path: Path, row: dict[str, Any], expected: list[str]) -> None:
    assert texts(read(tmp_path, row)) == (expected, ["Aral"], ["Oslo"])


def test_a_word_that_begins_both_answers_is_not_the_prompt(tmp_path: Path) -> None:
    row = {"prompt": "Hello", "chosen": "Hello you", "rejected": "Hello all"}
    assert texts(read(tmp_path, row)) == (["Hello"], ["Hello you"], ["Hello all"])


@pytest.mark.parametrize("name", ["problem", "user_query", "about"])
def test_a_column_that_may_be_the_prompt_is_named(tmp_path: Path, name: str) -> None:
    row = {name: "Which sea?", "chosen": "It is the Aral.", "rejected": "It is the Red."}
    with pytest.raises(InputError, match=f"--format trl-preference:prompt={name}"):
        read(tmp_path, row)
    assert texts(read(tmp_path, row, f"trl-preference:prompt={name}"))[0] == ["Which sea?"]


def test_two_columns_that_may_be_the_prompt_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="prompt=question or --format trl-preference:prompt=query"):
        read(tmp_path, {"question": "a?", "query": "b?", "chosen": "x", "rejected": "y"})


BAD = '{"prompt": "p", "chosen": 1, "rejected": "b"}\n'
GOOD = '{"prompt": "p", "chosen": "a", "rejected": "b"}\n'


def test_all_wrong_rows_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(GOOD + BAD + GOOD + '{"prompt"\n' + BAD * 30)
    with pytest.raises(InputError) as caught:
        list(read_records(file))
    first, *lines = str(caught.value).splitlines()
    assert first == f"{file}: 32 rows cannot be read (--skip-bad leaves them out)"
    assert lines[0].startswith(f"  {file}:2: field 'chosen': found 1")
    assert lines[1].startswith(f"  {file}:4: broken JSON")
    assert len(lines) == 21 and "and 12 more" in lines[-1]


def test_wrong_rows_are_left_out_and_told(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"x": 1}\n' + GOOD + BAD)
    bad: list[BadRow] = []
    assert [place for place, _ in read_records(file, on_bad=bad.append)] == [f"{file}:2"]
    assert [row.place for row in bad] == [f"{file}:1", f"{file}:3"]
    assert bad[1].reason == "field 'chosen': found 1 (accepted: a text or a list of messages)"
