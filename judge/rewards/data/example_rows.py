"""Examples and their tokens as bytes, so that they can lie on the disk: a row of JSON, and a row of int32 numbers."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judge.records import Conversation, Message
from judge.rewards.data.examples import Example
from judge.rewards.data.tokenize import Text, Tokens

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_NO_PROMPT = -1


def to_row(example: Example) -> bytes:
    """An example as one line of JSON. What a turn says beyond its text and its calls (`extra`) is left out."""
    row = [
        example.id,
        example.group,
        _turns(example.prompt),
        [_turns(response) for response in example.responses],
        example.steps,
        example.p_first,
        example.p_tie,
        example.margin,
        example.order,
        [dict(scores) for scores in example.scores],
        example.p_correct,
        example.step_probabilities,
        example.weight,
        example.step_weights,
        example.votes,
    ]
    return _ENCODER.encode(row).encode("utf-8", "surrogatepass") + b"\n"


def from_row(line: bytes) -> Example:
    """The example of a line that `to_row` wrote."""
    row = json.loads(line.decode("utf-8", "surrogatepass"))
    return Example(
        id=row[0],
        group=row[1],
        prompt=_conversation(row[2]),
        responses=tuple(_conversation(turns) for turns in row[3]),
        steps=tuple(row[4]),
        p_first=row[5],
        p_tie=row[6],
        margin=row[7],
        order=tuple(row[8]),
        scores=tuple(row[9]),
        p_correct=row[10],
        step_probabilities=tuple(None if shares is None else tuple(shares) for shares in row[11]),
        weight=row[12],
        step_weights=tuple(row[13]),
        votes=tuple(row[14]),
    )


def _turns(conversation: Conversation) -> list[list[Any]]:
    return [
        [message.role, message.content, more] if (more := message.more) else [message.role, message.content]
        for message in conversation
    ]


def _conversation(turns: Sequence[Sequence[Any]]) -> Conversation:
    return tuple(_message(*turn) for turn in turns)


def _message(role: Any, content: str, more: dict[str, Any] | None = None) -> Message:
    fields: dict[str, Any] = {}
    for name, value in (more or {}).items():
        fields[name] = tuple(value) if isinstance(value, list) else value
    return Message(role, content, **fields)


def pack(tokens: Tokens) -> NDArray[np.int32]:
    """Tokens as numbers: how many texts, the prompt's length (-1 for none), what was cut; of each text its length,
    start and number of reads; then of each text its reads and ids; the prompt's ids."""
    prompt = _NO_PROMPT if tokens.prompt is None else len(tokens.prompt)
    return np.concatenate(list(_parts(tokens, prompt)), dtype=np.int32, casting="unsafe")


def _parts(tokens: Tokens, prompt: int) -> Iterator[Any]:
    yield [len(tokens.texts), prompt, tokens.cut]
    for text in tokens.texts:
        yield [len(text.ids), text.start, len(text.reads)]
    for text in tokens.texts:
        yield text.reads
        yield text.ids
    if tokens.prompt is not None:
        yield tokens.prompt


def unpack(numbers: NDArray[np.int32]) -> Tokens:
    """The tokens of numbers that `pack` made."""
    count, prompt, cut = numbers[:3].tolist()
    place = 3 + 3 * count
    texts = []
    for length, start, reads in numbers[3:place].reshape(-1, 3).tolist():
        ids = place + reads
        texts.append(Text(numbers[ids : ids + length], start, tuple(numbers[place:ids].tolist())))
        place = ids + length
    return Tokens(tuple(texts), None if prompt == _NO_PROMPT else numbers[place : place + prompt], cut)
