"""What makes a constitution a bad one although it loads: principles that say two things, twins, odd weights, examples
that contradict, text that would break a prompt.

Everything is found at once, each thing at its line. The rules go by words, so they miss what a person would see, and
they are made to leave good principles alone.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from statistics import median
from typing import NamedTuple

from judge.constitution.constitution import Constitution, read_draft
from judge.constitution.parser import Draft, Entry
from judge.prompting.front_matter import Finding

ALIKE = 0.8
"""How much of their words two principles share when they are taken for twins."""

MOST_TWINS = 3
"""Of how many earlier principles each is called a twin."""

HEAVY = 20.0
"""How many times the median a weight may be."""

LONG = 60
"""Words of a principle's text that still are one statement."""

_VERBS = (
    "does|do|is|are|has|have|must|should|may|can|will|never|contains?|gives?|keeps?|avoids?|says?|explains?|remains?"
    "|cites?|follows?|includes?|provides?|respects?|refuses?|tells?|admits?|responds?|addresses|corrects?|declines?"
    "|encourages?"
)
# These are nouns too ("names and dates"), so something must follow that a verb takes.
_NOUNS = "names|states|shows|uses|helps|answers|stays|makes|offers|treats|leaves|supports|mentions"
_VERB = rf"(?:(?:{_VERBS})\b|(?:{_NOUNS})\s+(?!(?:of|or|and|in|from|that|are|is)\b)\w)"
_SUBJECT = r"(?:it|they|the\s+\w+)\s+"
_TWO_THINGS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for name, pattern in {
        "two sentences": r"\w[.!?]\s+(?-i:[A-Z])\w*\s",
        "a semicolon": r";",
        "'{}'": r"\b(?:as well as|in addition(?: to)?|and also|but also|not only|and/or)\b",
        "two statements joined by '{}'": rf"\b(?:and|but|while|yet)\s+(?:also\s+)?(?:{_SUBJECT})?{_VERB}",
        "two qualities in '{}'": (
            r"\b(?:is|are|be|remains?|stays?)\s+(?:[\w-]+,\s+)*[\w-]+,?\s+and\s+[\w-]+(?=\s*(?:[.,]|\Z))"
        ),
    }.items()
}
_BREAKS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, flags)
    for name, (pattern, flags) in {
        "'{}' is Jinja, which is not filled in here": (r"\{\{|\}\}|\{%|%\}|\{#|#\}", 0),
        "'{}' is a special token of chat models": (
            r"<\|[^|>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>",
            re.IGNORECASE,
        ),
        "'{}' reads like a tag of the prompt": (
            r"</?\s*(?:user_prompt|response_[ab]|judging_principle|earlier_conversation|option_[ab]"
            r"|candidate_response|critique|problem|solution(?:_[ab])?)\b[^>\n]{0,40}>?",
            re.IGNORECASE,
        ),
        "'{}' could be taken for a verdict": (
            r"\[\[[^\]\n]{0,20}\]\]|\b(?:verdict|answer)\s*:\s*\[?\[?\(?[A-C]\b",
            re.IGNORECASE,
        ),
        "an invisible character (U+{})": (r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060\ufeff]", 0),
    }.items()
}
_PLACE = re.compile(
    r"\b(?:response|answer|option|assistant|solution|summary|review)\s+\(?(?-i:[AB])\b"
    r"|\bthe\s+(?:first|second|other)\s+(?:response|answer|option|solution|summary|review)\b",
    re.IGNORECASE,
)
_PLAIN = frozenset(
    "a an the is are be of to in on for with that this it its and or any each every all response answer must should"
    " does do no not never nothing nobody which what".split()
)


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
        _check_text(draft, entry)
        _check_examples(draft, entry)
    _check_twins(draft, constitution)
    _check_weights(draft)
    _check_tags(draft)
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


def _check_text(draft: Draft, entry: Entry) -> None:
    for key in ("text", "critique_request", "revision_request"):
        text = entry.values.get(key, "")
        for message, pattern in _BREAKS.items():
            if match := pattern.search(text):
                character = f"{ord(match[0]):04X}" if "U+" in message else match[0]
                draft.add(entry.at(key), f"'{key}': {message.format(character)}", fatal=False)
    text = entry.values.get("text", "")
    if match := _PLACE.search(text):
        message = f"'{match[0]}' names a place, and places change with the order; write 'the response'"
        draft.add(entry.at("text"), message, fatal=False)
    if text.endswith("?"):
        draft.add(
            entry.at("text"), "a question; a principle is a statement that is true of a good response", fatal=False
        )
    for name, pattern in _TWO_THINGS.items():
        if match := pattern.search(text):
            phrase = " ".join(match[0].split())
            draft.add(entry.at("text"), f"says two things: {name.format(phrase)}; make it two principles", fatal=False)
            return
    if (count := len(text.split())) > LONG:
        draft.add(entry.at("text"), f"{count} words, more than one statement takes ({LONG} at most)", fatal=False)


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
    for first, second in _twins(_sayings(draft, constitution)):
        late, early = (first, second) if first.own and not second.own else (second, first)
        place = f" (line {early.line})" if early.own else ""
        draft.add(late.line, f"'{late.id}' says nearly the same as '{early.id}'{place}", fatal=False)


def _twins(sayings: Sequence[_Said]) -> Iterator[tuple[_Said, _Said]]:
    """Principles that are alike, the earlier one first; at most MOST_TWINS earlier ones for each.

    Few pairs are compared word by word. Of two texts that are alike each shares at least two thirds of its words with
    the other, so the rarest third (and one) of each have a word in common; and words that two texts share are counted
    at once, as the bits of whole numbers.
    """
    parts = [_numbered(saying.words) for saying in sayings]
    kinds = [[part for part in numbered if not part[1]] for numbered in parts]  # each word once
    uses = Counter(part for numbered in parts for part in numbered)
    bits = {part: 1 << number for number, part in enumerate(part for part, count in uses.items() if count > 1)}
    # As counted, and each word once: (how many words, the bits of those that stand in several texts).
    counted = [(len(numbered), sum(bits.get(part, 0) for part in numbered)) for numbered in parts]
    distinct = [(len(once), sum(bits.get(part, 0) for part in once)) for once in kinds]
    users: dict[tuple[str, int], list[int]] = {}
    for late, saying in enumerate(sayings):
        rarest: set[tuple[str, int]] = set()
        for words in (parts[late], kinds[late]):
            ordered = sorted(words, key=lambda part: (uses[part], part))
            rarest.update(ordered[: len(words) - math.ceil(len(words) * 2 / 3) + 1])
        twins = 0
        for early in sorted({number for part in rarest for number in users.get(part, ())}):
            if not (_may_be_alike(counted[early], counted[late]) or _may_be_alike(distinct[early], distinct[late])):
                continue
            if sayings[early].id != saying.id and _alike(sayings[early].words, saying.words) >= ALIKE:
                yield sayings[early], saying
                twins += 1
            if twins == MOST_TWINS:
                break
        for part in rarest:
            if uses[part] > 1:
                users.setdefault(part, []).append(late)


def _may_be_alike(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two texts share enough words: 2 · shared / (words of both) reaches ALIKE."""
    return 2 * (first[1] & second[1]).bit_count() >= ALIKE * (first[0] + second[0])


def _numbered(words: Sequence[str]) -> list[tuple[str, int]]:
    """Each word with how often it came before."""
    seen: Counter[str] = Counter()
    numbered = []
    for word in words:
        numbered.append((word, seen[word]))
        seen[word] += 1
    return numbered


def _sayings(draft: Draft, constitution: Constitution | None) -> list[_Said]:
    sayings = [
        _Said(entry.values.get("id", "?"), _words(entry.values["text"]), entry.at("text"), True)
        for entry in draft.principles
        if "text" in entry.values
    ]
    if constitution is None:
        return sayings
    ids, line = {saying.id for saying in sayings}, draft.top.at("include")
    return sayings + [_Said(p.id, _words(p.text), line, False) for p in constitution.principles if p.id not in ids]


def _words(text: str) -> tuple[str, ...]:
    """The words that carry the meaning, without their endings, in order."""
    plain = re.findall(r"[^\W_]+", text.casefold())
    kept = [word for word in plain if word not in _PLAIN]
    return tuple(re.sub(r"(?<=\w{3})(?:ing|ies|ed|es|s|ly|y)\Z", "", word) for word in (kept or plain))


def _alike(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of words that two texts have in common: in any order where that is enough, else in order; 0 to 1."""
    union = set(first) | set(second)
    shared = len(set(first) & set(second)) / len(union) if union else 0.0
    return shared if shared >= ALIKE else SequenceMatcher(None, first, second, autojunk=False).ratio()


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


def _check_tags(draft: Draft) -> None:
    """A tag that stands once and is nearly another one is a slip of the pen."""
    used = list(_tags(draft))
    counts = Counter(tag for tag, _ in used)
    several = [name for name in counts if counts[name] > 1]
    for tag, line in used:
        near = get_close_matches(tag, several, n=1, cutoff=0.8) if counts[tag] == 1 else []
        if near:
            draft.add(line, f"tag '{tag}' stands once; did you mean '{near[0]}'?", fatal=False)


def _tags(draft: Draft) -> Iterator[tuple[str, int]]:
    for entry in draft.principles:
        yield from entry.values.get("tags", ())
