"""Which fields a server takes, and the body of a request in them.

Servers differ: `max_tokens` or `max_completion_tokens`, a fixed temperature, no seed, no system turn, fields of vLLM's
own refused. A refusal that names a field is answered the other way once, and what worked is remembered.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from judge.engines.base import Request
from judge.engines.chat import break_markers

TOP = 20  # most log-probabilities that the protocol allows
LIMITS = ("max_tokens", "max_completion_tokens")
CONTINUING = ("continue_final_message", "add_generation_prompt")
FIXED_TEMPERATURE = 1.0  # where a server takes one temperature alone, it is this
EXTRAS = (*CONTINUING, "chat_template_kwargs")  # known to vLLM and SGLang
OPTIONAL = ("temperature", "top_p", "seed", "stop", "response_format", *EXTRAS)
_SYSTEM = re.compile(
    r"(?i)system (?:role|prompt|message|turn|instruction)s?|role[^.]{0,20}system|\bonly user and assistant"
)
_MOST = re.compile(r"(?i)(?:at most|less than or equal to|<=|maximum|max|up to|between 0 and)\D{0,20}(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What is known of a server.

    limit: the field for the longest reply. without: fields that it refuses. top: how many log-probabilities a token
    may list. system: whether it takes a system turn; else that text stands atop the first user turn. temperature: the
    only one it takes, None for any.
    """

    limit: str = "max_tokens"
    without: frozenset[str] = field(default=frozenset())
    top: int = TOP
    system: bool = True
    temperature: float | None = None

    def body(self, model: str, request: Request, *, quiet: bool = False, thinking_tokens: int = 0) -> dict[str, Any]:
        """The JSON body of a request. quiet: ask vLLM and SGLang for a reply without thinking."""
        messages = self._messages(request)
        body: dict[str, Any] = {"model": model, "messages": messages, "temperature": request.temperature}
        if request.prefill:
            messages.append({"role": "assistant", "content": break_markers(request.prefill)})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if quiet and (request.prefill or request.choices):
            body["chat_template_kwargs"] = {"enable_thinking": False}
        if request.choices:
            body |= {self.limit: 1, "logprobs": True, "top_logprobs": self.top, "temperature": 0.0}
            if "logprobs" in self.without:  # without them the choice itself has to be written
                del body["logprobs"], body["top_logprobs"]
                body[self.limit] = request.max_tokens
        else:
            body[self.limit] = request.max_tokens + thinking_tokens
        if request.temperature > 0 and not request.choices:
            body |= {"seed": request.seed, "top_p": request.top_p}
        if request.stop and not request.choices:
            body["stop"] = list(request.stop)
        if request.schema is not None:
            schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        for name in self.without:
            body.pop(name, None)
        return body

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        messages = [{"role": turn.role, "content": break_markers(turn.content)} for turn in request.messages]
        if self.system or not messages or messages[0]["role"] != "system":
            return messages
        system, *others = messages
        if others and others[0]["role"] == "user":
            return [{"role": "user", "content": f"{system['content']}\n\n{others[0]['content']}"}, *others[1:]]
        return [{"role": "user", "content": system["content"]}, *others]

    def others(self, body: Mapping[str, Any], words: str) -> Iterator["Dialect"]:
        """The dialects to try after a refusal of this body in these words, likeliest first."""
        if any(_names(limit, words) for limit in LIMITS) and self.limit in body:
            yield replace(self, limit=LIMITS[1 - LIMITS.index(self.limit)])
        if _names("top_logprobs", words) and (most := _MOST.search(words)) and 0 < int(most[1]) < self.top:
            yield replace(self, top=int(most[1]))
        elif (_names("logprobs", words) or _names("top_logprobs", words)) and "logprobs" in body:
            yield replace(self, without=self.without | {"logprobs", "top_logprobs"})
        if _names("temperature", words) and self.temperature is None and body.get("temperature") != FIXED_TEMPERATURE:
            yield replace(self, temperature=FIXED_TEMPERATURE)
        named = [name for name in OPTIONAL if name in body and _names(name, words)]
        if set(named) & set(CONTINUING):  # one without the other means nothing
            named += CONTINUING
        if named:
            yield replace(self, without=self.without.union(named))
        if self.system and _SYSTEM.search(words) and any(turn["role"] == "system" for turn in body["messages"]):
            yield replace(self, system=False)
        extras = [name for name in EXTRAS if name in body]
        if extras and not named:
            yield replace(self, without=self.without.union(extras))


def _names(name: str, words: str) -> bool:
    return re.search(rf"\b{name}\b", words) is not None
