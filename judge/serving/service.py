"""From a request's texts to its rewards: the cache, the queue of the version that serves, and shaping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from judge.records import Conversation, Ranking, content_id, plain, tagged
from judge.rewards.reward import Reward, Scorable
from judge.rewards.shaping import Shaping
from judge.serving.batching import Rewards, Row
from judge.serving.cache import CacheKey, RewardCache
from judge.serving.metrics import Metrics
from judge.serving.refusals import invalid
from judge.serving.versions import Models, ServedModel, Version

_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Responses to one prompt.

    Attributes:
        prompt: of all the responses.
        responses: one or more.
        fields: the part of the request that holds each response.
        truths, kls: of each response, for shaping; empty where the request has none.
    """

    prompt: Conversation
    responses: tuple[Conversation, ...]
    fields: tuple[str, ...]
    truths: Sequence[float | None] = ()
    kls: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a request gets: of each `Asked` its rewards, the model and version that gave them, how many were cached."""

    model: str
    version: str
    rewards: list[Rewards] = field(default_factory=list)
    cached: int = 0


class ScoringService:
    """Scores what requests ask for.

    Args:
        models: that are served.
        cache: of rewards before shaping.
        metrics: of the server.
    """

    def __init__(self, models: Models, cache: RewardCache, metrics: Metrics) -> None:
        self.models, self.cache, self.metrics = models, cache, metrics

    async def score(self, asked: Sequence[Asked], model_name: str | None = None) -> Answered:
        """The rewards of responses.

        Raises:
            RefusedError: 404 for an unknown model, 422 for a text that cannot be scored, 429 for a full queue.
        """
        model = self.models.get(model_name)
        version = model.current
        compares = bool(getattr(version.source, "compares", False))
        rows = [row for group in asked for row in rows_of(group, compares=compares)]
        known: dict[str, Rewards] = {}
        for row in rows:
            if (remembered := self.cache.get(CacheKey(model.name, version.id, row.content))) is not None:
                known[row.content] = remembered
        cached = sum(row.count for row in rows if row.content in known)
        missing = list({row.content: row for row in rows if row.content not in known}.values())
        if missing:
            for row, computed in zip(missing, await version.worker.submit(missing), strict=True):
                known[row.content] = tuple(map(_finite, computed))
                self.cache.put(CacheKey(model.name, version.id, row.content), known[row.content])
        every = iter([reward for row in rows for reward in known[row.content]])
        rewards = [tuple(next(every) for _ in group.responses) for group in asked]
        self._count(model, version, rewards, cached)
        if version.shaping:
            rewards = [shaped(group, row, version.shaping) for group, row in zip(asked, rewards, strict=True)]
        return Answered(model=model.name, version=version.id, rewards=rewards, cached=cached)

    def _count(self, model: ServedModel, version: Version, rewards: Sequence[Rewards], cached: int) -> None:
        values = [reward.value for row in rewards for reward in row]
        readable = [value for value in values if value is not None]
        self.metrics.rewards.labels(model.name).inc(len(readable))
        if len(readable) < len(values):
            self.metrics.unreadable.labels(model.name).inc(len(values) - len(readable))
        if cached:
            self.metrics.cached.labels(model.name).inc(cached)
        if version.drift.observe(readable):
            version.drift.tell(model.name, version.id)


def rows_of(asked: Asked, *, compares: bool) -> list[Row]:
    """Responses as the source scores them: each alone, or all in one ranking.

    Args:
        asked: responses to one prompt.
        compares: whether a response's reward depends on the others of its prompt, as in a judge's tournament.

    Raises:
        RefusedError: 422 for one response where they are compared: a stranger's would be compared with it.
    """
    prompt = plain(asked.prompt)
    if compares:
        if len(asked.responses) < 2:
            raise invalid("this model compares responses (accepted: two or more to a prompt)", asked.fields[0])
        ranking = Ranking(prompt=asked.prompt, responses=asked.responses)
        content = content_id(prompt, [plain(response) for response in asked.responses])
        return [Row(content, asked.fields[0], ranking, len(asked.responses), _tokens(asked.prompt, *asked.responses))]
    rows = []
    for response, name in zip(asked.responses, asked.fields, strict=True):
        scorable: Scorable = (asked.prompt, response)
        rows.append(Row(content_id(prompt, plain(response)), name, scorable, 1, _tokens(asked.prompt, response)))
    return rows


def shaped(asked: Asked, rewards: Rewards, shaping: Shaping) -> Rewards:
    """The rewards of a prompt's responses after shaping."""
    count = len(rewards)
    columns = zip(rewards, asked.responses, asked.truths or [None] * count, asked.kls or [None] * count, strict=True)
    return tuple(
        shaping.shape(reward, length=characters(response), truth=truth, kl=kl)
        for reward, response, truth, kl in columns
    )


def characters(conversation: Conversation) -> int:
    """How long the texts of a conversation are together."""
    return sum(len(tagged(message) if message.more else message.content) for message in conversation)


def _tokens(*conversations: Conversation) -> int:
    return 1 + sum(map(characters, conversations)) // _CHARACTERS_A_TOKEN


def _finite(reward: Reward) -> Reward:
    if reward.value is None or math.isfinite(reward.value):
        return reward
    return replace(reward, value=None, lower=None, reason=f"the model gave {reward.value}")
