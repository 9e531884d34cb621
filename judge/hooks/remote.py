"""A server of rewards as a reward source: OpenRLHF's protocol, `POST URL {query, prompts, labels}`."""

import json
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from judge.errors import ConfigError, EngineError
from judge.jobs.reward_rows import records_of
from judge.records import Record, content_id, responses_of, spoken
from judge.rewards.reward import Reward, Scorable

WAITED_FOR = (429, 502, 503, 504)


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
        """The rewards of many rows, in one request.

        Raises:
            EngineError: where the server refuses or cannot be reached.
        """
        records = records_of(rows, process=False)
        prompts = [spoken(record.prompt) for record in records for _ in responses_of(record)]
        answers = [spoken(response) for record in records for response in responses_of(record)]
        rewards = iter(self._rewards(prompts, answers, records))
        return [[next(rewards) for _ in responses_of(record)] for record in records]

    def _rewards(self, prompts: Sequence[str], answers: Sequence[str], records: Sequence[Record]) -> list[Reward]:
        if not prompts:
            return []
        labels = [getattr(record, "reference", "") or None for record in records for _ in responses_of(record)]
        query = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
        answer = self._post({"query": query, "prompts": prompts, "labels": labels})
        values = answer.get("rewards")
        if not isinstance(values, list) or len(values) != len(prompts):
            found = f"{len(values)} rewards" if isinstance(values, list) else f"fields {', '.join(answer) or 'none'}"
            raise EngineError(f"{self.name}: answered {found} for {len(prompts)} texts")
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
