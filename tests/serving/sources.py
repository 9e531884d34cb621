"""Sources whose rewards a test can know: they count letters, and can be held back or fail where a text says so."""

import threading
from collections.abc import Sequence
from typing import Any

from judge.errors import EngineError, InputError
from judge.records import Ranking, spoken
from judge.rewards.reward import Reward, Scorable


class Letters:
    """The reward of a response is how many letters it has times `scale`.

    gate: a batch waits until it is set. A response "stop" fails as a source with a bug would, "away" as an engine that
    does not answer, "bad" as a text that cannot be scored at all; "mute" has no reward, "nan" none that is a number.
    """

    def __init__(self, name: str = "letters", version: str = "1", *, scale: float = 1.0) -> None:
        self.name, self.version, self.scale = name, version, scale
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []

    def score_batch(self, rows: Sequence[Scorable]) -> list[list[Reward]]:
        self.gate.wait(30)
        self.batches.append(len(rows))
        return [[self._reward(text) for text in texts_of(row)] for row in rows]

    def _reward(self, text: str) -> Reward:
        match text:
            case "stop":
                raise ZeroDivisionError("a bug")
            case "away":
                raise EngineError("the engine is away")
            case "bad":
                raise InputError("this text is bad")
            case "mute":
                return Reward(value=None, reason="not a word")
            case "nan":
                return Reward(value=float("nan"))
            case _:
                return Reward(value=self.scale * len(text), std=0.5)


class Places(Letters):
    """Compares the responses of a prompt: the reward is a response's place, 0 for the shortest."""

    compares = True

    def score_batch(self, rows: Sequence[Scorable]) -> list[list[Reward]]:
        self.batches.append(len(rows))
        return [
            [Reward(value=float(sorted(texts, key=len).index(text))) for text in texts] for texts in map(texts_of, rows)
        ]


def texts_of(row: Any) -> list[str]:
    if isinstance(row, Ranking):
        return [spoken(response) for response in row.responses]
    return [spoken(row[1])]
