"""A YAML file taken apart into entries: each value with its line. What is wrong is noted and never raised."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml

from judge.prompting.front_matter import Finding
from judge.yaml_input import YamlError, compose, construct


@dataclass(slots=True)
class Entry:
    """A mapping of the file: its values, and the line of each key."""

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def at(self, key: str) -> int:
        """The line of a key, or that of the mapping."""
        return self.lines.get(key, self.line)


@dataclass(slots=True)
class Findings:
    """What is wrong with one file."""

    path: str
    findings: list[Finding] = field(default_factory=list)

    def add(self, line: int, message: str, *, fatal: bool = True) -> None:
        """Note what is wrong at a line."""
        self.findings.append(Finding(path=self.path, line=line, message=message, fatal=fatal))


def read_tree(draft: Findings, data: bytes) -> yaml.Node | None:
    """The tree of a file; None where it is none, which is noted, and of an empty file, which is not."""
    text = data.decode("utf-8", "replace")
    if "\ufffd" in text:
        draft.add(text[: text.index("\ufffd")].count("\n") + 1, "not UTF-8")
        return None
    try:
        return compose(text)
    except YamlError as error:
        draft.add(error.line, f"no YAML: {error}")
        return None


def open_mapping(
    draft: Findings, node: yaml.MappingNode, entry: Entry, accepted: tuple[str, ...], where: str, *, fatal: bool = True
) -> dict[str, yaml.Node]:
    """The value nodes of a mapping by key; unknown keys (fatal or not) and keys given twice are noted."""
    values: dict[str, yaml.Node] = {}
    for key_node, value in node.value:
        line, key = line_of(key_node), str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        if key not in accepted:
            near = nearest(key, accepted)
            draft.add(line, f"unknown key '{key}'{where}{near} (accepted: {', '.join(accepted)})", fatal=fatal)
        elif key in values:
            draft.add(line, f"key '{key}' twice{where} (first on line {entry.lines[key]})")
        else:
            values[key], entry.lines[key] = value, line
    return values


def take_text(
    draft: Findings, entry: Entry, nodes: Mapping[str, yaml.Node], key: str, *, required: bool = False, where: str = ""
) -> None:
    """A text into the entry. A version may be written as a number; its digits are kept as they stand."""
    node = nodes.get(key)
    if node is None:
        if required and key not in entry.lines:
            draft.add(entry.line, f"no '{key}'{where}")
        return
    as_it_stands = key == "version" and isinstance(node, yaml.ScalarNode) and not has_tag(node, "null")
    if not isinstance(node, yaml.ScalarNode) or not (has_tag(node, "str") or as_it_stands):
        quote = (
            " (put it in quotation marks)" if isinstance(node, yaml.ScalarNode) and not has_tag(node, "null") else ""
        )
        draft.add(entry.at(key), f"'{key}'{where} is a {kind_of(node)}; accepted: text{quote}")
    elif not node.value.strip() and required:
        draft.add(entry.at(key), f"'{key}'{where} is empty")
    else:
        entry.values[key] = node.value.strip()


def read_examples(
    draft: Findings,
    node: yaml.Node,
    parent: Entry,
    where: str,
    *,
    keys: tuple[str, ...],
    verdicts: Sequence[str],
    optional: tuple[str, ...] = (),
) -> list[Entry]:
    """The examples of an entry: texts under `keys`, all needed but the `optional` ones, and one of `verdicts`."""
    if not isinstance(node, yaml.SequenceNode):
        draft.add(parent.at("examples"), f"'examples'{where} is a {kind_of(node)}; accepted: a list of mappings")
        return []
    examples = []
    for number, item in enumerate(node.value, start=1):
        place = f" in example {number}{where.replace(' in ', ' of ')}"
        if not isinstance(item, yaml.MappingNode):
            accepted = ", ".join(keys)
            draft.add(line_of(item), f"example {number}{where} is a {kind_of(item)}; accepted: a mapping of {accepted}")
            continue
        entry = Entry(line_of(item))
        nodes = open_mapping(draft, item, entry, keys, place)
        for key in keys:
            take_text(draft, entry, nodes, key, required=key not in optional, where=place)
        verdict = entry.values.get("verdict", verdicts[0])
        if verdict not in verdicts:
            near = nearest(verdict, verdicts)
            draft.add(
                entry.at("verdict"), f"unknown verdict '{verdict}'{place}{near} (accepted: {', '.join(verdicts)})"
            )
        examples.append(entry)
    return examples


def names_of(draft: Findings, node: yaml.Node, key: str) -> list[tuple[str, int]]:
    """One name or a list of names, each with its line."""
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    names: dict[str, int] = {}
    for item in items:
        if not isinstance(item, yaml.ScalarNode) or not has_tag(item, "str") or not item.value.strip():
            draft.add(line_of(item), f"'{key}' holds a {kind_of(item)}; accepted: a name or a list of names")
        elif item.value in names:
            draft.add(line_of(item), f"'{item.value}' twice in '{key}'")
        else:
            names[item.value.strip()] = line_of(item)
    return list(names.items())


def nearest(name: str, accepted: Iterable[str]) -> str:
    """A hint at the nearest of the accepted names, "" when none is near."""
    near = get_close_matches(name, list(accepted), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def line_of(node: yaml.Node) -> int:
    """The line of a node, from 1."""
    return int(node.start_mark.line) + 1


def has_tag(node: yaml.Node, kind: str) -> bool:
    """Whether a node is of a YAML type: "str", "int", "null"."""
    return str(node.tag) == f"tag:yaml.org,2002:{kind}"


def value_of(node: yaml.Node) -> Any:
    """The plain value of a scalar, None for anything else or what does not construct."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    try:
        return construct(node)
    except YamlError:
        return None


_KINDS = {"str": "text", "int": "number", "float": "number", "bool": "truth value", "null": "blank"}


def kind_of(node: yaml.Node) -> str:
    """What a node is, in words."""
    if isinstance(node, yaml.MappingNode):
        return "mapping"
    if isinstance(node, yaml.SequenceNode):
        return "list"
    return _KINDS.get(str(node.tag).rpartition(":")[2], str(node.tag).rpartition(":")[2])
