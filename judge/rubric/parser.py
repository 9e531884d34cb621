"""A rubric's file taken apart: each criterion with its line, and every way in which it can be wrong.

A YAML or JSON file is one rubric: a list of criteria, or a mapping with `criteria`. A file of JSON lines is one rubric
of a criterion a line, or data whose rows have rubrics of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from judge.constitution.yaml_entries import (
    Entry,
    Findings,
    kind_of,
    line_of,
    open_mapping,
    read_examples,
    read_tree,
    take_text,
)
from judge.errors import InputError
from judge.files import scan_rows
from judge.formats.rubric import COLUMNS, rubric_items, rubric_of, rubric_rows
from judge.records import RubricItem
from judge.yaml_input import YamlError, construct

LISTS = ("criteria", *COLUMNS)
KEYS = ("name", "description", *LISTS)
CRITERION_KEYS = ("criterion", "description", "text", "points", "weight", "name", "title", "gate", "tags", "examples")
EXAMPLE_KEYS = ("prompt", "response", "reference", "verdict")
VERDICTS = ("met", "unmet")
_TEXT, _POINTS = ("criterion", "description", "text"), ("points", "weight")


@dataclass(slots=True, kw_only=True)
class CriterionEntry:
    """A criterion of a file. entry: its text under "criterion", its points and tags, with their lines. item: what is
    judged, None where it cannot be read. examples: see `EXAMPLE_KEYS`."""

    entry: Entry
    item: RubricItem | None
    examples: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Draft(Findings):
    """Rubrics as a file says them: one, or those of the rows of data."""

    top: Entry = field(default_factory=lambda: Entry(1))
    rubrics: list[list[CriterionEntry]] = field(default_factory=list)
    rows: bool = False


def take_apart(path: Path) -> Draft:
    """Read a rubric's file; what is wrong with it stands in `findings`. Raises InputError without a file."""
    draft = Draft(str(path))
    if ".jsonl" in path.suffixes:
        _read_lines(draft, path)
    else:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        _read_tree(draft, content)
    for rubric in draft.rubrics:
        _check_labels(draft, rubric)
    draft.findings.sort(key=lambda finding: finding.line)
    return draft


def _read_tree(draft: Draft, content: bytes) -> None:
    tree = read_tree(draft, content)
    if draft.findings:
        return
    node: yaml.Node | None = tree
    if isinstance(tree, yaml.MappingNode):
        nodes = open_mapping(draft, tree, draft.top, KEYS, "", fatal=False)
        for key in ("name", "description"):
            take_text(draft, draft.top, nodes, key)
        node = next((nodes[key] for key in LISTS if key in nodes), None)
        if node is None:
            draft.add(1, "no 'criteria' (a list of criteria, each with 'criterion' and 'points')")
            return
    if not isinstance(node, yaml.SequenceNode):
        kind = "an empty file" if node is None else f"a {kind_of(node)}"
        draft.add(1 if node is None else line_of(node), f"{kind}; a rubric is a list of criteria, or has 'criteria'")
        return
    if not node.value:
        draft.add(line_of(node), "no criteria; a rubric needs at least one")
    draft.rubrics.append([_of_node(draft, item, number) for number, item in enumerate(node.value, 1)])


def _of_node(draft: Draft, node: yaml.Node, number: int) -> CriterionEntry:
    """A criterion of a YAML or JSON file."""
    where, entry = f" in criterion {number}", Entry(line_of(node))
    examples: list[Entry] = []
    try:
        value = construct(node)
    except YamlError as error:
        draft.add(error.line, f"criterion {number} cannot be read: {error}")
        return CriterionEntry(entry=entry, item=None)
    if isinstance(node, yaml.MappingNode):
        nodes = open_mapping(draft, node, entry, CRITERION_KEYS, where, fatal=False)
        if "examples" in nodes:
            listed = {"keys": EXAMPLE_KEYS, "verdicts": VERDICTS, "optional": ("reference",)}
            examples = read_examples(draft, nodes["examples"], entry, where, **listed)
    return CriterionEntry(entry=entry, item=_item(draft, entry, value, number), examples=examples)


def _item(draft: Draft, entry: Entry, value: Any, number: int) -> RubricItem | None:
    """What is judged; what cannot be read is noted at the line of the key that the error names."""
    try:
        (item,) = rubric_items([value], "entry")
    except InputError as error:
        message = (
            str(error).removeprefix("field 'entry[0]': ").replace("entry[0].", "").replace("entry[0]", "criterion")
        )
        key = next((key for key in entry.lines if f"'{key}'" in message), "")
        draft.add(entry.at(key), f"{message} in criterion {number}")
        return None
    named = value if isinstance(value, Mapping) else {}
    for name, keys, held in (("criterion", _TEXT, item.text), ("points", _POINTS, item.points)):
        entry.values[name] = held
        line = next((entry.lines[key] for key in keys if key in named and key in entry.lines), entry.line)
        entry.lines[name] = line
    entry.values["tags"] = [(tag, entry.at("tags")) for tag in item.tags]
    return item


def _read_lines(draft: Draft, path: Path) -> None:
    """A criterion a line, or a rubric a row."""
    criteria: list[CriterionEntry] = []
    for number, (place, row) in enumerate(scan_rows(path), start=1):
        tail = place.rpartition(":")[2]
        line = int(tail) if tail.isdigit() else number
        if isinstance(row, InputError):
            draft.add(line, str(row).removeprefix(f"{place}: "))
        elif any(row.get(name) is not None for name in COLUMNS):
            draft.rows = True
            _read_row(draft, row, line)
        else:
            criteria.append(_of_row(draft, row, line, number))
    if criteria and draft.rows:
        for criterion in criteria:
            draft.add(criterion.entry.line, "no 'rubric' in the row, which others have", fatal=False)
    elif criteria:
        draft.rubrics.append(criteria)
    elif not draft.rows and not draft.findings:
        draft.add(1, "an empty file; a rubric needs at least one criterion")


def _read_row(draft: Draft, row: Mapping[str, Any], line: int) -> None:
    try:
        items = rubric_of(row)
    except InputError as error:
        draft.add(line, str(error))
        return
    if not items:
        draft.add(line, "no criteria in the row's rubric", fatal=False)
    pairs = zip(rubric_rows(items), items, strict=True)
    draft.rubrics.append([_of_row(draft, value, line, number) for number, (value, _) in enumerate(pairs, start=1)])


def _of_row(draft: Draft, value: Mapping[str, Any], line: int, number: int) -> CriterionEntry:
    """A criterion of a file of JSON lines: all of it stands on one line."""
    entry = Entry(line)
    unknown = sorted(set(map(str, value)) - set(CRITERION_KEYS))
    item = _item(draft, entry, value, number)
    if item is not None and unknown:
        draft.add(line, f"unknown key '{unknown[0]}' (accepted: {', '.join(CRITERION_KEYS)})", fatal=False)
    examples = value.get("examples") or ()
    entries = [_example(draft, example, line) for example in examples] if isinstance(examples, Sequence) else []
    return CriterionEntry(entry=entry, item=item, examples=[example for example in entries if example is not None])


def _example(draft: Draft, value: Any, line: int) -> Entry | None:
    needed = ("prompt", "response", "verdict")
    if not isinstance(value, Mapping) or not all(isinstance(value.get(key), str) for key in needed):
        draft.add(line, f"an example is no object of the texts {', '.join(EXAMPLE_KEYS)}")
        return None
    if value["verdict"] not in VERDICTS:
        draft.add(line, f"unknown verdict '{value['verdict']}' in an example (accepted: {', '.join(VERDICTS)})")
        return None
    return Entry(line, {key: str(value[key]) for key in EXAMPLE_KEYS if value.get(key) is not None})


def _check_labels(draft: Draft, rubric: Sequence[CriterionEntry]) -> None:
    """Note a name, or a text without a name, that stands twice: verdicts are called by it."""
    first: dict[str, int] = {}
    for criterion in rubric:
        if criterion.item is None:
            continue
        label, entry = criterion.item.label, criterion.entry
        line = entry.at("name" if "name" in entry.lines else "criterion")
        if label in first:
            draft.add(line, f"the criterion '{label}' twice (first on line {first[label]})")
        else:
            first[label] = line
