"""Regular expressions that other people wrote: compiled with limits, matched within a time.

`(a|aa)+$` takes years on a reply of a hundred letters. Python's `re` cannot be stopped, so these patterns are matched
by the package `regex`, which can; a pattern means what it means to `re`, which must accept it first.
"""

import re
import time
import warnings
from functools import lru_cache
from typing import Any

SECONDS = 1.0
"""How long a pattern may take on one reply."""
MAX_LENGTH = 5_000
MAX_UNROLLED = 100_000
"""`((a{1000}){1000})` is as large as a million letters once it is compiled."""


class PatternError(ValueError):
    """A text that is no regular expression, or one that is too large."""


class PatternTimeout(ValueError):
    """A pattern that was not done in time."""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> "re.Pattern[str]":
    """A pattern whose methods take a `timeout`; use `find_all` and `first`. Raises PatternError."""
    if len(pattern) > MAX_LENGTH:
        raise PatternError(f"{len(pattern):,} characters; accepted: up to {MAX_LENGTH:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # "[[" in a set: what it means today is what is meant
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, ValueError) as error:
        raise PatternError(str(error)) from None
    if _unrolled(pattern) > MAX_UNROLLED:
        raise PatternError(f"counted repeats inside counted repeats, more than {MAX_UNROLLED:,} times in all")
    import regex

    try:
        compiled: re.Pattern[str] = regex.compile(pattern)
    except (regex.error, RecursionError, MemoryError, ValueError) as error:
        raise PatternError(str(error)) from None
    return compiled


def find_all(pattern: "re.Pattern[str]", text: str, *, seconds: float = SECONDS) -> "list[re.Match[str]]":
    """Every match in a text. Raises PatternTimeout."""
    timed: Any = pattern
    end = time.monotonic() + seconds
    try:
        matches: list[re.Match[str]] = []
        for match in timed.finditer(text, timeout=seconds):
            matches.append(match)
            if not len(matches) % 1000 and time.monotonic() > end:
                raise TimeoutError
    except TimeoutError:
        raise PatternTimeout(f"the pattern takes more than {seconds:g} s on {len(text):,} characters") from None
    return matches


def fits(pattern: "re.Pattern[str]", text: str, *, seconds: float = SECONDS) -> bool:
    """Whether a pattern matches a whole text. Raises PatternTimeout."""
    timed: Any = pattern
    try:
        return timed.fullmatch(text, timeout=seconds) is not None
    except TimeoutError:
        raise PatternTimeout(f"the pattern takes more than {seconds:g} s on {len(text):,} characters") from None


def _unrolled(pattern: str) -> int:
    """How many parts a pattern has with its counted repeats written out."""
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "_", pattern, flags=re.DOTALL)
    open_groups, last = [0], 0
    for token in re.finditer(r"\{(\d*)(?:,(\d*))?\}|.", plain, flags=re.DOTALL):
        if token[0] == "(":
            open_groups.append(0)
            last = 0
        elif token[0] == ")" and len(open_groups) > 1:
            last = open_groups.pop() + 1
            open_groups[-1] += last
        elif token[1] is not None and last:
            times = max(int(digits or 0) for digits in (token[1][:9], (token[2] or "")[:9]))
            open_groups[-1] += last * max(times - 1, 0)
            last *= max(times, 1)
        else:
            last = 1
            open_groups[-1] += 1
    return sum(open_groups)
