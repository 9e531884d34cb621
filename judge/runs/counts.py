"""What a run has done so far, in numbers that are small however long the run is.

A judgement is counted from the row it is written as, so the rows of an earlier attempt are counted by the same rule
when a run is resumed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from judge.engines.base import Completion
from judge.engines.prices import Cost
from judge.judgements import shape_of
from judge.run_files import is_skipped

ENGINE_ERROR = "engine error: "  # how a reading's reason begins when an engine answered with an error
_REASONS = 100


@dataclass(slots=True)
class Counts:
    """The tallies of a run.

    labelled, unreadable: judgements written, those of earlier attempts included. resumed: how many of them earlier
    attempts wrote. duplicates: records of the data that had been seen before in it. skipped: rows of the data that
    could not be read. verdicts: how often each was given.
    shortened: tool results that the judge was shown shortened.
    both_orders: pairs with a readable verdict in either order; flips: those where the two disagree.
    reasons: how often each reason stood behind an unreadable row, the first hundred of them.
    calls and tokens: what engines answered, earlier attempts included as far as their manifest tells. costs: dollars by
    model, of the judges that have a price; saved: what batch endpoints took less.
    """

    labelled: int = 0
    unreadable: int = 0
    resumed: int = 0
    duplicates: int = 0
    skipped: int = 0
    shortened: int = 0
    both_orders: int = 0
    flips: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    costs: dict[str, float] = field(default_factory=dict)
    saved: float = 0.0

    @property
    def rows(self) -> int:
        """Judgements written, readable or not."""
        return self.labelled + self.unreadable

    @property
    def cached_share(self) -> float:
        """The share of prompt tokens that the engine had in its prefix cache, 0 when it read none."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def cost(self) -> float:
        """Dollars spent, 0 where nothing has a price."""
        return sum(self.costs.values())

    def add_row(self, row: Mapping[str, Any], *, readable: bool) -> None:
        """Count a row that is written."""
        if is_skipped(row):
            self.skipped += 1
            return
        judgement = row["judgement"]
        self.shortened += row.get("shortened", 0)
        if not readable:
            self.unreadable += 1
            reason = _reason(judgement)
            if reason in self.reasons or len(self.reasons) < _REASONS:
                self.reasons[reason] += 1
        else:
            self.labelled += 1
        self.verdicts.update(map(str, tally(judgement)))
        for compared in judgement.get("rounds", (judgement,)):
            consistent = compared.get("consistent")
            if consistent is not None:
                self.both_orders += 1
                self.flips += not consistent

    @property
    def only_failure(self) -> str:
        """The engine's error that every row of the run failed with, "" when there is a label or another reason."""
        reason = next(iter(self.reasons), "")
        alone = not self.labelled and len(self.reasons) == 1
        return reason.removeprefix(ENGINE_ERROR) if alone and reason.startswith(ENGINE_ERROR) else ""

    def add_completion(self, completion: Completion, cost: Cost | None = None) -> None:
        """Count a completion's tokens, and what it cost where it has a price."""
        self.calls += 1
        self.prompt_tokens += completion.prompt_tokens
        self.cached_tokens += completion.cached_tokens
        self.output_tokens += completion.output_tokens
        if cost is not None:
            self.costs[cost.model] = self.costs.get(cost.model, 0.0) + cost.dollars
            self.saved += cost.full - cost.dollars

    def add_spent(self, spent: "Counts") -> None:
        """Count the calls, tokens and dollars that other counts hold."""
        self.calls += spent.calls
        self.prompt_tokens += spent.prompt_tokens
        self.cached_tokens += spent.cached_tokens
        self.output_tokens += spent.output_tokens
        self.costs = add_costs(self.costs, spent.costs)
        self.saved += spent.saved


def add_costs(costs: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """Dollars by model, of two parts of a run."""
    return {model: costs.get(model, 0.0) + more.get(model, 0.0) for model in {**costs, **more}}


def _reason(judgement: Mapping[str, Any]) -> str:
    """Why a row is unreadable: the reason of its first unreadable reading, else the row's own."""
    readings = [reading for reading in judgement.get("readings") or () if isinstance(reading, Mapping)]
    reasons = (reading.get("reason") for reading in readings if reading.get("verdict") is None)
    return str(next((reason for reason in reasons if reason), judgement.get("reason") or ""))


def tally(judgement: Mapping[str, Any]) -> Iterable[str]:
    """The verdicts of a judgement's row in words that repeat: a critique's text and an order of responses do not."""
    shape, verdict = shape_of(judgement.get("task", "")), judgement.get("verdict")
    if shape.tally is not None:
        return shape.tally(judgement)
    match shape.form:
        case "label":
            return [str(verdict)] if verdict is not None else []
        case "steps":
            return [str(step) for step in verdict or () if step is not None]
        case "scores":
            return [f"{name} {score}".strip() for name, score in (verdict or {}).items() if score is not None]
        case "order" | "text":
            return []
        case _:
            assert_never(shape.form)
