"""The body of a prompt: sandboxed Jinja whose message blocks are collected while they are rendered.

Blocks are never found by splitting what was rendered, so no judged text can begin a message of its own.
"""

import traceback
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.meta import TrackingCodeGenerator
from jinja2.parser import Parser
from jinja2.runtime import Context

from judge.errors import TemplateError
from judge.prompting.delimiters import frame
from judge.records import Conversation, Message, Role, whole_characters
from judge.sandbox.limits import STEP, BoundedEnvironment, render_bounded, spend

ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_TURNS, _FRAMES = "_turns", "_frames"
_MESSAGE = "!message"  # a filter's name that no template can write
_FAULTS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NameError,  # a number too large for a float is written as the name inf
    AssertionError,
    RecursionError,
    MemoryError,
    RuntimeError,
)


class Body:
    """A compiled body.

    frames: the names of its frames; `*` at the end stands for any ending ("response_" ~ loop.index).
    nameless: the lines of frames whose name is not written out, so that no text could be kept from closing them.
    roles: its message blocks' roles, as written. used: the names it reads and does not set itself.
    """

    __slots__ = ("frames", "nameless", "roles", "source", "template", "tree", "used")

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        environment = _environment()
        self.tree = environment.parse(text, filename=source)
        named = list(_frame_names(self.tree))
        self.frames = frozenset(name for name, _ in named if name)
        self.nameless = tuple(line for name, line in named if not name)
        self.roles = tuple(role for role, _ in _blocks(self.tree))
        self.used = _undeclared(self.tree) - environment.globals.keys()
        _refuse_own_names(self.tree, source)
        self.template = environment.bounded_template(text, source)

    def render(self, values: Mapping[str, Any]) -> Conversation:
        """The messages of the blocks, in order. Raises TemplateError with the line in the file."""
        turns: list[Message] = []
        try:
            rest = render_bounded(self.template, {**values, _TURNS: turns, _FRAMES: self.frames})
        except _FAULTS as error:
            raise TemplateError(f"{self.source}:{line_of(error, self.source)}: {error}") from error
        if rest and not rest.isspace():
            raise TemplateError(f"{self.source}: text outside of a message block: {rest.strip()[:60]!r}")
        if not any(turn.role == "user" for turn in turns):
            raise TemplateError(f"{self.source}: no user message")
        return tuple(turns)

    def line_of_name(self, name: str) -> int:
        """The first line that reads a variable, 1 if none does."""
        lines = [node.lineno for node in self.tree.find_all(nodes.Name) if node.name == name and node.ctx == "load"]
        return min(lines, default=1)


@lru_cache(maxsize=256)
def compile_body(text: str, source: str) -> Body:
    """Compile a body once a process. Raises jinja2.TemplateSyntaxError, whose line is the file's."""
    return Body(text, source)


def line_of(error: BaseException, source: str) -> int:
    """The line of the prompt where an error arose; Jinja rewrites tracebacks to the template's lines."""
    line = getattr(error, "lineno", None)
    if isinstance(line, int):
        return line
    places = [place.lineno for place in traceback.extract_tb(error.__traceback__) if place.filename == source]
    return (places[-1] if places else None) or 1


class Messages(Extension):
    """`{% user %}…{% enduser %}` and its siblings: each adds one message to the conversation being rendered."""

    tags = set(ROLES)  # noqa: RUF012 (Jinja declares it so)

    def parse(self, parser: Parser) -> nodes.Node:
        token = next(parser.stream)
        body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        for _, line in (inside for node in body for inside in _blocks(node)):
            parser.fail("a message block inside a message block", line)
        add = nodes.Filter(None, _MESSAGE, [nodes.Const(token.value)], [], None, None)
        return nodes.FilterBlock(body, add).set_lineno(token.lineno)


@jinja2.pass_context
def _add_message(context: Context, content: str, role: Role) -> str:
    context.parent[_TURNS].append(Message(role, whole_characters(content.strip())))
    return ""


@lru_cache(maxsize=1)
def _environment() -> BoundedEnvironment:
    environment = BoundedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, extensions=[Messages]
    )
    environment.globals = {name: environment.globals[name] for name in ("range", "namespace")}
    environment.filters |= {"frame": _frame, _MESSAGE: _add_message}
    return environment


@jinja2.pass_context
def _frame(context: Context, text: str, name: str) -> str:
    """A text between its tags, paid for by its length: it is searched for tags, and copied."""
    if isinstance(text, jinja2.Undefined):
        str(text)  # raises, and says which name it was
    framed = frame(text, name, context.parent[_FRAMES])
    spend(STEP + 5 * len(framed))
    return framed


def _undeclared(tree: nodes.Template) -> set[str]:
    """`jinja2.meta.find_undeclared_variables`, without the optimizer (see BoundedEnvironment)."""
    assert tree.environment is not None
    generator = TrackingCodeGenerator(tree.environment)
    generator.optimizer = None
    generator.visit(tree)
    return generator.undeclared_identifiers


def _refuse_own_names(tree: nodes.Template, source: str) -> None:
    """Raise TemplateSyntaxError for a body that sets what its messages and frames are kept in."""
    set_names = [(node.name, node.lineno) for node in tree.find_all(nodes.Name) if node.ctx != "load"]
    set_names += [(node.name, node.lineno) for node in tree.find_all(nodes.Macro)]
    for name, line in set_names:
        if name in (_TURNS, _FRAMES):
            raise jinja2.TemplateSyntaxError(f"'{name}' cannot be set", line, filename=source)


def _blocks(tree: nodes.Node) -> Iterator[tuple[str, int]]:
    """The message blocks of a tree: role and line."""
    for block in [tree, *tree.find_all(nodes.FilterBlock)]:
        if isinstance(block, nodes.FilterBlock) and block.filter.name == _MESSAGE:
            role = block.filter.args[0]
            assert isinstance(role, nodes.Const)
            yield role.value, block.lineno


def _frame_names(tree: nodes.Node) -> Iterator[tuple[str, int]]:
    """The name and line of each frame; an empty name where none is written out."""
    for node in tree.find_all(nodes.Filter):
        if node.name == "frame":
            name = node.args[0] if node.args else None
            first = name.nodes[0] if isinstance(name, nodes.Concat) else name
            written = str(first.value) if isinstance(first, nodes.Const) else ""
            yield written + "*" * (bool(written) and first is not name), node.lineno
