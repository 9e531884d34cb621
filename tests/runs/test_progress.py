import io
import sys
from types import ModuleType, SimpleNamespace

from judge.runs.counts import Counts
from judge.runs.progress import pace, progress_bar, span


def test_the_pace_is_that_of_this_go():
    # 300 rows stand, 100 of them from before; 200 rows and 4,000 + 1,000 tokens in 50 seconds; 690 - 300 - 10 are left.
    before = Counts(labelled=100, prompt_tokens=1_000, output_tokens=0)
    now = Counts(
        labelled=290, unreadable=10, duplicates=10, prompt_tokens=5_000, cached_tokens=2_000, output_tokens=1_000
    )
    assert pace(now, before, 690, 50.0) == "4.0 rows/s, 100 tokens/s, 40% cached, 10 unreadable, 1m35s left"


def test_no_time_is_foretold_without_a_total_or_a_row():
    assert "left" not in pace(Counts(labelled=5), Counts(), None, 1.0)
    assert pace(Counts(labelled=5, costs={"a": 1.5, "b": 0.25}), Counts(), None, 1.0).endswith("0 unreadable, $1.75")
    assert "left" not in pace(Counts(), Counts(), 10, 1.0)


def test_spans_of_time():
    assert [span(s) for s in (0, 59.4, 60, 250, 3600 * 2 + 300, 86400 * 3 + 4 * 3600)] == [
        "0s",
        "59s",
        "1m00s",
        "4m10s",
        "2h05m",
        "3d04h",
    ]


def test_quiet_draws_nothing_and_a_file_gets_no_line_at_once():
    for shown in (True, False):
        stream = io.StringIO()
        with progress_bar(10, stream, shown=shown) as watch:
            watch(Counts(labelled=1))
        assert stream.getvalue() == ""


def test_a_stream_that_is_no_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setattr("judge.runs.progress._LINE_SECONDS", 0.0)
    stream = io.StringIO()
    with progress_bar(10, stream) as watch:
        watch(Counts(labelled=1))
        watch(Counts(labelled=4, unreadable=1))
    assert stream.getvalue().startswith("5/10 rows: ")
    assert stream.getvalue().count("\n") == 1


def test_a_notebook_gets_one_output_that_changes(monkeypatch):
    """Modules in the place of IPython, which is no requirement: what they are asked to show is kept."""
    shown = []

    class Output:
        def update(self, data, *, raw):
            shown.append(data)

    def display(data, *, raw, display_id):
        shown.append(data)
        return Output()

    shell = SimpleNamespace(kernel=object())
    for name, module in {
        "ipykernel": ModuleType("ipykernel"),
        "IPython": SimpleNamespace(get_ipython=lambda: shell),
        "IPython.display": SimpleNamespace(display=display),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("judge.runs.progress._CELL_SECONDS", 0.0)
    with progress_bar(10) as watch:
        watch(Counts(labelled=1))
        watch(Counts(labelled=4, unreadable=1))
    assert [data["text/plain"].split(":")[0] for data in shown] == ["0 rows", "5 of 10 rows"]
    assert '<progress max="10" value="5">' in shown[-1]["text/html"]
    del shell.kernel  # IPython on a terminal
    with progress_bar(10) as watch:
        watch(Counts(labelled=1))
    assert len(shown) == 2
