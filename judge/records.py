"""Records: what is judged, with the labels that people gave.

A record is immutable plain data with an id made from its content, so the same text has the same id in every run and
on every machine. Human labels and source fields travel with a record but never enter its id: two annotators of one
pair meet under one id. Higher is better everywhere; a probability is P(the first is better) or P(right).
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, ClassVar, Literal

Role = Literal["system", "user", "assistant", "tool"]
PairVerdict = Literal["first", "second", "tie"]
StepVerdict = Literal["right", "wrong", "neutral"]
OutcomeVerdict = Literal["right", "wrong"]


_HALVES = re.compile("[\ud800-\udfff]")


def whole_characters(text: str) -> str:
    """The text as UTF-8 can write it: half a character (a lone surrogate, as cut JSON has it) becomes U+FFFD. Servers
    and tokenizers take nothing else."""
    return text if text.isascii() else _HALVES.sub("\ufffd", text)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    content: its text, "" in a turn that only calls tools. tool_calls: as the data writes them, usually
    {id, type, function: {name, arguments}}. tool_call_id, name: of a tool's answer. reasoning_content: what was thought
    before the content. tools: the tools on offer from this turn on; the first turn of a prompt holds those of its row.
    These enter the record's id. extra: what else the data says of the turn, kept for export; `extra["content"]` is the
    content as it was written, where that is no text (null, or a list of parts).
    """

    role: Role
    content: str
    tool_calls: tuple[Mapping[str, Any], ...] = field(default=(), hash=False, kw_only=True)
    tool_call_id: str = field(default="", kw_only=True)
    name: str = field(default="", kw_only=True)
    reasoning_content: str = field(default="", kw_only=True)
    tools: tuple[Mapping[str, Any], ...] = field(default=(), hash=False, kw_only=True)
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, kw_only=True)

    @property
    def more(self) -> dict[str, Any]:
        """What the turn says beside its role and content, as plain values; empty for most."""
        if not (self.tool_calls or self.tool_call_id or self.name or self.reasoning_content or self.tools):
            return {}
        values = {name: getattr(self, name) for name in MORE}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}


MORE = ("tool_calls", "tool_call_id", "name", "reasoning_content", "tools")
"""The fields of a message that enter its id beside role and content."""

Conversation = tuple[Message, ...]


def spoken(conversation: Conversation) -> str:
    """The text of a conversation as a judge reads it: the content of a single turn, else `Role: content` blocks.

    What a turn says beside its content stands in tags: `<tool_call>` (one JSON object a call), `<tool_result>`,
    `<reasoning>`, `<tools>`. Where there are such tags, no text of the conversation can open or close one.
    """
    return _spoken(conversation, in_tags=any(message.more for message in conversation))


def _spoken(conversation: Conversation, *, in_tags: bool) -> str:
    if len(conversation) == 1 and (not in_tags or conversation[0].role != "tool"):
        return tagged(conversation[0]) if in_tags else conversation[0].content
    texts = (tagged(message) if in_tags else message.content for message in conversation)
    return "\n\n".join(
        f"{message.role.capitalize()}: {text}" for message, text in zip(conversation, texts, strict=True)
    )


def turn_steps(turns: Conversation) -> tuple[str, ...]:
    """The texts of a trajectory's steps: each turn of the agent, with the tool results (and what a user says) that came
    in before it. What follows the agent's last turn belongs to the last step."""
    in_tags = any(message.more for message in turns)
    ends = [index + 1 for index, message in enumerate(turns) if message.role == "assistant"] or [len(turns)]
    ends[-1] = len(turns)
    starts = [0, *ends[:-1]]
    return tuple(_spoken(turns[start:end], in_tags=in_tags) for start, end in zip(starts, ends, strict=True))


def is_trajectory(turns: Conversation) -> bool:
    """Whether a response is the way of an agent: several turns of its own, or a call of a tool."""
    agent = [message for message in turns if message.role == "assistant"]
    return len(agent) > 1 or any(message.tool_calls for message in agent)


_TAG = re.compile(
    r"[<＜﹤‹〈](?=[\s/／\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff＼∕⁄]*(?:tool[\s_-]*(?:calls?|results?)|tools|reasoning)\b)",
    re.IGNORECASE,
)


def tagged(message: Message) -> str:
    """The text of one turn with tags around what is not its content (see `spoken`)."""
    content = _TAG.sub("(", message.content)
    parts = [f"<tools>\n{_lines(message.tools)}\n</tools>"] if message.tools else []
    if message.reasoning_content:
        parts.append(f"<reasoning>\n{_TAG.sub('(', message.reasoning_content)}\n</reasoning>")
    if message.role == "tool":
        of = [
            f"{name}={json.dumps(value)}"
            for name, value in (("name", message.name), ("id", message.tool_call_id))
            if value
        ]
        parts.append(f"<{' '.join(['tool_result', *map(_harmless, of)])}>\n{content}\n</tool_result>")
    elif content:
        parts.append(content)
    parts += [f"<tool_call>\n{_lines([_call(call)])}\n</tool_call>" for call in message.tool_calls]
    return "\n\n".join(parts)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call for the eye: its name and its arguments, which many write as JSON inside a text; its other fields."""
    body = call["function"] if isinstance(call.get("function"), Mapping) else call
    arguments = body.get("arguments")
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    beside = {
        name: value for name, value in {**call, **body}.items() if name not in ("function", "type", "name", "arguments")
    }
    return {"name": body.get("name"), "arguments": arguments, **beside}


def _lines(values: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(_harmless(json.dumps(value, ensure_ascii=False, default=str)) for value in values)


def _harmless(text: str) -> str:
    return _TAG.sub("(", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanLabel:
    """One person's verdict on a record.

    verdict: "first" | "second" | "tie" for a pair; a number for a response (its score); for a solution the 0-based
    index of the first wrong step, -1 when every step is right; for a ranking the order, best first.
    criterion: which quality was judged, "" for the whole. "correct" on a response or solution is 1 or 0, whether the
    final answer is right; on a ranking it is the indices of the right responses.
    """

    annotator: str
    verdict: str | float | tuple[int, ...]
    criterion: str = ""


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def content_id(*parts: Any) -> str:
    """32 hexadecimal digits from the content: the same for equal JSON values in any process (blake2b, 16 bytes)."""
    return blake2b(_ENCODER.encode(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def plain(conversation: Conversation) -> list[list[Any]]:
    """A conversation as the JSON value that ids are made from."""
    return [
        [message.role, message.content, more] if (more := message.more) else [message.role, message.content]
        for message in conversation
    ]


def plain_rows(turns: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """The same of a conversation in a row."""
    value: list[list[Any]] = []
    for turn in turns:
        more = {name: turn[name] for name in MORE if turn.get(name)}
        value.append([turn["role"], turn["content"], more] if more else [turn["role"], turn["content"]])
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricItem:
    """One criterion of a rubric, which a response meets or does not.

    Attributes:
        text: what a response must do, or must not do, so that yes or no answers it.
        points: what meeting it is worth; below 0 for what counts against a response.
        name: what verdicts call it; the text where the data has no name. Names are different within a rubric.
        gate: a response that does not meet it has the score 0, whatever else it meets.
        tags: the data's own words about it.
    """

    text: str
    points: float = 1.0
    name: str = ""
    gate: bool = False
    tags: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What verdicts call it."""
        return self.name or self.text


Rubric = tuple[RubricItem, ...]


def _identity(rubric: Rubric) -> list[Any]:
    """What a rubric adds to an id; nothing where there is none, so that ids are those of earlier versions."""
    return [[[item.label, item.text, item.points, item.gate] for item in rubric]] if rubric else []


def _beside(reference: str, rubric: Rubric) -> list[Any]:
    """What a reference and a rubric add to the id of a pair or a ranking; nothing where there is neither."""
    return [reference, *_identity(rubric)] if reference or rubric else []


class _Identified:
    """What has an id that its content makes, computed when it is first asked for."""

    __slots__ = ("_id",)

    @property
    def id(self) -> str:
        """32 hexadecimal digits, the same for the same content."""
        try:
            return self._id
        except AttributeError:
            object.__setattr__(self, "_id", self._content_id())
            return self._id

    _id: str

    def _content_id(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(_Identified):
    """Two responses to one prompt, with a reference answer where one is known.

    `first` is the chosen one in data that says chosen/rejected.

    Data of votes alone (MT-Bench's, PandaLM's predictions) gives pairs without any text: `judgeable` is false, and
    `meta["key"]` (source, question, models) makes the id.
    """

    kind: ClassVar[str] = "pair"
    prompt: Conversation
    first: Conversation
    second: Conversation
    reference: str = ""
    rubric: Rubric = ()
    human: tuple[HumanLabel, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def judgeable(self) -> bool:
        """Whether there are texts to judge."""
        return bool(self.first and self.second)

    def _content_id(self) -> str:
        if not self.judgeable:
            return content_id(self.kind, self.meta.get("key"))
        texts = plain(self.prompt), plain(self.first), plain(self.second)
        return content_id(self.kind, *texts, *_beside(self.reference, self.rubric))

    def swap(self) -> "Pair":
        """The same pair in the other order, without its labels (they name a place, not a response)."""
        return replace(self, first=self.second, second=self.first, human=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(_Identified):
    """One response to a prompt, with a reference answer where one is known."""

    kind: ClassVar[str] = "response"
    prompt: Conversation
    response: Conversation
    reference: str = ""
    rubric: Rubric = ()
    human: tuple[HumanLabel, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def _content_id(self) -> str:
        return content_id(self.kind, plain(self.prompt), plain(self.response), self.reference, *_identity(self.rubric))


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution(_Identified):
    """A solution written in steps, with the true answer where one is known.

    turns: of an agent's trajectory its turns; each turn of the agent is a step, and `steps` are made of them
    (`turn_steps`), whatever was given for them.
    """

    kind: ClassVar[str] = "solution"
    prompt: Conversation
    steps: tuple[str, ...] = ()
    turns: Conversation = ()
    reference: str = ""
    rubric: Rubric = ()
    human: tuple[HumanLabel, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.turns:
            object.__setattr__(self, "steps", turn_steps(self.turns))

    def _content_id(self) -> str:
        written = plain(self.turns) if self.turns else self.steps
        return content_id(self.kind, plain(self.prompt), written, self.reference, *_identity(self.rubric))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking(_Identified):
    """Two or more responses to one prompt, to be put in order, with a reference answer where one is known."""

    kind: ClassVar[str] = "ranking"
    prompt: Conversation
    responses: tuple[Conversation, ...]
    reference: str = ""
    rubric: Rubric = ()
    human: tuple[HumanLabel, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def _content_id(self) -> str:
        texts = plain(self.prompt), [plain(response) for response in self.responses]
        return content_id(self.kind, *texts, *_beside(self.reference, self.rubric))

    def pair(self, first: int, second: int) -> Pair:
        """The pair of two of its responses, by 0-based index."""
        return Pair(
            prompt=self.prompt,
            first=self.responses[first],
            second=self.responses[second],
            reference=self.reference,
            rubric=self.rubric,
        )


Record = Pair | Response | Solution | Ranking


def response_of(record: Response | Solution) -> Conversation:
    """A response; of a solution its turns, or its steps joined by newlines."""
    if isinstance(record, Response):
        return record.response
    return record.turns or (Message("assistant", "\n".join(record.steps)),)


def responses_of(record: Record) -> tuple[Conversation, ...]:
    """The responses of a record; a solution is one (see `response_of`)."""
    match record:
        case Pair():
            return (record.first, record.second)
        case Ranking():
            return record.responses
        case Response() | Solution():
            return (response_of(record),)


def as_steps(record: Response) -> Solution:
    """A trajectory as a solution whose steps are the agent's turns; of its labels that on the whole answer stays."""
    return Solution(
        prompt=record.prompt,
        turns=record.response,
        reference=record.reference,
        rubric=record.rubric,
        human=tuple(label for label in record.human if label.criterion == "correct"),
        meta=record.meta,
    )


def rewritten(message: Message, content: str) -> Message:
    """A turn with another content; its calls and whatever else it says stay."""
    extra = {name: value for name, value in message.extra.items() if name != "content"}
    return replace(message, content=content, extra=extra)
