"""What a server's answer means: a completion, or a failure with the server's own words. Pure functions of bytes.

The shape of an answer is not trusted: a proxy's page, half a JSON text, a list where an object belongs all become
a Failure, and no input raises.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import orjson

from judge.engines.base import Completion, Request, without_loop
from judge.engines.thinking import KNOWN_MARKS, split_thinking
from judge.secrets import mask_secrets

WORDS = 300  # of a server's words, that many characters are kept
LOOP_LETTERS = 4000  # a loop is looked for in the end of a reply
LONGEST_WAIT = 3600.0 * 24

Kind = Literal["busy", "sick", "misaddressed", "refused", "odd"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is no completion, or no answer at all.

    kind: "busy" (asks to wait), "sick" (5xx, no connection, too late: passes by itself), "misaddressed" (wrong key,
    model or path; a passing fault once the server has answered well), "refused" (this request will never do), "odd" (a
    good status and a shape that cannot be read). reason: one line. wait: the seconds that the server asks for.
    reached: whether a server answered at all. late: whether it answered too late. connected: whether anybody took the
    connection; where nobody did, that is no request's fault.
    """

    kind: Kind
    reason: str
    wait: float = 0.0
    reached: bool = True
    late: bool = False
    connected: bool = True


def parse(status: int, headers: Mapping[str, str], body: bytes) -> Any | Failure:
    """The JSON value of an HTTP answer with a good status, or why there is none."""
    page = "html" in headers.get("Content-Type", "").lower() or body[:64].lstrip()[:1] == b"<"
    if status != 200 and not 200 < status < 300:
        return _from_status(status, headers, body, page=page)
    if page:
        return Failure("misaddressed", "answers with a web page, not with JSON; is /v1 missing at its end?")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Failure("odd", f"not JSON: {_line(body.decode(errors='replace'))!r}")
    error = content.get("error") if isinstance(content, dict) else None
    if error and not content.get("choices"):
        return _from_error(error)
    return content


def _from_status(status: int, headers: Mapping[str, str], body: bytes, *, page: bool) -> Failure:
    words = "a web page" if page else server_words(body)
    reason = f"status {status}: {words}" if words else f"status {status}"
    if 300 <= status < 400:
        place = headers.get("Location", "")
        return Failure("misaddressed", f"redirects to {_line(place) or 'nowhere'} (status {status}); name that address")
    if status == 429:
        return Failure("busy", reason, retry_after(headers.get("Retry-After", "")))
    if status in (401, 403):
        return Failure("misaddressed", f"refuses the key ({reason})")
    if status in (404, 405):
        return Failure("misaddressed", f"does not know this model or path, is /v1 missing? ({reason})")
    if status >= 500 or status in (408, 409, 425):
        return Failure("sick", reason, retry_after(headers.get("Retry-After", "")))
    return Failure("refused" if status >= 400 else "odd", reason)


def _from_error(error: Any) -> Failure:
    """An error inside an answer of status 200."""
    code = error.get("code") if isinstance(error, dict) else None
    kind: Kind = "busy" if code in (429, "429", "rate_limit_exceeded") else "odd"
    return Failure(kind, _line(mask_secrets(_words(error))) or "an error without words")


def server_words(body: bytes) -> str:
    """What a server says is wrong, in one line, with every key in it masked."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _line(mask_secrets(body[: 4 * WORDS].decode(errors="replace")))
    return _line(mask_secrets(_words(content)))


def _words(content: Any, depth: int = 0) -> str:
    if isinstance(content, list) and depth < 8:
        return "; ".join(_words(entry, depth + 1) for entry in content[:8])
    if isinstance(content, str | int | float | None):
        return str(content)
    if not isinstance(content, dict) or depth >= 8:
        return _written(content)
    for name in ("error", "message", "detail", "msg", "errors"):
        if content.get(name):
            place = content.get("loc")
            where = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
            words = _words(content[name], depth + 1)
            return f"{where}: {words}" if where else words
    return _written(content)


def _written(content: Any) -> str:
    """A value as JSON; what it is where it is nested too deeply for that."""
    try:
        return orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return f"a {type(content).__name__} that is nested too deeply"


def _line(text: str) -> str:
    return " ".join(text.split())[:WORDS]


def retry_after(value: str) -> float:
    """Seconds that a Retry-After header asks for: "20", "20.2" or an HTTP date; 0 for none and for nonsense."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else 0.0


def first_choice(content: Any) -> dict[str, Any] | Failure:
    """The only choice of an answer, its `message` an object."""
    choices = content.get("choices") if isinstance(content, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Failure("odd", f"an answer without choices: {_brief(content)}")
    choice = choices[0]
    if choice.get("error"):
        return _from_error(choice["error"])
    if not isinstance(choice.get("message"), dict):
        return Failure("odd", f"a choice without a message: {_brief(content)}")
    return choice


def _brief(content: Any) -> str:
    return _line(mask_secrets(_written(content)))[:120]


def read_reply(content: Any, request: Request) -> Completion | Failure:
    """The completion in an answer to a request for free text."""
    choice = first_choice(content)
    if isinstance(choice, Failure):
        return choice
    parts = _text_and_thinking(choice["message"])
    if isinstance(parts, Failure):
        return parts
    text, thinking = parts
    finish = choice.get("finish_reason")
    if finish == "content_filter" and not text:
        return _completion(content, text="the server's filter withheld the reply", finish="error")
    if not thinking:  # a server without a reasoning parser leaves the marks in the text
        text, thinking = _without_thinking(text)
    for stop in request.stop:  # for servers that do not know the field; no effect on those that do
        text = text.partition(stop)[0] if stop else text
    ended = "length" if finish in ("length", "content_filter") else "stop"
    if ended == "length" and without_loop(text[-LOOP_LETTERS:]) != text[-LOOP_LETTERS:]:
        ended = "repetition"
    return _completion(content, text=text, thinking=thinking, finish=ended)


def _text_and_thinking(message: Mapping[str, Any]) -> tuple[str, str] | Failure:
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    thinking = thinking if isinstance(thinking, str) else ""
    content = message.get("content")
    if content is None:
        content = message.get("refusal") or ""
    if isinstance(content, str):
        return content, thinking
    if not isinstance(content, list):
        return Failure("odd", f"content that is no text: {_brief(content)}")
    texts: list[str] = []
    thoughts = [thinking] if thinking else []
    for part in content:
        kind, text = _part(part)
        if kind not in ("text", "thinking"):
            return Failure("odd", f"a part of content that is no text: {_brief(part)}")
        (texts if kind == "text" else thoughts).append(text)
    return "".join(texts), "\n".join(thoughts)


def _part(part: Any) -> tuple[str, str]:
    """("text" or "thinking", its text) of one part of content; ("", "") for anything else."""
    if isinstance(part, str):
        return "text", part
    if not isinstance(part, dict):
        return "", ""
    kind = part.get("type")
    if kind in ("thinking", "reasoning"):
        inner = part.get("thinking", part.get("text", ""))
        inner = inner if isinstance(inner, list) else [inner]
        texts = [text.get("text") if isinstance(text, dict) else text for text in inner]
        return "thinking", "".join(text for text in texts if isinstance(text, str))
    text = part.get("text", part.get("refusal"))
    if kind in (None, "text", "output_text", "refusal") and isinstance(text, str):
        return "text", text
    return "", ""


def _without_thinking(text: str) -> tuple[str, str]:
    """(reply, thinking) of a text that may hold both; thinking that never closes leaves no reply."""
    marks = next((marks for marks in KNOWN_MARKS if marks.end in text), None)
    if marks is None:
        marks = next((marks for marks in KNOWN_MARKS if text.lstrip().startswith(marks.start)), None)
    thinking, reply = split_thinking(text, marks)
    return reply, thinking


def listed_tokens(content: Any) -> dict[str, float] | Failure:
    """Log-probabilities of the likeliest first tokens of an answer, by their text; empty where it lists none."""
    choice = first_choice(content)
    if isinstance(choice, Failure):
        return choice
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = tokens[0] if isinstance(tokens, list) and tokens else None
    entries = first.get("top_logprobs") if isinstance(first, dict) else None
    listed: dict[str, float] = {}
    for entry in entries if isinstance(entries, list) else ():
        token, logprob = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
        if not isinstance(token, str) or not isinstance(logprob, int | float) or isinstance(logprob, bool):
            continue
        if logprob == logprob and logprob <= 1e-3:  # bytes of several tokens may read alike: their masses add up
            mass = math.exp(listed[token]) if token in listed else 0.0
            listed[token] = math.log(max(min(mass + math.exp(max(logprob, -690.0)), 1.0), 1e-300))
    return listed


def reply_text(content: Any) -> str:
    """The text of an answer, "" where it has none."""
    choice = first_choice(content)
    parts = _text_and_thinking(choice["message"]) if not isinstance(choice, Failure) else choice
    return "" if isinstance(parts, Failure) else parts[0]


def choice_completion(content: Any, text: str, logprobs: Mapping[str, float] | None = None) -> Completion:
    """The completion for one of the choices on offer."""
    return _completion(content, text=text, logprobs=logprobs or {})


def choice_error(content: Any, reason: str) -> Completion:
    """The completion of an answer that names no choice."""
    return _completion(content, text=reason, finish="error")


def usage_of(content: Any) -> Completion:
    """A completion without text that says what an answer cost."""
    return _completion(content if isinstance(content, dict) else {}, text="")


def _completion(content: Mapping[str, Any], **parts: Any) -> Completion:
    usage = content.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Completion(
        **parts,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else 0,
        output_tokens=_count(usage.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
