"""A model's own chat template: a program of whoever made the model's directory, rendered within a budget.

The environment is that of transformers' `apply_chat_template`, and so is the text.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from judge.sandbox.limits import BUDGET, BoundedEnvironment, TooMuch, measure, render_bounded

PASSES = 20
"""How often a template may read the whole conversation at each of its turns, beside `BUDGET`."""
TOOL_PASSES = 10
"""As many times that for the tools on offer, which are written by parts and with indents."""
__all__ = ["TooMuch", "render_chat"]


def render_chat(
    tokenizer: Any,
    turns: Sequence[Mapping[str, Any]],
    *,
    ask: bool,
    template: str = "",
    tools: Sequence[Any] = (),
    **values: Any,
) -> str:
    """A conversation in a tokenizer's chat template.

    Args:
        tokenizer: of transformers.
        turns: role and content of each.
        ask: whether the text ends where the assistant's turn begins.
        template: Jinja text instead of the tokenizer's own.
        tools: offered to a template that knows them.
        values: further variables of the template.

    Returns:
        The text that `tokenizer.apply_chat_template(…, tokenize=False)` gives.

    Raises:
        jinja2.TemplateError: where the template refuses the conversation.
        TooMuch: of these, for a template that does more than any conversation needs.
    """
    offered = list(tools) or None
    compiled = _compiled(tokenizer.get_chat_template(template or None, offered))
    given = {"messages": list(turns), "tools": offered, "documents": None, "add_generation_prompt": ask}
    allowance = BUDGET + PASSES * (len(turns) * measure(turns) + TOOL_PASSES * measure(list(tools)))
    return render_bounded(compiled, {**tokenizer.special_tokens_map, **values, **given}, allowance)


@lru_cache(maxsize=64)
def _compiled(text: str) -> jinja2.Template:
    environment = BoundedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    environment.bound("tojson", _to_json)
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    del environment.globals["lipsum"]  # it is paid for when it is written, and takes for ever before
    return environment.bounded_template(text, "the chat template")


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}`, around what the assistant wrote: it stays as it is."""

    tags = {"generation"}  # noqa: RUF012 (Jinja declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """Without the escapes of Jinja's own filter, which are for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _now(format: str) -> str:
    return datetime.now().strftime(format)
