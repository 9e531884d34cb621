"""Progress of a check of loaders on a stream that is no terminal."""

import io

from judge.jobs.check_progress import check_progress


def test_each_loader_is_a_line() -> None:
    stream = io.StringIO()
    with check_progress(stream) as watch:
        assert watch is not None
        watch("rmjudge", 0, 2)
        watch("peft", 1, 2)
        watch("", 2, 2)
    assert stream.getvalue() == "1/2 rmjudge (0s)\n2/2 peft (0s)\n"


def test_nothing_is_drawn_where_it_is_switched_off() -> None:
    stream = io.StringIO()
    with check_progress(stream, shown=False) as watch:
        assert watch is None
    assert stream.getvalue() == ""
