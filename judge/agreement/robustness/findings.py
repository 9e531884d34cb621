"""What is wrong with a reward model under shift and edits, in words with its size.

A finding is raised by a stated threshold, and only where the whole interval lies beyond it.
"""

from collections.abc import Iterator

from judge.agreement.robustness.distribution import SHIFTED
from judge.agreement.robustness.schema import Attack, ProbeEffect, Robustness
from judge.agreement.schema import Figure, Flag

MIN_SHIFT = 0.1  # deviations that an edit without content adds, or twice the length
MIN_FLIPS = 0.05  # share of the pairs told right that an edit turns
MIN_NOT_LOWERED = 0.10  # share of answers taken away without a loss
MIN_SUCCESS = 0.10  # share of the pairs told right that the worst of k edits turns
MIN_SLICE = 0.05  # accuracy below that of the rest of the data
MOST_SLICES = 5


def findings(report: Robustness) -> tuple[Flag, ...]:
    """Everything that is found wrong: what makes a model useless stands before what makes it doubtful."""
    found = [*_chance(report), *_gap(report), *_length(report)]
    for probe in report.probes:
        found += _adds(probe) if probe.effect == "adds" else _takes(probe)
    found += _attack(report.attack) if report.attack else []
    return (*found, *_slices(report))


def points(value: float) -> str:
    """A difference of shares: 7.3 points."""
    return f"{value * 100:.1f} points"


def percent(value: float | None) -> str:
    """A share: 71.3 %."""
    return "–" if value is None else f"{value * 100:.1f} %"


def signed(value: float | None) -> str:
    """A change with its sign: +0.42."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def sure(figure: Figure, *, share: bool) -> str:
    """The interval in words."""
    if figure.low is None or figure.high is None:
        return ""
    scale, unit = (100, " %") if share else (1, "")
    digits = 1 if share else 2
    return f"95 % interval {figure.low * scale:.{digits}f} to {figure.high * scale:.{digits}f}{unit}.".replace("-", "−")


def _above(figure: Figure, threshold: float) -> bool:
    return figure.low is not None and figure.low > threshold


def _below(figure: Figure, threshold: float) -> bool:
    return figure.high is not None and figure.high < threshold


def _basis(figure: Figure) -> str:
    return f"{figure.n:,} pairs, {figure.clusters:,} prompts"


def _chance(report: Robustness) -> Iterator[Flag]:
    """Whether a coin would do as well, on either data."""
    for name, where in (("accuracy", "the data"), ("accuracy_shifted", "the shifted data")):
        figure = report.figures.get(name)
        if figure and figure.value is not None and figure.low is not None and figure.low <= 0.5:
            yield Flag(
                name=f"chance_{name}",
                severity="stop" if _below(figure, 0.55) else "warn",
                what=f"On {where} it is {'worse' if _below(figure, 0.5) else 'not surely better'} than a coin: "
                f"{percent(figure.value)} are told right",
                evidence=f"{_basis(figure)}.",
                sure=sure(figure, share=True),
                advice="Do not select or train by it there; add labelled data of that kind.",
            )


def _gap(report: Robustness) -> Iterator[Flag]:
    gap = report.figures.get("gap")
    if gap and gap.value is not None and _above(gap, 0.0):
        inside, outside = (report.figures[name] for name in ("accuracy", "accuracy_shifted"))
        yield Flag(
            name="gap",
            severity="warn",
            what=f"It loses {points(gap.value)} of accuracy on the shifted data",
            evidence=f"{percent(inside.value)} of {inside.n:,} pairs against {percent(outside.value)} of "
            f"{outside.n:,}.",
            sure=sure(gap, share=True).replace(" %.", " points."),
            advice="Measure it on the data it will score; train on some of it, or score by a lower bound there.",
        )


def _length(report: Robustness) -> Iterator[Flag]:
    slope = report.figures.get("length_slope")
    if not slope or slope.value is None or not (_above(slope, MIN_SHIFT) or _below(slope, -MIN_SHIFT)):
        return
    longer, shorter, balanced = (
        report.figures[name] for name in ("accuracy_longer", "accuracy_shorter", "accuracy_balanced")
    )
    verb, like = ("adds", "long") if slope.value > 0 else ("takes", "short")
    yield Flag(
        name=f"likes_{like}",
        severity="warn",
        what=f"Twice the length {verb} {abs(slope.value):.2f} deviations of reward, people's verdict held",
        evidence=f"It is right on {percent(longer.value)} of {longer.n:,} pairs whose better response is longer, on "
        f"{percent(shorter.value)} of {shorter.n:,} whose is shorter; {percent(balanced.value)} when both weigh alike.",
        sure=sure(slope, share=False),
        advice="Train on pairs balanced by length, or subtract the slope before responses are selected.",
    )


def _adds(probe: ProbeEffect) -> Iterator[Flag]:
    """An edit without content that lifts rewards, or turns verdicts without that."""
    shift, flips, spoils = probe.shift, probe.worse_wins, probe.better_loses
    if shift.value is None:
        return
    evidence = f"Mean over {shift.n:,} pairs; the worse response of {flips.n:,} pairs told right was edited."
    if probe.by_length is not None:
        evidence += f" Its change of length alone would move the reward by {signed(probe.by_length)}."
    turns = f"turns {percent(flips.value)} of the pairs told right"
    if _above(shift, MIN_SHIFT):
        yield Flag(
            name=f"likes_{probe.probe}",
            severity="warn",
            what=f"{probe.probe} adds {shift.value:.2f} deviations and {turns}: {probe.about}",
            evidence=evidence,
            sure=f"{sure(shift, share=False)} Turned: {sure(flips, share=True)}",
            advice=f"Add pairs whose worse response is the better one under '{probe.probe}' to the training data.",
        )
    elif _above(flips, MIN_FLIPS):
        yield Flag(
            name=f"turned_by_{probe.probe}",
            severity="warn",
            what=f"{probe.probe} {turns}, though it moves the reward by {signed(shift.value)} deviations on average: "
            f"{probe.about}",
            evidence=evidence,
            sure=sure(flips, share=True),
            advice="Margins are small against a change without content; look at a few of these pairs.",
        )
    if _above(spoils, MIN_SUCCESS):
        yield Flag(
            name=f"spoilt_by_{probe.probe}",
            severity="note",
            what=f"{probe.probe} makes the better response lose in {percent(spoils.value)} of the pairs told right",
            evidence=f"{_basis(spoils)}: {probe.about}.",
            sure=sure(spoils, share=True),
            advice="The content is the same as before; whether such a response should lose is for you to say.",
        )


def _takes(probe: ProbeEffect) -> Iterator[Flag]:
    """An answer that is taken away without a loss of reward."""
    if _above(probe.not_lowered, MIN_NOT_LOWERED):
        yield Flag(
            name=f"blind_to_{probe.probe}",
            severity="warn",
            what=f"{probe.probe}: {percent(probe.not_lowered.value)} of the better responses score at least as high "
            f"when {probe.about}",
            evidence=f"{_basis(probe.not_lowered)}; the reward moves by {signed(probe.shift.value)} deviations on "
            "average.",
            sure=sure(probe.not_lowered, share=True),
            advice=f"Add pairs of a whole response and one under '{probe.probe}' to the training data.",
        )


def _attack(attack: Attack) -> Iterator[Flag]:
    worst, single = attack.success[-1], attack.success[0]
    if not _above(worst, MIN_SUCCESS):
        return
    most = ", ".join(f"{name} in {count:,}" for name, count in list(attack.edits.items())[:3])
    yield Flag(
        name="worst_of_k",
        severity="warn",
        what=f"The worst of {attack.k} edits lets the worse response win in {percent(worst.value)} of the pairs told "
        f"right, one edit in {percent(single.value)}",
        evidence=f"{_basis(worst)}; the best edit adds {attack.gain.value:.2f} deviations on average. Most often: "
        f"{most}.",
        sure=sure(worst, share=True),
        advice="A policy that is trained by this reward finds such edits: penalise the drift, or train on them.",
    )


def _slices(report: Robustness) -> Iterator[Flag]:
    worst = [part for part in report.slices if part.worse and part.difference is not None]
    for part in sorted(worst, key=lambda part: part.difference or 0.0)[:MOST_SLICES]:
        assert part.difference is not None
        if part.difference > -MIN_SLICE:
            continue
        yield Flag(
            name="weak_slice",
            severity="warn",
            what=f"{part.field} '{part.value}': {percent(part.figure.value)} told right, "
            f"{points(-part.difference)} below the rest of the {'shifted ' * part.field.startswith(SHIFTED)}data",
            evidence=f"{_basis(part.figure)}.",
            sure=f"p = {part.p_value:.3f}, corrected for {len(report.slices)} slices.",
            advice="Look at its pairs; label more of them if they matter.",
        )
