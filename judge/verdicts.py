"""From a completion to a verdict, and from several verdicts to one.

Only what the judge itself wrote is read: never the prompt, never its thinking. What cannot be read is None with a
reason in plain words, never a number. Probabilities are P(first is better), P(right).

This module refuses to know engines, prompts and tasks.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, assert_never

from judge.judgements import Reading
from judge.records import PairVerdict

EMPTY = "empty reply"
CUT = "cut at max_tokens"
NO_VERDICT = "no verdict"

FLOOR = 1e-6
"""The smallest probability that enters a logarithm: one overconfident order cannot silence the other one."""

_QUOTES = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb"
_GRID = 2.0**52


class Label(NamedTuple):
    """A label as it was found: its verdict (None with a reason when there is none) and where it begins in the text."""

    verdict: str | None
    reason: str = ""
    start: int = -1


def read_label(text: str, pattern: str, labels: Mapping[str, str], *, finish: str = "stop") -> Label:
    """The verdict of a reply: the last match of `pattern` whose first group is one of `labels` (verdict -> label).

    With an empty pattern the reply must be a label and nothing else. Letter case is ignored. A match in quotation
    marks is a quotation, not a verdict, unless it is the last word of the reply. A reply that was cut at max_tokens
    gives a verdict only when it ends with it: whatever stands earlier may be the judge quoting what it judges.
    """
    if not text.strip():
        return Label(None, CUT if finish == "length" else EMPTY)
    verdicts = {label.casefold(): verdict for verdict, label in labels.items()}
    if not pattern:
        verdict = verdicts.get(text.strip().casefold())
        return Label(None, _not_on_offer(text)) if verdict is None else Label(verdict, "", 0)
    found = Label(None, CUT if finish == "length" else NO_VERDICT)
    matches = re.compile(pattern)
    group = label_group(matches)
    for match in matches.finditer(text):
        if _only_mentioned(match, finish):
            continue
        verdict = verdicts.get((match[group] or "").strip().casefold())
        if verdict is not None:
            found = Label(verdict, "", match.start(group))
        elif found.verdict is None:
            found = Label(None, _not_on_offer(match[group] or ""))
    return found


def read_steps(text: str, pattern: str, labels: Mapping[str, str], count: int, *, finish: str = "stop") -> list[Label]:
    """The verdicts on `count` steps in one reply: by the pattern's group `step` (counted from 1), else in their order.

    As in `read_label` the last match for a step wins. Without a group `step` a reply with more or fewer verdicts than
    steps tells nobody which is which, so none is read.
    """
    if not text.strip():
        return [Label(None, CUT if finish == "length" else EMPTY)] * count
    missing = Label(None, CUT if finish == "length" else NO_VERDICT)
    verdicts = {label.casefold(): verdict for verdict, label in labels.items()}
    matches = re.compile(pattern)
    group, numbered = label_group(matches), "step" in matches.groupindex
    found: dict[int, Label] = {}
    for place, match in enumerate(matches.finditer(text), start=1):
        verdict = verdicts.get((match[group] or "").strip().casefold())
        number = _number(match["step"]) if numbered else place
        if verdict is not None:
            found[number] = Label(verdict, "", match.start(group))
        elif number not in found or found[number].verdict is None:
            found[number] = Label(None, _not_on_offer(match[group] or ""))
    if not numbered and len(found) != count:
        return [missing if not found else Label(None, f"{len(found)} verdicts for {count} steps")] * count
    return [found.get(number, missing) for number in range(1, count + 1)]


def label_group(pattern: re.Pattern[str]) -> int:
    """The group of a verdict pattern that holds the label: the first one that is not `(?P<step>…)`."""
    step = pattern.groupindex.get("step", 0)
    return 2 if step == 1 else 1


def _number(text: str) -> int:
    return int(text) if text and text.strip().isdecimal() else 0


def _only_mentioned(match: re.Match[str], finish: str) -> bool:
    """Whether a match is not a verdict but talk about one: quoted, or somewhere in a reply that was cut."""
    quoted = _in_quotes(match.string, match.start(), match.end())
    if not quoted and finish != "length":
        return False
    return bool(match.string[match.end() :].strip(_QUOTES + " \t\r\n.*_"))


def _not_on_offer(text: str) -> str:
    shown = " ".join(text.split())
    return f"verdict not on offer '{shown if len(shown) <= 40 else shown[:39] + '…'}'"


def _in_quotes(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return bool(before) and bool(after) and before in _QUOTES and after in _QUOTES


def swapped_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels as they read when the second response stands first; a verdict read with them is turned back already.

    The labels keep their order, so both orders offer the same choices.
    """
    names: dict[str, PairVerdict] = {"first": "first", "second": "second", "tie": "tie"}
    return {turn(names[verdict]): label for verdict, label in labels.items()}


def turn(verdict: PairVerdict) -> PairVerdict:
    """The same verdict on the pair in the other order."""
    match verdict:
        case "first":
            return "second"
        case "second":
            return "first"
        case "tie":
            return "tie"
        case _:
            assert_never(verdict)


def probabilities(logprobs: Mapping[str, float], labels: Mapping[str, str]) -> dict[str, float]:
    """Verdict -> probability, normalised over the labels: softmax of the log-probabilities; {} when there are none.

    A label that the engine did not report (an HTTP server's top few) has probability 0.
    """
    found = {verdict: logprobs.get(label, -math.inf) for verdict, label in labels.items()}
    top = max(found.values(), default=-math.inf)
    if not math.isfinite(top):
        return {}
    weights = {verdict: math.exp(value - top) for verdict, value in found.items()}
    total = math.fsum(weights.values())
    return {verdict: weight / total for verdict, weight in weights.items()}


def distribution(reading: Reading) -> Mapping[str, float]:
    """What a reading says: its probabilities, or all weight on its verdict; empty when it could not be read."""
    if reading.verdict is None:
        return {}
    return reading.probabilities or {reading.verdict: 1.0}


def mean(distributions: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The arithmetic mean of distributions, empty ones left out: K votes of one judge, J judges of one jury.

    Of hard verdicts this is the share of each, and its largest entry the majority.
    """
    given = [one for one in distributions if one]
    if len(given) == 1:
        return dict(given[0])
    names = dict.fromkeys(name for one in given for name in one)
    return {name: math.fsum(one.get(name, 0.0) for one in given) / len(given) for name in names}


def merge_orders(forward: Sequence[Reading], swapped: Sequence[Reading]) -> dict[str, float]:
    """One judge's distribution over first, second, tie from its readings of both orders (already turned back).

    Votes within an order are averaged first. With log-probabilities the two orders p and q are pooled by logits:

        m(v)  ∝  sqrt(p(v) · q(v)),    v in {first, second, tie}

    A judge that adds b to the logit of whatever stands first has p(first)/p(second) = e^(s+b) and q(first)/q(second)
    = e^(s-b); in m the ratio is e^s, so the position cancels and the tie, which has no position, is untouched. With
    two labels m(first) = sigmoid((logit p + logit q) / 2). Each probability is at least 1e-6 before the logarithm.

    Without log-probabilities the orders' shares are averaged: a logit of a share of 0 or 1 would mean nothing.
    """
    orders = [mean(distribution(reading) for reading in readings) for readings in (forward, swapped)]
    orders = [order for order in orders if order]
    if len(orders) < 2:
        return orders[0] if orders else {}
    if any(reading.verdict is not None and not reading.probabilities for reading in (*forward, *swapped)):
        return mean(orders)
    names = dict.fromkeys(name for order in orders for name in order)
    logits = {name: math.fsum(math.log(max(order.get(name, 0.0), FLOOR)) for order in orders) / 2 for name in names}
    return probabilities(logits, {name: name for name in names})


def p_first(merged: Mapping[str, float]) -> float:
    """P(the first is better), a tie counted half: 1/2 + (m(first) - m(second)) / 2.

    On a grid of 2^-52, so that it and its mirror image add up to 1 exactly.
    """
    margin = (merged.get("first", 0.0) - merged.get("second", 0.0)) / 2
    return 0.5 + round(margin * _GRID) / _GRID


def largest(merged: Mapping[str, float]) -> str | None:
    """The verdict with the most weight; None when there is none or when two have the same."""
    if not merged:
        return None
    most = max(merged.values())
    names = [name for name, weight in merged.items() if weight == most]
    return names[0] if len(names) == 1 else None


def preferred(merged: Mapping[str, float]) -> PairVerdict:
    """The verdict of a distribution over first, second, tie; a tie when no single one has the most weight."""
    match largest(merged):
        case "first":
            return "first"
        case "second":
            return "second"
        case "tie" | None:
            return "tie"
        case other:
            raise ValueError(f"'{other}' is not a verdict on a pair (accepted: first, second, tie)")


def consistent(forward: Sequence[Reading], swapped: Sequence[Reading]) -> bool | None:
    """Whether both orders gave the same verdict (the majority of each); None when one of them gave none."""
    votes = [Counter(r.verdict for r in readings if r.verdict is not None) for readings in (forward, swapped)]
    if not all(votes):
        return None
    first, second = (preferred({name: float(count) for name, count in vote.items() if name}) for vote in votes)
    return first == second


def unread(readings: Sequence[Reading]) -> str:
    """Why nothing could be read, in one line: the reasons of the readings, each once."""
    return "; ".join(dict.fromkeys(f"{reading.asked}: {reading.reason}" for reading in readings if reading.reason))
