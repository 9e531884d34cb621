"""How a number of a report is said: the same words on the page, in a chart and on a terminal."""

import unicodedata
from collections.abc import Iterable

from judge.agreement.best_of.schema import BestOf
from judge.agreement.robustness.schema import PairCoverage, Robustness
from judge.agreement.schema import BaselineChange, Bias, Figure, Flag, Headline, Unit

NOTHING = "–"
THIN = "\u202f"  # the narrow no-break space between a number and its unit
STAYS = "\u00a0"  # the no-break space inside an equation
VERDICT_OF = {"good": "Good enough", "fair": "With care", "poor": "Not good enough", "unknown": "Too few to say"}
SEVERITY_OF = {"stop": "Stop", "warn": "Take care", "note": "Note"}
_CHANGES = {"gap", "shift", "length_slope", "attack_gain"}
ORDER_OF = ("stop", "warn", "note")


def number(value: float | None, unit: Unit) -> str:
    """A value alone: `71.3 %` for a share, three decimals for a loss, else two; a true minus sign; `–` for None."""
    if value is None:
        return NOTHING
    if unit == "share":
        text = f"{value * 100:.1f}{THIN}%"
    elif unit == "loss":
        text = f"{value:.3f}"
    elif unit == "number":
        text = count(round(value)) if value == round(value) or abs(value) >= 1000 else f"{value:.2f}"
    else:
        text = f"{round(value, 2) + 0.0:.2f}"  # no minus before a zero
    return text.replace("-", "−")


def apart(figure: Figure) -> bool:
    """Whether a figure is a difference, which has a sign and no 0…1 to lie in."""
    return figure.name.endswith(("difference", "preference", "drift")) or figure.name in _CHANGES


def value(figure: Figure) -> str:
    """The value of a figure: a difference with its sign, everything else as a number."""
    return signed(figure.value, figure.unit) if apart(figure) else number(figure.value, figure.unit)


def count(value: int) -> str:
    """1,234 with commas."""
    return f"{value:,}".replace("-", "−")


def interval(low: float | None, high: float | None, unit: Unit) -> str:
    """`68.9 to 73.6 %`, "" when there is none."""
    if low is None or high is None:
        return ""
    begin = number(low, unit)
    if unit == "share":
        begin = begin.removesuffix(f"{THIN}%")
    return f"{begin} to {number(high, unit)}"


def span(figure: Figure) -> str:
    """The interval of a figure."""
    return (differ if apart(figure) else interval)(figure.low, figure.high, figure.unit)


def left_out(figure: Figure) -> str:
    """`3 unreadable, 2 missing`, "" when every row counted."""
    parts = [(figure.unreadable, "unreadable"), (figure.missing, "missing")]
    return ", ".join(f"{count(number_of)} {word}" for number_of, word in parts if number_of)


def basis(figure: Figure) -> str:
    """What a figure was made from: `n = 1,999, 805 prompts, 3 unreadable`."""
    text = f"n{STAYS}={STAYS}{count(figure.n)}"
    return f"{text}, {rest(figure)}" if rest(figure) else text


def rest(figure: Figure) -> str:
    """What stands beside n: `805 prompts, 3 unreadable`, "" when each row is a prompt of its own and all count."""
    prompts = f"{count(figure.clusters)} prompts" if figure.clusters and figure.clusters != figure.n else ""
    return ", ".join(part for part in (prompts, left_out(figure)) if part)


def title(figure: Figure) -> str:
    """The figure's title with what it speaks of."""
    return f"{figure.title}: {figure.of}" if figure.of else figure.title


def by_subject(figures: Iterable[Figure]) -> list[tuple[str, list[Figure]]]:
    """Figures with what they speak of, in the order of first mention: the whole is ""."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        groups.setdefault(figure.of, []).append(figure)
    return list(groups.items())


def probability(value: float | None) -> str:
    """A p-value: `p < 0.001`, `p = 0.034`, "" when there is none."""
    if value is None:
        return ""
    text = "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"
    return text.replace(" ", STAYS)


def signed(value: float | None, unit: Unit) -> str:
    """A difference with its sign; shares differ by points: `+2.1 points`."""
    if value is None:
        return NOTHING
    text = f"{value * 100:+.1f} points" if unit == "share" else f"{value:+.3f}" if unit == "loss" else f"{value:+.2f}"
    return text.replace("-", "−")


def differ(low: float | None, high: float | None, unit: Unit) -> str:
    """The interval of a difference: `−2.0 to +4.0 points`, "" when there is none."""
    if low is None or high is None:
        return ""
    return f"{signed(low, unit).removesuffix(' points')} to {signed(high, unit)}"


def phrase(key: str) -> str:
    """A key as words: `as_stated` is "as stated"."""
    return key.replace("_", " ")


def robust(report: Robustness) -> str:
    """What a robustness report comes to, in one sentence."""
    wrong = sum(finding.severity != "note" for finding in report.findings)
    looked = "data, length and edits" if report.probes else "data and length"
    if not wrong:
        return f"Nothing was found by the thresholds of this report ({looked})"
    return f"{wrong} finding{'s' * (wrong != 1)} ({looked})"


def best_of(report: BestOf) -> str:
    """What choosing the best of n comes to, in one sentence."""
    chosen, best = report.curve("best_of"), report.curve("pass")
    if chosen is None or best is None:
        gold = report.curve("gold")
        if gold is None:
            return f"Of {count(report.n)} responses to each prompt the best was chosen; nothing is known of the truth"
        values = [figure.value for figure in gold.points if figure.value is not None]
        peak = report.sizes[values.index(max(values))] if values else report.n
        return f"The gold reward of the pick is highest where the best of {count(peak)} is taken"
    at_n, at_one, highest = value(chosen.points[-1]), value(chosen.points[0]), value(best.points[-1])
    if report.truth == "right":
        return f"The best of {count(report.n)} is right in {at_n}, any response in {at_one}, one of all in {highest}"
    return f"The best of {count(report.n)} is worth {at_n}, any response {at_one}, the best there is {highest}"


def chosen_from(report: BestOf) -> str:
    """`1,600 responses to 100 prompts; 3 prompts with fewer than 16, 2 unreadable`."""
    left = [
        (report.too_few, f"prompts with fewer than {count(report.n)} or no reward"),
        (report.without_truth, "prompts without a known truth"),
        (report.unreadable, "responses unreadable"),
        (report.skipped, "rows skipped"),
    ]
    parts = ", ".join(f"{count(number_of)} {word}" for number_of, word in left if number_of)
    return f"{count(report.responses)} responses to {count(report.prompts)} prompts" + (f"; {parts}" if parts else "")


def compared(coverage: PairCoverage) -> str:
    """`2,000 pairs of 900 prompts; 12 ties, 3 unreadable`."""
    left = [(coverage.ties, "ties"), (coverage.unlabelled, "unlabelled"), (coverage.unreadable, "unreadable")]
    left.append((coverage.skipped, "rows skipped"))
    parts = ", ".join(f"{count(number_of)} {word}" for number_of, word in left if number_of)
    whole = f"{count(coverage.compared)} pairs of {count(coverage.prompts)} prompts"
    return f"{whole}; left out: {parts}" if parts else whole


def by_severity(flags: Iterable[Flag]) -> list[Flag]:
    """Flags with the gravest first, in their own order otherwise."""
    return sorted(flags, key=lambda flag: ORDER_OF.index(flag.severity))


def verdict(headline: Headline) -> str:
    """The level in two or three words."""
    return VERDICT_OF[headline.level]


def outcome(change: BaselineChange) -> str:
    """How a figure moved against the baseline, in a word."""
    return "worse" if change.worse else "better" if change.better else "within the interval"


def yes_no(value: bool | None) -> str:
    """yes, no, or that it cannot be said."""
    return "cannot be said" if value is None else "yes" if value else "no"


def any_of(bias: Bias) -> bool:
    """Whether there is any leaning to show."""
    return any((bias.position, bias.length, bias.style, bias.self_preference, bias.consistency))


def short(text: str, length: int = 28) -> str:
    """A name that fits: cut in the middle, where long names are alike at both ends least often."""
    text = printable(text)
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def cut(text: str, length: int = 900) -> str:
    """A text that fits: its beginning and its end, where edits stand."""
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-(length // 2) :]}"


def printable(text: str) -> str:
    """One line without control characters: a name from data cannot move a terminal's cursor or turn its text."""
    kept = (" " if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else sign for sign in text)
    return " ".join("".join(kept).split())
