"""A model's own chat template: what transformers would make of it, but never without an end."""

import time
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError
from transformers import AutoTokenizer

import judge
from judge.errors import EngineError
from judge.sandbox.chat_templates import render_chat
from judge.sandbox.limits import TooMuch
from tests.rewards.models import CHAT, save, tokenizer

TURNS = [
    {"role": "system", "content": "w6"},
    {"role": "user", "content": 'w7 <é> & "w8"\n'},
    {
        "role": "assistant",
        "content": "w9",
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}],
    },
    {"role": "tool", "content": "w10"},
]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
ENDLESS = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    "template",
    [
        CHAT,
        "{% for m in messages %}{% if m.role == 'tool' %}{% break %}{% endif %}{{ m.content }}|{% endfor %}",
        "{% for m in messages %}\n  {% generation %}{{ m.content | trim }}{% endgeneration %}\n{% endfor %}",
        "{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}{{ messages[2].tool_calls[0].function | tojson }}",
        "{% for m in messages[::-1] %}{{ loop.index0 }}{{ m['content'] | tojson }}{{ m.missing }}{% endfor %}",
        "{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}{{ documents }}{{ thinking | default('none') }}",
        "{% macro turn(m) %}[{{ m.role ~ m.content }}]{% endmacro %}{{ turn(messages[0]) }}{{ strftime_now('%Y') }}",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
        "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join | replace('w', 'v') }}",
        "{{ messages[1].content.split('&')[0].strip() if messages is not string else raise_exception('no') }}",
    ],
)
@pytest.mark.parametrize("tools", [[], [TOOL]])
def test_a_template_gives_what_transformers_makes_of_it(template: str, tools: list[Any]) -> None:
    tokens = tokenizer()
    tokens.chat_template = template
    for ask in (False, True):
        plain = tokens.apply_chat_template(
            TURNS, tokenize=False, add_generation_prompt=ask, tools=tools or None, thinking="off"
        )
        assert render_chat(tokens, TURNS, ask=ask, tools=tools, thinking="off") == plain


def test_named_templates_are_chosen_as_transformers_does() -> None:
    tokens = tokenizer()
    tokens.chat_template = {"default": "plain", "tool_use": "with tools"}
    assert render_chat(tokens, TURNS, ask=False) == "plain"
    assert render_chat(tokens, TURNS, ask=False, tools=[TOOL]) == "with tools"


@pytest.mark.parametrize(
    "template",
    [
        ENDLESS,
        "{{ 'a' * 10 ** 10 }}",
        "{% for a in range(100000) %}{% generation %}{{ messages }}{% endgeneration %}{% endfor %}",
        "{{ messages | tojson(indent=10 ** 9) }}",
        "{{ messages[0].content | center(10 ** 10) }}",
    ],
)
def test_a_template_without_an_end_is_refused(template: str) -> None:
    tokens = tokenizer()
    tokens.chat_template = template
    started = time.process_time()
    with pytest.raises(TooMuch):
        render_chat(tokens, TURNS, ask=True)
    assert time.process_time() - started < 10  # about 0.2 s; more where coverage counts each line


def test_a_template_has_no_text_without_an_end() -> None:
    """Jinja's lipsum would be paid for once it is written, an hour later."""
    tokens = tokenizer()
    tokens.chat_template = "{{ lipsum(90000000) }}"
    with pytest.raises(UndefinedError, match="'lipsum' is undefined"):
        render_chat(tokens, TURNS, ask=True)


def test_a_template_may_look_at_a_long_conversation_at_each_of_its_turns() -> None:
    """300 turns of 2,000 characters: each turn looks at all of them, 180 million characters in all."""
    tokens = tokenizer()
    tokens.chat_template = "{% for m in messages %}{% if messages | length > 1 %}x{% endif %}{% endfor %}"
    turns = [{"role": "user", "content": "w6 w7 w8 " * 222}] * 300
    assert render_chat(tokens, turns, ask=False) == "x" * 300


def test_hundreds_of_tools_are_no_hostile_ones() -> None:
    """300 tools of 15 parameters each, written with an indent of four, as Llama 3.1's template does."""
    tokens = tokenizer()
    tokens.chat_template = "{% for t in tools %}{{ t | tojson(indent=4) }}{% endfor %}"
    properties = {f"w{number}": {"type": "string", "description": "w6 " * 20} for number in range(15)}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": properties}}}
    plain = tokens.apply_chat_template(TURNS, tokenize=False, tools=[tool] * 300)
    assert render_chat(tokens, TURNS, ask=False, tools=[tool] * 300) == plain


def test_a_hostile_model_directory_ends_a_training_in_one_line(tmp_path: Path) -> None:
    backbone = save(tmp_path / "base", "llama")
    tokens = AutoTokenizer.from_pretrained(backbone)
    tokens.chat_template = ENDLESS
    tokens.save_pretrained(backbone)
    pairs = [{"prompt": f"w{6 + n}", "chosen": f"w{20 + n}", "rejected": f"w{40 + n}"} for n in range(12)]
    out = tmp_path / "model"
    with pytest.raises(EngineError, match=r"^the chat template of '.*base' is refused: the template repeats") as caught:
        judge.distill(pairs, kind="scalar", backbone=str(backbone), labels="human", out=out, progress=False)
    assert "\n" not in str(caught.value)
    assert not out.exists()
