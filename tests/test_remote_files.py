"""Data elsewhere: fsspec's memory, and a web server that gives pieces of files, gives none, or breaks off."""

import gzip
import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.errors import ConfigError, InputError, MissingExtraError, RunError, UnknownNameError
from judge.files import file_hash, read_rows, write_rows
from judge.jobs.training.label_source import label_source
from judge.locations import remote_files
from judge.locations.remote_files import is_remote, local_path
from judge.run_files import skipped_row
from judge.runs.data import open_data
from tests.conftest import Cli
from tests.runs.test_overwritten import Meddler

SECRET = "plugh4711xyzzy"
ROWS = [{"prompt": f"{n} + 1?", "chosen": f"{n + 1}", "rejected": f"{n}"} for n in range(3)]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@pytest.fixture
def memory() -> Iterator[Any]:
    """A store that keeps no checksums."""
    from fsspec.implementations.memory import MemoryFileSystem

    system = MemoryFileSystem()
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def parquet(count: int, rows_a_group: int) -> bytes:
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    table = pyarrow.Table.from_pylist(
        [{"prompt": f"{n}?", "chosen": "a" * 1000, "rejected": "b"} for n in range(count)]
    )
    pyarrow.parquet.write_table(table, file, row_group_size=rows_a_group, compression="none", use_dictionary=False)
    return file.getvalue()


class Web(ThreadingHTTPServer):
    """files: path -> bytes. pieces: whether a range of bytes can be asked for. faults: answers to the next requests
    for bytes, a status or "cut" for a connection that ends too early. down: how many of the next requests, for bytes
    or not, are answered 503. ranges: what it says of them. sent: how many bytes went out. asked: requests so far."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.pieces = True
        self.faults: list[int | str] = []
        self.down = 0
        self.ranges = ""
        self.sent = self.asked = 0
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked += 1
        if self.server.down:
            self.server.down -= 1
            self.send_error(503)
            return
        fault = self.server.faults.pop(0) if body and self.server.faults else None
        if path == "/private.jsonl" or isinstance(fault, int):
            self.send_error(fault if isinstance(fault, int) else 403)
            return
        if path not in self.server.files:
            self.send_error(404)
            return
        data, status = self.server.files[path], 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.server.pieces:
            data, status = data[int(asked[1]) : int(asked[2] or len(data)) + 1], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if path.endswith(".gz"):
            self.send_header("Content-Encoding", "gzip")  # as many servers do
        if self.server.ranges:
            self.send_header("Accept-Ranges", self.server.ranges)
        if etag := self.server.etags.get(path):
            self.send_header("ETag", etag)
        self.end_headers()
        if body:
            data = data[: len(data) // 2] if fault == "cut" else data
            self.server.sent += len(data)
            with suppress(ConnectionError):  # who reads a stream may have had enough
                self.wfile.write(data)
            self.close_connection = fault == "cut"

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(remote_files, "WAITS", (0.01, 0.01))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_elsewhere() -> None:
    assert is_remote("s3://bucket/a.jsonl") and is_remote("https://host/a.jsonl?x=1") and is_remote("memory://a")
    assert not any(map(is_remote, ("a.jsonl", "hf://some/set", "file:///a", "C:/a", "name=s3://b", Path("s3://b"))))
    assert local_path("file:///tmp/a%20b.jsonl") == "/tmp/a b.jsonl"
    with pytest.raises(InputError, match="names the machine 'host'"):
        local_path("file://host/a")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", TEXT),
        ("a.jsonl.gz", gzip.compress(TEXT, mtime=0)),
        ("a.json", json.dumps(ROWS).encode()),
        ("a.csv", b"prompt,chosen,rejected\n0 + 1?,1,0\n1 + 1?,2,1\n2 + 1?,3,2\n"),
    ],
    ids=["jsonl", "gz", "json", "csv"],
)
def test_every_kind_of_file_is_read_from_a_store_and_from_the_web(
    memory: Any, web: Web, name: str, data: bytes
) -> None:
    memory.pipe(f"/data/{name}", data)
    web.files[f"/{name}"] = data
    for url in (f"memory://data/{name}", f"{web.url}/{name}"):
        rows = list(read_rows(url))
        assert [row for _, row in rows] == ROWS
        assert all(place.startswith(f"{url}:") for place, _ in rows)


def test_zstd_is_read_from_a_store(memory: Any) -> None:
    import pyarrow

    memory.pipe("/a.jsonl.zst", pyarrow.Codec("zstd").compress(TEXT, asbytes=True))
    assert [row for _, row in read_rows("memory://a.jsonl.zst")] == ROWS
    memory.pipe("/a.jsonl.zst", b"no such thing")
    with pytest.raises(InputError, match="broken zstd file"):
        list(read_rows("memory://a.jsonl.zst"))


def test_a_pattern_names_files_in_their_order(memory: Any) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.csv", "directory.jsonl/d.jsonl"):
        memory.pipe(f"/data/{name}", TEXT)
    sources = open_data("memory://data/*.jsonl")
    assert [source.name for source in sources] == ["memory://data/a.jsonl", "memory://data/b.jsonl"]
    assert [len(list(source.records())) for source in sources] == [3, 3]
    assert len(list(read_rows("memory://data/*.jsonl"))) == 6
    with pytest.raises(InputError, match="no file fits this pattern"):
        open_data("memory://data/*.parquet")


def test_a_pattern_keeps_host_and_login() -> None:
    for url, pattern, match, file in (
        ("ftp://me:pw@host/d/*.csv", "/d/*.csv", "/d/a.csv", "ftp://me:pw@host/d/a.csv"),
        ("abfs://box@account.net/d/*.csv", "box/d/*.csv", "box/d/a.csv", "abfs://box@account.net/d/a.csv"),
        ("s3://bucket/*.csv", "bucket/*.csv", "bucket/a.csv", "s3://bucket/a.csv"),
        ("https://host/*.csv", "https://host/*.csv", "https://host/a.csv", "https://host/a.csv"),
        ("zip://*.csv::s3://bucket/a.zip", "*.csv", "a.csv", ""),
    ):
        assert remote_files.url_of(match, url, pattern) == file


def test_of_a_large_file_only_the_pieces_that_are_needed_are_read(web: Web) -> None:
    """Twenty row groups of about a megabyte: for the first row go its group and the piece that it lies in."""
    web.files["/a.parquet"] = parquet(20_000, 1_000)
    rows = read_rows(f"{web.url}/a.parquet")
    assert next(rows)[1]["prompt"] == "0?"
    assert len(web.files["/a.parquet"]) > 20_000_000
    assert web.sent < 12_000_000
    assert sum(1 for _ in rows) == 19_999


def test_a_server_that_gives_no_pieces_is_read_as_one_stream(web: Web) -> None:
    web.pieces = False
    long = {"prompt": "x" * 1000, "chosen": "a", "rejected": "b"}
    web.files["/a.jsonl"] = (json.dumps(long) + "\n").encode() * 8000  # more than a piece of five megabytes
    assert sum(1 for _ in read_rows(f"{web.url}/a.jsonl")) == 8000
    web.files["/a.parquet"] = parquet(10_000, 1000)
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read: its server gives no ranges"):
        list(read_rows(f"{web.url}/a.parquet"))


def test_a_piece_that_does_not_come_is_asked_for_again(web: Web) -> None:
    web.files["/a.jsonl"] = TEXT
    web.faults = [500, "cut"]
    assert [row for _, row in read_rows(f"{web.url}/a.jsonl")] == ROWS
    web.faults = [500] * 3
    with pytest.raises(InputError, match=r"a\.jsonl: cannot be read: the server answers 500"):
        list(read_rows(f"{web.url}/a.jsonl"))


def test_a_store_that_does_not_answer_is_asked_again(web: Web) -> None:
    """Each question is a HEAD and a GET, and is asked three times."""
    web.files["/a.jsonl"], web.etags["/a.jsonl"] = TEXT, '"abc"'
    web.files["/data/"] = b'<a href="a.jsonl">a</a>'
    (source,) = open_data(f"{web.url}/a.jsonl")
    state = source.state()
    web.down = 4
    assert source.state() == state
    web.down = 2
    assert [file.url for file in remote_files.remote_files(f"{web.url}/data/*.jsonl")] == [f"{web.url}/data/a.jsonl"]
    web.down = 6
    with pytest.raises(InputError, match=r"a\.jsonl: cannot be read: the server answers 503"):
        source.state()
    assert web.down == 0
    asked = web.asked
    with pytest.raises(InputError, match="no such file"):
        open_data(f"{web.url}/nothing.jsonl")[0].state()
    assert web.asked == asked + 2


def test_what_hashing_meets_is_one_line_without_secrets(web: Web) -> None:
    web.files["/a.jsonl"] = TEXT
    url = f"{web.url}/a.jsonl?sig={SECRET}"
    for hashed in (lambda: open_data(url)[0].entry(), lambda: file_hash(url)):
        web.faults = [500] * 3
        with pytest.raises(InputError, match="the server answers 500") as caught:
            hashed()
        assert SECRET not in str(caught.value) and caught.value.__cause__ is None
    shown = str(InputError("ftp://me:p@ss?w#rd@host/a and sftp://me@host:22/b"))
    assert shown == "ftp://***@host/a and sftp://me@host:22/b"


def test_a_file_that_is_replaced_while_it_is_read_is_refused(memory: Any, web: Web) -> None:
    """Of the web twice: a piece of the new version is never put behind one of the old, nor is the end passed over."""
    text = TEXT * 100_000
    memory.pipe("/a.jsonl", text)
    web.files["/a.jsonl"] = text
    for url in ("memory://a.jsonl", f"{web.url}/a.jsonl", f"{web.url}/a.jsonl"):
        web.etags["/a.jsonl"] = '"abc"'
        (file,) = remote_files.remote_files(url)
        with file.open() as stream:
            assert stream.read(1000) == text[:1000]
            memory.pipe("/a.jsonl", text)
            web.etags["/a.jsonl"] = '"abd"'
            with pytest.raises(InputError, match=r"a\.jsonl: was overwritten while it was read"):
                stream.read()
        web.faults = ["cut"]  # the third time the connection breaks, too
    with file.open() as stream:
        web.faults = []
        assert stream.read() == text


def test_a_server_that_says_that_it_gives_no_pieces_may_break_off(web: Web) -> None:
    web.files["/a.jsonl"] = TEXT * 50_000
    web.ranges, web.pieces, web.faults = "none", False, ["cut"]
    assert file_hash(f"{web.url}/a.jsonl") == blake2b(TEXT * 50_000, digest_size=16).hexdigest()
    web.ranges = ""
    (file,) = remote_files.remote_files(f"{web.url}/a.jsonl")
    with file.open() as stream:
        begin = stream.read(1000)
        web.faults = [500, 500]  # so that the last of three tries is the one that is told of it
        assert begin + stream.read() == TEXT * 50_000


def test_a_source_is_known_by_its_store_s_checksum_else_by_its_bytes(memory: Any, web: Web, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(TEXT)
    memory.pipe("/a.jsonl", TEXT)
    web.files["/a.jsonl"] = TEXT
    (here,), (stored,), (served,) = map(open_data, (file, "memory://a.jsonl", f"{web.url}/a.jsonl"))
    assert here.entry() == stored.entry() == served.entry() == {"bytes": len(TEXT), "hash": file_hash(file)}
    memory.pipe("/a.jsonl", TEXT + TEXT)
    assert stored.begins_with(here.entry())
    web.etags["/a.jsonl"], sent = '"abc"', web.sent
    assert served.entry() == {"bytes": len(TEXT), "etag": '"abc"'}
    assert web.sent == sent  # nothing was read for it
    assert served.begins_with(here.entry())  # a run that was begun with the file at hand goes on with the copy
    assert not here.begins_with(served.entry())


def test_what_is_overwritten_is_another_one(memory: Any, web: Web) -> None:
    memory.pipe("/a.jsonl", TEXT)
    web.files["/a.jsonl"], web.etags["/a.jsonl"] = TEXT, '"abc"'
    sources = [open_data(url)[0] for url in ("memory://a.jsonl", f"{web.url}/a.jsonl")]
    before = [source.state() for source in sources]
    assert [source.state() for source in sources] == before
    memory.pipe("/a.jsonl", TEXT)
    web.etags["/a.jsonl"] = '"abd"'
    for source, state in zip(sources, before, strict=True):
        assert source.state() != state
        assert source.state().keys() == state.keys()


def test_a_run_over_data_elsewhere_goes_on_and_is_refused_when_it_changed(
    memory: Any, web: Web, tmp_path: Path
) -> None:
    (tmp_path / "rules.jsonl").write_text('{"match": "", "text": "[[A]]"}\n')
    out = tmp_path / "run"

    def label(data: str, limit: int | None = None) -> judge.Run:
        judges = f"scripted:{tmp_path / 'rules.jsonl'}"
        return judge.label(data, task="preference", judges=judges, out=out, limit=limit, hard=True, progress=False)

    web.files["/a.jsonl"], web.etags["/a.jsonl"] = TEXT, '"abc"'
    url = f"{web.url.replace('//', f'//me:{SECRET}@')}/a.jsonl?sig={SECRET}"
    assert label(url, limit=2).counts.rows == 2
    assert label(url).counts.rows == 3
    assert label(url).counts.resumed == 3
    texts = [path.read_text() for path in out.iterdir()]
    assert not any(SECRET in text for text in texts) and any("***" in text for text in texts)
    web.etags["/a.jsonl"] = '"abd"'
    with pytest.raises(judge.RunChangedError, match=r'data\[0\]\.etag: "abc" → "abd"'):
        label(url)


def test_a_replaced_file_is_noticed_by_a_run_whose_store_falters(web: Web, tmp_path: Path) -> None:
    """At the last of 200 requests the store fails for good, at the second run's it is replaced and fails once."""
    (tmp_path / "rules.jsonl").write_text('{"match": "", "text": "[[A]]"}\n')
    rows = [{"prompt": f"{n}?", "chosen": "a", "rejected": "b"} for n in range(300)]
    web.files["/a.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    web.etags["/a.jsonl"] = '"abc"'
    asking: dict[str, Any] = {"task": "preference", "hard": True, "one_order": True, "limit": 200, "progress": False}

    def label(name: str, etag: str, down: int) -> judge.Run:
        def happens() -> None:
            web.etags["/a.jsonl"], web.down = etag, down

        engine = Meddler(judge.load_engine(f"scripted:{tmp_path / 'rules.jsonl'}"), happens)
        return judge.label(f"{web.url}/a.jsonl", judges=engine, out=tmp_path / name, **asking)

    def finished(name: str) -> str | None:
        return json.loads((tmp_path / name / "manifest.json").read_text())["finished"]

    message = "not finished, whether data was overwritten meanwhile cannot be asked: .* the server answers 503"
    with pytest.raises(RunError, match=message):
        label("first", '"abc"', 1000)
    assert finished("first") is None
    web.down = 0
    assert label("first", '"abc"', 0).counts.resumed == 200 and finished("first")
    with pytest.raises(judge.RunChangedError, match="was overwritten while it was judged"):
        label("second", '"abd"', 2)
    assert finished("second") is None


def test_runs_and_people_s_labels_are_read_from_elsewhere(memory: Any, tmp_path: Path) -> None:
    """Both judgements say that the first is better, people say so of one: half of them agree."""
    (tmp_path / "rules.jsonl").write_text('{"match": "", "text": "[[A]]"}\n')
    judges = f"scripted:{tmp_path / 'rules.jsonl'}"
    data = [{**row, "id": str(n)} for n, row in enumerate(ROWS[:2])]
    asking: dict[str, Any] = {"task": "preference", "judges": judges, "hard": True, "one_order": True}
    run = judge.label(data, out=tmp_path / "run", progress=False, **asking)
    memory.pipe("/labels.jsonl", (run.directory / "labels.jsonl").read_bytes())
    labels = [{"human": [{"annotator": "p", "verdict": verdict}]} for verdict in ("first", "second")]
    texts = ({name: value for name, value in row.items() if name != "judgement"} for row in run.rows())
    write_rows(tmp_path / "people.jsonl", (row | people for row, people in zip(texts, labels, strict=True)))
    memory.pipe("/people.jsonl", (tmp_path / "people.jsonl").read_bytes())
    (judged,) = open_data("memory://labels.jsonl")
    learned = label_source([judged], None, None)
    assert learned.labels == "judge" and len(list(learned.labelled)) == 2
    assert learned.parents == [{"kind": "run", "path": "memory://labels.jsonl", **judged.entry()}]
    assert label_source(open_data("memory://people.jsonl"), None, None).labels == "human"
    skipped = json.dumps(skipped_row("a.jsonl:1", "broken JSON", 0)) + "\n"
    memory.pipe("/failures.jsonl", skipped.encode() + (run.directory / "labels.jsonl").read_bytes())
    assert label_source(open_data("memory://failures.jsonl"), None, None).labels == "judge"
    failures = judge.agree("memory://failures.jsonl", human="memory://people.jsonl", resamples=0)
    assert failures.figures["accuracy"].value == 0.5
    here = judge.agree(run.directory / "labels.jsonl", human=tmp_path / "people.jsonl", resamples=0)
    elsewhere = judge.agree("memory://labels.jsonl", human="memory://people.jsonl", resamples=0)
    assert elsewhere.figures["accuracy"].value == here.figures["accuracy"].value == 0.5


def test_what_cannot_be_read_is_one_line(memory: Any, web: Web, tmp_path: Path) -> None:
    memory.pipe("/a.jsonl", TEXT + b'{"prompt": \n')
    memory.pipe("/a.txt", TEXT)
    memory.pipe("/data/a.jsonl", TEXT)
    memory.pipe("/a.parquet", b"no such thing")
    web.files["/a.jsonl.gz"] = b"no such thing"
    wrong = {
        "memory://nothing.jsonl": "memory://nothing.jsonl: no such file",
        f"{web.url}/nothing.jsonl": "nothing.jsonl: no such file",
        f"{web.url}/private.jsonl": "private.jsonl: cannot be read: the server answers 403 Forbidden",
        "http://127.0.0.1:9/a.jsonl": "cannot be read: Cannot connect to host 127.0.0.1:9",
        f"{web.url}/a.jsonl.gz": "broken gzip file",
        "memory://a.jsonl": "memory://a.jsonl:4: broken JSON",
        "memory://data": "memory://data: a directory; name one file, or memory://data/*.jsonl",
        "memory://a.txt": "unknown kind of file '.txt'",
        "memory://a.parquet": "broken Parquet",
    }
    for url, words in wrong.items():
        with pytest.raises(InputError, match=re.escape(words)) as caught:
            list(read_rows(url))
        assert "\n" not in str(caught.value)
    with pytest.raises(UnknownNameError, match="unknown scheme of a URL 'htps'; did you mean 'https'"):
        open_data("htps://host/a.jsonl")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    for url, package in {"dropbox://a.jsonl": "dropboxdrivefs", "oci://bucket@space/a.jsonl": "ocifs"}.items():
        with pytest.raises(MissingExtraError, match=f"pip install {package}"):
            open_data(url)


def test_nothing_is_written_elsewhere(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(TEXT)
    (tmp_path / "rules.jsonl").write_text('{"match": "", "text": "[[A]]"}\n')
    label = ("label", "a.jsonl", "--task=preference", "--judge=scripted:rules.jsonl", "--quiet")
    refused = cli(*label, "--out=s3://bucket/run")
    assert (refused.rc, refused.stdout) == (2, "")
    assert refused.stderr == (
        "rmjudge: the run s3://bucket/run: is written on this machine alone (accepted: a path; copy it afterwards)\n"
    )
    with pytest.raises(ConfigError, match=r"file memory://a\.jsonl: is written on this machine alone"):
        write_rows("memory://a.jsonl", [])


def test_no_directory_of_a_url_s_name_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out, learning = "s3://bucket/a", {"kind": "outcome", "backbone": "tiny"}
    for refused in (
        lambda: judge.iterate(ROWS, policy="tiny", labels="truth", out=out, progress=False),
        lambda: judge.distill(ROWS, out=out, progress=False, **learning),
        lambda: judge.sweep(ROWS, sweep={"epochs": [1, 2]}, out=out, progress=False, **learning),
    ):
        with pytest.raises(ConfigError, match="directory s3://bucket/a: is written on this machine alone"):
            refused()
    assert not list(tmp_path.iterdir())


def test_a_file_url_is_a_path(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(TEXT)
    assert open_data(f"file://{tmp_path}/a.jsonl") == open_data(str(tmp_path / "a.jsonl"))
    shown = cli("data", "show", f"file://{tmp_path}/a.jsonl", "--json")
    assert (shown.rc, json.loads(shown.stdout)["rows"]) == (0, 3)
