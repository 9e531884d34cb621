"""Rules for the wording of a principle or a criterion: one statement, told apart from the others, safe in a prompt.

They go by words, so they miss what a person would see, and they are made to leave good statements alone.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from itertools import islice

from judge.constitution.yaml_entries import Entry, Findings

ALIKE = 0.8
"""How much of their words two statements share when they are taken for twins."""

MOST_TWINS = 3
"""Of how many earlier statements each is called a twin."""

_ROUNDING = 1e-9
LONG = 60
"""Words of a text that still is one statement."""

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
    "a an the is are be of to in on for with that this it its and or any each every all response responses answer"
    " answers must should"
    " does do no not never nothing nobody which what".split()
)


def check_breaks(draft: Findings, entry: Entry, keys: Sequence[str]) -> None:
    """Note text that would break a prompt or be taken for a part of it."""
    for key in keys:
        text = entry.values.get(key, "")
        for message, pattern in _BREAKS.items():
            if match := pattern.search(text):
                character = f"{ord(match[0]):04X}" if "U+" in message else match[0]
                draft.add(entry.at(key), f"'{key}': {message.format(character)}", fatal=False)


def check_statement(draft: Findings, entry: Entry, key: str, statement: str, plural: str) -> None:
    """Note a text that is not one statement about a response, wherever it stands."""
    text, line = entry.values.get(key, ""), entry.at(key)
    if match := _PLACE.search(text):
        message = f"'{match[0]}' names a place, and places change with the order; write 'the response'"
        draft.add(line, message, fatal=False)
    if text.endswith("?"):
        draft.add(line, f"a question; {statement}", fatal=False)
    for name, pattern in _TWO_THINGS.items():
        if match := pattern.search(text):
            phrase = " ".join(match[0].split())
            draft.add(line, f"says two things: {name.format(phrase)}; make it two {plural}", fatal=False)
            return
    if (count := len(text.split())) > LONG:
        draft.add(line, f"{count} words, more than one statement takes ({LONG} at most)", fatal=False)


def twins(statements: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
    """(index, earlier index) of statements that say nearly the same; at most MOST_TWINS earlier ones for each.

    Only those are compared that share enough words, counted by the places of each word, so thousands take a second.
    """
    import numpy as np

    sizes = np.array([len(words) for words in statements], dtype=np.int64)
    kinds = np.array([len(set(words)) for words in statements], dtype=np.int64)
    places: dict[tuple[str, int], array[int]] = {}
    for index, words in enumerate(statements):
        shared = np.zeros(index, dtype=np.int64)  # words in common, a repeated one as often as both have it
        alike_kinds = np.zeros(index, dtype=np.int64)  # different words in common
        seen: Counter[str] = Counter()
        for word in words:
            seen[word] += 1
            earlier = places.setdefault((word, seen[word]), array("q"))
            if earlier:
                rows = np.frombuffer(earlier, dtype=np.int64)
                shared[rows] += 1
                if seen[word] == 1:
                    alike_kinds[rows] += 1
                del rows  # while it looks at the array, that cannot grow
            earlier.append(index)
        ordered = 2 * shared >= ALIKE * (sizes[:index] + sizes[index]) - _ROUNDING
        unordered = alike_kinds >= ALIKE * (kinds[:index] + kinds[index] - alike_kinds) - _ROUNDING
        likely = (int(other) for other in np.flatnonzero(ordered | unordered))
        yield from islice(((index, other) for other in likely if alike(statements[other], words) >= ALIKE), MOST_TWINS)


def earliest_twins(statements: Sequence[Sequence[str]]) -> dict[int, int]:
    """The earliest of the statements that say nearly the same, of each that has some."""
    earliest: dict[int, int] = {}
    for index, other in twins(statements):
        earliest.setdefault(index, other)
    return earliest


def words_of(text: str) -> tuple[str, ...]:
    """The words that carry the meaning, without their endings, in order."""
    plain = re.findall(r"[^\W_]+", text.casefold())
    kept = [word for word in plain if word not in _PLAIN]
    return tuple(re.sub(r"(?<=\w{3})(?:ing|ies|ed|es|s|ly|y)\Z", "", word) for word in (kept or plain))


def alike(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of words that two texts have in common: in any order where that is enough, else in order; 0 to 1."""
    union = set(first) | set(second)
    shared = len(set(first) & set(second)) / len(union) if union else 0.0
    return shared if shared >= ALIKE else SequenceMatcher(None, first, second, autojunk=False).ratio()


def check_tags(draft: Findings, entries: Sequence[Entry]) -> None:
    """A tag that stands once and is nearly another one is a slip of the pen."""
    used = list(_tags(entries))
    counts = Counter(tag for tag, _ in used)
    repeated = [name for name, count in counts.items() if count > 1]
    for tag, line in used:
        near = get_close_matches(tag, repeated, n=1, cutoff=0.8) if counts[tag] == 1 else []
        if near:
            draft.add(line, f"tag '{tag}' stands once; did you mean '{near[0]}'?", fatal=False)


def _tags(entries: Sequence[Entry]) -> Iterator[tuple[str, int]]:
    for entry in entries:
        yield from entry.values.get("tags", ())
