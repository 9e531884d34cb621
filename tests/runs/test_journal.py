import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from judge.errors import RunError
from judge.records import content_id
from judge.runs.journal import Journal


def row(number: int, **more: object) -> dict[str, object]:
    return {"id": content_id(number), "judgement": {"task": "outcome", "verdict": "right"}, **more}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_go_to_labels_or_failures_and_are_found_again(tmp_path):
    with Journal(tmp_path / "run") as journal:
        journal.write(row(1), readable=True)
        journal.write(row(2), readable=False)
    assert [entry["id"] for entry in lines(tmp_path / "run" / "labels.jsonl")] == [content_id(1)]
    assert [entry["id"] for entry in lines(tmp_path / "run" / "failures.jsonl")] == [content_id(2)]
    found = []
    with Journal(tmp_path / "run", seen=lambda entry, good: found.append((entry["id"], good))) as journal:
        assert content_id(1) in journal.done and content_id(2) in journal.done and content_id(3) not in journal.done
    assert found == [(content_id(1), True), (content_id(2), False)]


def test_a_row_is_there_before_the_journal_is_closed(tmp_path):
    journal = Journal(tmp_path)
    journal.write(row(1), readable=True)
    assert len(lines(tmp_path / "labels.jsonl")) == 1
    journal.close()
    journal.close()


@pytest.mark.parametrize("torn", ['{"id": "00', '{"id": "000", "judgement": {}}', "\x00\x00\x00\n", "{}\n"])
def test_a_torn_last_line_is_cut_off(tmp_path, torn):
    with Journal(tmp_path) as journal:
        journal.write(row(1), readable=True)
    with (tmp_path / "labels.jsonl").open("a") as file:
        file.write(torn)
    with Journal(tmp_path) as journal:
        assert len(journal.done) == 1
        journal.write(row(2), readable=True)
    assert [entry["id"] for entry in lines(tmp_path / "labels.jsonl")] == [content_id(1), content_id(2)]


def test_a_broken_line_in_the_middle_is_named_and_nothing_is_cut(tmp_path):
    with Journal(tmp_path) as journal:
        journal.write(row(1), readable=True)
    with (tmp_path / "labels.jsonl").open("a") as file:
        file.write('{"id": \n' + json.dumps(row(3)) + "\n")
    before = (tmp_path / "labels.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"labels\.jsonl:2: not a row"):
        Journal(tmp_path)
    assert (tmp_path / "labels.jsonl").read_bytes() == before


def test_failures_are_forgotten_only_on_demand(tmp_path):
    with Journal(tmp_path) as journal:
        journal.write(row(1), readable=False)
    with Journal(tmp_path) as journal:
        assert len(journal.done) == 1
    with Journal(tmp_path, retry_failures=True) as journal:
        assert len(journal.done) == 0
    assert (tmp_path / "failures.jsonl").read_bytes() == b""


WRITER = """
import os, sys, time
from pathlib import Path
from judge.errors import RunError
from judge.runs.journal import Journal
try:
    journal = Journal(Path(sys.argv[1]))
except RunError as error:
    print(error)
else:
    if len(sys.argv) > 2:
        worker = os.fork()
        if not worker:
            time.sleep(60)
            os._exit(0)
        print(worker, flush=True)
    print("opened", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_as_long_as_the_first_lives(tmp_path):
    words = [sys.executable, "-c", WRITER, str(tmp_path)]

    def second() -> str:
        return subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout

    with subprocess.Popen([*words, "fork"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        worker = int(first.stdout.readline())
        assert first.stdout.readline() == "opened\n"
        assert "another process is writing to this run" in second()
        first.kill()
        first.wait()
        # A model's worker that was forked from the first outlives it, and must not keep the run locked.
        assert second() == "opened\n"
        os.kill(worker, signal.SIGKILL)


def test_text_that_utf8_cannot_hold_is_escaped(tmp_path):
    with Journal(tmp_path) as journal:
        journal.write(row(1, text="half a pair: \ud83d, whole: é 😀"), readable=True)
    assert lines(tmp_path / "labels.jsonl")[0]["text"] == "half a pair: \ud83d, whole: é 😀"


@pytest.mark.parametrize("name", ["file/run", "/proc/rmjudge/run"])
def test_an_unwritable_directory_is_one_line(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        Journal(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


FULL = """
import resource, sys
from pathlib import Path
from judge.errors import RunError
from judge.runs.journal import Journal
from judge.records import content_id
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
journal = Journal(Path(sys.argv[1]))
try:
    for number in range(100):
        journal.write({"id": content_id(number), "judgement": {"text": "x" * 100}}, readable=True)
except RunError as error:
    print(error)
"""


def test_a_full_disk_leaves_whole_rows_and_one_line(tmp_path):
    # A limit on the file's size stands for a full disk: a write comes back short, and the next one fails.
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "labels.jsonl: cannot be written: File too large; every row before is kept" in done.stdout
    # A row is 2 + 40 + 24 + 100 + ... bytes; however many fit, the file ends with a whole one.
    content = (tmp_path / "labels.jsonl").read_bytes()
    assert 0 < len(content) <= 1000 and content.endswith(b"\n")
    with Journal(tmp_path) as journal:
        assert len(journal.done) == content.count(b"\n")
