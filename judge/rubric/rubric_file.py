"""A rubric under a name, with examples of its criteria: what `rmjudge rubric` works with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from judge.errors import InputError
from judge.files import write_atomic
from judge.formats.rubric import as_rubric, rubric_rows
from judge.records import Message, Response, Rubric, RubricItem, content_id
from judge.rubric.parser import Draft, take_apart


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionExample:
    """A response, and whether it meets a criterion ("met" or "unmet"): a unit test of the criterion."""

    prompt: str
    response: str
    verdict: str
    reference: str = ""

    def record(self, item: RubricItem) -> Response:
        """The example as a record that is judged by that criterion alone."""
        return Response(
            prompt=(Message("user", self.prompt),),
            response=(Message("assistant", self.response),),
            reference=self.reference,
            rubric=(item,),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricFile:
    """Criteria under a name. Iterating gives the criteria.

    Attributes:
        name: what reports call it; the file's where it has none of its own.
        criteria: what is judged.
        description: what it is for.
        examples: of each criterion that has some, by its label.
        source: the file it was read from.
    """

    name: str
    criteria: Rubric
    description: str = ""
    examples: Mapping[str, tuple[CriterionExample, ...]] = field(default_factory=dict)
    source: str = ""

    @property
    def hash(self) -> str:
        """32 hexadecimal digits from all that can change a verdict: the criteria without their tags and examples."""
        return content_id("rubric", [[item.text, item.points, item.name, item.gate] for item in self.criteria])

    def __iter__(self) -> Iterator[RubricItem]:
        return iter(self.criteria)

    def __len__(self) -> int:
        return len(self.criteria)

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        criteria = rubric_rows(self.criteria)
        for item, row in zip(self.criteria, criteria, strict=True):
            if examples := self.examples.get(item.label):
                row["examples"] = [_example_row(example) for example in examples]
        head = {"name": self.name, "description": self.description, "hash": self.hash, "source": self.source}
        return {**head, "criteria": criteria}

    def save(self, path: str | Path) -> Path:
        """Write it as YAML, which `load_rubric` and `label --rubric` read."""
        row = self.to_row()
        kept = {key: row[key] for key in ("name", "description", "criteria") if row[key]}
        file = Path(path)
        write_atomic(file, yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100))
        return file


Named = str | Path | RubricFile | Sequence[RubricItem | Mapping[str, Any] | str]
"""A rubric, its file, or a list of criteria."""


def load_rubric(rubric: Named) -> RubricFile:
    """A rubric from its file, or from a list of criteria.

    Args:
        rubric: a YAML, JSON or JSON-lines file, or criteria: texts, dicts {criterion, points, name, gate, tags} or
            `RubricItem`.

    Raises:
        InputError: names everything that is wrong, each with its line.
    """
    if isinstance(rubric, RubricFile):
        return rubric
    if not isinstance(rubric, str | Path):
        criteria = as_rubric(rubric)
        if not criteria:
            raise InputError("the rubric has no criteria")
        return RubricFile(name="rubric", criteria=criteria)
    draft = take_apart(Path(rubric))
    if draft.rows:
        raise InputError(f"{rubric}: data whose rows have rubrics of their own (accepted: a file of one rubric)")
    fatal = [finding for finding in draft.findings if finding.fatal]
    if fatal:
        raise InputError("; ".join(f"{finding.place}: {finding.message}" for finding in fatal))
    return _file(draft)


def skeleton() -> str:
    """The text of a rubric to begin with, every key explained."""
    return (Path(str(files("judge.rubric"))) / "skeleton.yaml").read_text(encoding="utf-8")


def _file(draft: Draft) -> RubricFile:
    criteria = [(criterion.item, criterion) for rubric in draft.rubrics for criterion in rubric if criterion.item]
    return RubricFile(
        name=draft.top.values.get("name") or Path(draft.path).name.partition(".")[0],
        description=draft.top.values.get("description", ""),
        criteria=tuple(item for item, _ in criteria),
        examples={
            item.label: tuple(CriterionExample(**example.values) for example in criterion.examples)
            for item, criterion in criteria
            if criterion.examples
        },
        source=draft.path,
    )


def _example_row(example: CriterionExample) -> dict[str, str]:
    row = {"prompt": example.prompt, "response": example.response, "verdict": example.verdict}
    return row | ({"reference": example.reference} if example.reference else {})
