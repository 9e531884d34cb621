"""YAML that other people wrote: read with limits on its size, its depth and what its aliases stand for.

Nine aliases of nine aliases of nine … are a few lines of text and a billion values. Every YAML text that is read goes
through `compose` and `construct`, which refuse it in a line instead.
"""

from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.events import AliasEvent
from yaml.nodes import Node, ScalarNode

MAX_CHARACTERS = 4_000_000
MAX_NODES = 150_000
"""Keys, values and items, counted as often as aliases repeat them."""
MAX_DEPTH = 50
MAX_DIGITS = 4_000

# The parser in Python words its errors better, the one in C is ten times as fast.
_SHORT = 50_000


class YamlError(ValueError):
    """A text that is no YAML, or more of it than is read.

    Attributes:
        line: the line of the text, counted from 1.
    """

    def __init__(self, problem: str, line: int = 1) -> None:
        super().__init__(problem)
        self.line = line


def compose(text: str) -> Node | None:
    """The tree of a text, None for an empty one. Raises YamlError."""
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"{len(text):,} characters; accepted: up to {MAX_CHARACTERS:,}")
    loader: Any = None
    try:
        loader = _loader(text)
        node: Node | None = loader.get_single_node()
        return node
    except yaml.YAMLError as error:
        raise YamlError(_problem(error), _line(error, text)) from None
    except (ValueError, IndexError, OverflowError) as error:  # an escape of no character: "\UFFFFFFFF"
        raise YamlError(str(error)) from None
    finally:
        if loader is not None:
            loader.dispose()


def construct(node: Node | None) -> Any:
    """The plain value of a tree. Raises YamlError for one that has none (`!!int x`, a date of month 13)."""
    if node is None:
        return None
    try:
        return _Constructor().construct_document(node)
    except yaml.YAMLError as error:
        raise YamlError(_problem(error), _line(error, "")) from None
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError) as error:
        why = f": {' '.join(str(error).split())}" if isinstance(error, ValueError) else ""
        raise YamlError(f"a value that does not fit its type{why}", int(node.start_mark.line) + 1) from None


def load_yaml(text: str) -> Any:
    """The plain value of a text. Raises YamlError."""
    return construct(compose(text))


class _Limited(Composer):
    """Composes a tree and counts what it would be with every alias written out."""

    def __init__(self) -> None:
        Composer.__init__(self)  # not the next of the loader's many bases
        self.nodes = self.depth = self.deepest = 0
        self.anchored: dict[int, tuple[int, int]] = {}  # id of a node -> its size and height

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[attr-defined]
        before, outside = self.nodes, self.deepest
        self.depth += 1
        self.deepest = self.depth
        self._check(event)  # before what is inside is read: a deep text is refused at its start
        node = super().compose_node(parent, index)
        if isinstance(event, AliasEvent):
            if id(node) not in self.anchored:
                raise _refusal(f"*{event.anchor} inside what it stands for", event)
            size, height = self.anchored[id(node)]
            self.nodes += size
            self.deepest += height
        else:
            self.nodes += 1
            if event.anchor is not None:
                self.anchored[id(node)] = (self.nodes - before, self.deepest - self.depth)
        self._check(event)
        self.deepest = max(self.deepest, outside)
        self.depth -= 1
        composed: Node | None = node
        return composed

    def _check(self, event: Any) -> None:
        if self.deepest > MAX_DEPTH:
            raise _refusal(f"nested deeper than {MAX_DEPTH} levels", event)
        if self.nodes > MAX_NODES:
            problem = f"more than {MAX_NODES:,} values, each alias (*{getattr(event, 'anchor', '')}) written out"
            if not self.anchored:
                problem = f"more than {MAX_NODES:,} values"
            raise _refusal(problem, event)


def _refusal(problem: str, event: Any) -> ComposerError:
    return ComposerError(None, None, problem, event.start_mark)


class _PythonLoader(_Limited, yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        yaml.SafeLoader.__init__(self, text)
        _Limited.__init__(self)


def _loader(text: str) -> Any:
    if len(text) <= _SHORT or not yaml.__with_libyaml__:
        return _PythonLoader(text)

    class FastLoader(_Limited, yaml.CSafeLoader):
        def __init__(self) -> None:
            yaml.CSafeLoader.__init__(self, text)
            _Limited.__init__(self)

    return FastLoader()


class _Constructor(SafeConstructor):
    def construct_yaml_int(self, node: Any) -> int:
        """A whole number; `1:2:3:…` (base 60) takes time with the square of its length."""
        if isinstance(node, ScalarNode) and len(node.value) > MAX_DIGITS:
            raise ConstructorError(None, None, f"a number of {len(node.value):,} digits", node.start_mark)
        number: int = super().construct_yaml_int(node)
        return number


_Constructor.add_constructor("tag:yaml.org,2002:int", _Constructor.construct_yaml_int)  # type: ignore[type-var]


def _problem(error: yaml.YAMLError) -> str:
    context, problem = getattr(error, "context", None), getattr(error, "problem", None)
    if problem and problem.startswith("but ") and context:
        return f"{context}, {problem}"
    return str(problem or getattr(error, "reason", None) or " ".join(str(error).split()))


def _line(error: yaml.YAMLError, text: str) -> int:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", 0)
    return text[: position if isinstance(position, int) else 0].count("\n") + 1
