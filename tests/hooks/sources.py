"""A reward source for the tests of hooks: rewards that can be told by hand."""

import threading
from collections.abc import Sequence
from typing import Any

from judge.jobs.reward_rows import records_of
from judge.records import Ranking, responses_of, spoken
from judge.rewards.reward import Reward


class Lengths:
    """The reward of a text is its length; "?" cannot be read, and makes its whole ranking unreadable.

    Attributes:
        batches: of each call the responses of each row.
        prompts: of each call the prompt of each row.
    """

    name = "lengths"
    version = "1"

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.prompts: list[list[str]] = []
        self.lock = threading.Lock()

    def score_batch(self, rows: Sequence[Any]) -> list[list[Reward]]:
        records = records_of(rows, process=False)
        self.batches.append([len(responses_of(record)) for record in records])
        self.prompts.append([spoken(record.prompt) for record in records])
        return [self._row(record) for record in records]

    def _row(self, row: Any) -> list[Reward]:
        texts = [spoken(response) for response in responses_of(row)]
        if isinstance(row, Ranking) and "?" in texts:
            return [Reward(value=None, reason="a response cannot be read")] * len(texts)
        return [
            Reward(value=None, reason="cannot be read") if text == "?" else Reward(value=float(len(text)), std=0.5)
            for text in texts
        ]
