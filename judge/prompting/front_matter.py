"""The front matter of a prompt: what it declares, and every way in which that can be wrong, each with its line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import jinja2
from yaml.nodes import MappingNode

from judge.patterns import PatternError, PatternTimeout, compile_pattern, find_all, fits
from judge.prompting.body import Body, compile_body
from judge.registry import task_table
from judge.sandbox.limits import MAX_BYTES
from judge.yaml_input import YamlError, compose, construct

KEYS = ("task", "description", "labels", "verdict", "variables", "based_on", "max_tokens", "choice_prefix", "opening")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptKind:
    """What the prompts of a task are made of; a task declares it in its `TaskSpec`.

    Attributes:
        variables: what they are given. A prompt that declares `variables` may add others, with defaults.
        labels: the verdicts for which a prompt must have a label; none where a verdict is no label.
        third_label: the verdict that is on offer where a prompt has a label for it.
    """

    variables: tuple[str, ...]
    labels: tuple[str, ...] = ()
    third_label: str = ""

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What a label may stand for."""
        return (*self.labels, self.third_label) if self.third_label else self.labels


def prompt_kind(task: str) -> PromptKind | None:
    """What the prompts for a task are made of; None for a task that has none."""
    for spec in task_table().values():
        if task in spec.prompts:
            kind: PromptKind = spec.prompts[task]
            return kind
    return None


def prompt_tasks() -> tuple[str, ...]:
    """What a prompt can be for."""
    return tuple(name for spec in task_table().values() for name in spec.prompts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong in a prompt. fatal: it cannot be used at all."""

    path: str
    line: int
    message: str
    fatal: bool = True

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(slots=True)
class Front:
    """A prompt file taken apart: its keys, the line of each, its body, and what is wrong."""

    path: str
    text: str
    kind: PromptKind | None = None
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)
    body: str = ""
    compiled: Body | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(self, line: int | str, message: str, *, fatal: bool = True) -> None:
        """Note a finding at a line, or at the line of a key."""
        number = line if isinstance(line, int) else self.lines.get(line, 1)
        self.findings.append(Finding(path=self.path, line=number, message=message, fatal=fatal))


def take_apart(data: bytes, path: str) -> Front:
    """Read a prompt file; everything that is wrong with it stands in `findings`, nothing is raised."""
    front = Front(path, data[:MAX_BYTES].decode("utf-8", "replace").replace("\r\n", "\n"))
    if len(data) > MAX_BYTES:
        front.add(1, f"a prompt of {len(data):,} bytes; accepted: up to {MAX_BYTES:,}")
        return front
    header = re.match(r"---[ \t]*\n(.*?\n)?---[ \t]*(?:\n|\Z)", front.text, re.DOTALL)
    if "\ufffd" in front.text:
        front.add(front.text[: front.text.index("\ufffd")].count("\n") + 1, "not UTF-8")
    if header is None:
        front.add(1, "no front matter (a prompt begins with YAML between two lines '---')")
        return front
    # The header is replaced by as many empty lines, so that every line Jinja names is a line of the file.
    front.body = "\n" * header[0].count("\n") + front.text[header.end() :]
    if not _read_keys(front, header[1] or ""):
        return front
    _check_variables(front)
    _check_labels(front)
    _check_pattern(front)
    _check_body(front)
    return front


def _read_keys(front: Front, header: str) -> bool:
    """Whether the header could be read at all; what follows from one that cannot would only hide the cause."""
    try:
        tree = compose(header)
        values = construct(tree)
    except YamlError as error:
        front.add(error.line + 1, f"front matter is no YAML: {error}")  # the line before the header is its ---
        return False
    if not isinstance(values, dict) or not isinstance(tree, MappingNode):
        front.add(1, "front matter is not a mapping of keys to values")
        return False
    for key, _ in tree.value:
        if key.value in front.lines:
            front.add(key.start_mark.line + 2, f"key '{key.value}' twice")
        front.lines[key.value] = key.start_mark.line + 2
    for name, value in values.items():
        if name not in KEYS:
            front.add(str(name), f"unknown key '{name}'{_nearest(str(name), KEYS)} (accepted: {', '.join(KEYS)})")
        elif _fits(name, value):
            front.values[name] = value
        elif value is not None:
            front.add(name, f"'{name}' is {type(value).__name__}; accepted: {_ACCEPTED.get(name, 'text')}")
    task = front.values.get("task")
    if task is not None:
        front.kind = prompt_kind(str(task))
    if front.kind is None:
        accepted = prompt_tasks()
        if "task" in front.lines:
            nearest = _nearest(str(task), accepted)
            front.add("task", f"unknown task '{task}'{nearest} (accepted: {', '.join(accepted)})")
        else:
            front.add(1, f"no 'task' in the front matter (accepted: {', '.join(accepted)})")
    return True


_ACCEPTED = {"labels": "a mapping verdict: label", "variables": "a list", "max_tokens": "a whole number above 0"}


def _fits(key: str, value: object) -> bool:
    if key == "labels":
        return isinstance(value, dict)
    if key == "variables":
        return isinstance(value, list)
    if key == "max_tokens":
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    return isinstance(value, str)


def _check_variables(front: Front) -> None:
    for entry in front.values.get("variables", ()):
        optional = isinstance(entry, dict) and len(entry) == 1
        name, default = next(iter(entry.items())) if optional else (entry, None)
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            front.add("variables", f"{entry!r} is no variable (a name, or 'name: default')")
            continue
        if name in front.variables:
            front.add("variables", f"variable '{name}' twice")
        front.variables += (name,)
        if optional and isinstance(default, str | int | float):
            front.defaults[name] = default
        elif optional:
            front.add("variables", f"the default of '{name}' is {type(default).__name__}; accepted: text or a number")
        if front.kind is not None and not optional and name not in front.kind.variables:
            given = front.kind.variables
            near = _nearest(name, given)
            front.add("variables", f"variable '{name}' is not given by the task{near} (given: {', '.join(given)})")


def _check_labels(front: Front) -> None:
    labels, line = front.values.get("labels", {}), front.lines.get("labels", 1)
    known = front.kind.verdicts if front.kind else ()
    for verdict in [verdict for verdict in (front.kind.labels if front.kind else ()) if verdict not in labels]:
        front.add(line, f"no label for '{verdict}'")
    for verdict, label in labels.items():
        if known and verdict not in known:
            near = _nearest(str(verdict), known)
            front.add(line, f"unknown verdict '{verdict}'{near} (accepted: {', '.join(known)})")
        if not isinstance(label, str) or not label or label != label.strip():
            front.add(line, f"label of '{verdict}' is {label!r}; accepted: text without spaces around it, quoted")
    texts = [label for label in labels.values() if isinstance(label, str) and label]
    for number, label in enumerate(texts):
        for other in texts[number + 1 :]:
            if label == other:
                front.add(line, f"label '{label}' stands for two verdicts")
            elif label.startswith(other) or other.startswith(label):
                message = f"labels '{label}' and '{other}': one begins with the other, so their first token may be one"
                front.add(line, message, fatal=False)


def _check_pattern(front: Front) -> None:
    pattern = front.values.get("verdict", "")
    if not pattern:
        return
    try:
        compiled = compile_pattern(pattern)
    except PatternError as error:
        front.add("verdict", f"'verdict' is no regular expression: {error}")
        return
    groups = compiled.groups - ("step" in compiled.groupindex)
    if groups != 1:
        front.add("verdict", f"'verdict' has {groups} groups; accepted: exactly one, around the label")
        return
    try:
        if find_all(compiled, ""):
            front.add("verdict", "'verdict' matches the empty text")
        inside = _group(pattern, compiled)
        for label in front.values.get("labels", {}).values():
            if isinstance(label, str) and inside is not None and not fits(inside, label):
                front.add("verdict", f"'verdict' can never read the label '{label}'")
    except PatternTimeout as timeout:
        front.add("verdict", f"'verdict': {timeout}")


def _group(pattern: str, compiled: re.Pattern[str]) -> re.Pattern[str] | None:
    """The part of a pattern inside its label group; None where it cannot stand alone."""
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", lambda match: "_" * len(match[0]), pattern, flags=re.DOTALL)
    opening = re.search(r"\((?:\?P<(?!step>)\w+>|(?!\?))", plain)
    if opening is None:
        return None
    depth, end = 1, opening.end()
    while depth and end < len(plain):
        depth += (plain[end] == "(") - (plain[end] == ")")
        end += 1
    try:
        flags = "".join(letter for letter in "ims" if compiled.flags & getattr(re, letter.upper()))
        return compile_pattern(f"(?{flags})" * bool(flags) + pattern[opening.end() : end - 1])
    except PatternError:
        return None


def _check_body(front: Front) -> None:
    try:
        front.compiled = body = compile_body(front.body, front.path)
    except jinja2.TemplateSyntaxError as error:
        front.add(error.lineno, f"{error.message}")
        return
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError) as error:
        # Python compiles what Jinja makes of a body: loops in loops in loops …, a number of 5,000 digits
        front.add(front.body.count("\n", 0, len(front.body) - len(front.body.lstrip())) + 1, _uncompiled(error))
        return
    if "user" not in body.roles:
        front.add(front.body.count("\n") + 1, "no user message ({% user %}…{% enduser %})")
    for line in body.nameless:
        front.add(line, 'a frame needs its name written out: frame("name") or frame("name_" ~ number)')
    given = front.kind.variables if front.kind else ()
    if "variables" not in front.lines:
        front.variables = tuple(name for name in given if name in body.used)
    for name in sorted(body.used - set(front.variables)):
        known = front.variables if "variables" in front.lines else given
        message = f"undefined variable '{name}'{_nearest(name, known)} (declared: {_listed(known)})"
        front.add(body.line_of_name(name), message)
    for name in front.variables:
        if name not in body.used:
            front.add("variables", f"variable '{name}' is declared and never used", fatal=False)


def _uncompiled(error: Exception) -> str:
    why = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"the body is nested too deeply or cannot be compiled: {why}"


def _nearest(name: str, accepted: Iterable[str]) -> str:
    near = get_close_matches(name, list(accepted), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
