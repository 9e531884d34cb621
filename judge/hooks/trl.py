"""TRL: a reward function for GRPOTrainer, RLOOTrainer and whatever else calls `f(prompts, completions, **columns)`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from judge.hooks.scorer import Column, Completion, HookScorer, Rewarded, Source
from judge.rewards.reward import Text
from judge.rewards.shaping import Shaping

_OF_TRL = ("trainer_state", "log_extra", "log_metric", "environments", "completion_ids")


class TrlReward:
    """A reward function of TRL; see `trl_reward`."""

    def __init__(self, scorer: HookScorer) -> None:
        self.scorer = scorer
        self.__name__ = scorer.name  # what TRL calls it in its logs

    def __call__(self, prompts: Sequence[Text], completions: Sequence[Text], **columns: Any) -> list[float | None]:
        """A reward a completion, None where none can be said (TRL leaves it out of its group)."""
        return self._rewards(prompts, completions, columns)

    def _rewards(
        self, prompts: Sequence[Text], completions: Sequence[Text], columns: Mapping[str, Any]
    ) -> list[float | None]:
        rows = _rows(columns, len(completions))
        asked = [
            Completion(prompt=prompt, response=response, columns=row)
            for prompt, response, row in zip(prompts, completions, rows, strict=True)
        ]
        rewarded = self.scorer(asked)
        _log(self.scorer.name, rewarded, columns)
        return [entry.reward.value for entry in rewarded]


class AsyncTrlReward(TrlReward):
    """The same for TRL's asynchronous reward functions, which it awaits together."""

    async def __call__(  # type: ignore[override]
        self, prompts: Sequence[Text], completions: Sequence[Text], **columns: Any
    ) -> list[float | None]:
        """A reward a completion, computed in a thread."""
        return await asyncio.to_thread(self._rewards, prompts, completions, columns)


def trl_reward(
    source: Source,
    *,
    shaping: Shaping | Mapping[str, Any] | None = None,
    truth: Column | None = None,
    kl: Column | None = None,
    prompt_column: str = "",
    asynchronous: bool = False,
    **settings: Any,
) -> TrlReward:
    """A reward function for TRL's GRPOTrainer and RLOOTrainer (`reward_funcs=`).

    Args:
        source: what `judge.open_reward` takes: a reward model's directory or hub name, a judge's spec, or an object
            that gives rewards. It is loaded when the first reward is asked for.
        shaping: how rewards are shaped, a `judge.Shaping` or its fields by name.
        truth: a column of the data set, or a function `f(prompt, completion, **columns) -> float | None`: mixed in by
            `truth_weight`, and logged beside the reward.
        kl: likewise, the divergence from a reference, for `kl_coefficient`.
        prompt_column: the column that holds the prompt as the source is to read it, where the policy's has more.
        asynchronous: give an asynchronous function, which TRL awaits together with others.
        settings: of `judge.open_reward`.

    Returns:
        The function. Prompts and completions are texts or messages, columns come along, and all completions of a prompt
        are scored together, so that their prompt is computed once and a tournament has its competitors. Its value is
        None where a reward cannot be said, with the reason in the log `judge.hooks`.

    Raises:
        ConfigError: for a shaping that lacks what it needs.
    """
    scorer = HookScorer(source, shaping=shaping, truth=truth, kl=kl, prompt_column=prompt_column, **settings)
    return AsyncTrlReward(scorer) if asynchronous else TrlReward(scorer)


def _rows(columns: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Columns as rows; what TRL passes beside the data set's is left out."""
    lists = {
        name: values
        for name, values in columns.items()
        if name not in _OF_TRL and isinstance(values, Sequence) and len(values) == count
    }
    return [{name: values[place] for name, values in lists.items()} for place in range(count)]


def _log(name: str, rewarded: Sequence[Rewarded], columns: Mapping[str, Any]) -> None:
    """Into TRL's own log, where its version has one: the source's reward, σ, the truth, and how many have no reward."""
    metric: Callable[[str, float], None] | None = columns.get("log_metric")
    if metric is None:
        return
    figures: dict[str, list[float | None]] = {
        "unshaped": [entry.raw.value for entry in rewarded],
        "std": [entry.raw.std for entry in rewarded],
        "truth": [entry.truth for entry in rewarded],
        "without_reward": [float(entry.reward.value is None) for entry in rewarded],
    }
    for figure, values in figures.items():
        known = [value for value in values if value is not None]
        if known:
            metric(f"{name}/{figure}", fmean(known))
