"""What every hook does: completions with their prompts and columns to shaped rewards, group by group."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from judge.engines.base import Engine
from judge.errors import ConfigError, InputError, unknown
from judge.formats.fields import conversation
from judge.jobs.reward_source import open_reward
from judge.records import Conversation, Message, Ranking, Response, Role, content_id, plain, spoken
from judge.rewards.reward import Reward, RewardSource, Text
from judge.rewards.shaping import Shaping

logger = logging.getLogger("judge.hooks")

Source = str | Path | RewardSource | Engine
Column = str | Callable[..., float | None]
"""The name of a column of numbers, or a function of (prompt, completion, **columns): texts, and the row's columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A completion to be rewarded.

    Attributes:
        prompt: a text, or messages.
        response: a text, or messages.
        columns: what the data set says of its prompt, by name.
    """

    prompt: Text
    response: Text
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewarded:
    """What a completion got.

    Attributes:
        reward: shaped; without a value where none can be said, with the reason.
        raw: the source's own.
        truth: by the data, None where it does not say.
    """

    reward: Reward
    raw: Reward
    truth: float | None = None


class HookScorer:
    """Rewards of completions by a source that is opened when the first is asked for. Threads take turns.

    Attributes:
        name: of the source, as trainers log it.
    """

    def __init__(
        self,
        source: Source,
        *,
        shaping: Shaping | Mapping[str, Any] | None = None,
        truth: Column | None = None,
        kl: Column | None = None,
        prompt_column: str = "",
        **settings: Any,
    ) -> None:
        self.shaping = Shaping.of(shaping)
        self._source, self._settings = source, settings
        self._truth, self._kl, self._prompt_column = truth, kl, prompt_column
        self._lock = threading.Lock()
        self._opened: RewardSource | None = None
        self._told: Counter[str] = Counter()
        self.name = Path(source).name if isinstance(source, str | Path) else getattr(source, "name", "judge")
        for step, column in (("truth_weight", truth), ("kl_coefficient", kl)):
            if getattr(self.shaping, step) and column is None:
                raise ConfigError(f"shaping: {step} needs {step.partition('_')[0]}= (accepted: a column or a function)")

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock and the opened model: another process opens its own."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_opened")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _opened=None)

    def __call__(self, completions: Sequence[Completion]) -> list[Rewarded]:
        """The rewards of completions, in their order.

        Raises:
            InputError: for a source that is none, and a column that is not there.
        """
        read = [self._read(completion) for completion in completions]
        with self._lock:
            source = self._open()
            raw = scored_by_group(source, [(prompt, response) for prompt, response, _ in read])
        rewarded = [self._shaped(*parts, reward) for parts, reward in zip(read, raw, strict=True)]
        self._tell(rewarded)
        return rewarded

    def _open(self) -> RewardSource:
        if self._opened is None:
            self._opened = open_reward(self._source, **self._settings)
            self.shaping = self.shaping.bound_to(self._opened)
        return self._opened

    def _read(self, completion: Completion) -> tuple[Conversation, Conversation, Mapping[str, Any]]:
        prompt = completion.prompt
        if self._prompt_column:
            prompt = _column(completion.columns, self._prompt_column)
        response = _turns(completion.response, "assistant", "completion")
        return _turns(prompt, "user", "prompt"), response, completion.columns

    def _shaped(
        self, prompt: Conversation, response: Conversation, columns: Mapping[str, Any], raw: Reward
    ) -> Rewarded:
        texts = spoken(prompt), spoken(response)
        truth, kl = (_value(column, *texts, columns) for column in (self._truth, self._kl))
        reward = self.shaping.shape(raw, length=len(texts[1]), truth=truth, kl=kl)
        return Rewarded(reward=reward, raw=raw, truth=truth)

    def _tell(self, rewarded: Sequence[Rewarded]) -> None:
        """Each reason for a missing reward is logged once."""
        for entry in rewarded:
            if entry.reward.value is None and not self._told[entry.reward.reason]:
                logger.warning("%s: no reward: %s", self.name, entry.reward.reason)
            self._told[entry.reward.reason] += entry.reward.value is None


def scored_by_group(source: RewardSource, texts: Sequence[tuple[Conversation, Conversation]]) -> list[Reward]:
    """The rewards of (prompt, response) texts; the responses of one prompt are scored together, equal ones once.

    A group that a source cannot read as a whole, because of one response in it, is asked about response by response.
    """
    groups: dict[str, dict[str, Response]] = {}
    keys = [(content_id(plain(prompt)), content_id(plain(response))) for prompt, response in texts]
    if getattr(source, "kind", "") == "outcome":  # P(correct) is of a response alone; a ranking has an order
        keys = [(group + key, key) for group, key in keys]
    for (prompt, response), (group, key) in zip(texts, keys, strict=True):
        if spoken(response).strip():
            groups.setdefault(group, {}).setdefault(key, Response(prompt=prompt, response=response))
    rewards: dict[tuple[str, str], Reward] = {}
    alone: list[tuple[str, str]] = []
    for group, scored in zip(groups, _scored(source, [_row(group) for group in groups.values()]), strict=True):
        places = [(group, key) for key in groups[group]]
        if len(places) > 1 and all(reward.value is None for reward in scored):
            alone += places
        rewards.update(zip(places, scored, strict=True))
    again = [scored[0] for scored in _scored(source, [groups[group][key] for group, key in alone])]
    helped = {group for (group, _), reward in zip(alone, again, strict=True) if reward.value is not None}
    rewards.update({place: reward for place, reward in zip(alone, again, strict=True) if place[0] in helped})
    return [rewards.get(key, Reward(value=None, reason="the completion is empty")) for key in keys]


def _row(group: Mapping[str, Response]) -> Ranking | Response:
    responses = tuple(group.values())
    if len(responses) == 1:
        return responses[0]
    return Ranking(prompt=responses[0].prompt, responses=tuple(response.response for response in responses))


def _scored(source: RewardSource, rows: Sequence[Ranking | Response]) -> list[list[Reward]]:
    if not rows:
        return []
    scored = source.score_batch(rows)
    counts = [len(row.responses) if isinstance(row, Ranking) else 1 for row in rows]
    if [len(rewards) for rewards in scored] != counts:
        raise InputError(f"{source.name}: gave {[*map(len, scored)]} rewards for {counts} responses")
    return scored


def _turns(text: Text, role: Role, name: str) -> Conversation:
    """A text or messages as a conversation; what is empty has no turns."""
    if not isinstance(text, str) and all(isinstance(turn, Message) for turn in text):
        return tuple(cast("Sequence[Message]", text))
    return conversation(text, role, name, empty=True) if text else ()


def _value(column: Column | None, prompt: str, response: str, columns: Mapping[str, Any]) -> float | None:
    if column is None:
        return None
    value = column(prompt, response, **columns) if callable(column) else _column(columns, column)
    return None if value is None else float(value)


def _column(columns: Mapping[str, Any], name: str) -> Any:
    if name not in columns:
        raise unknown("column", name, columns)
    return columns[name]
