"""A constitution's YAML, taken apart: each value with its line, and every way in which it can be wrong.

Everything is found in one reading; nothing is raised.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml

from judge.prompting.front_matter import Finding
from judge.yaml_input import YamlError, compose, construct

KEYS = ("name", "version", "description", "based_on", "include", "sampling", "principles")
PRINCIPLE_KEYS = ("id", "text", "critique_request", "revision_request", "weight", "tags", "examples")
EXAMPLE_KEYS = ("prompt", "first", "second", "verdict")
SAMPLING_KEYS = ("random", "tag")
VERDICTS = ("first", "second", "tie")

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


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
class Draft:
    """A constitution as its file says it. A principle's examples are entries too, under `examples`."""

    path: str
    top: Entry = field(default_factory=lambda: Entry(1))
    sampling: Entry | None = None
    principles: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, line: int, message: str, *, fatal: bool = True) -> None:
        """Note what is wrong at a line."""
        self.findings.append(Finding(path=self.path, line=line, message=message, fatal=fatal))


def take_apart(data: bytes, path: str) -> Draft:
    """Read a constitution's file; what is wrong with it stands in `findings`, in the order of lines."""
    draft = Draft(path)
    text = data.decode("utf-8", "replace")
    if "\ufffd" in text:
        draft.add(text[: text.index("\ufffd")].count("\n") + 1, "not UTF-8")
        return draft
    try:
        tree = compose(text)
    except YamlError as error:
        draft.add(error.line, f"no YAML: {error}")
        return draft
    if not isinstance(tree, yaml.MappingNode):
        kind = "an empty file" if tree is None else f"a {_kind(tree)}"
        draft.add(1, f"{kind}; a constitution is a mapping with the keys {', '.join(KEYS)}")
        return draft
    _read_top(draft, tree)
    draft.findings.sort(key=lambda finding: finding.line)
    return draft


def _read_top(draft: Draft, tree: yaml.MappingNode) -> None:
    nodes = _open(draft, tree, draft.top, KEYS, "")
    for key in ("name", "version", "description", "based_on"):
        _take_text(draft, draft.top, nodes, key, required=key == "name")
    name = draft.top.values.get("name", "")
    if name and not _ID.match(name):
        draft.add(draft.top.at("name"), f"name '{name}' is none (lower-case letters and digits, with - between words)")
    if "include" in nodes:
        draft.top.values["include"] = _names(draft, nodes["include"], "include")
    _read_principles(draft, nodes)
    if "sampling" in nodes:
        draft.sampling = _read_sampling(draft, nodes["sampling"])
        draft.top.values["sampling"] = draft.sampling


def _open(
    draft: Draft, node: yaml.MappingNode, entry: Entry, accepted: tuple[str, ...], where: str
) -> dict[str, yaml.Node]:
    """The value nodes of a mapping by key; unknown keys and keys given twice are noted."""
    values: dict[str, yaml.Node] = {}
    for key_node, value in node.value:
        line, key = _line(key_node), str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        if key not in accepted:
            draft.add(line, f"unknown key '{key}'{where}{nearest(key, accepted)} (accepted: {', '.join(accepted)})")
        elif key in values:
            draft.add(line, f"key '{key}' twice{where} (first on line {entry.lines[key]})")
        else:
            values[key], entry.lines[key] = value, line
    return values


def _take_text(
    draft: Draft, entry: Entry, nodes: Mapping[str, yaml.Node], key: str, *, required: bool = False, where: str = ""
) -> None:
    """A text into the entry. A version may be written as a number; its digits are kept as they stand."""
    node = nodes.get(key)
    if node is None:
        if required and key not in entry.lines:
            draft.add(entry.line, f"no '{key}'{where}")
        return
    as_it_stands = key == "version" and isinstance(node, yaml.ScalarNode) and not _is(node, "null")
    if not isinstance(node, yaml.ScalarNode) or not (_is(node, "str") or as_it_stands):
        quote = " (put it in quotation marks)" if isinstance(node, yaml.ScalarNode) and not _is(node, "null") else ""
        draft.add(entry.at(key), f"'{key}'{where} is a {_kind(node)}; accepted: text{quote}")
    elif not node.value.strip() and required:
        draft.add(entry.at(key), f"'{key}'{where} is empty")
    else:
        entry.values[key] = node.value.strip()


def _read_principles(draft: Draft, nodes: Mapping[str, yaml.Node]) -> None:
    node = nodes.get("principles")
    if node is None and "include" not in nodes:
        draft.add(1, "no 'principles' (a list of mappings, each with 'id' and 'text')")
    if node is None:
        return
    if not isinstance(node, yaml.SequenceNode):
        draft.add(draft.top.at("principles"), f"'principles' is a {_kind(node)}; accepted: a list of mappings")
        return
    if not node.value and "include" not in nodes:
        draft.add(draft.top.at("principles"), "'principles' is empty; a constitution needs at least one")
    lines_of_ids: dict[str, int] = {}
    for number, item in enumerate(node.value, start=1):
        if not isinstance(item, yaml.MappingNode):
            draft.add(_line(item), f"principle {number} is a {_kind(item)}; accepted: a mapping with 'id' and 'text'")
            continue
        entry = _read_principle(draft, item, number)
        name = entry.values.get("id")
        if name in lines_of_ids:
            draft.add(entry.at("id"), f"id '{name}' twice (first on line {lines_of_ids[name]})")
        elif name:
            lines_of_ids[name] = entry.at("id")
        draft.principles.append(entry)


def _read_principle(draft: Draft, node: yaml.MappingNode, number: int) -> Entry:
    entry, where = Entry(_line(node)), f" in principle {number}"
    nodes = _open(draft, node, entry, PRINCIPLE_KEYS, where)
    for key in ("id", "text", "critique_request", "revision_request"):
        _take_text(draft, entry, nodes, key, required=key in ("id", "text"), where=where)
    name = entry.values.get("id", "")
    if name and not _ID.match(name):
        draft.add(entry.at("id"), f"id '{name}' is none (lower-case letters and digits, with - between words)")
    if "weight" in nodes:
        _take_weight(draft, entry, nodes["weight"], where)
    if "tags" in nodes:
        entry.values["tags"] = _names(draft, nodes["tags"], "tags")
    if "examples" in nodes:
        entry.values["examples"] = _read_examples(draft, nodes["examples"], entry, where)
    return entry


def _take_weight(draft: Draft, entry: Entry, node: yaml.Node, where: str) -> None:
    value = _value(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        draft.add(entry.at("weight"), f"'weight'{where} is a {_kind(node)}; accepted: a number above 0")
    elif not 0 < value < math.inf:
        draft.add(entry.at("weight"), f"'weight'{where} is {value}; accepted: a number above 0")
    else:
        entry.values["weight"] = float(value)


def _read_examples(draft: Draft, node: yaml.Node, parent: Entry, where: str) -> list[Entry]:
    if not isinstance(node, yaml.SequenceNode):
        draft.add(parent.at("examples"), f"'examples'{where} is a {_kind(node)}; accepted: a list of mappings")
        return []
    examples = []
    for number, item in enumerate(node.value, start=1):
        place = f" in example {number}{where.replace(' in ', ' of ')}"
        if not isinstance(item, yaml.MappingNode):
            accepted = ", ".join(EXAMPLE_KEYS)
            draft.add(_line(item), f"example {number}{where} is a {_kind(item)}; accepted: a mapping of {accepted}")
            continue
        entry = Entry(_line(item))
        nodes = _open(draft, item, entry, EXAMPLE_KEYS, place)
        for key in EXAMPLE_KEYS:
            _take_text(draft, entry, nodes, key, required=True, where=place)
        verdict = entry.values.get("verdict", "first")
        if verdict not in VERDICTS:
            near = nearest(verdict, VERDICTS)
            draft.add(
                entry.at("verdict"), f"unknown verdict '{verdict}'{place}{near} (accepted: {', '.join(VERDICTS)})"
            )
        examples.append(entry)
    return examples


def _read_sampling(draft: Draft, node: yaml.Node) -> Entry | None:
    """`all`, or a mapping of `random: K` and `tag: NAME`, or both."""
    line = draft.top.at("sampling")
    if isinstance(node, yaml.ScalarNode) and node.value == "all":
        return Entry(line)
    if not isinstance(node, yaml.MappingNode):
        value_found = f"'{node.value}'" if isinstance(node, yaml.ScalarNode) else f"a {_kind(node)}"
        draft.add(
            line, f"'sampling' is {value_found}; accepted: all, {{random: K}}, {{tag: NAME}}, {{random: K, tag: NAME}}"
        )
        return None
    entry = Entry(line)
    nodes = _open(draft, node, entry, SAMPLING_KEYS, " in sampling")
    if "random" in nodes:
        count = _value(nodes["random"])
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            draft.add(entry.at("random"), f"'random' in sampling is {count!r}; accepted: a whole number above 0")
        else:
            entry.values["random"] = count
    if "tag" in nodes:
        entry.values["tag"] = _names(draft, nodes["tag"], "tag")
    return entry


def _names(draft: Draft, node: yaml.Node, key: str) -> list[tuple[str, int]]:
    """One name or a list of names, each with its line."""
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    names: dict[str, int] = {}
    for item in items:
        if not isinstance(item, yaml.ScalarNode) or not _is(item, "str") or not item.value.strip():
            draft.add(_line(item), f"'{key}' holds a {_kind(item)}; accepted: a name or a list of names")
        elif item.value in names:
            draft.add(_line(item), f"'{item.value}' twice in '{key}'")
        else:
            names[item.value.strip()] = _line(item)
    return list(names.items())


def nearest(name: str, accepted: Iterable[str]) -> str:
    """A hint at the nearest of the accepted names, "" when none is near."""
    near = get_close_matches(name, list(accepted), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _is(node: yaml.Node, kind: str) -> bool:
    return str(node.tag) == f"tag:yaml.org,2002:{kind}"


def _value(node: yaml.Node) -> Any:
    """The plain value of a scalar, None for anything else or what does not construct."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    try:
        return construct(node)
    except YamlError:
        return None


_KINDS = {"str": "text", "int": "number", "float": "number", "bool": "truth value", "null": "blank"}


def _kind(node: yaml.Node) -> str:
    """What a node is, in words."""
    if isinstance(node, yaml.MappingNode):
        return "mapping"
    if isinstance(node, yaml.SequenceNode):
        return "list"
    return _KINDS.get(str(node.tag).rpartition(":")[2], str(node.tag).rpartition(":")[2])
