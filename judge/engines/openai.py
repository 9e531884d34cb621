"""A model behind a server that speaks the OpenAI protocol: vLLM's, SGLang's, OpenAI's own.

Requests are a pool of threads over one httpx client; failures that pass (no connection, 429, 5xx) are retried by
tenacity, as long as the server asks for. What the protocol cannot give is approximated and said: log-probabilities of
choices come from the 20 likeliest first tokens, so a choice outside them has an upper bound instead of its own value.

The API key comes from the environment and goes nowhere but into the request. This module refuses to know tasks,
tokenizers and files.
"""

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from judge.engines.base import Completion, Request
from judge.engines.chat import break_markers
from judge.engines.choices import likeliest
from judge.engines.thinking import KNOWN_MARKS, split_thinking
from judge.errors import ConfigError, EngineError, unknown

if TYPE_CHECKING:
    import httpx

TOP = 20  # most log-probabilities that the protocol allows
FATAL = {401: "refused the key", 403: "refused the key", 404: "does not know this model or path"}
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}
SERVERS = ("vllm", "plain")


class Overloaded(Exception):
    """An answer worth asking for again. wait: seconds that the server asked for, 0 for none."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class OpenAIEngine:
    """`openai:URL#MODEL`."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        server: str = "auto",
        key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 64,
        timeout: float = 600.0,
        attempts: int = 6,
        thinking_tokens: int = 0,
    ) -> None:
        """server: "vllm" for one that can go on from a begun reply (vLLM, SGLang), "plain" for one that cannot; by
        default plain for api.openai.com alone. timeout: seconds an answer may take. attempts: how often one is asked
        for."""
        if server not in (*SERVERS, "auto"):
            raise unknown("server", server, (*SERVERS, "auto"))
        parts = urlsplit(url)
        own = parts.hostname == "api.openai.com"
        key = os.environ.get(key_variable, "")
        if own and not key:
            raise ConfigError(f"engine 'openai:{url}' needs an API key in the environment variable {key_variable}")
        self._url = url.rstrip("/")
        self._shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._model = model
        self._continues = server == "vllm" or (server == "auto" and not own)
        self._limit_name = "max_completion_tokens" if own else "max_tokens"
        self._thinking_tokens = thinking_tokens
        self._key, self._timeout, self._attempts, self._concurrency = key, timeout, attempts, concurrency
        self._client: httpx.Client | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._pending: dict[Future[Completion], int] = {}

    def submit(self, ticket: int, request: Request) -> None:
        """See Engine."""
        if self._pool is None:
            self._open()
        assert self._pool is not None
        self._pending[self._pool.submit(self._ask, request)] = ticket

    def step(self) -> list[tuple[int, Completion]]:
        """See Engine. A request that the server refuses (too long, a field it does not know) finishes with "error"; a
        server that cannot be used raises EngineError."""
        if not self._pending:
            return []
        done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
        return [(self._pending.pop(future), future.result()) for future in done]

    def count_tokens(self, request: Request) -> int:
        """A guess, for the tokenizer is the server's: a token for every four characters, four for every turn."""
        characters = sum(len(message.content) for message in request.messages) + len(request.prefill)
        return characters // 4 + 4 * (len(request.messages) + 1)

    def describe(self) -> dict[str, Any]:
        """See Engine. What the server runs is known by its name alone."""
        described = {"engine": "openai", "model": self._model, "url": self._shown, "continues": self._continues}
        return described | ({"thinking_tokens": self._thinking_tokens} if self._thinking_tokens else {})

    def close(self) -> None:
        """See Engine."""
        pool, self._pool = self._pool, None
        client, self._client = self._client, None
        self._pending.clear()
        if client is not None:
            client.close()
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    # -- one request, in a thread of the pool -------------------------------------------------------------------------

    def _open(self) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=self._concurrency, max_keepalive_connections=self._concurrency)
        self._client = httpx.Client(headers=headers, timeout=httpx.Timeout(self._timeout, connect=15.0), limits=limits)
        self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="openai")

    def _ask(self, request: Request) -> Completion:
        if request.prefill and not self._continues:
            return Completion(text="this server cannot go on from a begun reply (prefill)", finish="error")
        answer = self._post(self._body(request))
        if "error" in answer:
            return Completion(text=answer["error"], finish="error")
        return _read(answer, request)

    def _body(self, request: Request) -> dict[str, Any]:
        messages = [{"role": turn.role, "content": break_markers(turn.content)} for turn in request.messages]
        body: dict[str, Any] = {"model": self._model, "messages": messages, "temperature": request.temperature}
        if request.prefill:
            messages.append({"role": "assistant", "content": break_markers(request.prefill)})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if self._continues and (request.prefill or request.choices):
            body["chat_template_kwargs"] = {"enable_thinking": False}
        if request.choices:
            return body | {self._limit_name: 1, "logprobs": True, "top_logprobs": TOP, "temperature": 0.0}
        body[self._limit_name] = request.max_tokens + self._thinking_tokens
        if request.temperature > 0:
            body |= {"seed": request.seed, "top_p": request.top_p}
        if request.stop:
            body["stop"] = list(request.stop)
        if request.schema is not None:
            schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer, or {"error": why it refused this request}."""
        import httpx
        import tenacity

        backoff = tenacity.wait_random_exponential(multiplier=0.5, max=30.0)

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(backoff(state), error.wait if isinstance(error, Overloaded) else 0.0)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((httpx.TransportError, Overloaded)),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=pause,
            reraise=True,
        )
        try:
            return retrying(self._post_once, body)
        except (httpx.HTTPError, Overloaded) as error:
            reason = str(error) or type(error).__name__
            raise EngineError(f"no answer from {self._shown} after {self._attempts} attempts: {reason}") from error

    def _post_once(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._client is None:
            raise EngineError("the engine is closed")
        response = self._client.post(f"{self._url}/chat/completions", json=body)
        status = response.status_code
        if status in RETRIED:
            after = response.headers.get("Retry-After", "")
            raise Overloaded(f"status {status}: {_reason(response)}", float(after) if after.isdigit() else 0.0)
        if status in FATAL:
            raise EngineError(f"{self._shown} {FATAL[status]} ({status}, model '{self._model}'): {_reason(response)}")
        if status >= 400:
            return {"error": f"status {status}: {_reason(response)}"}
        answer: dict[str, Any] = response.json()
        return answer


def _reason(response: "httpx.Response") -> str:
    try:
        content = response.json()
    except ValueError:
        return response.text[:200]
    error = content.get("error", content) if isinstance(content, dict) else content
    return str(error.get("message", error) if isinstance(error, dict) else error)[:300]


def _read(answer: Mapping[str, Any], request: Request) -> Completion:
    """The completion in a server's answer."""
    choice = answer["choices"][0]
    text = choice["message"].get("content") or ""
    completion = _read_choice(choice, text, request.choices) if request.choices else _read_text(choice, text)
    usage = answer.get("usage") or {}
    return replace(
        completion,
        prompt_tokens=usage.get("prompt_tokens") or 0,
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
    )


def _read_text(choice: Mapping[str, Any], text: str) -> Completion:
    message = choice["message"]
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    if not thinking:  # a server without a reasoning parser leaves the marks in the text
        marks = next((marks for marks in KNOWN_MARKS if marks.end in text), None)
        thinking, text = split_thinking(text, marks)
    finish = "length" if choice.get("finish_reason") == "length" else "stop"
    return Completion(text=text, thinking=thinking, finish=finish)


def _read_choice(choice: Mapping[str, Any], text: str, choices: Sequence[str]) -> Completion:
    content = (choice.get("logprobs") or {}).get("content") or []
    top = {entry["token"]: float(entry["logprob"]) for entry in (content[0]["top_logprobs"] if content else [])}
    if not top:
        if text.strip() in choices:
            return Completion(text=text.strip())
        return Completion(text=f"the server gave no log-probabilities and answered {text!r}", finish="error")
    logprobs = choice_logprobs(choices, top)
    if not logprobs:
        return Completion(text=f"no choice is among the server's likeliest tokens: {list(top)}", finish="error")
    return Completion(text=likeliest(logprobs), logprobs=logprobs)


def choice_logprobs(choices: Sequence[str], top: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities of the choices, normalised over them, from those of the likeliest first tokens.

    A token counts for the choice that it spells, or else for the only one that it begins; white space before it does
    not matter. A choice without a token gets the most it can have: the least probability listed, or what is left of the
    whole if that is less. Empty when no token counts for any.
    """
    mass: dict[str, float] = {}
    for token, logprob in top.items():
        word = token.strip()
        meant = [choice for choice in choices if choice.strip() == word]
        meant = meant or [choice for choice in choices if word and choice.strip().startswith(word)]
        if len(meant) == 1:
            mass[meant[0]] = mass.get(meant[0], 0.0) + math.exp(logprob)
    if not mass:
        return {}
    left = max(1.0 - sum(math.exp(logprob) for logprob in top.values()), 0.0)
    bound = max(min(math.exp(min(top.values())), left), 1e-12)
    full = {choice: mass.get(choice, bound) for choice in choices}
    total = math.log(sum(full.values()))
    return {choice: math.log(value) - total for choice, value in full.items()}
