"""Arithmetic falls into its natural pieces, in the tokenizer that ships and in a new one."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.engines.base import Request
from judge.engines.chat import Chat
from judge.engines.models import locate
from judge.records import Message
from judge.tiny import MODEL
from judge.tiny.lessons import Teacher
from judge.tiny.tokenizer import ASSISTANT, END, SYSTEM, USER, chat, train_tokenizer


@pytest.fixture(scope="module")
def shipped() -> Any:
    if not (MODEL / "tokenizer.json").is_file():
        pytest.skip("judge/tiny/model is not there")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODEL)


def pieces(tokenizer: Any, text: str) -> list[str]:
    return [tokenizer.decode([token]) for token in tokenizer(text, add_special_tokens=False).input_ids]


def test_digits_signs_and_spaced_operators_are_one_token_each(shipped):
    assert pieces(shipped, "(-14 - 305) * 2 = -638") == [
        *("(", "-", "1", "4", " - ", "3", "0", "5", ")", " * ", "2", " = ", "-", "6", "3", "8"),
    ]


def test_a_frames_tag_and_a_verdicts_label_are_one_token(shipped):
    assert pieces(shipped, "<problem>") == ["<problem>"]
    for label in ("right", "wrong", "A", "B", "C"):
        assert pieces(shipped, f"[[{label}]]")[2] == label


def test_the_place_before_a_label_is_a_place_between_tokens(shipped):
    whole = shipped("Verdict: [[right]]", add_special_tokens=False).input_ids
    begun = shipped("Verdict: [[", add_special_tokens=False).input_ids
    assert whole[: len(begun)] == begun


@given(text=st.text(max_size=60))
def test_any_text_comes_back(shipped, text):
    ids = shipped(text, add_special_tokens=False, split_special_tokens=True).input_ids
    assert shipped.decode(ids) == text.encode("utf-8", "replace").decode()


def test_the_chat_template_writes_what_was_taught(shipped):
    asked = "<problem>\n(1 + 2) =\n</problem>\nSolve it step by step."
    turns = [{"role": "user", "content": asked}]
    assert shipped.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == chat(asked)
    begun = [*turns, {"role": "assistant", "content": "3"}]
    assert shipped.apply_chat_template(begun, tokenize=False, continue_final_message=True) == chat(asked) + "3"


def test_an_engine_hands_over_the_tokens_that_were_taught(shipped):
    prompt, _ = Teacher(chat).preference(Random(2))
    asked = prompt.text.removeprefix(USER).removesuffix(END + ASSISTANT)
    request = Request(messages=(Message("user", asked),))
    ids = Chat.load(locate(str(MODEL))).prompt(request, think=False).ids
    assert ids == shipped(prompt.text, add_special_tokens=False).input_ids


def test_a_new_tokenizer_is_the_same_for_the_same_texts():
    texts = ["(-9 - 5) * 2 = -14 * 2 = -28 ok", "<step>\nLet's calculate A\n</step>"] * 3
    first, second = train_tokenizer(texts), train_tokenizer(texts)
    assert first.get_vocab() == second.get_vocab()
    assert {END, SYSTEM, USER, ASSISTANT} <= first.get_vocab().keys()
    assert pieces(first, "12 - -3") == ["1", "2", " - ", "-", "3"]
