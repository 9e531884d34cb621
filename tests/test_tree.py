"""The repository as a stranger finds it: every package installs, and nothing speaks of the machine it was made on."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
FOLDER = {"judge.cli": "cli", "judge.prompts": "prompts", "judge.constitutions": "constitutions"}

# Put together from halves, so that this file does not find itself.
PRIVATE = re.compile(
    "|".join(
        [
            r"(?<![\w.~-])/" + r"(work|farm)/",
            r"/tmp/" + r"bash_jobs",
            r"/opt/" + r"(pypi|wheels)",
            r"\bpypi" + r"\.org\b",
            r"files\.python" + r"hosted",
        ]
    )
)


def test_every_package_is_listed() -> None:
    """`packages` in pyproject.toml is written by hand: a folder that is missing there would be missing in the wheel."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent for top in ("judge", "cli") for path in (ROOT / top).rglob("__init__.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders} - {"cli"}
    found = {f"judge.{name}" if name.startswith("cli.") else name for name in names} | set(FOLDER)
    assert sorted(listed) == sorted(found)


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for top in ("judge", "cli") for path in (ROOT / top).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_imported_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [line for name, lines in project["optional-dependencies"].items() if name != "dev" for line in lines]
    declared = {re.split(r"[^\w-]", line)[0] for line in [*project["dependencies"], *extras]}
    imported = set()
    for path in (path for top in ("judge", "cli") for path in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    packages = {"yaml": "pyyaml", "sklearn": "scikit-learn"}
    packages |= {name: name.replace("_", "-") for name in ("huggingface_hub", "prometheus_client")}
    named = {packages.get(name, name) for name in imported - sys.stdlib_module_names - {"judge"}}
    # A notebook brings IPython with it, and nothing else asks for it.
    assert named <= declared | {"IPython"}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in [*project["dependencies"], *extras]]


def test_every_requirement_has_a_lower_and_an_upper_bound() -> None:
    bounds = {(r.name, *sorted(clause.operator for clause in r.specifier)) for r in requirements()}
    assert {bound for bound in bounds if bound[1:] != ("<", ">=")} == set()


def test_the_versions_tested_lie_within_the_bounds() -> None:
    """constraints.txt pins what the tests run with, and names no place to get it from."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in (line.split("==") for line in lines)}
    outside = [
        str(requirement)
        for requirement in requirements()
        if requirement.name != "vllm" and pinned[requirement.name.lower()] not in requirement.specifier
    ]
    assert outside == []


def committed() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_no_committed_file_speaks_of_a_private_machine() -> None:
    found = []
    for path in committed():
        if not path.is_file() or path.stat().st_size > 1_000_000:
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if PRIVATE.search(line)
        ]
    assert not found, "\n".join(found)


def test_nothing_large_is_committed() -> None:
    large = [path.name for path in committed() if path.is_file() and path.stat().st_size > 13_000_000]
    assert large == []


GUIDES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_guide_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)[^)]*\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "page", [page for page in GUIDES if page.parent != ROOT / "docs" or page.stem == "architecture"]
)
def test_files_named_in_a_guide_are_there(page: Path) -> None:
    """Words in backticks that look like a path of this repository."""
    named = re.findall(r"`((?:judge|cli|prompts|docs|tests|benchmarks|examples)/[\w./-]*)`", page.read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []
