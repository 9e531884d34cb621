"""Inputs on which fuzzing once found a traceback or a hang, made small."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from judge.errors import RmjudgeError, TemplateError
from judge.prompting.body import Body
from judge.records import whole_characters
from tests.fuzz.targets import (
    ANSWER,
    CONFIG,
    JUDGEMENT,
    MANIFEST,
    PAIR_ROW,
    REWARD,
    TARGETS,
    TENSORS,
    TURN,
)

BIG = 10**400
VOTE = {"question_id": 81, "turn": -1, "model_a": "a", "model_b": "b", "judge": "x", "winner": "tie"}


def lines(*rows: object) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


FOUND: list[tuple[str, bytes]] = [
    # A turn before the first one has no messages.
    ("readers", lines(VOTE | {"conversation_a": [*TURN, *ANSWER], "conversation_b": [*TURN, *ANSWER]})),
    # Counts and costs that a hand wrote.
    ("runs", lines(PAIR_ROW | {"judgement": JUDGEMENT}, MANIFEST | {"counts": {"labelled": {"x": 1}}})),
    ("runs", lines(PAIR_ROW | {"judgement": JUDGEMENT}, MANIFEST | {"counts": {"verdicts": [1]}})),
    (
        "runs",
        lines(
            PAIR_ROW | {"judgement": JUDGEMENT},
            MANIFEST | {"cost": {"models": [{"model": "m", "dollars": BIG}], "saved": 0}},
        ),
    ),
    # Answers that are read deeper than they can be written, and errors in errors in errors.
    ("server answers", b'{"x": ' + b"[" * 400 + b"]" * 400 + b"}"),
    ("server answers", b'{"error": ' * 900 + b"1" + b"}" * 900),
    ("server answers", b'{"detail": ' + b"[" * 900 + b"1" + b"]" * 900 + b"}"),
    # A format in words.
    ("model directories", lines(TENSORS, CONFIG, REWARD | {"format": "newest"})),
]


@pytest.mark.parametrize(("name", "content"), FOUND)
def test_what_was_found_is_refused_or_read(name: str, content: bytes, tmp_path: Path) -> None:
    with suppress(RmjudgeError):
        TARGETS[name].read(content, tmp_path)


def test_an_assertion_inside_a_filter_is_the_prompts_fault() -> None:
    with pytest.raises(TemplateError, match="expected length >= 3, got 0"):
        Body("{% user %}{{ 'a long text' | truncate(0) }}{% enduser %}", "x.jinja").render({})


def test_half_a_character_reaches_no_model() -> None:
    """JSON that was cut inside an escape holds one; servers and tokenizers take UTF-8 alone."""
    assert whole_characters("a\ud83d b\ude00 \U0001f600") == "a\ufffd b\ufffd \U0001f600"
    turns = Body("{% user %}{{ prompt }}{% enduser %}", "x.jinja").render({"prompt": "p\ud800"})
    assert turns[0].content == "p\ufffd"
