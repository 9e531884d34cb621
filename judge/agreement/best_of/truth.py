"""What is known of a response: whether it is right, by its final answer or by people, and which answer it gives."""

import re
from collections.abc import Sequence
from fractions import Fraction
from statistics import fmean

from judge.records import HumanLabel, Pair, Ranking, Record, Response, Solution, responses_of, spoken

SHORT = 40
"""A reference of at most so many characters is an answer itself; in a longer one its final answer is looked for."""

_BOXED = re.compile(r"\\boxed\s*\{")
_SAID = re.compile(r"(?:answer|result)\s*(?:is|:|=)\s*:?\s*(.+)", re.IGNORECASE)
_HASHES = re.compile(r"####\s*(.+)")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?")
_FRACTION = re.compile(r"(-?)\\d?frac\s*\{(-?\d+)\}\s*\{(-?\d+)\}")


def final_answer(text: str) -> str | None:
    """The final answer of a text in one form: numbers as numbers, words in small letters; None where it states none.

    The last of: `\\boxed{…}`, `#### …`, "the answer is …"; else the last number of the last line.
    """
    if boxed := _last_boxed(text):
        return plain_answer(boxed)
    if marked := [match[1] for match in _HASHES.finditer(text)]:
        return plain_answer(marked[-1])
    if said := [match[1] for match in _SAID.finditer(text)]:
        sentence = re.split(r"\.(?:\s|$)", _FRACTION.sub(r"\g<1>\2/\3", said[-1]))[0]
        numbers = _NUMBER.findall(sentence)
        return plain_answer(numbers[-1] if numbers else sentence)
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    numbers = _NUMBER.findall(last)
    return plain_answer(numbers[-1]) if numbers else None


def states_answer(text: str) -> bool:
    """Whether a text says that something is its final answer."""
    return any(pattern.search(text) for pattern in (_BOXED, _HASHES, _SAID))


def plain_answer(text: str) -> str | None:
    """An answer without what does not change it: `$1,234.50.` is `2469/2`, `\\text{Yes}` is `yes`."""
    text = _FRACTION.sub(r"\g<1>\2/\3", text.strip())
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\[,;! ]|\\left|\\right|[*$`\"]|\\%|%", "", text).strip().rstrip(".;,:!").strip()
    text = re.sub(r"\A\(([^()]*)\)\Z", r"\1", text)
    compact = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text).replace(" ", "")
    try:
        return str(Fraction(compact))
    except (ValueError, ZeroDivisionError):
        return text.casefold() or None


def _last_boxed(text: str) -> str:
    """What stands in the braces of the last `\\boxed{…}`, "" for none."""
    starts = [match.end() for match in _BOXED.finditer(text)]
    if not starts:
        return ""
    depth = 1
    for place in range(starts[-1], len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if not depth:
            return text[starts[-1] : place]
    return ""


def answers_of(record: Record) -> list[str | None]:
    """The final answer of each response of a record."""
    return [final_answer(spoken(response)) for response in responses_of(record)]


def truth_of(record: Record) -> list[float | None]:
    """What is known of each response of a record, higher is better; None for nothing.

    Of a response or solution: people's "correct", else whether its final answer is the reference's, else people's
    scores (of a solution: whether they find no wrong step). Of a ranking: which ones are correct, else the share of the
    others that people put below. Of a pair: the share of people who prefer it, a tie counted half. Several people:
    their mean.
    """
    match record:
        case Response() | Solution():
            return [_of_one(record)]
        case Pair():
            votes = [label.verdict for label in record.human if not label.criterion]
            first = _mean([{"first": 1.0, "second": 0.0, "tie": 0.5}[str(vote)] for vote in votes])
            return [first, None if first is None else 1.0 - first]
        case Ranking():
            return _of_ranking(record)


def _of_one(record: Response | Solution) -> float | None:
    correct = _mean(_numbers(record.human, "correct"))
    if correct is not None:
        return correct
    if wanted := known_answer(record.reference):
        return float(answers_of(record)[0] == wanted)
    scores = _numbers(record.human, "")
    return _mean([float(score == -1) for score in scores] if isinstance(record, Solution) else scores)


def known_answer(reference: str) -> str | None:
    """The answer that a reference gives: itself where it is short, else its final answer."""
    if len(reference.strip()) <= SHORT and not _HASHES.search(reference):
        return final_answer(reference) if _BOXED.search(reference) else plain_answer(reference)
    return final_answer(reference)


def _of_ranking(record: Ranking) -> list[float | None]:
    count = len(record.responses)
    correct = [set(label.verdict) for label in record.human if _is_set(label)]  # type: ignore[arg-type]
    if correct:
        return [fmean(float(index in right) for right in correct) for index in range(count)]
    orders = [label.verdict for label in record.human if isinstance(label.verdict, tuple) and not label.criterion]
    whole = [order for order in orders if len(order) == count]
    if not whole:
        return [None] * count
    return [fmean(1.0 - order.index(index) / (count - 1) for order in whole) for index in range(count)]


def _is_set(label: HumanLabel) -> bool:
    return label.criterion == "correct" and isinstance(label.verdict, tuple)


def _numbers(labels: Sequence[HumanLabel], criterion: str) -> list[float]:
    return [
        float(label.verdict)
        for label in labels
        if label.criterion == criterion and isinstance(label.verdict, int | float)
    ]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
