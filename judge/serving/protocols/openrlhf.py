"""OpenRLHF's remote reward: POST /get_reward, as openrlhf/utils/agent.py and remote_rm_utils.py send and read it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from judge.formats.chat_markup import Exchange, exchange
from judge.records import Conversation
from judge.rewards.reward import Reward
from judge.serving.limits import Limits
from judge.serving.protocols.texts import check_count
from judge.serving.protocols.values import number_of
from judge.serving.refusals import invalid
from judge.serving.service import Asked


class GetRewardRequest(BaseModel):
    """What OpenRLHF sends: texts, their prompts and their labels, each list as long as the others."""

    model_config = ConfigDict(extra="ignore")

    query: list[str] = Field(description="Prompt and response in the policy's chat template, or the response alone.")
    prompts: list[str] | None = Field(None, description="Of each query its prompt.")
    labels: list[Any] | None = Field(None, description="Of each query its label; 0 to 1 is a truth for shaping.")


class GetRewardResponse(BaseModel):
    """What OpenRLHF reads: rewards for training, scores for its filter, and lists to log."""

    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]]


class Groups(NamedTuple):
    """A request's texts by prompt. places: of each group's responses, their indices in the request."""

    asked: list[Asked]
    places: list[list[int]]


def groups_of(request: GetRewardRequest, limits: Limits) -> Groups:
    """The texts of a request; the responses to one prompt are together, as a source that compares them wants.

    Raises:
        RefusedError: 422 with the field that is wrong.
    """
    check_count(len(request.query), "query", limits)
    for name in ("prompts", "labels"):
        column = getattr(request, name)
        if column is not None and len(column) != len(request.query):
            raise invalid(f"{len(column)} for {len(request.query)} queries", name)
    exchanges = [_exchange(request, place, limits) for place in range(len(request.query))]
    truths = [_truth(label) for label in request.labels or [None] * len(exchanges)]
    groups: dict[Conversation, list[int]] = {}
    for place, (prompt, _) in enumerate(exchanges):
        groups.setdefault(prompt, []).append(place)
    return Groups(
        [
            Asked(
                prompt=prompt,
                responses=tuple(exchanges[place].response for place in places),
                fields=tuple(f"query.{place}" for place in places),
                truths=tuple(truths[place] for place in places),
            )
            for prompt, places in groups.items()
        ],
        list(groups.values()),
    )


def response_of(groups: Groups, rewards: Sequence[Sequence[Reward]], unreadable: float | None) -> dict[str, Any]:
    """What OpenRLHF reads.

    Args:
        groups: of the request.
        rewards: of each group.
        unreadable: the reward of a text that has none.

    Raises:
        RefusedError: 422 for a text without a reward, where `unreadable` is None: OpenRLHF has no word for "none".
    """
    by_place: dict[int, Reward] = {}
    for places, row in zip(groups.places, rewards, strict=True):
        by_place |= zip(places, row, strict=True)
    ordered = [by_place[place] for place in range(len(by_place))]
    values = [number_of(reward, f"query.{place}", unreadable) for place, reward in enumerate(ordered)]
    probabilities = [reward.probability for reward in ordered]
    scores = values if None in probabilities else probabilities
    return {"rewards": values, "scores": scores, "extra_logs": _logs(ordered)}


def _logs(rewards: Sequence[Reward]) -> dict[str, list[float]]:
    """Numbers that every reward of a request has."""
    columns: dict[str, list[float | None]] = {
        "std": [reward.std for reward in rewards],
        "novelty": [reward.novelty for reward in rewards],
    }
    for name in rewards[0].objectives or ():
        columns[f"objective_{name}"] = [(reward.objectives or {}).get(name) for reward in rewards]
    return {
        name: [float(value) for value in column if value is not None]
        for name, column in columns.items()
        if None not in column
    }


def _exchange(request: GetRewardRequest, place: int, limits: Limits) -> Exchange:
    query = request.query[place]
    if len(query) > limits.max_length:
        raise invalid(f"{len(query):,} characters (accepted: at most {limits.max_length:,})", f"query.{place}")
    return exchange(query, request.prompts[place] if request.prompts is not None else None)


def _truth(label: Any) -> float | None:
    """A label as the truth of its response; None for one that is no number from 0 to 1, such as a known answer."""
    try:
        truth = float(label)
    except (TypeError, ValueError, OverflowError):  # also of a number of 400 digits
        return None
    return truth if 0 <= truth <= 1 else None
