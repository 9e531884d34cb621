"""What counts as data, how a manifest names it, and what is said of the rest."""

import json
from pathlib import Path

import pytest

from judge.errors import ConfigError, InputError
from judge.runs.data import open_data

ROWS = [{"prompt": f"{n} + 1?", "chosen": f"{n + 1}", "rejected": f"{n}"} for n in range(3)]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_path_a_list_of_paths_and_a_glob_are_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.jsonl", ROWS), write(tmp_path / "b.jsonl", ROWS)
    assert [source.name for source in open_data(one)] == [str(one)]
    assert [source.name for source in open_data([two, str(one)])] == [str(two), str(one)]
    assert [source.name for source in open_data(f"{tmp_path}/*.jsonl")] == [str(one), str(two)]
    assert [place for place, _ in open_data(one)[0].records()] == [f"{one}:{n}" for n in (1, 2, 3)]
    with pytest.raises(InputError, match="fits no file"):
        open_data(f"{tmp_path}/*.csv")


def test_a_file_with_a_glob_s_marks_in_its_name_is_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "a[1].jsonl", ROWS)
    assert [source.name for source in open_data(str(path))] == [str(path)]


def test_rows_in_memory_have_places_and_are_named_by_content() -> None:
    (source,) = open_data(ROWS)
    assert [place for place, _ in source.records()] == ["row 1", "row 2", "row 3"]
    (same,) = open_data([dict(row) for row in ROWS])
    assert source.entry() == same.entry()
    assert source.entry()["rows"] == 3
    (changed,) = open_data([*ROWS[:2], {**ROWS[2], "chosen": "?"}])
    assert changed.entry() != source.entry()


def test_rows_in_memory_and_in_a_dataset_are_the_same_records() -> None:
    datasets = pytest.importorskip("datasets")
    (listed,), (table,) = open_data(ROWS), open_data(datasets.Dataset.from_list(ROWS))
    assert list(listed.records()) == list(table.records())
    assert listed.entry() == table.entry()


def test_a_bad_row_in_memory_is_named_by_its_number() -> None:
    with pytest.raises(InputError, match="row 2: "):
        list(open_data([ROWS[0], {"prompt": "?"}])[0].records("trl-preference"))


def test_data_may_grow_at_its_end_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("one\ntwo\n")
    (source,) = open_data(path)
    entry = source.entry()
    assert entry["bytes"] == 8
    path.write_text("one\ntwo\nthree\n")
    assert source.begins_with(entry)
    path.write_text("zero\none\ntwo\n")
    assert not source.begins_with(entry)
    path.write_text("one\n")
    assert not source.begins_with(entry)
    (rows,) = open_data(ROWS)
    assert rows.begins_with(open_data(ROWS[:2])[0].entry())
    assert not rows.begins_with(open_data(ROWS[1:])[0].entry())


def test_hub_data_is_known_by_its_name() -> None:
    (source,) = open_data("hf://some/set:train")
    assert source.entry() == {"name": "hf://some/set:train"}
    assert source.streamed


@pytest.mark.parametrize("data", [7, {"train": ROWS}, [7], [ROWS[0], "a.jsonl"]])
def test_what_is_no_data_is_refused(data: object) -> None:
    with pytest.raises(ConfigError, match="accepted: "):
        open_data(data)  # type: ignore[arg-type]
