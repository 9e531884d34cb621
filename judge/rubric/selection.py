"""Which criteria of a written rubric stay: those that say something new and tell better answers from worse ones."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from judge.constitution.wording import earliest_twins, words_of
from judge.constitution_eval.ablation import Draw, PairMean, agreement
from judge.records import Rubric, RubricItem, spoken
from judge.rubric.comparisons import majority
from judge.rubric.criterion_votes import CriterionVotes

NOBODY = PairMean(None, None, None, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A criterion that an author proposed.

    Attributes:
        item: the criterion.
        prompt, prompt_id: the text and the id of the prompt it was written for, "" for all prompts.
        proposed: how often it was proposed, in these or nearly these words.
        separation: mean of P(met | better answer) − P(met | worse answer), turned round for a fault, with its interval
            over prompts and the number of pairs.
        dropped: why it was left out, "" where it stays.
    """

    item: RubricItem
    prompt: str = ""
    prompt_id: str = ""
    proposed: int = 1
    separation: PairMean = NOBODY
    dropped: str = ""

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "separation": self.separation._asdict()}


def deduplicate(rubric: Iterable[RubricItem], *, prompt: str = "", prompt_id: str = "") -> list[Candidate]:
    """The different criteria, the oftenest proposed first; one that says nearly the same as an earlier one is dropped,
    and counted for that."""
    first: dict[str, RubricItem] = {}
    counts = Counter[str]()
    for item in rubric:
        first.setdefault(item.text, item)
        counts[item.text] += 1
    items = list(first.values())
    twins = earliest_twins([words_of(item.text) for item in items])
    proposed = Counter[int]()
    for index, item in enumerate(items):
        proposed[_root(index, twins)] += counts[item.text]
    candidates = [
        Candidate(
            item=item,
            prompt=prompt,
            prompt_id=prompt_id,
            proposed=counts[item.text] if index in twins else proposed[index],
            dropped=f"says nearly the same as: {items[_root(index, twins)].text}" if index in twins else "",
        )
        for index, item in enumerate(items)
    ]
    return sorted(candidates, key=lambda candidate: (bool(candidate.dropped), -candidate.proposed))


def separations(
    rubric: Iterable[RubricItem], votes: Sequence[CriterionVotes], *, seed: int, resamples: int
) -> list[PairMean]:
    """How far each criterion tells the answer that people prefer from the other one, all on the same draws of prompts;
    without intervals where the prompts are too few for one."""
    from judge.agreement.statistics.bootstrap import ENOUGH

    prompts = [spoken(vote.pair.prompt) for vote in votes]
    draw = Draw(prompts, seed=seed, resamples=resamples) if len(set(prompts)) >= ENOUGH else None
    measured = []
    for item in rubric:
        margins = [_margin(vote, item.label) for vote in votes]
        known = [margin for margin in margins if margin is not None]
        if not known:
            measured.append(NOBODY)
        elif draw is not None:
            measured.append(draw.mean(margins, share=False))
        else:
            measured.append(PairMean(sum(known) / len(known), None, None, len(known)))
    return measured


def fate(separation: PairMean, margin: float) -> str:
    """Why a criterion is dropped, "" where it stays: its separation is less than `margin`, or may be none at all."""
    if separation.value is None:
        return "decided for no pair of answers"
    if separation.value <= -margin:
        return f"speaks for the worse answers ({separation.value:+.2f})"
    if separation.value < margin or (separation.low is not None and separation.low <= 0.0):
        interval = "" if separation.low is None else f", 95 % interval {separation.low:+.2f} to {separation.high:+.2f}"
        return f"does not separate ({separation.value:+.2f}{interval})"
    return ""


def held_out_agreement(
    judged: Sequence[tuple[CriterionVotes, Rubric]], *, seed: int, resamples: int
) -> tuple[PairMean, int]:
    """Agreement with people of the scores under given criteria, and how many pairs have no verdict under them."""
    if not judged:
        return NOBODY, 0
    verdicts = [vote.under(rubric) if rubric else None for vote, rubric in judged]
    column = [agreement(verdict, vote.pair.human) for verdict, (vote, _) in zip(verdicts, judged, strict=True)]
    draw = Draw([spoken(vote.pair.prompt) for vote, _ in judged], seed=seed, resamples=resamples)
    return draw.mean(column), column.count(None)


def _margin(vote: CriterionVotes, label: str) -> float | None:
    margin = vote.margin(label)
    return margin if margin is None or majority(vote.pair) == "first" else -margin


def _root(index: int, twins: dict[int, int]) -> int:
    """The criterion that stays of a chain of twins."""
    while index in twins:
        index = twins[index]
    return index
