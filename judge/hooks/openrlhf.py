"""OpenRLHF: the `reward_func(queries, prompts, labels)` of a file that `--reward.remote_url FILE.py` names.

OpenRLHF calls it with one query at a time from many threads (openrlhf/utils/agent.py), earlier versions with a batch;
`rewards` train, `scores` in 0…1 filter prompts, `extra_logs` are logged, each a tensor with an entry a query.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from judge.errors import InputError
from judge.formats.chat_markup import exchange
from judge.hooks.gathering import Gatherer
from judge.hooks.scorer import Column, Completion, HookScorer, Rewarded, Source
from judge.rewards.shaping import Shaping

RewardFunction = Callable[..., dict[str, Any]]


def openrlhf_reward(
    source: Source,
    *,
    shaping: Shaping | Mapping[str, Any] | None = None,
    truth: Column | None = None,
    group_size: int = 1,
    missing: float | None = None,
    **settings: Any,
) -> RewardFunction:
    """A `reward_func` for OpenRLHF: `reward_func = judge.hooks.openrlhf_reward("models/reward")` is the whole file.

    Args:
        source: what `judge.open_reward` takes.
        shaping: how rewards are shaped.
        truth: a function `f(prompt, completion, label=...) -> float | None`, or "label" where labels are numbers. Where
            there is one, it is what `scores` are.
        group_size: completions of one prompt that are scored together, as a tournament needs; OpenRLHF's
            `n_samples_per_prompt`.
        missing: what stands for a reward that cannot be said; unless given the call raises, and OpenRLHF keeps the
            sample without a reward.
        settings: of `judge.open_reward`.

    Returns:
        The function. The chat template's markers are taken off prompts and answers; calls that come at the same time
        are scored together.
    """
    scorer = HookScorer(source, shaping=shaping, truth=truth, **settings)
    gatherer = Gatherer(scorer, group_size=group_size)

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        import torch

        completions = _completions(queries, prompts, labels)
        rewarded = gatherer(completions, key=prompts[0])
        columns = openrlhf_columns(rewarded, missing)
        tensors = {name: torch.tensor(values) for name, values in columns.items()}
        return {
            "rewards": tensors.pop("rewards"),
            "scores": tensors.pop("scores"),
            "extra_logs": tensors,
        }

    return reward_func


def openrlhf_columns(rewarded: Sequence[Rewarded], missing: float | None = None) -> dict[str, list[float]]:
    """Rewards as OpenRLHF's `rewards`, `scores` in 0…1 (the truth, else P(correct), else the reward) and logs.

    Raises:
        InputError: for a reward that cannot be said where nothing stands for it.
    """
    columns: dict[str, list[float]] = {"rewards": [], "scores": [], "unshaped": []}
    for place, entry in enumerate(rewarded):
        value = missing if entry.reward.value is None else entry.reward.value
        if value is None:
            raise InputError(f"query {place + 1}: no reward: {entry.reward.reason}")
        score = next((known for known in (entry.truth, entry.raw.probability) if known is not None), value)
        raw = value if entry.raw.value is None else entry.raw.value
        for name, number in zip(columns, (value, score, raw), strict=True):
            columns[name].append(number)
    return columns


def _completions(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any] | None) -> list[Completion]:
    labels = [None] * len(queries) if labels is None else labels
    if not len(queries) == len(prompts) == len(labels):
        raise InputError(f"{len(queries)} queries, {len(prompts)} prompts, {len(labels)} labels (accepted: as many)")
    completions = []
    for query, prompt, label in zip(queries, prompts, labels, strict=True):
        said = exchange(query, prompt)
        columns = {"label": label}
        completions.append(Completion(prompt=said.prompt, response=said.response, columns=columns))
    return completions
