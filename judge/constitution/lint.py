"""What makes a constitution a bad one although it loads: principles that say two things, twins, odd weights, examples
that contradict, text that would break a prompt.

Everything is found at once, each thing at its line. The rules go by words, so they miss what a person would see, and
they are made to leave good principles alone.
"""

from pathlib import Path
from statistics import median
from typing import NamedTuple

from judge.constitution.constitution import Constitution, read_draft
from judge.constitution.parser import Draft
from judge.constitution.wording import check_breaks, check_statement, check_tags, twins, words_of
from judge.constitution.yaml_entries import Entry
from judge.prompting.front_matter import Finding

HEAVY = 20.0
"""How many times the median a weight may be."""

_STATEMENT = "a principle is a statement that is true of a good response"


class _Said(NamedTuple):
    """A principle's words, and where they stand in the file (the line of the include, for another file's)."""

    id: str
    words: tuple[str, ...]
    line: int
    own: bool


def lint(path: Path) -> list[Finding]:
    """Everything that is wrong with a constitution's file, in the order of lines. Raises InputError without a file."""
    draft, constitution = read_draft(path)
    _check_head(draft)
    for entry in draft.principles:
        check_breaks(draft, entry, ("text", "critique_request", "revision_request"))
        check_statement(draft, entry, "text", _STATEMENT, "principles")
        _check_examples(draft, entry)
    _check_twins(draft, constitution)
    _check_weights(draft)
    check_tags(draft, draft.principles)
    return sorted(draft.findings, key=lambda finding: (finding.line, not finding.fatal, finding.message))


def _check_head(draft: Draft) -> None:
    for key in ("version", "description"):
        if key not in draft.top.lines and draft.top.lines:
            draft.add(1, f"no '{key}'", fatal=False)
        elif draft.top.values.get(key) == "":
            draft.add(draft.top.at(key), f"'{key}' is empty", fatal=False)
    rule = draft.sampling
    offers_all = "include" not in draft.top.lines and rule is not None and "tag" not in rule.values
    if rule is not None and offers_all and rule.values.get("random") == len(draft.principles):
        draft.add(rule.at("random"), "as many principles at random as there are: write 'all'", fatal=False)


def _check_examples(draft: Draft, entry: Entry) -> None:
    """Examples that cannot both be right, or that say the same twice. An order that is turned is the same example."""
    first_use: dict[tuple[str, str, str], tuple[str, int]] = {}
    for example in entry.values.get("examples", ()):
        if len(example.values) < 4:
            continue
        prompt, first, second, verdict = (
            " ".join(example.values[key].split()) for key in ("prompt", "first", "second", "verdict")
        )
        if first == second and verdict != "tie":
            draft.add(
                example.at("verdict"),
                f"the two responses are the same, so the verdict cannot be '{verdict}'",
                fatal=False,
            )
            continue
        if first > second:
            first, second = second, first
            verdict = {"first": "second", "second": "first"}.get(verdict, verdict)
        earlier = first_use.setdefault((prompt, first, second), (verdict, example.line))
        if earlier[1] == example.line:
            continue
        same = earlier[0] == verdict
        message = "repeats the example" if same else "contradicts the example"
        draft.add(example.line, f"{message} on line {earlier[1]}", fatal=False)


def _check_twins(draft: Draft, constitution: Constitution | None) -> None:
    sayings = _sayings(draft, constitution)
    for index, other in twins([saying.words for saying in sayings]):
        first, second = sayings[other], sayings[index]
        if first.id == second.id:
            continue
        late, early = (first, second) if first.own and not second.own else (second, first)
        place = f" (line {early.line})" if early.own else ""
        draft.add(late.line, f"'{late.id}' says nearly the same as '{early.id}'{place}", fatal=False)


def _sayings(draft: Draft, constitution: Constitution | None) -> list[_Said]:
    sayings = [
        _Said(entry.values.get("id", "?"), words_of(entry.values["text"]), entry.at("text"), True)
        for entry in draft.principles
        if "text" in entry.values
    ]
    if constitution is None:
        return sayings
    ids, line = {saying.id for saying in sayings}, draft.top.at("include")
    return sayings + [_Said(p.id, words_of(p.text), line, False) for p in constitution.principles if p.id not in ids]


def _check_weights(draft: Draft) -> None:
    weighed = [entry for entry in draft.principles if "weight" in entry.values]
    weights = [float(entry.values.get("weight", 1.0)) for entry in draft.principles]
    if len(weighed) > 1 and len(weighed) == len(weights) and len(set(weights)) == 1:
        message = f"all weights are {weights[0]:g}; only their ratios matter, so leave them out"
        draft.add(weighed[0].at("weight"), message, fatal=False)
    middle = median(weights) if weights else 1.0
    for entry in weighed:
        weight = entry.values["weight"]
        if weight > HEAVY * middle:
            message = f"weight {weight:g} drowns the others (their median is {middle:g})"
            draft.add(entry.at("weight"), message, fatal=False)
        elif weight * HEAVY < middle:
            message = f"weight {weight:g} never decides beside the others (their median is {middle:g})"
            draft.add(entry.at("weight"), message, fatal=False)
