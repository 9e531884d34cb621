"""vLLM's pooling endpoints: POST /classify and /pooling, by vllm/entrypoints/pooling/{classify,pooling}/protocol.py.

A reward model of ours is a regression to vLLM, so what it answers are the rewards as they are, whatever
`use_activation` says; `probs` is only what vLLM calls the list. Tokens are not counted: `usage` is 0.
"""

import time
import uuid
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from judge.formats.chat_markup import exchange
from judge.rewards.reward import Reward
from judge.serving.limits import Limits
from judge.serving.protocols.texts import ChatMessage, check_count, conversation, last_answer
from judge.serving.protocols.values import number_of
from judge.serving.refusals import invalid
from judge.serving.service import Answered, Asked

LABEL = "reward"


class PoolingRequest(BaseModel):
    """Texts, or one conversation that ends in the response. Fields that only vLLM's engine has are passed over."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    input: str | list[str] | None = Field(
        None, description="Texts in a chat template, or responses without a prompt. Token ids are not read."
    )
    messages: list[ChatMessage] | None = Field(None, description="Instead of input.")
    encoding_format: Literal["float"] = "float"


class Usage(BaseModel):
    """Tokens, which are not counted."""

    prompt_tokens: int = 0
    total_tokens: int = 0
    completion_tokens: int = 0


class ClassificationData(BaseModel):
    """A text's reward as its only class."""

    index: int
    label: str | None
    probs: list[float]
    num_classes: int


class ClassificationResponse(BaseModel):
    """What vLLM's /classify answers."""

    id: str
    object: str = "list"
    created: int
    model: str
    data: list[ClassificationData]
    usage: Usage


class PoolingData(BaseModel):
    """A text's reward as a vector of one number; of a process model a row [P(right)] a step."""

    index: int
    object: str = "pooling"
    data: list[float] | list[list[float]]


class PoolingResponse(BaseModel):
    """What vLLM's /pooling answers."""

    id: str
    object: str = "list"
    created: int
    model: str
    data: list[PoolingData]
    usage: Usage


def asked(request: PoolingRequest, limits: Limits) -> list[Asked]:
    """The texts of a request, each with a prompt of its own.

    Raises:
        RefusedError: 422 with the field that is wrong.
    """
    if (request.input is None) == (request.messages is None):
        raise invalid("exactly one of input and messages is needed", "body")
    if request.messages is not None:
        prompt, response = last_answer(conversation(request.messages, "user", "messages", limits), "messages")
        return [Asked(prompt=prompt, responses=(response,), fields=("messages",))]
    assert request.input is not None
    texts = [request.input] if isinstance(request.input, str) else request.input
    check_count(len(texts), "input", limits)
    for place, text in enumerate(texts):
        if len(text) > limits.max_length:
            raise invalid(f"{len(text):,} characters (accepted: at most {limits.max_length:,})", f"input.{place}")
    exchanges = [exchange(text, None) for text in texts]
    return [
        Asked(prompt=prompt, responses=(response,), fields=(f"input.{place}",))
        for place, (prompt, response) in enumerate(exchanges)
    ]


def classification_of(answered: Answered, unreadable: float | None) -> dict[str, Any]:
    """What `ClassificationResponse` describes; `unreadable` as in `number_of`."""
    data = [
        {"index": place, "label": LABEL, "probs": [number_of(reward, f"input.{place}", unreadable)], "num_classes": 1}
        for place, reward in enumerate(_flat(answered))
    ]
    return _head("classify", answered) | {"data": data}


def pooling_of(answered: Answered, unreadable: float | None) -> dict[str, Any]:
    """What `PoolingResponse` describes; `unreadable` as in `number_of`."""
    data = [
        {
            "index": place,
            "object": "pooling",
            "data": [[p] for p in reward.steps] if reward.steps else [number_of(reward, f"input.{place}", unreadable)],
        }
        for place, reward in enumerate(_flat(answered))
    ]
    return _head("pool", answered) | {"data": data}


def _head(kind: str, answered: Answered) -> dict[str, Any]:
    return {
        "id": f"{kind}-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": answered.model,
        "usage": {"prompt_tokens": 0, "total_tokens": 0, "completion_tokens": 0},
    }


def _flat(answered: Answered) -> Sequence[Reward]:
    return [reward for row in answered.rewards for reward in row]
