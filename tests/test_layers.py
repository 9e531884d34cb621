"""The shape of the code: imports run downward, files and functions stay short, prompts stay out of Python."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import judge

ROOT = Path(__file__).resolve().parent.parent

# From the ground up. A room may import itself and rooms of the rows above its own in this list, nothing else.
FLOORS: list[set[str]] = [
    {"id_set", "json_input", "patterns", "sandbox", "secrets", "terminal", "yaml_input"},
    {"errors", "records"},
    {"pretrained"},
    {"hub", "registry", "locations"},
    {"judgements", "files"},
    {"verdicts", "run_files"},
    {"prompting"},
    {"formats", "constitution"},
    {"tiny"},
    {"engines"},
    {"tasks"},
    {"runs"},
    {"exports"},
    {"rewards", "agreement"},
    {"constitution_eval"},
    {"rubric"},
    {"report"},
    {"serving"},
    {"jobs"},
    {"hooks"},
    {"iteration"},
    {"cli"},
]
# These read rows that others wrote, and know nothing of who wrote them.
GROUND = {
    "id_set",
    "json_input",
    "patterns",
    "pretrained",
    "sandbox",
    "secrets",
    "terminal",
    "yaml_input",
    "errors",
    "records",
    "registry",
    "judgements",
    "files",
    "hub",
    "locations",
    "run_files",
}
STANDS_ON = {"rewards": GROUND, "agreement": GROUND, "report": GROUND | {"agreement"}}
# The floors of one wing, by the same rule.
WINGS: dict[str, list[set[str]]] = {
    "rewards": [
        {"registry", "reward", "settings"},
        {"config", "shaping"},
        {"data"},
        {"modeling", "losses"},
        {"evaluation"},
        {"training"},
        {"checkpoint"},
        {"inference"},
        {"external"},
        {"preparation"},
        {"distill"},
    ],
    "agreement": [
        {"schema"},
        {"statistics"},
        {"data"},
        {"analyses"},
        {"benchmarks", "best_of", "robustness"},
        {"findings"},
        {"build", "serialization"},
    ],
}
RESOURCES = {"prompts", "constitutions"}

FILES = sorted(path for folder in ("judge", "cli") for path in (ROOT / folder).rglob("*.py"))
EVERY_FILE = sorted(
    path for folder in ("judge", "cli", "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")
)


def room(path: Path) -> str:
    """The part of the house a file belongs to: `judge/engines/base.py` -> engines; "" for judge/__init__.py."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "cli":
        return "cli"
    return "" if parts[1] == "__init__.py" else parts[1].removesuffix(".py")


def allowed(name: str) -> set[str]:
    """The rooms that a room may import besides itself."""
    if name in STANDS_ON:
        return STANDS_ON[name]
    below: set[str] = set()
    for floor in FLOORS:
        if name in floor:
            return below
        below |= floor
    raise AssertionError(f"judge/{name} has no floor: add it to FLOORS in {Path(__file__).name}")


def imported_rooms(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, room) for each import of a part of judge; TYPE_CHECKING blocks and functions count like any other."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "judge":
                yield node.lineno, parts[1] if len(parts) > 1 else ""


def imported_parts(tree: ast.AST, wing: str) -> Iterator[tuple[int, str]]:
    """(line, folder or module) for each import of a part of one wing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[:2] == ["judge", wing]:
            parts = (node.module or "").split(".")[2:]
            yield from ((node.lineno, name) for name in (parts[:1] or [alias.name for alias in node.names]))


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def words(tree: ast.AST) -> Iterator[ast.Constant]:
    """The string constants of a file that are not docstrings."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports_run_downward(path: Path) -> None:
    name = room(path)
    if not name:
        pytest.skip("judge/__init__.py offers names of every floor")
    below = allowed(name) | {name} | RESOURCES
    if name == "cli":  # `import judge`, `from judge import label`
        below |= {"", *judge.__all__}
    upward = [
        f"line {line}: judge.{target}"
        for line, target in imported_rooms(ast.parse(path.read_text("utf-8")))
        if target not in below
    ]
    assert not upward, f"{place(path)} imports upward or sideways: {'; '.join(upward)}"


@pytest.mark.parametrize("path", EVERY_FILE, ids=place)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 500, f"{place(path)} has {text.count(chr(10))} lines, at most 500"
    long = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.body[0].lineno + 1  # the signature of a command is a table of options
            long += [f"{node.name} ({lines} lines)"] * (lines > 60)
    assert not long, f"{place(path)}: at most 60 lines a function: {', '.join(long)}"


@pytest.mark.parametrize("path", [path for path in FILES if room(path) in WINGS], ids=place)
def test_a_wing_has_floors_too(path: Path) -> None:
    wing = room(path)
    own = path.relative_to(ROOT / "judge" / wing).parts[0].removesuffix(".py")
    if own == "__init__":
        pytest.skip("the wing's own names")
    level = {name: number for number, floor in enumerate(WINGS[wing]) for name in floor}
    assert own in level, f"judge/{wing}/{own} has no floor: add it to WINGS in {Path(__file__).name}"
    upward = [
        f"line {line}: judge.{wing}.{target}"
        for line, target in imported_parts(ast.parse(path.read_text("utf-8")), wing)
        if target != own and level.get(target, -1) >= level[own]
    ]
    assert not upward, f"{place(path)} imports upward or sideways: {'; '.join(upward)}"


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=place)
def test_a_package_holds_at_most_sixteen_modules(folder: Path) -> None:
    modules = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    assert len(modules) <= 16 or folder.name == "formats", f"{place(folder)}: {len(modules)} modules, at most 16"


def test_folders_are_two_levels_deep_and_names_say_something() -> None:
    deep = [place(path) for path in FILES if len(path.relative_to(ROOT).parts) > 4]
    assert not deep
    vague = [place(path) for path in FILES if path.stem.strip("_") in {"utils", "util", "helpers", "common", "misc"}]
    assert not vague


@pytest.mark.parametrize("path", [path for path in FILES if room(path) != "cli"], ids=place)
def test_only_the_command_line_prints(path: Path) -> None:
    text = path.read_text("utf-8")
    if '__name__ == "__main__"' in text:
        pytest.skip("a script prints")
    lines = [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not lines, f"{place(path)} prints at lines {lines}"


INSTRUCTION = re.compile(
    r"\b(You are an?\b|You will be|Your task is|Your job is|Respond with|Reply with|Answer with|Think step by step"
    r"|Please (judge|rate|evaluate|compare|decide))"
)


@pytest.mark.parametrize("path", FILES, ids=place)
def test_prompts_stay_out_of_python(path: Path) -> None:
    found = [
        f"line {node.lineno}: {str(node.value)[:60]!r}"
        for node in words(ast.parse(path.read_text("utf-8")))
        if INSTRUCTION.search(str(node.value))
    ]
    assert not found, f"{place(path)} holds prompt text (it belongs in prompts/): {'; '.join(found)}"
