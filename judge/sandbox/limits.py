"""Jinja with a budget: a sandbox in which no template, however it is written, takes long or writes without end.

What a template does is counted, not timed, so that the same prompt renders or is refused on every machine. Loops,
macros and blocks pay for each round, operators, filters and methods for the most that they could make, and every
output for its length; what holds other values pays for all that it holds. A few operations of a normal prompt cost
far less than a thousandth of the budget.
"""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextvars import ContextVar
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

BUDGET = 100_000_000
"""Characters that a rendering may copy, or as much other work."""
STEP = 100
"""What an operation costs beside the characters that it makes."""
MAX_BYTES = 65_536
"""Of a prompt's file."""

_NODE = 50  # what a node in the body of a loop costs a round
_MAX_DIGITS = 3_000
# Per character: these look at each with Python code or a search.
_SLOW = dict.fromkeys(
    "dictsort groupby pprint sort striptags title tojson unique urlencode urlize wordcount wordwrap xmlattr".split(), 20
)
_PRODUCTS = frozenset({"indent", "tojson", "join", "expandtabs", "translate", "xmlattr"})
_FORMATS = frozenset({"format", "format_map"})
# Tuples, for isinstance is asked often: unions are made anew each time, and are slower.
_TEXTS, _HOLDERS, _EMPTY = (str, bytes), (Collection, Namespace), (jinja2.Undefined, Context)


class TooMuch(SecurityError):
    """A template that does more than a prompt may."""


class Budget:
    """What a rendering may still do."""

    __slots__ = ("left",)

    def __init__(self, amount: int = BUDGET) -> None:
        self.left = amount

    def spend(self, cost: int) -> None:
        """Raises TooMuch once nothing is left."""
        self.left -= cost if cost > 0 else 0
        if self.left < 0:
            raise TooMuch("the template repeats or writes more than it may (loops, repeated text, padding)")


_budget: ContextVar[Budget] = ContextVar("budget")


def spend(cost: int) -> None:
    """Take from the budget of the rendering that runs; what is computed while a template is compiled has none."""
    budget = _budget.get(None)
    if budget is not None:
        budget.spend(cost)


def render_bounded(template: jinja2.Template, values: Mapping[str, Any], amount: int = BUDGET) -> str:
    """Render within the budget. Raises TooMuch."""
    token = _budget.set(Budget(amount))
    try:
        return template.render(values)
    finally:
        _budget.reset(token)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox; its filters, operators and calls count what they do."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        # Jinja's optimizer computes what is nested in constants anew at every level.
        super().__init__(**options, finalize=_written, optimized=False)
        for name in list(self.filters):
            self.bound(name, self.filters[name])
        self.filters |= {"!step": _step, "!held": _held_filter, "!concat": _concat}  # names that no template can write

    def bound(self, name: str, function: Callable[..., Any]) -> None:
        """Offer a filter that counts what it does."""
        wants = getattr(getattr(function, "jinja_pass_arg", None), "name", "")  # as jinja2.pass_context and others say
        slow = _SLOW.get(name, 1)

        @jinja2.pass_context
        def bounded(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
            given = (*args, *kwargs.values()) if kwargs else args
            spend(STEP + most(name, value, given) + measure(value) * slow)
            if not wants:
                return held(function(value, *args, **kwargs))
            passed = {"context": context, "eval_context": context.eval_ctx, "environment": self}[wants]
            return held(function(passed, value, *args, **kwargs))

        self.filters[name] = bounded

    def bounded_template(self, text: str, source: str) -> jinja2.Template:
        """A template in which loops and whatever else is not a filter, call or operator pays too."""
        tree: nodes.Template = _Counted().visit(self.parse(text, filename=source))
        tree.set_environment(self)
        return jinja2.Template.from_code(self, self.compile(tree, filename=source), self.globals)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        spend(STEP + _operation(operator, left, right))
        return held(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        method = getattr(__obj, "__wrapped__", __obj)  # the sandbox wraps the methods that format
        name, owner = getattr(method, "__name__", ""), getattr(method, "__self__", None)
        if isinstance(owner, str | bytes | int | float | Collection):
            spend(STEP + most(name, owner, (*args, *kwargs.values())) + measure(owner))
        else:
            spend(STEP + most("", "", (*args, *kwargs.values())))
        return held(super().call(__context, __obj, *args, **kwargs))

    def call_test(self, name: str, value: Any, *more: Any, **named: Any) -> Any:
        spend(STEP + measure(value))
        return super().call_test(name, value, *more, **named)


def measure(value: Any) -> int:
    """The characters of a text, or all that a value holds, each thing as often as it is held. Raises TooMuch."""
    if isinstance(value, _TEXTS):
        return len(value)
    if not isinstance(value, _HOLDERS) or isinstance(value, _EMPTY):
        return 1 + value.bit_length() // 3 if isinstance(value, int) else 1
    if isinstance(value, range):
        return len(value)
    return _measure_parts(value)


def _measure_parts(value: Any) -> int:
    size, waiting = 1, deque([value])
    while waiting:
        parts = _parts(waiting.pop())
        size += STEP * len(parts)
        spend(STEP * len(parts))  # the walk itself is work, and ends where the budget does
        for part in parts:
            if isinstance(part, _TEXTS):
                size += len(part)
            elif isinstance(part, _HOLDERS) and not isinstance(part, (range, *_EMPTY)):
                waiting.append(part)
    return size


def _parts(value: Any) -> Collection[Any]:
    if isinstance(value, Namespace):
        return tuple(object.__getattribute__(value, "_Namespace__attrs").values())
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    return value if isinstance(value, Sequence | Set | Collection) else ()


def most(name: str, value: Any, args: Sequence[Any]) -> int:
    """The most characters that a filter or method could make of a value, given these arguments."""
    if not args and name not in _FORMATS:
        return 0
    largest = 0
    for arg in args:
        largest = max(largest, abs(arg) if isinstance(arg, int) else measure(arg))
    if name in _FORMATS:
        return _formatted(str(value), largest)
    if name == "replace" and isinstance(value, str) and len(args) > 1:
        old, new = str(args[0]), str(args[1])
        return value.count(old) * len(new)
    if name in _PRODUCTS:
        return (measure(value) + 1) * (largest + 1)
    return largest * 100 if name == "round" else largest


def _formatted(pattern: str, largest: int) -> int:
    if re.search(r":[^{}]*\{", pattern):
        raise SecurityError("a width that is filled in while formatting; write it as a number")
    widths = (int(digits[:9]) for digits in re.findall(r"\d+", pattern))
    return (pattern.count("{") + pattern.count("%") + 1) * (largest + max(widths, default=0) + 1)


def _operation(operator: str, left: Any, right: Any) -> int:
    """The most that an operator could make of two values."""
    match operator:
        case "+":
            return measure(left) + measure(right)
        case "*" if isinstance(left, int) and isinstance(right, int):
            return _number(left.bit_length() + right.bit_length())
        case "*" if isinstance(left, int) or isinstance(right, int):
            held_value, times = (right, left) if isinstance(left, int) else (left, right)
            return measure(held_value) * max(times, 0) if isinstance(times, int) else 0
        case "**" if isinstance(left, int) and isinstance(right, int):
            return _number(left.bit_length() * abs(right))
        case "%" if isinstance(left, str | bytes):
            values = right if isinstance(right, tuple) else (right,)
            largest = max((abs(value) if isinstance(value, int) else measure(value) for value in values), default=0)
            return _formatted(str(left), largest)
        case _:
            return 0


def _number(bits: int) -> int:
    """What a whole number of so many bits costs. Raises TooMuch for one that nobody could read."""
    if bits > _MAX_DIGITS * 10 // 3:
        raise TooMuch(f"a number of more than {_MAX_DIGITS:,} digits")
    return bits


def held(value: Any) -> Any:
    """A value whose size is paid for; an iterator that pays for each item it gives."""
    if isinstance(value, _TEXTS):
        spend(len(value))
    elif isinstance(value, Iterator):
        return _each(value)
    elif isinstance(value, Collection):
        measure(value)
    return value


def _each(items: Iterator[Any]) -> Iterator[Any]:
    for item in items:
        spend(STEP)
        yield item


def _written(value: Any) -> Any:
    """What an output writes, paid for before it becomes a text."""
    spend(STEP + (len(value) if isinstance(value, str) else measure(value)))
    return value


@jinja2.pass_context
def _step(context: Context, cost: Any) -> bool:
    spend(cost)
    return True


@jinja2.pass_context
def _held_filter(context: Context, value: Any) -> Any:
    return held(value)


@jinja2.pass_context
def _concat(context: Context, values: Sequence[Any]) -> Any:
    """The operator `~`."""
    spend(STEP + measure(values))
    joined: Any = jinja2.runtime.markup_join(values) if context.eval_ctx.autoescape else jinja2.runtime.str_join(values)
    return joined


class _Counted(NodeTransformer):
    """Puts a step before the body of whatever may run again and again, and lets values that hold others pay."""

    def _repeated(self, node: Any) -> Any:
        written = sum(len(data.data) for part in node.body for data in _all(part, nodes.TemplateData))
        parts = sum(1 for part in node.body for _ in _all(part, nodes.Node))
        self.generic_visit(node)
        cost = nodes.Const(STEP + _NODE * parts + written, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(_filtered(cost, "!step"), lineno=node.lineno))
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self._repeated(node)
        if node.test is not None:  # rounds that the condition leaves out never reach the body
            node.test = nodes.And(_filtered(nodes.Const(STEP), "!step"), node.test, lineno=node.lineno)
        return node

    visit_Macro = visit_CallBlock = visit_Block = _repeated

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "!concat")

    def _holding(self, node: Any) -> Any:
        self.generic_visit(node)
        written = getattr(node, "ctx", "load") == "load"
        return _filtered(node, "!held") if written and any(True for _ in node.iter_child_nodes()) else node

    visit_List = visit_Tuple = visit_Dict = _holding

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "!held") if isinstance(node.arg, nodes.Slice) else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _paying(node.expr)
        for operand in node.ops:
            operand.expr = _paying(operand.expr)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        self.generic_visit(node)
        if node.args:
            node.node, node.args = _paying(node.node), [_paying(argument) for argument in node.args]
        return node


def _paying(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _filtered(node, "!held")


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _all(node: nodes.Node, kind: type[Any]) -> Iterator[Any]:
    """A node and what is inside it, of one kind."""
    if isinstance(node, kind):
        yield node
    yield from node.find_all(kind)
