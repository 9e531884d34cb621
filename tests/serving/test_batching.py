"""What waits is scored at once, within the budget of tokens; errors and equal texts stay where they belong."""

import asyncio
from collections.abc import Sequence

import pytest

from judge.errors import EngineError
from judge.serving.batching import Batch, Row, Worker
from judge.serving.refusals import RefusedError
from tests.serving.sources import Letters


def row(text: str, tokens: int = 1) -> Row:
    from judge.records import Message

    return Row(text, "response", ((Message("user", "x"),), (Message("assistant", text),)), 1, tokens)


def scored(source: Letters, requests: Sequence[Sequence[Row]], *, batch_tokens: int = 100) -> tuple[list, list[Batch]]:
    """What each request gets when all of them wait already; the first is in work."""
    batches: list[Batch] = []
    worker = Worker(source, batch_tokens=batch_tokens, max_queue=1000, on_batch=batches.append)

    async def ask() -> list:
        source.gate.clear()
        futures = [worker.submit(requests[0])]
        while worker._queue:
            await asyncio.sleep(0.001)
        futures += [worker.submit(rows) for rows in requests[1:]]
        source.gate.set()
        return await asyncio.gather(*futures, return_exceptions=True)

    results = asyncio.run(ask())
    worker.close()
    assert worker.join(10)
    assert worker.waiting == 0
    return results, batches


def values(result: Sequence[Sequence]) -> list[float]:
    return [rewards[0].value for rewards in result]


def test_all_that_waits_is_one_batch() -> None:
    source = Letters()
    results, batches = scored(source, [[row("a")], [row("bb"), row("ccc")], [row("dddd")]])
    assert [values(result) for result in results] == [[1.0], [2.0, 3.0], [4.0]]
    assert source.batches == [1, 3]
    assert [(batch.responses, batch.tokens) for batch in batches] == [(1, 1), (3, 3)]


def test_a_batch_ends_at_the_budget_and_a_request_may_span_several() -> None:
    source = Letters()
    many = [row("b" * n, tokens=40) for n in range(1, 6)]
    results, _ = scored(source, [[row("a")], many, [row("z", tokens=500)]])
    assert values(results[1]) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert values(results[2]) == [1.0]
    assert source.batches == [1, 2, 2, 1, 1]  # 40 + 40 fit into 100; a row above the budget is alone


def test_equal_rows_of_several_requests_are_scored_once() -> None:
    source = Letters()
    results, _ = scored(source, [[row("a")], [row("bb")], [row("bb"), row("c")]])
    assert [values(result) for result in results] == [[1.0], [2.0], [2.0, 1.0]]
    assert source.batches == [1, 2]


def test_one_requests_error_is_its_own() -> None:
    results, _ = scored(Letters(), [[row("a")], [row("bb")], [row("ok"), row("bad")], [row("stop")], [row("dddd")]])
    assert [values(results[place]) for place in (0, 1, 4)] == [[1.0], [2.0], [4.0]]
    assert isinstance(results[2], RefusedError) and isinstance(results[3], RefusedError)
    assert (results[2].status, results[3].status) == (422, 500)


def test_an_engine_that_is_away_is_not_asked_for_every_row() -> None:
    calls: list[int] = []

    class Away(Letters):
        def score_batch(self, rows):  # type: ignore[no-untyped-def]
            self.gate.wait(30)
            calls.append(len(rows))
            raise EngineError("the engine is away")

    results, _ = scored(Away(), [[row("a")], [row("b" * n) for n in range(1, 7)], [row("z")]])
    assert [result.status for result in results] == [503, 503, 503]
    assert calls == [1, 7, 1, 1]  # all seven, two of them alone, and no more


def test_a_source_that_gives_too_few_rewards_is_found_out() -> None:
    class Short(Letters):
        def score_batch(self, rows):  # type: ignore[no-untyped-def]
            return super().score_batch(rows)[:-1]

    results, _ = scored(Short(), [[row("a")]])
    assert (type(results[0]), results[0].status) == (RefusedError, 500)


def test_a_source_is_loaded_at_once_and_says_why_it_cannot_be() -> None:
    class Broken(Letters):
        @property
        def loaded(self) -> None:
            raise OSError("no such weights")

    worker = Worker(Broken(), batch_tokens=1, max_queue=1)
    with pytest.raises(OSError, match="no such weights"):
        worker.wait_loaded()


def test_a_closed_worker_takes_nothing_in() -> None:
    async def ask() -> None:
        worker = Worker(Letters(), batch_tokens=1, max_queue=1)
        worker.close()
        worker.submit([row("a")])

    with pytest.raises(RefusedError, match="being unloaded"):
        asyncio.run(ask())
