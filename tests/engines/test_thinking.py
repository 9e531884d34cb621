"""Thinking is never read as the reply."""

import pytest

from judge.engines.thinking import KNOWN_MARKS, Thought, marks_of, split_thinking

THINK = KNOWN_MARKS[0]


@pytest.mark.parametrize(
    ("text", "opened", "thinking", "reply"),
    [
        ("<think>maybe [[A]]</think>\n\n[[B]]", False, "maybe [[A]]", "[[B]]"),
        ("maybe [[A]]</think>[[B]]", True, "maybe [[A]]", "[[B]]"),
        ("it says </think> [[A]], well</think>[[B]]", True, "it says </think> [[A]], well", "[[B]]"),
        ("<think>cut while it thought of [[A]]", False, "cut while it thought of [[A]]", ""),
        ("cut while it thought of [[A]]", True, "cut while it thought of [[A]]", ""),
        ("[[A]]", False, "", "[[A]]"),
        ("<think>\n\n</think>\n\n[[A]]", False, "", "[[A]]"),
    ],
)
def test_split(text: str, opened: bool, thinking: str, reply: str) -> None:
    assert split_thinking(text, THINK, opened=opened) == Thought(thinking, reply)


def test_a_model_that_does_not_think_aloud_keeps_every_word() -> None:
    assert split_thinking("a </think> b", None) == Thought("", "a </think> b")


def test_harmony() -> None:
    marks = marks_of("", ["<|channel|>", "<|message|>"])
    text = "<|channel|>analysis<|message|>[[A]]?<|end|><|start|>assistant<|channel|>final<|message|>[[B]]"
    assert split_thinking(text, marks).reply == "[[B]]"


def test_marks_are_found_in_template_or_vocabulary() -> None:
    assert marks_of("{{ '<think>\n' }}", ["<|im_end|>", "</think>"]) == THINK
    assert marks_of("{{ x.split('</think>') }}", []) == THINK
    assert marks_of("{{ messages }}", ["<|im_end|>"]) is None
