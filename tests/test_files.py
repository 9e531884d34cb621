"""Reading with places, writing whole files or nothing."""

import gzip
import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.errors import InputError, RunError, UnknownNameError
from judge.files import file_hash, from_json, read_rows, scan_rows, staged_directory, to_json, write_atomic, write_rows

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y\nz"}, {"a": 3, "b": "ж"}]


def places(path: Path) -> list[str]:
    return [place.removeprefix(f"{path}:") for place, _ in read_rows(path)]


def rows(path: Path | str) -> list[dict[str, Any]]:
    return [row for _, row in read_rows(path)]


def complaint(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        rows(path)
    return str(caught.value).removeprefix(f"{path}")


def test_jsonl_counts_blank_lines_and_carriage_returns(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": "\xe2\x80\xa8"}\n\n\n{"a": 3}')
    assert rows(file) == [{"a": 1}, {"a": "\u2028"}, {"a": 3}]
    assert places(file) == ["1", "3", "6"]


def test_gzip_is_read_as_what_is_inside(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    assert rows(file) == [{"a": 1}, {"a": 2}]
    file.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-12])
    assert "broken gzip" in complaint(file)


def test_json_list_places_are_the_lines_where_elements_begin(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('[\n  {"a": 1,\n   "b": [2]},\n\n  {"a": 2}, {"a": 3}\n]\n')
    assert rows(file) == [{"a": 1, "b": [2]}, {"a": 2}, {"a": 3}]
    assert places(file) == ["2", "5", "5"]


def test_json_object_of_lists_of_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('{\n "x": [\n  {"a": 1},\n  {"a": 2}\n ],\n "y": [{"a": 3}]\n}')
    assert rows(file) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert places(file) == ["3", "4", "6"]


def test_a_json_object_of_messages_is_one_row(tmp_path: Path) -> None:
    turn = {"role": "user", "content": "x"}
    row = {"context": [turn], "completions": [{"rank": 0, "completion": [turn]}]}
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(row, indent=1))
    assert rows(file) == [row]


def test_json_objects_one_after_another(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('{"a": 1}\n{"a": 2}\n')
    assert rows(file) == [{"a": 1}, {"a": 2}]
    assert places(file) == ["1", "2"]


def test_a_json_list_that_is_named_jsonl(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('[\n{"a": 1},\n{"a": 2}]')
    assert places(file) == ["2", "3"]


def test_csv_rows_begin_where_their_first_cell_does(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('a,b\n1,"two\nlines"\n2,x\n', encoding="utf-8-sig")
    assert rows(file) == [{"a": "1", "b": "two\nlines"}, {"a": "2", "b": "x"}]
    assert places(file) == ["2", "4"]
    file.write_text("a,b\n1,2,3\n")
    assert complaint(file) == ":2: found 3 cells, the header names 2"
    file.write_text("a,a\n1,2\n")
    assert complaint(file) == ":1: the header names a column twice: a, a"


def test_tsv(tmp_path: Path) -> None:
    file = tmp_path / "rows.tsv"
    file.write_text("a\tb\n1,5\t2\n")
    assert rows(file) == [{"a": "1,5", "b": "2"}]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    file = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
    assert rows(file) == ROWS
    assert places(file) == ["1", "2", "3"]
    file.write_bytes(b"PAR1 and no more")
    assert complaint(file).startswith(": broken Parquet: ")


def test_a_local_folder_read_as_a_hub_name(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    (tmp_path / "test.jsonl").write_text('{"a": 3}\n')
    found = list(read_rows(f"hf://{tmp_path}:test"))
    assert found == [(f"hf://{tmp_path}:default:test:1", {"a": 3})]
    assert rows(f"hf://{tmp_path}:default:train") == [{"a": 1}, {"a": 2}]
    with pytest.raises(InputError, match="several splits; name one"):
        rows(f"hf://{tmp_path}")
    with pytest.raises(UnknownNameError, match=r"unknown split .* 'tset'; did you mean 'test'"):
        rows(f"hf://{tmp_path}:tset")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1', ":2: broken JSON at column 8: Expecting ',' delimiter"),
        (b'{"a": 1}}', ":2: broken JSON at column 9: Extra data"),
        (b"[1]", ":2: found a list where an object (a row with named fields) belongs"),
        (b"null", ":2: found null where an object (a row with named fields) belongs"),
        (b'{"a": "\xff"}', ":2: not UTF-8 text (byte 8 of the line)"),
        (b"[" * 100_000, ":2: broken JSON: nested deeper than 200 levels"),
        (b'{"a": ' + b"1" * 5000 + b"}", ":2: broken JSON: Exceeds the limit"),
    ],
)
def test_a_broken_line_is_named_and_does_not_end_a_scan(tmp_path: Path, line: bytes, message: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a": 0}\n' + line + b'\n{"a": 3}\n')
    assert complaint(file).startswith(message)
    kinds = [isinstance(row, InputError) for _, row in scan_rows(file)]
    assert kinds == [False, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n{"a": 1},\n{"a": }\n]', ":3: broken JSON at column 7: Expecting value"),
        ('[\n{"a": 1}\n{"a": 2}\n]', ":3: broken JSON at column 1: expecting ',' or ']'"),
        ('[\n{"a": 1},\n5]', ":3: found a number where an object"),
        ('{"a": 1', ":1: broken JSON at column 8"),
    ],
)
def test_broken_json_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text(text)
    assert complaint(file).startswith(message)


def test_a_missing_file_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("")
    assert complaint(tmp_path / "pair.jsonl") == f": no such file; did you mean '{tmp_path / 'pairs.jsonl'}'?"
    assert "nor a directory" in complaint(tmp_path / "no" / "pair.jsonl")


def test_an_unknown_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("x")
    assert complaint(tmp_path / "rows.txt").startswith(": unknown kind of file '.txt' (accepted: .jsonl,")


def test_a_run_directory_stands_for_its_labels(tmp_path: Path) -> None:
    assert "a directory without labels.jsonl" in complaint(tmp_path)
    (tmp_path / "labels.jsonl").write_text('{"a": 1}\n')
    assert [place for place, _ in read_rows(tmp_path)] == [f"{tmp_path / 'labels.jsonl'}:1"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=4), min_size=1, max_size=5))
def test_any_rows_come_back_with_their_line_numbers(tmp_path_factory: pytest.TempPathFactory, found: list[Any]) -> None:
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    assert write_rows(file, found) == len(found)
    assert rows(file) == found
    assert places(file) == [str(number) for number in range(1, len(found) + 1)]


@given(json_values)
def test_to_json_is_one_line_of_utf8(value: Any) -> None:
    line = to_json({"value": value})
    assert "\n" not in line
    assert from_json(line.encode(), "here") == {"value": value}


def test_a_lone_surrogate_is_escaped() -> None:
    assert to_json({"a": "\ud800"}) == '{"a":"\\ud800"}'


def test_from_json_names_its_place() -> None:
    with pytest.raises(InputError, match=r"^run/labels\.jsonl:7: broken JSON"):
        from_json("{", "run/labels.jsonl:7")


def test_file_hash_follows_the_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    assert file_hash(one) == file_hash(two)
    two.write_bytes(b"other")
    assert file_hash(one) != file_hash(two)
    assert len(file_hash("hf://some/name:test")) == 32


def test_write_atomic_replaces_and_makes_folders(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b.txt"
    write_atomic(file, "old")
    write_atomic(file, b"new")
    assert file.read_text() == "new"
    assert [found.name for found in file.parent.iterdir()] == ["b.txt"]


def test_write_rows_gzips_the_same_bytes_each_time(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl.gz"
    write_rows(file, ROWS)
    first = file.read_bytes()
    write_rows(file, ROWS)
    assert file.read_bytes() == first
    assert rows(file) == ROWS


@contextmanager
def a_disk_of(size: int) -> Iterator[None]:
    """No file of this process may grow past `size` bytes: a full disk without filling one."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("old")
    with a_disk_of(1000), pytest.raises(RunError, match=r"cannot write .*rows\.jsonl: File too large"):
        write_atomic(file, "x" * 2000)
    assert file.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*: Not a directory|cannot write .*: File exists"):
        write_atomic(tmp_path / "file" / "rows.jsonl", "x")


def test_a_saved_data_set_a_glob_and_zstd(tmp_path: Path) -> None:
    import datasets
    import pyarrow

    table = datasets.Dataset.from_list([{"a": 1}, {"a": 2}])
    table.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict(train=table, test=table).save_to_disk(tmp_path / "splits")
    assert rows(tmp_path / "saved") == [{"a": 1}, {"a": 2}]
    assert [row for _, row in read_rows(f"hf://{tmp_path}/splits:test")] == [{"a": 1}, {"a": 2}]
    with pytest.raises(InputError, match=r"several splits; name one, .*/NAME \(test, train\)"):
        rows(tmp_path / "splits")
    with pyarrow.output_stream(tmp_path / "one.jsonl.zst", compression="zstd") as stream:
        stream.write(b'{"a": 3}\n')
    (tmp_path / "two.jsonl").write_text('{"a": 4}\n')
    assert [row for _, row in read_rows(f"{tmp_path}/*.jsonl*")] == [{"a": 3}, {"a": 4}]
    with pytest.raises(InputError, match="no file fits this pattern"):
        list(read_rows(f"{tmp_path}/*.csv"))


def test_nan_and_infinity_are_written_as_null() -> None:
    assert to_json({"a": [float("nan"), 1.5], "b": {"c": float("inf")}}) == '{"a":[null,1.5],"b":{"c":null}}'


# ---------------------------------------------------------------------------------------------------------------------
# A directory as a whole


def test_a_staged_directory_stands_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with staged_directory(out) as folder:
        (folder / "a").write_text("new")
        assert not out.exists()
    assert (out / "a").read_text() == "new"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_staged_directory_replaces_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    with staged_directory(out) as folder:
        (folder / "a").write_text("new")
    assert [path.name for path in out.iterdir()] == ["a"]


def test_a_staged_directory_fills_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    (out / "a").write_text("old")
    with staged_directory(out, fill=True, last=("a",)) as folder:
        (folder / "a").write_text("new")
        (folder / "b").write_text("new")
    assert {path.name: path.read_text() for path in out.iterdir()} == {"old": "old", "a": "new", "b": "new"}


def test_a_staged_directory_vanishes_with_its_error(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), staged_directory(out) as folder:  # noqa: PT012
        (folder / "a").write_text("new")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["old"]


def test_a_staged_directory_needs_a_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), staged_directory(tmp_path / "file" / "out"):
        pass


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".out.abc.part").mkdir()
    with staged_directory(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
