"""A constitution's YAML, taken apart: each value with its line, and every way in which it can be wrong.

Everything is found in one reading; nothing is raised.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from judge.constitution.yaml_entries import (
    Entry,
    Findings,
    kind_of,
    line_of,
    names_of,
    open_mapping,
    read_examples,
    read_tree,
    take_text,
    value_of,
)

KEYS = ("name", "version", "description", "based_on", "include", "sampling", "principles")
PRINCIPLE_KEYS = ("id", "text", "critique_request", "revision_request", "weight", "tags", "examples")
EXAMPLE_KEYS = ("prompt", "first", "second", "verdict")
SAMPLING_KEYS = ("random", "tag")
VERDICTS = ("first", "second", "tie")

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


@dataclass(slots=True)
class Draft(Findings):
    """A constitution as its file says it. A principle's examples are entries too, under `examples`."""

    top: Entry = field(default_factory=lambda: Entry(1))
    sampling: Entry | None = None
    principles: list[Entry] = field(default_factory=list)


def take_apart(data: bytes, path: str) -> Draft:
    """Read a constitution's file; what is wrong with it stands in `findings`, in the order of lines."""
    draft = Draft(path)
    tree = read_tree(draft, data)
    if draft.findings:
        return draft
    if not isinstance(tree, yaml.MappingNode):
        kind = "an empty file" if tree is None else f"a {kind_of(tree)}"
        draft.add(1, f"{kind}; a constitution is a mapping with the keys {', '.join(KEYS)}")
        return draft
    _read_top(draft, tree)
    draft.findings.sort(key=lambda finding: finding.line)
    return draft


def _read_top(draft: Draft, tree: yaml.MappingNode) -> None:
    nodes = open_mapping(draft, tree, draft.top, KEYS, "")
    for key in ("name", "version", "description", "based_on"):
        take_text(draft, draft.top, nodes, key, required=key == "name")
    name = draft.top.values.get("name", "")
    if name and not _ID.match(name):
        draft.add(draft.top.at("name"), f"name '{name}' is none (lower-case letters and digits, with - between words)")
    if "include" in nodes:
        draft.top.values["include"] = names_of(draft, nodes["include"], "include")
    _read_principles(draft, nodes)
    if "sampling" in nodes:
        draft.sampling = _read_sampling(draft, nodes["sampling"])
        draft.top.values["sampling"] = draft.sampling


def _read_principles(draft: Draft, nodes: Mapping[str, yaml.Node]) -> None:
    node = nodes.get("principles")
    if node is None and "include" not in nodes:
        draft.add(1, "no 'principles' (a list of mappings, each with 'id' and 'text')")
    if node is None:
        return
    if not isinstance(node, yaml.SequenceNode):
        draft.add(draft.top.at("principles"), f"'principles' is a {kind_of(node)}; accepted: a list of mappings")
        return
    if not node.value and "include" not in nodes:
        draft.add(draft.top.at("principles"), "'principles' is empty; a constitution needs at least one")
    lines_of_ids: dict[str, int] = {}
    for number, item in enumerate(node.value, start=1):
        if not isinstance(item, yaml.MappingNode):
            draft.add(
                line_of(item), f"principle {number} is a {kind_of(item)}; accepted: a mapping with 'id' and 'text'"
            )
            continue
        entry = _read_principle(draft, item, number)
        name = entry.values.get("id")
        if name in lines_of_ids:
            draft.add(entry.at("id"), f"id '{name}' twice (first on line {lines_of_ids[name]})")
        elif name:
            lines_of_ids[name] = entry.at("id")
        draft.principles.append(entry)


def _read_principle(draft: Draft, node: yaml.MappingNode, number: int) -> Entry:
    entry, where = Entry(line_of(node)), f" in principle {number}"
    nodes = open_mapping(draft, node, entry, PRINCIPLE_KEYS, where)
    for key in ("id", "text", "critique_request", "revision_request"):
        take_text(draft, entry, nodes, key, required=key in ("id", "text"), where=where)
    name = entry.values.get("id", "")
    if name and not _ID.match(name):
        draft.add(entry.at("id"), f"id '{name}' is none (lower-case letters and digits, with - between words)")
    if "weight" in nodes:
        _take_weight(draft, entry, nodes["weight"], where)
    if "tags" in nodes:
        entry.values["tags"] = names_of(draft, nodes["tags"], "tags")
    if "examples" in nodes:
        entry.values["examples"] = read_examples(
            draft, nodes["examples"], entry, where, keys=EXAMPLE_KEYS, verdicts=VERDICTS
        )
    return entry


def _take_weight(draft: Draft, entry: Entry, node: yaml.Node, where: str) -> None:
    value = value_of(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        draft.add(entry.at("weight"), f"'weight'{where} is a {kind_of(node)}; accepted: a number above 0")
    elif not 0 < value < math.inf:
        draft.add(entry.at("weight"), f"'weight'{where} is {value}; accepted: a number above 0")
    else:
        entry.values["weight"] = float(value)


def _read_sampling(draft: Draft, node: yaml.Node) -> Entry | None:
    """`all`, or a mapping of `random: K` and `tag: NAME`, or both."""
    line = draft.top.at("sampling")
    if isinstance(node, yaml.ScalarNode) and node.value == "all":
        return Entry(line)
    if not isinstance(node, yaml.MappingNode):
        value_found = f"'{node.value}'" if isinstance(node, yaml.ScalarNode) else f"a {kind_of(node)}"
        draft.add(
            line, f"'sampling' is {value_found}; accepted: all, {{random: K}}, {{tag: NAME}}, {{random: K, tag: NAME}}"
        )
        return None
    entry = Entry(line)
    nodes = open_mapping(draft, node, entry, SAMPLING_KEYS, " in sampling")
    if "random" in nodes:
        count = value_of(nodes["random"])
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            draft.add(entry.at("random"), f"'random' in sampling is {count!r}; accepted: a whole number above 0")
        else:
            entry.values["random"] = count
    if "tag" in nodes:
        entry.values["tag"] = names_of(draft, nodes["tag"], "tag")
    return entry
