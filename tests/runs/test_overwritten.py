"""Data that is overwritten while it is judged: noticed when the run ends, and by every attempt after it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.errors import InputError, RunChangedError


def rows(word: str, count: int) -> str:
    row = {"prompt": "", "chosen": "a", "rejected": "b"}
    return "".join(json.dumps({**row, "prompt": f"{word} {n} {'x' * 200}"}) + "\n" for n in range(count))


class Meddler:
    """A judge during whose 200th request something happens to the data."""

    def __init__(self, engine: Any, happens: Callable[[], None]) -> None:
        self._engine, self._happens, self._asked = engine, happens, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def submit(self, *request: Any) -> Any:
        self._asked += 1
        if self._asked == 200:
            self._happens()
        return self._engine.submit(*request)


@pytest.fixture
def label(tmp_path: Path) -> Callable[..., judge.Run]:
    (tmp_path / "rules.jsonl").write_text('{"match": "", "text": "[[A]]"}\n')
    (tmp_path / "data.jsonl").write_text(rows("old", 2000))

    def run(happens: Callable[[], None]) -> judge.Run:
        engine = Meddler(judge.load_engine(f"scripted:{tmp_path / 'rules.jsonl'}"), happens)
        out = tmp_path / "run"
        return judge.label(
            str(tmp_path / "data.jsonl"), task="preference", judges=engine, out=out, progress=False, window=16
        )

    return run


def overwrite(path: Path, text: str) -> Callable[[], None]:
    def write() -> None:
        with path.open("r+") as file:
            file.write(text)
            file.truncate()

    return write


def nothing() -> None:
    pass


def test_a_run_of_two_versions_is_refused_now_and_at_every_next_attempt(tmp_path: Path, label: Any) -> None:
    data = tmp_path / "data.jsonl"
    message = "data.jsonl was overwritten while it was judged, so the rows come from two versions of it"
    with pytest.raises(RunChangedError, match=message):
        label(overwrite(data, rows("new", 2000)))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["finished"] is None
    for text in (rows("new", 2000), rows("old", 2000)):  # what was overwritten may be put back
        data.write_text(text)
        with pytest.raises(RunChangedError, match=message):
            label(nothing)


def test_data_cut_short_in_the_middle_of_a_row_is_noticed_at_the_next_attempt_too(tmp_path: Path, label: Any) -> None:
    data = tmp_path / "data.jsonl"
    with pytest.raises(InputError, match="broken JSON"):
        label(overwrite(data, rows("new", 60)[:-9]))
    data.write_text(rows("old", 2000))
    with pytest.raises(RunChangedError, match="two versions"):
        label(nothing)


def test_rows_added_at_the_end_are_welcome(tmp_path: Path, label: Any) -> None:
    data = tmp_path / "data.jsonl"
    assert label(overwrite(data, rows("old", 2000) + rows("new", 5))).manifest["finished"]
    assert label(nothing).counts.rows == 2005


def test_data_replaced_by_another_file_leaves_the_run_as_it_was(tmp_path: Path, label: Any) -> None:
    """The run goes on reading the file that it opened; another attempt finds another file."""
    data = tmp_path / "data.jsonl"

    def replace() -> None:
        (tmp_path / "other.jsonl").write_text(rows("new", 2000))
        (tmp_path / "other.jsonl").replace(data)

    run = label(replace)
    assert run.counts.rows == 2000
    assert '"new ' not in (tmp_path / "run" / "labels.jsonl").read_text()
    with pytest.raises(RunChangedError, match=r"data\[0\]\.hash"):
        label(nothing)
