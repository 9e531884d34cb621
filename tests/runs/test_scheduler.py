"""The loop, played against engines and programs small enough to follow by hand."""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from judge.engines.base import Completion, Request
from judge.errors import ConfigError, EngineError
from judge.id_set import IdSet
from judge.judgements import Outcome
from judge.records import Message, Response
from judge.runs.counts import Counts
from judge.runs.kept_replies import KeptReplies
from judge.runs.scheduler import run


def response(number: int) -> Response:
    return Response(prompt=(Message("user", "How many?"),), response=(Message("assistant", str(number)),))


class Echo:
    """Answers each request with its own last message, some at a time, in an order drawn from a seed."""

    def __init__(self, seed: int = 0, at_once: int = 3) -> None:
        self.most = 0
        self.answered = 0
        self._open: list[tuple[int, Request]] = []
        self._draw = random.Random(seed)
        self._at_once = at_once

    def submit(self, ticket: int, request: Request) -> None:
        self._open.append((ticket, request))
        self.most = max(self.most, len(self._open))

    def step(self) -> list[tuple[int, Completion]]:
        self._draw.shuffle(self._open)
        done, self._open = self._open[: self._at_once], self._open[self._at_once :]
        self.answered += len(done)
        return [
            (ticket, Completion(text=request.messages[-1].content, prompt_tokens=10, cached_tokens=4, output_tokens=1))
            for ticket, request in done
        ]

    def count_tokens(self, request: Request) -> int:
        return 10

    def describe(self) -> dict[str, Any]:
        return {"engine": "echo"}

    def close(self) -> None:
        pass


class Rows:
    def __init__(self, done: tuple[str, ...] = ()) -> None:
        self.rows: list[tuple[Mapping[str, Any], bool]] = []
        self.done = IdSet()
        for content_id in done:
            self.done.add(content_id)

    def write(self, row: Mapping[str, Any], *, readable: bool) -> None:
        self.rows.append((row, readable))

    def sync(self) -> None:
        pass


def ask(text: str, judge: int = 0) -> Request:
    return Request(messages=(Message("user", text),), judge=judge)


def twice(record: Response) -> Iterator[Any]:
    """Two requests at once, then one that stands on both; odd numbers are right, multiples of ten unreadable."""
    number = record.response[0].content
    one, other = yield [ask(f"a{number}"), ask(f"b{number}")]
    assert (one.text, other.text) == (f"a{number}", f"b{number}")
    (last,) = yield [ask(one.text + other.text)]
    if number.endswith("0"):
        return Outcome(verdict=None, reason=last.text)
    return Outcome(verdict="right" if int(number) % 2 else "wrong", reason=last.text)


def to_row(record: Response, judgement: Outcome) -> dict[str, Any]:
    return {"id": record.id, "judgement": {"task": "outcome", "verdict": judgement.verdict, "reason": judgement.reason}}


def label(numbers: Any, engines: Any, rows: Rows, program: Any = twice, **more: Any) -> Counts:
    return run((response(number) for number in numbers), program, engines, rows, to_row, **more)


def test_every_record_is_judged_once_by_its_own_completions():
    rows = Rows()
    counts = label(range(1, 26), [Echo()], rows, window=4)
    assert sorted(row["judgement"]["reason"] for row, _ in rows.rows) == sorted(f"a{n}b{n}" for n in range(1, 26))
    # 25 numbers, 10 and 20 unreadable, 13 odd ones right, 10 other even ones wrong; three calls each.
    assert (counts.labelled, counts.unreadable, counts.calls) == (23, 2, 75)
    assert counts.verdicts == {"right": 13, "wrong": 10}
    assert (counts.prompt_tokens, counts.cached_tokens, counts.output_tokens) == (750, 300, 75)
    assert [good for row, good in rows.rows if row["judgement"]["verdict"] is None] == [False, False]


def test_the_order_of_answers_never_changes_a_row():
    runs = []
    for seed in range(5):
        rows = Rows()
        label(range(40), [Echo(seed, at_once=1 + seed)], rows, window=1 + 7 * seed)
        runs.append(sorted(rows.rows, key=lambda pair: pair[0]["id"]))
    assert all(rows == runs[0] for rows in runs)


def test_the_window_bounds_what_is_read_and_asked():
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield number

    engine, rows, ahead = Echo(), Rows(), []
    label(numbers(), [engine], rows, window=5, watch=lambda counts: ahead.append(read - counts.rows))
    assert engine.most <= 10
    assert max(ahead) <= 5


def test_a_repeated_record_is_judged_once_and_counted():
    rows = Rows()
    counts = label([1, 2, 1, 3, 1], [Echo()], rows)
    assert (len(rows.rows), counts.duplicates) == (3, 2)


def test_what_the_journal_holds_is_not_judged_again():
    rows = Rows(done=(response(1).id, response(3).id))
    label([1, 2, 3, 4], [Echo()], rows)
    assert {row["id"] for row, _ in rows.rows} == {response(2).id, response(4).id}


def test_limit_means_the_first_distinct_records_also_when_taken_up_again():
    rows = Rows()
    label([1, 1, 2, 3, 4], [Echo()], rows, limit=2)
    assert {row["id"] for row, _ in rows.rows} == {response(1).id, response(2).id}
    again = Rows(done=(response(1).id, response(2).id))
    label([1, 1, 2, 3, 4], [Echo()], again, limit=2)
    assert again.rows == []


def test_a_jury_is_asked_by_number():
    def jury(record: Response) -> Iterator[Any]:
        one, other = yield [ask("x", judge=0), ask("yy", judge=1)]
        return Outcome(verdict="right", reason=one.text + other.text)

    first, second, rows = Echo(1, at_once=2), Echo(2, at_once=1), Rows()
    counts = label(range(20), [first, second], rows, program=jury, window=6)
    assert [row["judgement"]["reason"] for row, _ in rows.rows] == ["xyy"] * 20
    assert counts.calls == 40


def test_a_program_may_ask_nothing():
    def silent(record: Response) -> Iterator[Any]:
        if record.response[0].content == "1":
            yield []
        return Outcome(verdict="right")

    rows = Rows()
    assert label(range(3000), [Echo()], rows, program=silent, window=10).labelled == 3000


def test_a_judge_that_is_not_there_is_refused():
    def jury(record: Response) -> Iterator[Any]:
        yield [ask("x", judge=1)]
        return Outcome(verdict="right")

    with pytest.raises(ConfigError, match="judge 1; the run has 1"):
        label([1], [Echo()], Rows(), program=jury)


def test_an_engine_that_forgets_is_an_error_not_an_endless_loop():
    class Forgets(Echo):
        def step(self) -> list[tuple[int, Completion]]:
            return []

    with pytest.raises(EngineError, match="judge 0 holds 2 requests"):
        label([1], [Forgets()], Rows())


class LowestFirst(Echo):
    """An engine with a queue: one at a time, the lowest ticket first."""

    def step(self) -> list[tuple[int, Completion]]:
        self.answered += 1
        self._open.sort(key=lambda one: one[0])
        (ticket, request), self._open = self._open[0], self._open[1:]
        return [(ticket, Completion(text=request.messages[-1].content))]


def test_what_a_record_goes_on_to_ask_waits_behind_no_later_record():
    """Three requests a record, the third after the first two: each record is done when its own three are answered."""
    engine, done = LowestFirst(), []

    class Noting(Rows):
        def write(self, row: Mapping[str, Any], *, readable: bool) -> None:
            super().write(row, readable=readable)
            done.append(engine.answered)

    label(range(20), [engine], Noting(), window=8)
    assert done == list(range(3, 61, 3))


class GivesOut(Echo):
    """Answers so many requests, then cannot be used any more."""

    def __init__(self, answers: int) -> None:
        super().__init__(at_once=1)
        self._left = answers

    def step(self) -> list[tuple[int, Completion]]:
        if not self._left:
            raise EngineError("the server is gone")
        self._left -= 1
        return super().step()


def jury(record: Response) -> Iterator[Any]:
    """Two judges at once, and a further question to the first."""
    number = record.response[0].content
    first, second = yield [ask(f"a{number}", judge=0), ask(f"b{number}", judge=1)]
    (last,) = yield [ask(f"c{number}", judge=0)]
    return Outcome(verdict="right", reason=f"{first.text} {second.text} {last.text}")


def test_a_judge_that_gives_out_costs_no_reply_of_the_others(tmp_path: Path) -> None:
    rows, first = Rows(), Echo()
    with pytest.raises(EngineError, match=r"judge 2 gave out: the server is gone; what was said of 17 unfinished rows"):
        with KeptReplies(tmp_path) as replies:
            label(range(20), [first, GivesOut(3)], rows, program=jury, window=4, replies=replies)
    assert len(rows.rows) == 3
    assert first.answered == 20 + 3  # every row once, and the three finished ones again

    second, first = Echo(), Echo()
    for row, _ in list(rows.rows):
        rows.done.add(row["id"])
    with KeptReplies(tmp_path) as replies:
        label(range(20), [first, second], rows, program=jury, window=4, replies=replies)
    assert (first.answered, second.answered) == (17, 17)  # only what was missing
    assert sorted(row["judgement"]["reason"] for row, _ in rows.rows) == sorted(f"a{n} b{n} c{n}" for n in range(20))
    assert list(tmp_path.iterdir()) == []


def test_a_judge_that_never_answers_ends_the_run_and_the_replies_are_kept(tmp_path: Path) -> None:
    rows = Rows()
    with pytest.raises(EngineError, match="judge 2 gave out: the server is gone"), KeptReplies(tmp_path) as replies:
        label(range(20), [Echo(at_once=4), GivesOut(0)], rows, program=jury, window=8, replies=replies)
    kept = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text().splitlines()]
    assert [reply["text"][0] for row in kept for reply in row["replies"] if reply] == ["a"] * 4
    assert rows.rows == []


def test_a_torn_line_of_kept_replies_is_passed_over(tmp_path: Path) -> None:
    with KeptReplies(tmp_path) as replies:
        replies.keep("a" * 32, [Completion(text="one"), None])
        replies.keep("b" * 32, [Completion(text="two", logprobs={"A": -0.5})])
    path = tmp_path / "replies.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    with KeptReplies(tmp_path) as replies:
        assert replies.take("b" * 32) == []
        replies.keep("c" * 32, [Completion(text="three", logprobs={"A": -0.5})])
    with KeptReplies(tmp_path) as replies:
        assert replies.take("a" * 32) == [Completion(text="one"), None]
        assert replies.take("c" * 32) == [Completion(text="three", logprobs={"A": -0.5})]
        assert replies.take("d" * 32) == []
    assert list(tmp_path.iterdir()) == []


def test_the_one_reason_that_all_rows_failed_for():
    def failed(reason: str) -> dict[str, Any]:
        readings = [{"verdict": "first"}, {"verdict": None, "reason": reason}]
        return {
            "judgement": {"task": "preference", "verdict": None, "reason": f"swapped: {reason}", "readings": readings}
        }

    counts = Counts()
    for _ in range(2):
        counts.add_row(failed("engine error: out of credit"), readable=False)
    assert counts.only_failure == "out of credit"
    counts.add_row(failed("no verdict in the reply"), readable=False)
    assert counts.only_failure == ""
    assert counts.reasons == {"engine error: out of credit": 2, "no verdict in the reply": 1}
    alone = Counts()
    alone.add_row(failed("no verdict in the reply"), readable=False)
    assert alone.only_failure == ""


class Quick(Echo):
    """Works in the background and always has an answer."""

    def ready(self) -> bool:
        return bool(self._open)


class Silent(Echo):
    """Works in the background and answers only when all else has been answered."""

    def __init__(self, until: Quick) -> None:
        super().__init__(at_once=100)
        self._until = until

    def ready(self) -> bool:
        return self._until.answered == 10

    def step(self) -> list[tuple[int, Completion]]:
        assert self.ready()
        return super().step()


def test_a_silent_judge_holds_up_none_of_the_others():
    """The silent one stands first, and is stepped only when the other has answered all ten."""
    quick = Quick(at_once=1)
    silent = Silent(quick)

    def both(record: Response) -> Iterator[Any]:
        first, second = yield [ask("x", judge=0), ask("y", judge=1)]
        return Outcome(verdict="right", reason=first.text + second.text)

    rows = Rows()
    label(range(10), [silent, quick], rows, program=both)
    assert [row["judgement"]["reason"] for row, _ in rows.rows] == ["xy"] * 10
    assert silent.answered == 10
