"""verl: the `compute_score` of `custom_reward_function`, one answer at a time or a batch.

    custom_reward_function.path=pkg://judge.hooks.verl
    custom_reward_function.name=verl_compute_score
    +custom_reward_function.reward_kwargs.model=models/reward

verl hands a reward function the answer and the ground truth, not the prompt; its data preparation keeps the question
in `extra_info`. Its reward managers call with `data_source, solution_str, ground_truth, extra_info` (naive, from many
threads), or with the plurals of these (batch); both want a number a sample.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from judge.errors import InputError
from judge.hooks.gathering import Gatherer
from judge.hooks.scorer import Column, Completion, HookScorer, Rewarded, Source
from judge.json_input import load_json
from judge.rewards.shaping import Shaping


def verl_reward(
    source: Source,
    *,
    shaping: Shaping | Mapping[str, Any] | None = None,
    truth: Column | None = None,
    prompt_key: str = "question",
    group_size: int = 1,
    missing: float | None = None,
    **settings: Any,
) -> Callable[..., Any]:
    """A `compute_score` for verl: `compute_score = judge.hooks.verl_reward("models/reward")` is the whole file.

    Args:
        source: what `judge.open_reward` takes.
        shaping: how rewards are shaped.
        truth: a function `f(prompt, completion, ground_truth=..., data_source=..., **extra_info) -> float | None`, or
            the name of a number among these.
        prompt_key: where `extra_info` holds the prompt, a text or messages.
        group_size: completions of one prompt that are scored together when answers come one at a time.
        missing: what stands for a reward that cannot be said; unless given the call raises.
        settings: of `judge.open_reward`.

    Returns:
        The function, for verl's naive and batch reward managers alike.
    """
    scorer = HookScorer(source, shaping=shaping, truth=truth, **settings)
    gatherer = Gatherer(scorer, group_size=group_size)

    def compute_score(
        data_source: Any = None,
        solution_str: str | None = None,
        ground_truth: Any = None,
        extra_info: Mapping[str, Any] | None = None,
        *,
        data_sources: Sequence[Any] | None = None,
        solution_strs: Sequence[str] | None = None,
        ground_truths: Sequence[Any] | None = None,
        extra_infos: Sequence[Mapping[str, Any]] | None = None,
        **_: Any,
    ) -> float | list[float]:
        if solution_strs is None:
            completion = _completion(prompt_key, data_source, solution_str or "", ground_truth, extra_info)
            return _numbers(gatherer([completion], key=json.dumps(completion.prompt, default=str)), missing)[0]
        count = len(solution_strs)
        columns = [_filled(values, count) for values in (data_sources, solution_strs, ground_truths, extra_infos)]
        return _numbers(scorer([_completion(prompt_key, *row) for row in zip(*columns, strict=True)]), missing)

    return compute_score


def verl_compute_score(
    data_source: Any = None,
    solution_str: str | None = None,
    ground_truth: Any = None,
    extra_info: Mapping[str, Any] | None = None,
    *,
    model: str,
    **options: Any,
) -> float | list[float]:
    """The reward of one answer, or of a batch by the plural names; the model is loaded once.

    Args:
        data_source: of the row, in verl's words.
        solution_str: the answer.
        ground_truth: of the row.
        extra_info: of the row; it holds the prompt.
        model: what `judge.open_reward` takes, as `reward_kwargs.model`.
        options: those of `verl_reward`, and the plural arguments of a batch.

    Raises:
        InputError: for a row without a prompt, and a reward that cannot be said where nothing stands for it.
    """
    batch = {name: options.pop(name) for name in _BATCH if name in options}
    compute_score = _compute_score(model, json.dumps(options, sort_keys=True, default=dict))
    rewards: float | list[float] = compute_score(data_source, solution_str, ground_truth, extra_info, **batch)
    return rewards


_BATCH = ("data_sources", "solution_strs", "ground_truths", "extra_infos")


@lru_cache(maxsize=4)
def _compute_score(model: str, options: str) -> Callable[..., Any]:
    return verl_reward(model, **load_json(options))


def _filled(values: Sequence[Any] | None, count: int) -> list[Any]:
    return [None] * count if values is None else list(values)


def _completion(
    prompt_key: str, data_source: Any, solution: str, ground_truth: Any, extra_info: Mapping[str, Any] | None
) -> Completion:
    known = dict(extra_info or {})
    if prompt_key not in known:
        raise InputError(
            f"extra_info: no '{prompt_key}' to read the prompt from (it has: {', '.join(sorted(known)) or 'nothing'}; "
            "name another with prompt_key)"
        )
    columns = {**known, "data_source": data_source, "ground_truth": ground_truth}
    prompt = known[prompt_key]
    return Completion(prompt=prompt if isinstance(prompt, str) else list(prompt), response=solution, columns=columns)


def _numbers(rewarded: Sequence[Rewarded], missing: float | None) -> list[float]:
    values = []
    for place, entry in enumerate(rewarded):
        value = missing if entry.reward.value is None else entry.reward.value
        if value is None:
            raise InputError(f"answer {place + 1}: no reward: {entry.reward.reason}")
        values.append(value)
    return values
