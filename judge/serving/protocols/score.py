"""Our own protocol: POST /score, a prompt with its responses, or messages, to rewards and all that is known of them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from judge.rewards.reward import Reward
from judge.serving.limits import Limits
from judge.serving.protocols.texts import ChatMessage, Text, check_count, conversation, last_answer
from judge.serving.refusals import invalid
from judge.serving.service import Answered, Asked


class ScoreRequest(BaseModel):
    """A prompt with one or several responses, or one conversation that ends in the response."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"prompt": "1 + 2 =", "responses": ["1 + 2 = 3.", "1 + 2 = 4."]}]},
    )

    model: str | None = Field(None, description="Which model; without it the first that is served.")
    prompt: Text = ""
    response: Text | None = Field(None, description="One response.")
    responses: list[Text] | None = Field(None, description="Several responses to the prompt.")
    messages: list[ChatMessage] | None = Field(None, description="Instead of prompt and response.")
    truth: list[float | None] | None = Field(None, description="Of each response, 1 right and 0 wrong, for shaping.")
    kl: list[float | None] | None = Field(None, description="Of each response, log π - log π_ref, for shaping.")


class RewardRow(BaseModel):
    """A response's reward.

    What the model does not say is null or empty. `value` is null where the text could not be read; `reason` says why.
    """

    value: float | None
    std: float | None = None
    lower: float | None = None
    probability: float | None = None
    members: list[float] = []
    objectives: dict[str, float] | None = None
    steps: list[float] = []
    novelty: float | None = None
    reason: str = ""


class ScoreResponse(BaseModel):
    """The rewards in the order of the responses. cached: how many of them were remembered."""

    model: str
    version: str
    rewards: list[RewardRow]
    cached: int


def asked(request: ScoreRequest, limits: Limits) -> Asked:
    """The texts of a request.

    Raises:
        RefusedError: 422 with the field that is wrong.
    """
    given = [name for name in ("response", "responses", "messages") if getattr(request, name) is not None]
    if len(given) != 1:
        names_given = " and ".join(given) or "nothing"
        raise invalid(f"{names_given} given (accepted: one of response, responses, messages)", "body")
    if request.messages is not None:
        if request.prompt:
            raise invalid("messages hold the prompt already", "prompt")
        prompt, response = last_answer(conversation(request.messages, "user", "messages", limits), "messages")
        responses, names = [response], ["messages"]
    else:
        prompt = conversation(request.prompt, "user", "prompt", limits)
        texts = [request.response] if request.response is not None else request.responses or []
        check_count(len(texts), "responses", limits)
        names = ["response"] if request.response is not None else [f"responses.{place}" for place in range(len(texts))]
        responses = [conversation(text, "assistant", name, limits) for text, name in zip(texts, names, strict=True)]
    for name in ("truth", "kl"):
        column = getattr(request, name)
        if column is not None and len(column) != len(responses):
            raise invalid(f"{len(column)} for {len(responses)} responses", name)
    return Asked(
        prompt=prompt,
        responses=tuple(responses),
        fields=tuple(names),
        truths=request.truth or (),
        kls=request.kl or (),
    )


def response_of(answered: Answered) -> dict[str, Any]:
    """What `ScoreResponse` describes."""
    return {
        "model": answered.model,
        "version": answered.version,
        "rewards": [row_of(reward) for row in answered.rewards for reward in row],
        "cached": answered.cached,
    }


def row_of(reward: Reward) -> dict[str, Any]:
    """What `RewardRow` describes."""
    return {
        "value": reward.value,
        "std": reward.std,
        "lower": reward.lower,
        "probability": reward.probability,
        "members": reward.members,
        "objectives": reward.objectives,
        "steps": reward.steps,
        "novelty": reward.novelty,
        "reason": reward.reason,
    }
