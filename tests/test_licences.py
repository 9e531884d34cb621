"""Whoever installs rmjudge, which is Apache-2.0, gets no library with a licence that reaches out to his own code.

Read is the metadata of what is installed: the requirements of rmjudge without extras, and theirs, to the end.
"""

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

PERMISSIVE = {
    "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CNRI-Python", "ISC", "MIT", "MIT-CMU", "PSF-2.0", "0BSD",
    "Unlicense", "Zlib",
}  # fmt: skip

# What packages write where an SPDX identifier would stand.
SPELLINGS = {
    "2-clause bsd": "BSD-2-Clause",
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license iscl": "ISC",
    "mit license": "MIT",
    "python software foundation license": "PSF-2.0",
}

# Not permissive by their metadata, and why they may be required all the same.
REASONS = {
    "orjson": "MPL-2.0 covers its own source files, which are used unchanged",
    "setuptools": "MIT; some versions carry the licence as a file alone",
    "tqdm": "MPL-2.0 covers its own source files, which are used unchanged",
}

COPYLEFT = re.compile(r"\b[AL]?GPL|\bGNU\b|General Public", re.IGNORECASE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Every package that an installation brings, with the one that asks for it."""
    names: dict[str, str] = {}
    pending = [(requirement, "rmjudge") for requirement in requirements]
    visited = set()
    while pending:
        requirement, wanted_by = pending.pop()
        key = (canonical(requirement.name), frozenset(requirement.extras))
        if key in visited:
            continue
        visited.add(key)
        names.setdefault(canonical(requirement.name), wanted_by)
        for line in distribution(requirement.name).requires or []:
            inner = Requirement(line)
            extras = {"", *requirement.extras}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                pending.append((inner, requirement.name))
    return names


def licences(name: str) -> list[str]:
    """What a package says of its licence: the expression, else the classifiers, else the short field."""
    metadata = distribution(name).metadata
    if metadata["License-Expression"]:
        return [metadata["License-Expression"]]
    classifiers = metadata.get_all("Classifier") or []
    named = [line.split("::")[-1].strip() for line in classifiers if line.startswith("License ::")]
    return [licence for licence in named if licence != "OSI Approved"] or [metadata["License"] or ""]


def is_permissive(licence: str) -> bool:
    """Whether all parts of an SPDX expression are permissive, where each part may offer a choice."""
    parts = re.sub(r"[()]| WITH \S+", "", licence).split(" AND ")
    choices = ([SPELLINGS.get(name.strip().lower(), name.strip()) for name in part.split(" OR ")] for part in parts)
    return all(any(name in PERMISSIVE for name in names) for names in choices)


def base_install() -> dict[str, str]:
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    return required(map(Requirement, lines))


def test_every_required_package_has_a_permissive_licence() -> None:
    installed = base_install()
    assert len(installed) > 30
    others = {
        f"{name} (for {wanted_by}): {licences(name)}"
        for name, wanted_by in installed.items()
        if name not in REASONS and not all(map(is_permissive, licences(name)))
    }
    assert others == set()


def test_no_required_package_is_of_the_gpl_family() -> None:
    """Not even one with an entry in the table of reasons."""
    assert [name for name in base_install() if any(map(COPYLEFT.search, licences(name)))] == []


def test_the_table_of_reasons_names_required_packages_alone() -> None:
    assert set(REASONS) <= set(base_install())


@pytest.mark.parametrize(
    ("licence", "permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", False),
        ("GPL-3.0-or-later OR MIT", True),
        ("GNU General Public License v3 (GPLv3)", False),
        ("", False),
    ],
)
def test_expressions(licence: str, permissive: bool) -> None:
    assert is_permissive(licence) == permissive


def test_a_gpl_package_is_told_from_the_others() -> None:
    """`krippendorff` is one; the tests compare with it, the package does without."""
    try:
        stated = licences("krippendorff")
    except PackageNotFoundError:
        pytest.skip("krippendorff is not installed")
    assert any(map(COPYLEFT.search, stated))
