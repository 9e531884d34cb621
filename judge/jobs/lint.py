"""`judge.lint_constitution`, `lint_rubric`, `lint_prompt`: everything that is wrong with files, each with its line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.constitution import constitution as constitutions
from judge.constitution.lint import lint as constitution_findings
from judge.errors import ConfigError
from judge.prompting import template as templates
from judge.prompting.front_matter import Finding
from judge.rubric.lint import lint as rubric_findings


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LintResult:
    """What was found. Iterating gives the findings; a result without any is true in `if result.passed`.

    Attributes:
        files: how many files were looked at.
        findings: what is wrong, in the order of files and lines.
    """

    files: int
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def to_row(self) -> list[dict[str, Any]]:
        """Plain JSON values, a finding each."""
        keys = ("path", "line", "fatal", "message")
        return [{key: getattr(finding, key) for key in keys} for finding in self.findings]

    @property
    def summary(self) -> str:
        """How many files and findings, in words."""
        count = len(self.findings)
        findings = f"{count} finding{'s' * (count != 1)}" if count else "nothing found"
        return f"{self.files} file{'s' * (self.files != 1)}: {findings}"

    def __repr__(self) -> str:
        return "\n".join([*(f"{finding.place}: {finding.message}" for finding in self.findings), self.summary])


def lint_constitution(*names: str | Path) -> LintResult:
    """Everything that is wrong with constitutions.

    Args:
        names: shipped constitutions or files; all shipped ones where none is named.
    """
    paths = [constitutions.locate(name) for name in names] or list(constitutions.shipped().values())
    return LintResult(
        files=len(paths), findings=tuple(finding for path in paths for finding in constitution_findings(path))
    )


def lint_rubric(*files: str | Path) -> LintResult:
    """Everything that is wrong with rubrics.

    Args:
        files: of one rubric each, or of data (JSON lines) whose rows have rubrics of their own.
    """
    if not files:
        raise ConfigError("judge.lint_rubric needs a file")
    findings = tuple(finding for file in files for finding in rubric_findings(Path(file)))
    return LintResult(files=len(files), findings=findings)


def lint_prompt(*names: str | Path) -> LintResult:
    """Everything that is wrong with prompts.

    Args:
        names: shipped prompts or files; all shipped ones where none is named.
    """
    paths = [templates.locate("", str(name)) for name in names] or list(templates.shipped().values())
    return LintResult(files=len(paths), findings=tuple(finding for path in paths for finding in templates.lint(path)))
