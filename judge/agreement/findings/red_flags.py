"""Red flags: what is wrong, how sure that is, what to do, in words.

Each rule takes a finished judge's report and gives a flag or None; what is plainly explained by one is not also
called a coin. Limits are named below.
"""

from collections.abc import Callable, Sequence

from judge.agreement.schema import AnnotatorRow, Audit, Figure, Flag, JudgeReport

COIN = 0.15
ALWAYS = 0.95
LEANS = 0.05
FLIPS = 0.10
COPIES = 0.95
LOST = 0.05
MISCALIBRATED = 0.05
FEW = 30


def flags(judge: JudgeReport) -> tuple[Flag, ...]:
    """All flags of a judge, the worst first."""
    flagged = [flag for rule in _RULES if (flag := rule(judge)) is not None]
    if not any(flag.severity == "stop" for flag in flagged) and (coin := _coin(judge)) is not None:
        flagged.insert(0, coin)
    severity = {"stop": 0, "warn": 1, "note": 2}
    return tuple(sorted(flagged, key=lambda flag: severity[flag.severity]))


def moved(audit: Audit, judge: str) -> tuple[Flag, ...]:
    """Flags of an audit's probes; judge: whose it is."""
    flagged = []
    for probe in audit.probes:
        limit = FLIPS if probe.probe == "swap" else LEANS
        if probe.moved.n >= FEW and _low(probe.moved) >= limit:
            toward = "" if probe.probe == "swap" else f"; in favour of what was changed {shown(probe.toward)}"
            flagged.append(
                Flag(
                    name=f"moved_by_{probe.probe}",
                    severity="warn",
                    judge=judge,
                    what=f"The verdict moves when it should not: {probe.about}.",
                    evidence=f"moved {shown(probe.moved)}{toward}",
                    sure=f"at least {_low(probe.moved):.0%} at 95 %",
                    advice="Ask both orders and merge them."
                    if probe.probe == "swap"
                    else "Say in the prompt that it does not count, and audit again; keep such texts out of training.",
                )
            )
    return tuple(flagged)


def find(figures: Sequence[Figure], name: str) -> Figure | None:
    """The figure of that name that has a value."""
    return next((figure for figure in figures if figure.name == name and figure.value is not None), None)


def shown(figure: Figure) -> str:
    """A figure with its interval and rows: "52.0 % (48.1 – 55.9, n = 640)"."""
    share = figure.unit == "share"

    def one(value: float | None) -> str:
        if value is None:
            return "?"
        return f"{100 * value:.1f}" if share else f"{value:.3f}"

    ends = f"{one(figure.low)} – {one(figure.high)}, " if figure.low is not None else ""
    return f"{one(figure.value)}{' %' if share else ''} ({ends}n = {figure.n:,})"


def _low(figure: Figure) -> float:
    return figure.low if figure.low is not None else float("-inf")


def _high(figure: Figure) -> float:
    return figure.high if figure.high is not None else float("inf")


def _coin(judge: JudgeReport) -> Flag | None:
    """κ (Spearman's ρ for scores) that is about nothing, on enough rows to tell."""
    for name in ("cohen_kappa", "mistake_kappa", "spearman"):
        figure = find(judge.agreement, name)
        if figure is not None:
            break
    else:
        return None
    unsure = figure.n < FEW or figure.low is None or figure.low == figure.high
    if unsure or (figure.value or 0.0) > COIN or _high(figure) > 2 * COIN or _one_verdict(judge):
        return None
    chance = _low(figure) <= 0
    return Flag(
        name="coin",
        severity="stop",
        judge=judge.name,
        what="This judge is a coin: its verdicts have nothing to do with the people's."
        if chance
        else "This judge is hardly better than a coin.",
        evidence=f"{figure.title} {shown(figure)}; 0 is chance",
        sure=f"95 % interval {_low(figure):.2f} to {_high(figure):.2f}{' includes 0' if chance else ''}",
        advice="Do not use it. Check the model, that the prompt holds both texts and that the right label is read.",
    )


def _always(judge: JudgeReport) -> Flag | None:
    """One verdict nearly always, though people do not say so; or the response shown first nearly always."""
    first = find(judge.bias.position, "shown_first") if judge.bias else None
    if first is not None and first.n >= max(FEW, 0.8 * judge.coverage.readable) and judge.confusion:
        people = judge.confusion[0].counts
        share = sum(people[0]) / max(1, sum(map(sum, people)))
        flips = find(judge.bias.position, "flips") if judge.bias else None
        told = flips is not None or share < ALWAYS - 0.1
        for word, value in (("first", first.value or 0.0), ("second", 1 - (first.value or 0.0))):
            if value >= ALWAYS and told and (flips is not None or word == "first" or sum(people[1]) < sum(people[0])):
                return _always_flag(judge, word, f"the response shown first wins {shown(first)}")
    for confusion in judge.confusion[:1]:
        total = sum(map(sum, confusion.counts))
        for index, label in enumerate(confusion.labels):
            by_judge = sum(row[index] for row in confusion.counts) / max(1, total)
            true = sum(confusion.counts[index]) / max(1, total)
            if total >= FEW and by_judge >= ALWAYS and true < ALWAYS - 0.1:
                return _always_flag(judge, label, f"{by_judge:.1%} of {total:,} verdicts; people {true:.1%}")
    return None


def _always_flag(judge: JudgeReport, word: str, evidence: str) -> Flag:
    letter = {"first": "A (the first)", "second": "B (the second)"}.get(word, f"“{word}”")
    return Flag(
        name=f"always_{word.replace(' ', '_')}",
        severity="stop",
        judge=judge.name,
        what=f"This judge always says {letter}, whatever it reads.",
        evidence=evidence,
        sure="a plain count",
        advice="Do not use it. Look at raw replies: the label may be read wrongly, or the model be too small.",
    )


def _flips(judge: JudgeReport) -> Flag | None:
    flips = find(judge.bias.position, "flips") if judge.bias else None
    if flips is None or flips.n < FEW or _low(flips) < FLIPS:
        return None
    side = find(judge.bias.position, "shown_first") if judge.bias else None
    return Flag(
        name="position",
        severity="warn",
        judge=judge.name,
        what="The verdict often changes when the two responses change places.",
        evidence=f"flips {shown(flips)}" + (f"; the one shown first wins {shown(side)}" if side else ""),
        sure=f"at least {_low(flips):.0%} at 95 %",
        advice="Always ask both orders and merge them; take rows that flip as ties, or leave them out of training.",
    )


def _leaning(judge: JudgeReport, name: str, key: str, liked: str) -> Flag | None:
    figures = (*judge.bias.length, *judge.bias.style) if judge.bias else ()
    more = find(figures, f"{name}_difference")
    if more is None or more.n < FEW or more.low is None or (_low(more) < LEANS and _high(more) > -LEANS):
        return None
    by_judge, by_people = find(figures, f"{name}_judge"), find(figures, f"{name}_people")
    likes = (more.value or 0) > 0
    coefficient = find(figures, f"{'length' if name == 'longer' else 'style'}_coefficient")
    strong = abs(more.value or 0) >= 0.2
    evidence = f"wins {shown(by_judge)} by the judge, {shown(by_people)} by people" if by_judge and by_people else ""
    if coefficient is not None:
        evidence += f"; logistic coefficient with people's verdict held {shown(coefficient)}"
    return Flag(
        name=f"{'likes' if likes else 'dislikes'}_{key}",
        severity="stop" if strong else "warn",
        judge=judge.name,
        what=f"This judge {'likes' if likes else 'dislikes'} {liked}, more than people do.",
        evidence=evidence,
        sure=f"the difference is {shown(more)}",
        advice="Say in the prompt that it does not count, balance training pairs for it, report controlled win rates.",
    )


def _length(judge: JudgeReport) -> Flag | None:
    return _leaning(judge, "longer", "length", "length: the longer response wins")


def _style(judge: JudgeReport) -> Flag | None:
    return _leaning(judge, "styled", "style", "markdown and lists")


def _copies(judge: JudgeReport) -> Flag | None:
    """Nearly always the verdict of one annotator, far more than of any other and than people agree with each other."""
    if judge.ceiling is None or judge.ceiling.human.value is None:
        return None
    people = [(row.name, row.judge_with) for row in judge.ceiling.annotators if row.judge_with is not None]
    people = [(name, figure) for name, figure in people if figure.n >= FEW and figure.value is not None]
    if len(people) < 2:
        return None
    people.sort(key=lambda item: -(item[1].value or 0.0))
    (name, first), (next_name, second) = people[:2]
    human = judge.ceiling.human
    if first.unit != "share" or (first.value or 0) < COPIES or _low(first) <= max(_high(second), human.value or 0):
        return None
    return Flag(
        name="copies_annotator",
        severity="stop",
        judge=judge.name,
        what=f"This judge copies {name}: it gives that person's verdict, right or wrong.",
        evidence=f"with {name} {shown(first)}; with the next, {next_name}, {shown(second)}; people {shown(human)}",
        sure="the intervals do not touch",
        advice="Check whether those labels reached its training or prompt; measure it on other people's labels.",
    )


def _unreadable(judge: JudgeReport) -> Flag | None:
    lost, all_rows = judge.coverage.unreadable, judge.coverage.unreadable + judge.coverage.readable
    if not lost or lost / all_rows < LOST:
        return None
    return Flag(
        name="unreadable",
        severity="warn",
        judge=judge.name,
        what="Many verdicts could not be read; every figure is about the others.",
        evidence=f"{lost:,} of {all_rows:,} ({lost / all_rows:.1%})",
        sure="a plain count",
        advice="Look at failures.jsonl; a longer --max-tokens, another prompt or --retries may help.",
    )


def _missing(judge: JudgeReport) -> Flag | None:
    lost = judge.coverage.missing
    if lost < 0.01 * judge.coverage.labelled:
        return None
    return Flag(
        name="missing",
        severity="note",
        judge=judge.name,
        what="Rows that people labelled are missing from this judge's run.",
        evidence=f"{lost:,} of {judge.coverage.labelled:,}",
        sure="a plain count",
        advice="Judge them too, or make sure that they are missing at random.",
    )


def _duplicates(judge: JudgeReport) -> Flag | None:
    if not judge.coverage.duplicates:
        return None
    return Flag(
        name="duplicates",
        severity="note",
        judge=judge.name,
        what="Rows came more than once; the first of each counts.",
        evidence=f"{judge.coverage.duplicates:,} rows",
        sure="a plain count",
        advice="If they are different rows with equal texts, join by a field with --key.",
    )


def skipped_rows(places: Sequence[str]) -> tuple[Flag, ...]:
    """A note on rows of the data that could not be read and were left out."""
    if not places:
        return ()
    more = f", … and {len(places) - 3:,} more" if len(places) > 3 else ""
    return (
        Flag(
            name="skipped",
            severity="note",
            what="Rows of the data could not be read and were left out.",
            evidence=f"{len(places):,} row{'s' * (len(places) > 1)}: {', '.join(places[:3])}{more}",
            sure="a plain count",
            advice="`rmjudge data show` says what is wrong with each.",
        ),
    )


def not_listed(listed: int, total: int) -> Flag | None:
    """A note that not everyone has a line of their own."""
    if total <= listed:
        return None
    return Flag(
        name="annotators_not_listed",
        severity="note",
        what=f"Only the {listed:,} annotators with most labels have a line of their own.",
        evidence=f"{total:,} annotators; the labels of all of them count in every figure",
        sure="a plain count",
        advice="To see the others, give their labels in a file of their own.",
    )


def repeated_votes(number: int) -> Flag | None:
    """A note on further labels of a person on a row."""
    if not number:
        return None
    return Flag(
        name="repeated_votes",
        severity="note",
        what="Some people labelled a row more than once; the first label of each counts.",
        evidence=f"{number:,} labels",
        sure="a plain count",
        advice="If they are different people, give each a name; if different rows, join by a field with --key.",
    )


def _calibration(judge: JudgeReport) -> Flag | None:
    if judge.calibration is None:
        return None
    stated = judge.calibration.curves[0]
    ece = stated.ece
    if ece.n < 200 or _low(ece) < MISCALIBRATED:
        return None
    best = min(judge.calibration.curves, key=lambda curve: curve.log_loss.value or 0.0)
    hint = f"; {best.name} brings it to {shown(best.ece)}" if best is not stated else ""
    return Flag(
        name="miscalibrated",
        severity="warn",
        judge=judge.name,
        what="Its probabilities cannot be taken as they are.",
        evidence=f"expected calibration error {shown(ece)}{hint}",
        sure=f"at least {_low(ece):.3f} at 95 %",
        advice="Calibrate on a few hundred human labels before the probabilities are used as soft labels.",
    )


def _self(judge: JudgeReport) -> Flag | None:
    preference = find(judge.bias.self_preference, "self_preference") if judge.bias else None
    if preference is None or preference.low is None or preference.low <= 0:
        return None
    return Flag(
        name="self_preference",
        severity="warn",
        judge=judge.name,
        what="This judge prefers its own responses more than people do.",
        evidence=f"by {shown(preference)} of a win",
        sure=f"95 % interval {preference.low:.3f} to {_high(preference):.3f}",
        advice="Have another model judge its responses.",
    )


def _slices(judge: JudgeReport) -> Flag | None:
    worse = [part for part in judge.slices if part.worse]
    if not worse:
        return None
    names = ", ".join(f"{part.field} = {part.value} {shown(part.figure)}" for part in worse[:3])
    return Flag(
        name="weak_slices",
        severity="warn",
        judge=judge.name,
        what="It agrees less with people on some parts of the data.",
        evidence=names,
        sure="p < 0.05, corrected for all slices",
        advice="Have people label those parts, or leave the judge out of them.",
    )


def _annotators(judge: JudgeReport) -> Flag | None:
    return off_flag(judge.ceiling.annotators) if judge.ceiling else None


def _not_listed(judge: JudgeReport) -> Flag | None:
    return not_listed(len(judge.ceiling.annotators), judge.ceiling.annotators_total) if judge.ceiling else None


def _repeated(judge: JudgeReport) -> Flag | None:
    return repeated_votes(judge.coverage.repeated_votes)


def off_flag(annotators: Sequence[AnnotatorRow]) -> Flag | None:
    """A note on the people who agree less with the others than those do among themselves."""
    off = [row for row in annotators if row.off]
    if not off:
        return None
    return Flag(
        name="annotator_off",
        severity="note",
        what=f"{'One annotator differs' if len(off) == 1 else 'Some annotators differ'} from the others beyond chance.",
        evidence="; ".join(f"{row.name} {shown(row.agreement)}" for row in off[:5]),
        sure="one-sided t-test, p < 0.05 corrected for all annotators",
        advice="Read some of their rows; see the figures by Dawid and Skene, which weigh people by their skill.",
    )


def _few(judge: JudgeReport) -> Flag | None:
    if judge.coverage.readable >= FEW:
        return None
    return Flag(
        name="too_few",
        severity="warn",
        judge=judge.name,
        what="Too few rows to say anything.",
        evidence=f"{judge.coverage.readable} labelled and readable rows",
        sure="a plain count",
        advice="Have people label some hundred rows.",
    )


def _one_verdict(judge: JudgeReport) -> Flag | None:
    """People who always say the same leave nothing to agree on."""
    for confusion in judge.confusion[:1]:
        rows = [sum(row) for row in confusion.counts]
        if sum(rows) and max(rows) == sum(rows):
            label = confusion.labels[rows.index(max(rows))]
            chosen = label == "first"
            return Flag(
                name="one_human_verdict",
                severity="note" if chosen else "warn",
                what=f"Every human verdict is “{label}”: agreement beyond chance cannot be measured.",
                evidence=f"{sum(rows):,} rows",
                sure="a plain count",
                advice="Chosen/rejected data always names the first: accuracy over both orders is the figure to read."
                if chosen
                else "Add rows on which people decide.",
            )
    return None


Rule = Callable[[JudgeReport], Flag | None]
_RULES: tuple[Rule, ...] = (
    _always,
    _copies,
    _length,
    _style,
    _flips,
    _self,
    _calibration,
    _unreadable,
    _slices,
    _few,
    _one_verdict,
    _annotators,
    _not_listed,
    _missing,
    _duplicates,
    _repeated,
)
