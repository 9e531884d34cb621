"""Templated prompts back to messages, for the templates that models are published with."""

import pytest

from judge.formats.chat_markup import answer_of, prompt_turns, without_closing
from judge.records import Message

TURNS = (Message("system", "Be brief."), Message("user", "1 + 1?"))


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n",
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n1 + 1?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|system|>\nBe brief.</s>\n<|user|>\n1 + 1?</s>\n<|assistant|>\n",
        "<|system|>Be brief.<eos><|user|>1 + 1?<eos><|assistant|>",
    ],
)
def test_a_templated_prompt_is_its_messages(text: str) -> None:
    assert prompt_turns(text) == TURNS


def test_families_with_names_of_their_own_for_roles() -> None:
    question = Message("user", "1 + 1?")
    assert prompt_turns("<bos><start_of_turn>user\n1 + 1?<end_of_turn>\n<start_of_turn>model\n") == (question,)
    assert prompt_turns("<｜begin▁of▁sentence｜><｜User｜>1 + 1?<｜Assistant｜>") == (question,)
    several = prompt_turns("<s>[INST] 1 + 1? [/INST] 2</s>[INST] And 2 + 2? [/INST]")
    assert several == (question, Message("assistant", "2"), Message("user", "And 2 + 2?"))


def test_a_plain_text_is_one_turn() -> None:
    assert prompt_turns("1 < 2 and 3 > 2?") == (Message("user", "1 < 2 and 3 > 2?"),)


def test_the_answer_is_what_follows_the_prompt() -> None:
    prompt = "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n"
    assert answer_of(f"{prompt}2.\n3.<|im_end|>\n<|endoftext|>", prompt) == "2.\n3."
    assert answer_of("2.", prompt) is None
    cut = f"{'1 + ' * 40}1?<|im_end|>\n<|im_start|>assistant\n"
    assert answer_of(f"{cut[100:]}41<|im_end|>", f"<|im_start|>user\n{cut}") == "41"
    assert without_closing("a < b </s>") == "a < b"
