"""Rewards by content: the version that gave them and the texts they are of."""

from collections import OrderedDict
from typing import NamedTuple

from judge.rewards.reward import Reward


class CacheKey(NamedTuple):
    """What decides a reward. model, version: of the source; content: the hash of prompt and responses."""

    model: str
    version: str
    content: str


class RewardCache:
    """The rewards of the texts asked for last, at most `size` of them; 0 remembers none."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._rewards: OrderedDict[CacheKey, tuple[Reward, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rewards)

    def get(self, key: CacheKey) -> tuple[Reward, ...] | None:
        """The rewards of a text, which becomes the one used last; None where it is not remembered."""
        rewards = self._rewards.get(key)
        if rewards is not None:
            self._rewards.move_to_end(key)
        return rewards

    def put(self, key: CacheKey, rewards: tuple[Reward, ...]) -> None:
        """Remember the rewards of a text; the one used longest ago is forgotten."""
        if not self.size:
            return
        self._rewards[key] = rewards
        self._rewards.move_to_end(key)
        if len(self._rewards) > self.size:
            self._rewards.popitem(last=False)
