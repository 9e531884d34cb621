"""From a completion to a verdict, and from several verdicts to one.

Only what the judge itself wrote is read: never the prompt, never its thinking. What cannot be read is None with a
reason in plain words, never a number. Probabilities are P(first is better), P(right).
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, assert_never

from judge.judgements import Reading
from judge.patterns import PatternTimeout, compile_pattern, find_all
from judge.records import PairVerdict

EMPTY = "empty reply"
CUT = "cut at max_tokens"
REPEATED = "cut where it repeats itself"
NO_VERDICT = "no verdict"

FLOOR = 1e-6
"""The smallest probability that enters a logarithm: one overconfident order cannot silence the other one."""

_QUOTES = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb"
_INVISIBLE = "\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # directions of writing, joiners
_STOPS = ".!?\u3002\uff01\uff1f\uff61\u061f\u06d4"  # of a sentence, also in Chinese, Japanese, Arabic and Urdu
_MARKUP = _QUOTES + " \t\r\n.*_()[]\u3002\u3010\u3011\uff08\uff09\uff3b\uff3d"
_QUOTE_MARKS = frozenset(_QUOTES)
_GRID = 2.0**52


class Label(NamedTuple):
    """A label as it was found: its verdict (None with a reason when there is none) and where it begins in the text."""

    verdict: str | None
    reason: str = ""
    start: int = -1


# -- reading one reply ------------------------------------------------------------------------------------------------


def read_label(text: str, pattern: str, labels: Mapping[str, str], *, finish: str = "stop") -> Label:
    """The verdict of a reply, where a person would find one; see `read_verdict`.

    Args:
        text: the reply.
        pattern: a regular expression with one group around the label, beside an optional `(?P<step>…)`. With an empty
            one the reply must be a label and nothing else.
        labels: verdict -> label; letter case is ignored.
        finish: how the reply ended, see Completion.
    """
    if not pattern and text.strip() and (exact := next((name for name, label in labels.items() if label == text), "")):
        return Label(exact, "", 0)
    verdicts = {folded(label): verdict for verdict, label in labels.items()}
    if pattern:
        label = read_verdict(text, pattern, lambda label: verdicts.get(folded(label)), finish=finish)
        return _on_this_scale(text, label, labels)
    if not text.strip():
        return Label(None, unfinished(finish) or EMPTY)
    word = folded(text)
    verdict = verdicts.get(word.strip()) or verdicts.get(word.strip(_MARKUP))
    return Label(None, _not_on_offer(text)) if verdict is None else Label(verdict, "", 0)


def read_verdict(
    text: str,
    pattern: str,
    meaning: Callable[[str], str | None],
    *,
    finish: str = "stop",
    one_label: bool = True,
) -> Label:
    """The one verdict that the matches of a pattern give.

    The same verdict, however often, is one verdict. Of different ones the last counts where the reply ends with it and
    its sentence names no other; else nobody can tell which is meant, and the reply is unreadable. A verdict in
    quotation marks is a quotation unless it is the last word of the reply, and one that is denied is none ("not [[A]]",
    "would have got [[B]]", "whether Output (a) is better"). In a reply that was cut a verdict counts where it is the
    end or a sentence of its own: whatever else stands there may be the judge quoting what it judges.

    How a verdict is typed does not matter; see `_plain`.

    Args:
        text, pattern, finish: see `read_label`.
        meaning: label -> verdict, None for a label that is not on offer.
        one_label: whether a verdict is one label, not several in an order.
    """
    if not text.strip():
        return Label(None, unfinished(finish) or EMPTY)
    compiled = compile_pattern(pattern)
    group = label_group(compiled)
    try:
        plain, matches = _matches(text, compiled, one_label)
    except PatternTimeout as timeout:
        return Label(None, str(timeout))
    matches = [match for match in matches if not _is_quoted(match)]
    given, strange = [], ""
    for match in matches:
        label = (match[group] or "").strip()
        verdict = meaning(label)
        if verdict is not None:
            given.append((match, verdict))
        elif label:
            strange = _not_on_offer(label)
    if len({verdict for _, verdict in given}) > 1:
        match, verdict = given[-1]
        others = [other.start() for other, other_verdict in given if other_verdict != verdict]
        if not (_ends(match) or _concludes(match)) or _sentence_start(match) <= others[-1] or _is_denied(match):
            shown = ", ".join(dict.fromkeys(" ".join((match[group] or "").split()) for match, _ in given))
            return Label(None, f"different verdicts and none of them at the end: {shown}")
        given = given[-1:]
    if finish != "stop":
        given = [(match, verdict) for match, verdict in given if _ends(match) or _stands_alone(match)]
    given = [(match, verdict) for match, verdict in given if not _is_denied(match)]
    if not given:
        return Label(None, strange or unfinished(finish) or NO_VERDICT)
    match, verdict = given[-1]
    return Label(verdict, "", plain.place(match.start(group)))


def read_steps(text: str, pattern: str, labels: Mapping[str, str], count: int, *, finish: str = "stop") -> list[Label]:
    """The verdicts on `count` steps in one reply: by the pattern's group `step` (counted from 1), else in their order.

    A step that is given different verdicts has none. Without a group `step` a reply with more or fewer verdicts than
    steps tells nobody which is which, so none is read.
    """
    missing = Label(None, unfinished(finish) or (NO_VERDICT if text.strip() else EMPTY))
    verdicts = {folded(label): verdict for verdict, label in labels.items()}
    compiled = compile_pattern(pattern)
    try:
        plain, matches = _matches(text, compiled, True)
    except PatternTimeout as timeout:
        return [Label(None, str(timeout))] * count
    group, numbered = label_group(compiled), "step" in compiled.groupindex
    by_step: dict[int, list[Label]] = {}
    for place, match in enumerate(matches, start=1):
        label = (match[group] or "").strip()
        verdict = verdicts.get(folded(label))
        read = (
            Label(None, _not_on_offer(label))
            if verdict is None
            else Label(verdict, "", plain.place(match.start(group)))
        )
        by_step.setdefault(_number(match["step"]) if numbered else place, []).append(read)
    if not numbered and len(by_step) != count:
        return [Label(None, f"{len(by_step)} verdicts for {count} steps") if by_step else missing] * count
    return [_one_of(by_step.get(number, [missing])) for number in range(1, count + 1)]


def _one_of(read: Sequence[Label]) -> Label:
    """The label of a step from all that were read for it."""
    given = [label for label in read if label.verdict is not None]
    names = dict.fromkeys(label.verdict for label in given if label.verdict)
    if len(names) > 1:
        return Label(None, f"different verdicts on one step: {', '.join(names)}")
    return (given or read)[-1]


def unfinished(finish: str) -> str:
    """Why a reply broke off, "" when it did not."""
    return {"length": CUT, "repetition": REPEATED}.get(finish, "")


def label_group(pattern: re.Pattern[str]) -> int:
    """The group of a verdict pattern that holds the label: the first one that is not `(?P<step>…)`."""
    step = pattern.groupindex.get("step", 0)
    return 2 if step == 1 else 1


def _number(text: str) -> int:
    return int(text) if text and text.strip().isdecimal() and len(text) < 10 else 0


def _not_on_offer(text: str) -> str:
    shown = " ".join(text.split())
    return f"verdict not on offer '{shown if len(shown) <= 40 else shown[:39] + '…'}'"


# -- how a person reads a match ---------------------------------------------------------------------------------------

_NEAR = 160  # characters around a match in which its sentence is looked for
_AFTER = re.compile(r"[\W_]*+")
_SENTENCE = re.compile(rf"[{_STOPS}:\uff1a\n]")
_SENTENCE_END = re.compile(rf"[*_)\]\"'`\u201d\u2019\uff3d\uff09{_INVISIBLE}]*(?:[{_STOPS};\n]|\s*\Z)")
_LEADS = r"(?:verdict|score|rating|grade|answer|choice|decision|winner|order|ranking)"
_ANNOUNCED = re.compile(rf"[\W_]*+(?:(?:my|the|final|overall)\s+)*(?:{_LEADS}\b(?:\s+is)?)?[\W_]*", re.IGNORECASE)
_LINE_END = re.compile(r"[^\w\n]*(?:\n|\Z)")
_REST = re.compile(rf"[^{_STOPS}\n]*+(?:\.\w[^{_STOPS}\n]*+)*+[\W_]*+")
_CONCLUSION = re.compile(
    r"[\W_]*+(?:(?:so|thus|therefore|hence|overall|finally)\b|in (?:conclusion|summary)|to conclude"
    r"|所以|因此|故而?|综上|綜上|总之|總之|したがって|よって|結論|以上より|따라서|결론"
    r"|לכן|לסיכום|על כן|لذلك|إذن|وبالتالي|في الختام|ختام)",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"[\W_]*+(?:(?:so|thus|therefore|hence|overall|finally|in|conclusion|summary|the|my|final|verdict|answer|score|rating"
    r"|order|choice|decision|is|i|choose|prefer|pick|give|it|would|say|that|a|an|as|result|better|response|output|one"
    r"|step|\d+)[\W_]++)*+",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"(?:(?:\b(?:not|never|neither|nor|cannot|hardly)\b|n['\u2019]t\b)"
    r"(?:\W+(?:a|an|the|that|to|be|it|is|as|in|clear|evident|obvious|true|case|say|think|believe|convinced|sure|certain"
    r"|choose|pick|prefer|give|get|deserve|call|mean|whether|if|really|quite|necessarily|simply)\b)*+"
    r"|\b(?:if|whether|unless|than|over|versus|out\s+of|instead\s+of|rather\s+than)"
    r"|\b(?:would|could|might|should)\s+(?:only\s+|otherwise\s+)?have\s+\w+(?:\s+(?:a|an|the))?"
    r"|(?:不|非|没有|沒有|未必|并未|並未)(?:会|會|能|应|應|该|該|是|选|選|为|為|给|給|认为|認為|觉得|覺得)*|比|如果|若是?|与其|與其"
    r"|\b(?:ليس|ليست|وليس|لا|لن|غير|إذا|لو|من)|\b(?:לא|ולא|אינו|אינה|איננו|איננה|אם|מאשר|לעומת)"
    rf")[\s*_\"'`(\[{_INVISIBLE}]*\Z",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    rf"[\s*_\"'`)\]\u300d\u300f{_INVISIBLE}]*"
    r"(?:とは?(?:言え|いえ|思いませ|思わな)|では?(?:な|ありませ)|じゃ(?:な|ありませ)|より|(?:이|가|은|는)?\s*아니|보다)"
)
_OTHER_SCALE = re.compile(r"[\s\]*_\uff3d]{0,8}(?:[/\uff0f]|out\s+of)[\s\[*_]{0,8}(\d{1,6})(?!\d)", re.IGNORECASE)


def _is_quoted(match: re.Match[str]) -> bool:
    """Whether a match stands in quotation marks and is neither the last word of the reply nor a line of its own."""
    text, start, end = match.string, match.start(), match.end()
    if text[start - 1 : start] not in _QUOTE_MARKS or text[end : end + 1] not in _QUOTE_MARKS or _ends(match):
        return False
    line = text.rfind("\n", 0, start) + 1
    return not (_ANNOUNCED.fullmatch(text, line, start) and _LINE_END.match(text, end))


def _ends(match: re.Match[str]) -> bool:
    """Whether nothing but marks follows a match."""
    return _AFTER.fullmatch(match.string, match.end()) is not None


def _concludes(match: re.Match[str]) -> bool:
    """Whether the reply's last sentence holds the match and says that it is a conclusion: "So [[A]], as it …"."""
    rest = _REST.fullmatch(match.string, match.end())
    return rest is not None and _CONCLUSION.match(match.string, _sentence_start(match)) is not None


def _sentence_start(match: re.Match[str]) -> int:
    """Where the sentence begins that a match stands in."""
    start = max(0, match.start() - _NEAR)
    return max((end.end() for end in _SENTENCE.finditer(match.string, start, match.start())), default=start)


def _stands_alone(match: re.Match[str]) -> bool:
    """Whether a match and the words that lead up to it are a whole sentence: "Therefore, Output (a) is better."."""
    lead = match.string[_sentence_start(match) : match.start()]
    return bool(_LEAD.fullmatch(lead)) and _SENTENCE_END.match(match.string, match.end()) is not None


def _is_denied(match: re.Match[str]) -> bool:
    """Whether the words right before a match, or in Japanese and Korean right after it, say that it is no verdict."""
    if _DENIED_AFTER.match(match.string, match.end()):
        return True
    return _DENIAL.search(match.string[_sentence_start(match) : match.start()]) is not None


def _on_this_scale(text: str, label: Label, labels: Mapping[str, str]) -> Label:
    """A score as it was read; None where the reply says that it lies on a scale with another end ("4 out of 10")."""
    if label.verdict is None or not all(name.lstrip("-").isdecimal() for name in labels.values()):
        return label
    end = _OTHER_SCALE.match(text, label.start + len(labels[label.verdict]))
    if end is None or int(end[1]) == max(int(name) for name in labels.values()):
        return label
    return Label(None, f"a score out of {end[1]}, not out of {max(int(name) for name in labels.values())}")


class _Plain(NamedTuple):
    """A reply with its verdicts typed alike. moves: (place in the plain text, place in the reply), ascending."""

    text: str
    moves: tuple[tuple[int, int], ...] = ()

    def place(self, index: int) -> int:
        """Where in the reply a place of the plain text lies."""
        before = [move for move in self.moves if move[0] <= index]
        return index + (before[-1][1] - before[-1][0] if before else 0)


_CLOSERS = "\\]\uff3d\u3011\u3017\u27e7\u301b"
_BARE_LEADS = (  # not "the answer is 4", which says what is judged
    r"(?:verdict|score|rating|grade|winner|order|ranking"
    r"|(?:最终|最終|最后|最後|总|總)?(?:的)?(?:判定|判断|判斷|裁决|裁決|结论|結論|评分|評分|得分|分数|分數|評価|点数|スコア|勝者|排名|排序|順位)"
    r"|(?:최종\s*)?(?:판정|판결|점수|결론|순위)|(?:الحكم|النتيجة|الدرجة|الترتيب)(?:\s+النهائي[ةه]?)?"
    r"|(?:פסק\s+(?:ה)?דין|פסיקה|הכרעה|ציון|דירוג)(?:\s+סופי[תם]?)?)"
)
_EDGE = rf"[^\s*_{_QUOTES}\\{_CLOSERS}\[{_INVISIBLE}]"
_INSIDE = rf"{_EDGE}(?:[^\n{_CLOSERS}\[]{{0,78}}{_EDGE})?"
_TYPED = re.compile(
    rf"(?im)(?:(?P<lead>\b{_LEADS})\b(?:\s+is)?[^\w\n\[\uff3b\u3010\u3016\u27e6\u301a\\]{{1,8}})?"
    r"(?:\\?[\[\uff3b]\s?\\?[\[\uff3b]|[\u3010\u3016\u27e6\u301a])"
    rf"[\s*_{_QUOTES}{_INVISIBLE}]{{0,6}}(?P<inside>{_INSIDE})[\s*_{_QUOTES}{_INVISIBLE}]{{0,6}}"
    r"(?:\\?[\]\uff3d]\s?\\?[\]\uff3d]|[\u3011\u3017\u27e7\u301b])"
    rf"|^[^\w\n]{{0,12}}(?:(?:my|the|final|overall)\s+){{0,3}}(?P<bare_lead>{_BARE_LEADS})\b(?:\s+is)?[^\w\n\[-]{{1,8}}"
    r"(?P<bare>-?\d+(?:\.0+)?(?:\s*(?:[/\uff0f]|out\s+of)\s*\d+|(?:\s*[>\uff1e]\s*\d+)+)?"
    r"|[a-z\uff21-\uff3a\uff41-\uff5a]+(?:\s*[<>]{1,3}\s*[a-z])?)[^\w\n\[]{0,8}$"
)
_DRESSED = re.compile(
    r"(?i)(?:(?:response|answer|option|output|assistant|solution|model|score|rating|verdict)\W{1,3})?"
    r"(?:[a-z]\s*<{1,3}\s*(?=[a-z]\Z))?"
    r"(?P<label>-?\d+(?=(?:\.0+)?(?:\s*(?:/|out\s+of)\s*\d+)?\Z)|[a-z](?=(?:\s*>{1,3}\s*[a-z]|\s+is\s+better)\Z)|[a-z]+\Z)"
)


class _Narrow(dict[int, "int | str | None"]):
    """A translation of full-width characters to ASCII, and of the digits of any script to 0 to 9; what only says in
    which direction to write is left out."""

    def __missing__(self, code: int) -> int | str | None:
        character = chr(code)
        narrow: int | str | None = code
        if 0xFF01 <= code <= 0xFF5E:
            narrow = code - 0xFEE0
        elif character.isdecimal():
            narrow = str(unicodedata.decimal(character))
        elif _INVISIBLE_ONE.match(character):
            narrow = None
        self[code] = narrow
        return narrow


_INVISIBLE_ONE = re.compile(f"[{_INVISIBLE}]")
_NARROW = _Narrow()


def folded(label: str) -> str:
    """A label as labels are compared: without case, in ASCII's digits and letters where it has these in another
    width or script."""
    return label.translate(_NARROW).casefold()


def _matches(text: str, pattern: re.Pattern[str], one_label: bool) -> tuple[_Plain, list[re.Match[str]]]:
    """Where a pattern matches a reply: typed alike, or as it is where the pattern was written for just that."""
    plain, as_it_is = _plain(text, one_label), find_all(pattern, text)
    matches = find_all(pattern, plain.text) if plain.moves else as_it_is
    return (plain, matches) if len(matches) >= len(as_it_is) else (_Plain(text), as_it_is)


def _plain(text: str, one_label: bool) -> _Plain:
    """The reply with every verdict in brackets, or alone on a line that announces it, typed as `Verdict: [[label]]`.

    So a pattern need not know markup (`**Score: **5`), other brackets (【A】, ［［A］］, escaped ones), and, with
    `one_label`, what may stand around a label inside them (`[[A>>B]]`, `[[Response A]]`, `[[4/5]]`).
    """
    pieces, moves, length, end = [], [], 0, 0
    for match in _TYPED.finditer(text):
        name = "inside" if match["inside"] else "bare"
        inside, place = match[name].translate(_NARROW), match.start(name)
        if one_label and (dressed := _DRESSED.match(inside)):
            inside, place = dressed["label"], place + dressed.start("label")
        lead = match["lead"] or match["bare_lead"]
        written = f"{lead}: [[" if lead else "[["
        if match[0] == f"{written}{inside}]]":
            continue
        start = length + match.start() - end + len(written)
        pieces += [text[end : match.start()], written, inside, "]]"]
        moves += [(start, place), (start + len(inside) + 2, match.end())]
        length, end = start + len(inside) + 2, match.end()
    return _Plain("".join([*pieces, text[end:]]), tuple(moves)) if pieces else _Plain(text)


# -- from several readings to one -------------------------------------------------------------------------------------


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
