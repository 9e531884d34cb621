"""What each criterion contributes: agreement with people with each one left out, and with each one alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from judge.constitution_eval.ablation import RESAMPLES, PairMean, PrincipleWorth, worth_of_parts
from judge.errors import ConfigError
from judge.rubric.criterion_votes import CriterionVotes
from judge.rubric.rubric_file import RubricFile


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricAblation:
    """Criteria by usefulness, the most useful first.

    Attributes:
        rubric: its name.
        hash: see `RubricFile.hash`.
        pairs: on which people have a verdict, of so many different `prompts`.
        unreadable: pairs of which one answer has no score.
        whole: agreement with people of the whole rubric: which answer has the higher score.
        criteria: of each, agreement of it alone and of all others without it, and what is gained by it.
        skipped: rows of the data that could not be read.
    """

    rubric: str
    hash: str
    pairs: int
    prompts: int
    unreadable: int
    whole: PairMean
    criteria: tuple[PrincipleWorth, ...]
    seed: int
    resamples: int
    skipped: int = 0

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values, an estimate as a mapping."""
        criteria = [criterion.to_row() for criterion in self.criteria]
        return {**asdict(self), "whole": self.whole._asdict(), "criteria": criteria}


def ablate(
    rubric: RubricFile,
    votes: Sequence[CriterionVotes],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    skipped: int = 0,
) -> RubricAblation:
    """The worth of each criterion over pairs with people's labels; needs two criteria or more."""
    if len(rubric.criteria) < 2:
        raise ConfigError(f"{rubric.source or rubric.name} has one criterion; leaving it out leaves nothing")
    worths = worth_of_parts(
        [(item.label, item.text) for item in rubric.criteria],
        votes,
        {vote.pair.id: vote.pair.human for vote in votes},
        verdict=lambda vote, without: vote.verdict(without),
        alone=lambda vote, label: vote.alone(label),
        seed=seed,
        resamples=resamples,
    )
    return RubricAblation(
        rubric=rubric.name,
        hash=rubric.hash,
        pairs=worths.pairs,
        prompts=worths.prompts,
        unreadable=worths.unreadable,
        whole=worths.whole,
        criteria=worths.parts,
        seed=seed,
        resamples=resamples,
        skipped=skipped,
    )
