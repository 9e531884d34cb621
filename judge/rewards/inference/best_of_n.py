"""Best of n: among all scored responses to a prompt the one with the highest score.

The responses of a ranking or pair stand in one row, those of several response rows meet by their prompt. Rows come from
a run of scores.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from judge.errors import InputError
from judge.records import content_id, plain_rows

Row = Mapping[str, Any]


def best_of(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """A row a prompt, {prompt, completion, reward, of, margin}, in the order in which prompts first appear.

    reward: the best response's score; of: how many were to choose from; margin: its lead over the second, None alone.
    The first of several equal ones wins, and a response that stands there twice counts once.
    """
    prompts: dict[str, _Choice] = {}
    for row in rows:
        key = content_id(plain_rows(row["prompt"]))
        choice = prompts.setdefault(key, _Choice(row["prompt"]))
        for response, score in zip(_responses(row), _scores(row), strict=True):
            choice.add(response, score)
    return (choice.row() for choice in prompts.values())


class _Choice:
    """The two highest scores to one prompt so far."""

    __slots__ = ("_seen", "best", "prompt", "response", "second")

    def __init__(self, prompt: list[Row]) -> None:
        self.prompt = prompt
        self.response: list[Row] = []
        self.best: float | None = None
        self.second: float | None = None
        self._seen: set[str] = set()

    def add(self, response: list[Row], score: float | None) -> None:
        """Consider a response, once; one without a score counts and is never the best."""
        key = content_id(response)
        if key in self._seen:
            return
        self._seen.add(key)
        if score is None:
            return
        if self.best is None or score > self.best:
            self.best, self.second, self.response = score, self.best, response
        elif self.second is None or score > self.second:
            self.second = score

    def row(self) -> dict[str, Any]:
        """The best response with its lead."""
        margin = None if self.best is None or self.second is None else self.best - self.second
        choice = {"prompt": self.prompt, "completion": self.response, "reward": self.best}
        return {**choice, "of": len(self._seen), "margin": margin}


def _responses(row: Row) -> list[list[Row]]:
    match row["kind"]:
        case "pair":
            return [row["first"], row["second"]]
        case "ranking":
            return list(row["responses"])
        case "response":
            return [row["response"]]
        case _:
            return [row.get("turns") or [{"role": "assistant", "content": "\n".join(row["steps"])}]]


def _scores(row: Row) -> list[float | None]:
    scores = ((row.get("meta") or {}).get("reward") or {}).get("scores")
    if not scores:
        raise InputError(f"row {row['id']}: no scores in its meta; it is no row of `rmjudge score`")
    return list(scores)
