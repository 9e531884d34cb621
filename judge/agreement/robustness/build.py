"""A whole robustness report: score what people compared, edit some of it, score the edits, and say what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from judge.agreement.robustness.comparisons import Comparisons
from judge.agreement.robustness.distribution import accuracies, slices
from judge.agreement.robustness.editing import attack, edits_of, probe_effects
from judge.agreement.robustness.findings import findings
from judge.agreement.robustness.length import length_figures
from judge.agreement.robustness.probes import PROBES
from judge.agreement.robustness.rewards import RewardTable, Scorer, Watch, score_all, table_of
from judge.agreement.robustness.schema import Attack, ProbeEffect, Robustness
from judge.errors import InputError

PLACES = 5
"""Rows that could not be read whose places are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessConfig:
    """How to examine.

    Attributes:
        probes: names of edits, see probes.PROBES.
        k: compositions of edits tried on a worse response; 0 tries none.
        pairs: comparisons that are edited, drawn by the seed.
        slices: fields to slice by; those of two to twenty values where none is named.
        edits: whether the scorer can score texts that are not in the data.
        resamples: of the bootstrap; 0 gives figures without intervals and no finding.
    """

    probes: tuple[str, ...] = tuple(PROBES)
    k: int = 16
    pairs: int = 300
    slices: tuple[str, ...] = ()
    edits: bool = True
    resamples: int = 1_000
    seed: int = 0
    confidence: float = 0.95


def examine(
    name: str,
    scorer: Scorer,
    data: Comparisons,
    shifted: Comparisons | None = None,
    config: RobustnessConfig | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Robustness:
    """Examine a model.

    Args:
        name: of the model.
        scorer: its rewards.
        data: what people compared.
        shifted: the same of data out of distribution.
        watch: told of the progress.

    Raises:
        InputError: where nothing can be compared.
    """
    config = config or RobustnessConfig()
    _check(data, "the data")
    if shifted is not None:
        _check(shifted, "the shifted data")
    answers = [*data.answers, *(shifted.answers if shifted else ())]
    rewards = score_all(scorer, answers, watch, "texts")
    table, coverage, shifted_coverage = table_of(
        data, shifted, rewards, resamples=config.resamples, seed=config.seed, confidence=config.confidence
    )
    for part, where in ((coverage, "the data"), (shifted_coverage, "the shifted data")):
        if part is not None and not part.compared:
            raise InputError(f"{name}: can read no pair of {where} whole ({part.unreadable:,} unreadable)")
    length = length_figures(table)
    slope = length[0].value if length else None
    probes, attacked = _edited(scorer, table, config, watch, slope)
    report = Robustness(
        name=name,
        coverage=coverage,
        shifted_coverage=shifted_coverage,
        accuracy=accuracies(table, shifted=shifted is not None),
        slices=slices(table, data.columns(config.slices), shifted.columns(config.slices) if shifted else {}),
        length=length,
        probes=probes,
        attack=attacked,
        not_examined=(*_not_examined(table, config, shifted is not None), *_skipped(data), *_skipped(shifted)),
        confidence=config.confidence,
        resamples=config.resamples,
        seed=config.seed,
    )
    return replace(report, findings=findings(report))


def _check(comparisons: Comparisons, where: str) -> None:
    if not comparisons.better:
        raise InputError(
            f"{where}: no label says which of two responses is better ({comparisons.unlabelled:,} records without a "
            f"label or text, {comparisons.ties:,} ties)"
        )


def _edited(
    scorer: Scorer, table: RewardTable, config: RobustnessConfig, watch: Watch, slope: float | None
) -> tuple[tuple[ProbeEffect, ...], Attack | None]:
    if not config.edits or not config.probes:
        return (), None
    edits = edits_of(table, config.probes, k=config.k, pairs=config.pairs, seed=config.seed)
    rewards = score_all(scorer, edits.texts, watch, "edited texts")
    attacked = attack(table, edits, rewards, config.k) if config.k else None
    return probe_effects(table, edits, rewards, slope), attacked


def _skipped(comparisons: Comparisons | None) -> Sequence[str]:
    """Where the rows stand that could not be read, the first few of them."""
    if comparisons is None or not comparisons.skipped:
        return ()
    places = comparisons.skipped
    more = f" and {len(places) - PLACES:,} more" if len(places) > PLACES else ""
    return (f"{len(places):,} rows that could not be read: {', '.join(places[:PLACES])}{more}",)


def _not_examined(table: RewardTable, config: RobustnessConfig, shifted: bool) -> Sequence[str]:
    reasons = []
    if not shifted:
        reasons.append("the gap: no shifted data were given")
    if not config.edits:
        reasons.append("edits: the rewards were read from a run, and no model is there to score edited texts")
    elif not config.probes:
        reasons.append("edits: none was asked for")
    elif not config.k:
        reasons.append("the worst of k edits: k is 0")
    if not config.resamples:
        reasons.append("findings: without resamples there are no intervals to rest them on")
    if table.deviation == 0:
        reasons.append("shifts and slopes: all rewards are the same")
    return reasons
