"""What every reward model can do, ours or somebody else's: score, rank and compare texts, and score records."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from judge.errors import unknown
from judge.jobs.reward_rows import conversation, records_of
from judge.judgements import Outcome, Steps
from judge.records import Pair, Record
from judge.rewards.config import RewardConfig
from judge.rewards.inference.judgements import Rule
from judge.rewards.reward import Reward, Scorable, Text

if TYPE_CHECKING:
    from judge.rewards.inference.scoring import Scored

BATCH_TOKENS, WINDOW = 16384, 1024
ENGINES = ("transformers", "vllm")


def check_engine(engine: str) -> str:
    """The engine's name; raises UnknownNameError for one that scores nothing."""
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    return engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a reward model says of two responses to one prompt.

    Attributes:
        difference: the first's reward minus the second's.
        std: σ of the difference: what both texts have in common cancels. None for a model without an uncertainty.
        p_first: P(the first is better), calibrated.
        reason: why there is nothing to say, "" where there is.
    """

    difference: float | None
    std: float | None = None
    p_first: float | None = None
    reason: str = ""


class ScoringModel(ABC):
    """A model that gives rewards. Its weights are loaded when the first text is scored.

    Attributes:
        normalize: whether rewards have mean 0 and deviation 1 over the calibration data.
        device: of its weights; "" takes a GPU where there is one.
    """

    normalize: bool
    device: str
    _loaded_parts: ClassVar[tuple[str, ...]] = ()

    def __getstate__(self) -> dict[str, Any]:
        """The model as another process opens it: without its weights."""
        return {name: value for name, value in vars(self).items() if name not in self._loaded_parts}

    @property
    @abstractmethod
    def name(self) -> str:
        """What the model is called where several give rewards."""

    @property
    @abstractmethod
    def config(self) -> RewardConfig:
        """What the model is."""

    @property
    @abstractmethod
    def version(self) -> str:
        """A hash of all that decides its rewards: the same version gives the same rewards."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What decides its rewards, for manifests: its kind, the hashes of its weights, how it is read."""

    @abstractmethod
    def calibration_row(self) -> Mapping[str, Any] | None:
        """Its calibration as plain values; None where it has none."""

    @abstractmethod
    def score_records(
        self, records: Iterable[Record], *, rule: Rule, batch_tokens: int = BATCH_TOKENS, window: int = WINDOW
    ) -> "Iterator[list[Scored]]":
        """Judgements of all records, a list at a time, each list in the order of the records."""

    @property
    def reward_moments(self) -> tuple[float, float] | None:
        """Mean and deviation of its rewards over its calibration data; None without one, and of probabilities."""
        calibration = self.calibration_row()
        if calibration is None or self.kind == "process":
            return None
        return (0.0, 1.0) if self.normalize else (calibration["mean"], calibration["scale"])

    @property
    def deciles(self) -> Sequence[float]:
        """The nine deciles of its rewards on the calibration data, as it gives them; empty where they were not kept."""
        calibration = self.calibration_row() or {}
        mean, scale = (calibration["mean"], calibration["scale"]) if self.normalize else (0.0, 1.0)
        return [(decile - mean) / scale for decile in calibration.get("deciles", ())]

    @property
    def kind(self) -> str:
        """scalar, multi, outcome, process, ensemble or hierarchical."""
        return self.config.model.kind

    def score(self, prompt: Text, response: Text) -> Reward:
        """The reward of one response.

        Args:
            prompt: a text, or messages {role, content}.
            response: a text, or messages; of a process model each line is a step.

        Returns:
            The reward; its value is None with a reason where the text cannot be read.
        """
        return self.score_batch([(prompt, response)])[0][0]

    def rank(self, prompt: Text, responses: Sequence[Text]) -> list[int]:
        """The indices of responses to one prompt, best first; equal rewards stay in their order.

        Raises:
            InputError: for a response that cannot be read.
        """
        rewards = chain.from_iterable(self.score_batch([(prompt, response) for response in responses]))
        values = [float(reward) for reward in rewards]
        return sorted(range(len(values)), key=lambda index: -values[index])

    def compare(self, prompt: Text, first: Text, second: Text) -> Comparison:
        """How much better the first of two responses to one prompt is, and how sure that is."""
        turns = conversation(prompt, "user")
        sides = conversation(first, "assistant"), conversation(second, "assistant")
        (scored,) = self._scored([Pair(prompt=turns, first=sides[0], second=sides[1])])
        if not scored.numbers:
            return Comparison(difference=None, reason=str(getattr(scored.judgement, "reason", "")))
        scores = scored.numbers.get("mean", scored.numbers["scores"])
        return Comparison(
            difference=scores[0] - scores[1],
            std=scored.numbers.get("difference_std"),
            p_first=getattr(scored.judgement, "p_first", None),
        )

    def score_batch(self, rows: Sequence[Scorable]) -> list[list[Reward]]:
        """The rewards of many rows: without padding where the model allows it, a prompt computed once for all its
        responses.

        Args:
            rows: (prompt, response) pairs, records, or rows as dicts of any format that `rmjudge data formats` lists.

        Returns:
            Of each row, in its order, a reward a response: two of a pair, K of a ranking, one of the others.
        """
        return [rewards_of(scored) for scored in self._scored(records_of(rows, process=self.kind == "process"))]

    def _scored(self, records: Sequence[Record]) -> "list[Scored]":
        rule = Rule(normalize=self.normalize)
        return [scored for batch in self.score_records(records, rule=rule) for scored in batch]


def rewards_of(scored: "Scored") -> list[Reward]:
    """A record's rewards, one a response."""
    numbers, judgement = scored.numbers, scored.judgement
    if not numbers:
        count = {"pair": 2, "ranking": len(getattr(scored.record, "responses", ()))}.get(scored.record.kind, 1)
        return [Reward(value=None, reason=str(getattr(judgement, "reason", ""))) for _ in range(count)]
    rewards = []
    for place in range(len(numbers["scores"])):
        value = numbers["mean"][place] if "mean" in numbers else numbers["scores"][place]
        std = numbers["std"][place] if "std" in numbers else None
        rewards.append(
            Reward(
                value=value,
                std=std,
                lower=None if std is None else value - std,
                probability=judgement.p_correct if isinstance(judgement, Outcome) else None,
                members=tuple(numbers["members"][place]) if "members" in numbers else (),
                objectives=numbers["objectives"][place] if "objectives" in numbers else None,
                steps=tuple(p for p in judgement.p_right if p is not None) if isinstance(judgement, Steps) else (),
                novelty=numbers["novelty"][place] if "novelty" in numbers else None,
            )
        )
    return rewards
