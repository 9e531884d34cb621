"""The command line parses, makes a call and draws: what its modules import, and how long they are."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import judge

CLI = Path(__file__).resolve().parent.parent.parent / "cli"
FILES = sorted(CLI.rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of every import, in functions and for type checkers too; the name is "" for a whole module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def allowed(module: str, name: str) -> bool:
    if module == "judge":
        return not name or name in judge.__all__
    if module == "judge.cli" or module.startswith("judge.cli."):
        return True
    return module.partition(".")[0] in {*sys.stdlib_module_names, "typer", "rich"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_verb_imports_public_names_alone(path: Path) -> None:
    strange = [" ".join(used) for used in imports(ast.parse(path.read_text("utf-8"))) if not allowed(*used)]
    assert not strange


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_verb_is_short_and_hands_no_bag_around(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 260
    assert "locals" not in {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_everything_drawn_passes_through_one_module(path: Path) -> None:
    """`cli/drawing.py` spells control characters out; nobody else writes or makes a console."""
    names = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    called = {name.id for name in names if isinstance(name, ast.Name)}
    assert path.name == "drawing.py" or not called & {"print", "Console"}
