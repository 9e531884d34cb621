"""A server of rewards as a reward source: OpenRLHF's protocol, `POST URL {query, prompts, labels}`."""

import json
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from judge.errors import ConfigError, EngineError
from judge.jobs.reward_rows import records_of
from judge.records import content_id, responses_of, spoken
from judge.rewards.reward import Reward, Scorable

WAITED_FOR = (429, 502, 503, 504)
UNREADABLE = 422


class _Asked(NamedTuple):
    """A text to be rewarded, with the known answer to its prompt."""

    prompt: str
    response: str
    label: str | None


class _UnreadableError(EngineError):
    """The server cannot read a text of the request."""


class RemoteReward:
    """Rewards from a server that speaks OpenRLHF's protocol; see `remote_reward`.

    Attributes:
        name: the server's address.
        version: of the address alone; a server may change what stands behind it.
    """

    def __init__(self, url: str, api_key: str, timeout: float, patience: float) -> None:
        self.name, self.version = url, content_id(url)
        self._api_key, self._timeout, self._patience = api_key, timeout, patience

    def score_batch(self, rows: Sequence[Scorable]) -> list[list[Reward]]:
        """The rewards of many rows, in one request; text by text where the server cannot read one of them (422).

        Raises:
            EngineError: where the server refuses or cannot be reached.
        """
        records = records_of(rows, process=False)
        asked = [
            _Asked(spoken(record.prompt), spoken(response), getattr(record, "reference", "") or None)
            for record in records
            for response in responses_of(record)
        ]
        rewards = iter(self._rewards(asked))
        return [[next(rewards) for _ in responses_of(record)] for record in records]

    def _rewards(self, asked: Sequence["_Asked"]) -> list[Reward]:
        if not asked:
            return []
        try:
            answer = self._post(
                {
                    "query": [text.prompt + text.response for text in asked],
                    "prompts": [text.prompt for text in asked],
                    "labels": [text.label for text in asked],
                }
            )
        except _UnreadableError as error:
            if len(asked) == 1:
                return [Reward(value=None, reason=str(error))]
            return [reward for text in asked for reward in self._rewards([text])]
        values = answer.get("rewards")
        if not isinstance(values, list) or len(values) != len(asked):
            found = f"{len(values)} rewards" if isinstance(values, list) else f"fields {', '.join(answer) or 'none'}"
            raise EngineError(f"{self.name}: answered {found} for {len(asked)} texts")
        return [
            Reward(value=None, reason=f"{self.name} has none") if value is None else Reward(value=float(value))
            for value in values
        ]

    def _post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request, which is repeated while the server is busy or away."""
        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        request = Request(self.name, json.dumps(body).encode(), headers)
        until, pause = time.monotonic() + self._patience, 0.2
        while True:
            try:
                with urlopen(request, timeout=self._timeout) as response:
                    answer: dict[str, Any] = json.load(response)
                    return answer
            except HTTPError as error:
                wait = _seconds(error.headers.get("Retry-After"), pause)
                reason = f"{error.code} {error.reason}: {error.read(300).decode(errors='replace')}"
                passes = error.code in WAITED_FOR
                if error.code == UNREADABLE:
                    raise _UnreadableError(f"{self.name}: {' '.join(reason.split())}") from None
            except (OSError, HTTPException, ValueError) as error:
                wait, reason, passes = pause, str(error), not isinstance(error, ValueError)
            if not passes or time.monotonic() + wait > until:
                raise EngineError(f"{self.name}: {' '.join(reason.split())}")
            time.sleep(wait)
            pause = min(2 * pause, 5.0)


def remote_reward(url: str, *, api_key: str = "", timeout: float = 180.0, patience: float = 60.0) -> RemoteReward:
    """Rewards of a server, as `rmjudge serve` or OpenRLHF's `serve_rm` gives them, for every hook and verb.

    Args:
        url: with the path, such as http://127.0.0.1:8000/get_reward.
        api_key: sent as a bearer token.
        timeout: seconds for one answer.
        patience: seconds for which a server that is busy (429) or away is asked again.

    Raises:
        ConfigError: for an address that is none.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"remote reward {url!r}: no address (accepted: http://HOST:PORT/get_reward)")
    return RemoteReward(url, api_key, timeout, patience)


def _seconds(text: str | None, otherwise: float) -> float:
    try:
        return max(0.0, float(text or otherwise))
    except ValueError:
        return otherwise
