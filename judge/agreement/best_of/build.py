"""A best-of-n report: estimates of each prompt, their means with intervals over prompts, and what is wrong."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from judge.agreement.best_of.estimators import (
    Floats,
    Ints,
    best_of,
    best_of_about,
    kl_of_best,
    pass_at,
    sizes_to,
    vote,
    vote_weights,
)
from judge.agreement.best_of.schema import BestOf, BestOfConfig, Candidates, Curve, Searched
from judge.agreement.schema import Figure, Flag, Unit
from judge.agreement.statistics.bootstrap import Resampler
from judge.errors import InputError


def build(
    name: str,
    candidates: Sequence[Candidates],
    config: BestOfConfig | None = None,
    *,
    gold: str = "",
    data: tuple[str, ...] = (),
    policy: str = "",
    searched: Sequence[Searched] = (),
) -> BestOf:
    """The report on responses that were scored.

    Raises:
        InputError: for prompts with one response each, an n that no prompt has, and where nothing could be scored.
    """
    config = config or BestOfConfig()
    n, kept = _chosen(candidates, config.n)
    sizes = sizes_to(n)
    kinds = {value for row in kept for value in row.truth if value is not None}
    known_truth = [_with(row, row.truth, n) for row in kept]
    truth = "" if not any(known_truth) else "right" if kinds <= {0.0, 1.0} else "rated"
    estimates = _of_truth(known_truth, sizes, truth, config.seed) | (_of_gold(kept, sizes, n) if gold else {})
    counting = _Counting(kept, sizes, config)
    unit: Unit = "share" if all(0 <= value <= 1 for value in kinds) else "coefficient"
    curves = [
        counting.curve(key, values, "coefficient" if key in ("proxy", "gold") else unit, truth)
        for key, values in estimates.items()
    ]
    summary = counting.summary(estimates, unit)
    return BestOf(
        name=name,
        gold=gold,
        data=data,
        policy=policy,
        n=n,
        sizes=sizes,
        kl=tuple(kl_of_best(size) for size in sizes),
        prompts=len(kept),
        responses=sum(len(row.rewards) for row in kept),
        too_few=len(candidates) - len(kept),
        unreadable=sum(value is None for row in kept for value in row.rewards),
        without_truth=sum(row is None for row in known_truth) if truth else 0,
        truth=truth,
        curves=tuple(curves),
        summary=summary,
        search=counting.search(searched, known_truth),
        findings=tuple(_findings(summary, n)) if config.resamples else (),
        resamples=config.resamples,
        seed=config.seed,
        confidence=config.confidence,
    )


def _chosen(candidates: Sequence[Candidates], asked: int) -> tuple[int, list[Candidates]]:
    """n, and the prompts that have so many responses; the responses of one without any reward say nothing."""
    counts = [len(row.rewards) for row in candidates]
    most, least = max(counts, default=0), min(counts, default=0)
    if most < 2:
        raise InputError(
            f"best of n needs two or more responses to a prompt; each of the {len(counts):,} prompts has one"
        )
    if asked > most:
        span = f"{most}" if least == most else f"{least} to {most}"
        raise InputError(f"n={asked}: the prompts have {span} responses (accepted: 2 to {most})")
    n = asked or max((count for count in set(counts) if count > 1), key=lambda count: (counts.count(count), count))
    kept = [
        row
        for row, count in zip(candidates, counts, strict=True)
        if count >= n and any(value is not None for value in row.rewards)
    ]
    if not kept:
        raise InputError(f"no prompt has {n} responses of which one has a reward")
    return n, kept


class _Known(NamedTuple):
    """Of one prompt the responses that something is known of: rewards, what is known, answers."""

    rewards: Floats
    values: Floats
    answers: list[str | None]


def _with(row: Candidates, known: Sequence[float | None], n: int) -> _Known | None:
    """The responses of a prompt of which something is known; None where they are fewer than n."""
    places = [place for place, value in enumerate(known) if value is not None]
    if len(places) < n:
        return None
    return _Known(
        np.array([np.nan if (reward := row.rewards[place]) is None else reward for place in places]),
        np.array([known[place] for place in places], dtype=np.float64),
        [row.answers[place] for place in places],
    )


def _rows(count: int, parts: Sequence[_Known | None], function: Callable[[int, _Known], Floats]) -> Floats:
    """(P, S): an estimate of each prompt, nan for those of which too little is known."""
    values = np.full((len(parts), count), np.nan)
    for place, part in enumerate(parts):
        if part is not None:
            values[place] = function(place, part)
    return values


def _of_truth(known_truth: Sequence[_Known | None], sizes: Sequence[int], truth: str, seed: int) -> dict[str, Floats]:
    if not truth:
        return {}
    count = len(sizes)
    curves = {
        "best_of": _rows(count, known_truth, lambda _, row: best_of(row.rewards, row.values, sizes)),
        "pass": _rows(count, known_truth, lambda _, row: pass_at(row.values, sizes)),
    }

    def votes(weigh: Callable[[_Known], Floats]) -> Floats:
        return _rows(
            count,
            known_truth,
            lambda place, row: vote(_codes(row.answers), weigh(row), row.values, sizes, (seed, place)),
        )

    if any(answer is not None for row in known_truth if row for answer in row.answers):
        curves["majority"] = votes(lambda row: np.ones(len(row.values)))
        curves["weighted"] = votes(lambda row: vote_weights(row.rewards))
    return curves


def _codes(answers: Sequence[str | None]) -> Ints:
    """A number for each different answer, -1 for none."""
    numbers = {answer: number for number, answer in enumerate(dict.fromkeys(a for a in answers if a is not None))}
    return np.array([-1 if answer is None else numbers[answer] for answer in answers], dtype=np.int64)


def _of_gold(kept: Sequence[Candidates], sizes: Sequence[int], n: int) -> dict[str, Floats]:
    """The reward and the gold reward of the pick, each less its mean over all responses and over its deviation."""
    known = [_with(row, row.gold, n) for row in kept]
    rewards = np.concatenate([row.rewards for row in known if row is not None] or [np.zeros(0)])
    golds = np.concatenate([row.values for row in known if row is not None] or [np.zeros(0)])
    if not np.isfinite(rewards).any():
        return {}
    centre, spread = float(np.nanmean(rewards)), float(np.nanstd(rewards)) or 1.0
    gold_centre, gold_spread = float(golds.mean()), float(golds.std()) or 1.0

    def proxy(_: int, row: _Known) -> Floats:
        lowest = np.where(np.isnan(row.rewards), np.nanmin(row.rewards, initial=centre), row.rewards)
        return np.round((best_of(row.rewards, lowest, sizes) - centre) / spread, 12)

    def gold(_: int, row: _Known) -> Floats:
        return np.round((best_of(row.rewards, row.values, sizes) - gold_centre) / gold_spread, 12)

    return {"proxy": _rows(len(sizes), known, proxy), "gold": _rows(len(sizes), known, gold)}


TITLES = {
    "best_of": "best by reward",
    "majority": "majority vote",
    "weighted": "vote weighted by reward",
    "proxy": "reward of the pick",
    "gold": "gold reward of the pick",
}


class _Counting:
    """Means over prompts with their intervals."""

    def __init__(self, kept: Sequence[Candidates], sizes: Sequence[int], config: BestOfConfig) -> None:
        self.sizes, self.prompts = sizes, [row.prompt for row in kept]
        self.draw = Resampler(
            np.arange(len(kept)), resamples=config.resamples, seed=config.seed, confidence=config.confidence
        )

    def curve(self, name: str, values: Floats, unit: Unit, truth: str) -> Curve:
        """The curve of estimates (P, S)."""
        title = TITLES.get(name) or ("one of them is right (pass@n)" if truth == "right" else "the best of them")
        points = tuple(
            self._figure(name, title, values[:, place], unit, of=str(size)) for place, size in enumerate(self.sizes)
        )
        return Curve(name=name, title=title, points=points)

    def summary(self, estimates: dict[str, Floats], unit: Unit) -> tuple[Figure, ...]:
        """What choosing is worth at the largest n."""
        figures: list[Figure] = []
        if "best_of" in estimates:
            chosen, best = estimates["best_of"], estimates["pass"]
            parts = np.stack([chosen[:, -1] - chosen[:, 0], best[:, -1] - chosen[:, 0]], axis=1)
            figures.append(self._ratio("share_of_way", "share of the way from pass@1 to pass@n", parts))
            title = "best by reward minus one response"
            figures.append(self._figure("gain_difference", title, chosen[:, -1] - chosen[:, 0], unit))
        for name, title in (
            ("majority", "best by reward minus majority"),
            ("weighted", "weighted vote minus majority"),
        ):
            if name in estimates:
                first = "best_of" if name == "majority" else "weighted"
                margin = estimates[first][:, -1] - estimates["majority"][:, -1]
                figures.append(self._figure(f"{first}_majority_difference", title, margin, unit))
        if "gold" in estimates:
            gold = estimates["gold"]
            peak = int(np.nanargmax(np.nanmean(gold, axis=0)))
            if peak < len(self.sizes) - 1:
                title = f"gold reward at n = {self.sizes[-1]} minus that at n = {self.sizes[peak]}, its highest"
                figures.append(self._figure("gold_difference", title, gold[:, -1] - gold[:, peak], "coefficient"))
        return tuple(figures)

    def search(self, searched: Sequence[Searched], known_truth: Sequence[_Known | None]) -> tuple[Figure, ...]:
        """A search by steps beside the best of as many whole answers as have the same tokens."""
        if not searched:
            return ()
        row_of = {prompt: row for row, prompt in enumerate(self.prompts)}
        values = np.full((len(self.prompts), 3), np.nan)
        whole = float(np.mean([row.answer_tokens for row in searched]))
        answers = float(np.mean([row.tokens for row in searched])) / whole
        for row in searched:
            place = row_of.get(row.prompt)
            if place is not None and (part := known_truth[place]) is not None:
                values[place] = row.truth, best_of_about(part.rewards, part.values, answers), row.tokens
        written = min(answers, float(self.sizes[-1]))
        few = "" if answers <= written else f"the search took the tokens of {answers:.1f}"
        return (
            self._figure("search", "search by steps", values[:, 0], "share"),
            replace(
                self._figure(
                    "equal_tokens", f"best of {written:.1f} whole answers, the same tokens", values[:, 1], "share"
                ),
                note=few,
            ),
            self._figure("search_difference", "search minus best of n", values[:, 0] - values[:, 1], "share"),
            self._figure("search_tokens", "tokens of a search", values[:, 2], "number"),
        )

    def _figure(self, name: str, title: str, values: Floats, unit: Unit, *, of: str = "") -> Figure:
        known = np.isfinite(values)
        sums = np.stack([np.where(known, values, 0.0), known.astype(np.float64)], axis=1)
        return self._of_sums(name, title, sums, unit, of, int(known.sum()))

    def _ratio(self, name: str, title: str, parts: Floats) -> Figure:
        known: NDArray[np.bool_] = np.isfinite(parts[:, 0]) & np.isfinite(parts[:, 1])
        return self._of_sums(name, title, np.where(known[:, None], parts, 0.0), "share", "", int(known.sum()))

    def _of_sums(self, name: str, title: str, sums: Floats, unit: Unit, of: str, rows: int) -> Figure:
        signed = name == "share_of_way" or name.endswith("_difference")
        figure = self.draw.figure(
            name,
            title,
            self.draw.by_block(sums),
            lambda totals: totals[..., 0] / totals[..., 1],
            rows=rows,
            clusters=rows,
            unit="coefficient" if signed else unit,  # what may be negative is no share of anything
            of=of,
        )
        return replace(figure, unit=unit)


def _findings(summary: Sequence[Figure], n: int) -> list[Flag]:
    """What is surely wrong, by intervals."""
    figures = {figure.name: figure for figure in summary}
    findings = []
    gain = figures.get("gain_difference")
    if gain and gain.high is not None and gain.high <= 0:
        findings.append(
            Flag(
                name="worse_than_chance",
                severity="stop",
                what=f"the best of {n} by this reward is no better than any response",
                evidence=_evidence(gain),
                sure=_interval(gain),
                advice="do not choose by this reward: look at `rmjudge robustness` and at the data it learnt from",
            )
        )
    vote_margin = figures.get("best_of_majority_difference")
    if vote_margin and vote_margin.high is not None and vote_margin.high < 0:
        findings.append(
            Flag(
                name="majority_is_better",
                severity="warn",
                what="a majority of the final answers is better than the best by this reward",
                evidence=_evidence(vote_margin),
                sure=_interval(vote_margin),
                advice="take the majority, or let votes weigh by the reward",
            )
        )
    lost = figures.get("gold_difference")
    if lost and lost.high is not None and lost.high < 0:
        findings.append(
            Flag(
                name="overoptimised",
                severity="warn",
                what="the gold reward falls while the reward rises: it is overoptimised",
                evidence=_evidence(lost),
                sure=_interval(lost),
                advice="choose among fewer responses, by a lower bound (mean minus σ), or by several models",
            )
        )
    return findings


def _evidence(figure: Figure) -> str:
    scale = 100 if figure.unit == "share" else 1
    points = " points" if figure.unit == "share" else ""
    return f"{figure.title}: {(figure.value or 0) * scale:+.3g}{points}.".replace("-", "−")


def _interval(figure: Figure) -> str:
    scale = 100 if figure.unit == "share" else 1
    return f"95 % interval {(figure.low or 0) * scale:+.3g} to {(figure.high or 0) * scale:+.3g}".replace("-", "−")
