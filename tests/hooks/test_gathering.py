"""Single calls from many threads become one; whole groups are awaited."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from judge.errors import InputError
from judge.hooks.gathering import Gatherer
from judge.hooks.scorer import Completion, HookScorer
from tests.hooks.sources import Lengths


def asked(gatherer: Gatherer, prompt: str, text: str) -> float | None:
    return gatherer([Completion(prompt=prompt, response=text)], key=prompt)[0].reward.value


def test_calls_at_the_same_time_are_scored_together_and_go_to_their_callers() -> None:
    source = Lengths()
    gatherer = Gatherer(HookScorer(source), wait=0.2)
    texts = ["x" * (1 + number) for number in range(32)]
    with ThreadPoolExecutor(32) as pool:
        rewards = list(pool.map(lambda text: asked(gatherer, "p", text), texts))
    assert rewards == [float(len(text)) for text in texts]
    assert len(source.batches) < 8 and sum(map(sum, source.batches)) == 32


def test_a_group_waits_until_it_is_whole() -> None:
    source = Lengths()
    gatherer = Gatherer(HookScorer(source), group_size=4, patience=30)
    calls = [(prompt, "x" * (1 + number)) for number in range(4) for prompt in "pqr"]
    with ThreadPoolExecutor(12) as pool:
        rewards = list(pool.map(lambda call: asked(gatherer, *call), calls))
    assert rewards == [float(len(text)) for _, text in calls]
    assert all(size == 4 for batch in source.batches for size in batch)


def test_a_group_that_never_comes_is_scored_after_the_patience() -> None:
    source = Lengths()
    assert asked(Gatherer(HookScorer(source), group_size=4, patience=0.05), "p", "xx") == 2.0
    assert source.batches == [[1]]


def test_an_error_reaches_every_caller_and_the_next_call_is_fine() -> None:
    class Once(Lengths):
        def score_batch(self, rows: object) -> list[list[object]]:  # type: ignore[override]
            self.score_batch = super().score_batch  # type: ignore[method-assign,assignment]
            raise InputError("row 1: no")

    gatherer = Gatherer(HookScorer(Once()), wait=0.2)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(asked, gatherer, "p", "x" * size) for size in (1, 2, 3)]
        for future in futures:
            with pytest.raises(InputError, match="row 1: no"):
                future.result()
    assert asked(gatherer, "p", "xx") == 2.0
