"""Search by steps: a policy writes step by step, and after each the likeliest of the begun answers are kept.

Beam search against a process model (Snell et al. 2024, arXiv:2408.03314, section 5.1): each of B answers is gone on
with W times, all begun answers are scored, and the best B are kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from judge.agreement.best_of.truth import states_answer
from judge.engines.base import Completion
from judge.errors import ConfigError
from judge.jobs.rewards.policy import Draft, Policy
from judge.records import Conversation, Solution
from judge.rewards.reward import RewardSource

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSearch:
    """How to search.

    Attributes:
        beams: B, how many begun answers are kept.
        width: W, how often each of them is gone on with.
        max_steps: an answer that has so many is not gone on with.
        step_end: what ends a step.
    """

    beams: int = 4
    width: int = 4
    max_steps: int = 32
    step_end: str = "\n"

    def __post_init__(self) -> None:
        for name in ("beams", "width", "max_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: found {getattr(self, name)} (accepted: 1 and more)")


class Beam(NamedTuple):
    """A begun answer: its steps, the reward of these, and whether the policy has ended it."""

    steps: tuple[str, ...] = ()
    value: float = -inf
    finished: bool = False


class SearchResult(NamedTuple):
    """What a search found for one prompt, and how many tokens were written for it."""

    steps: tuple[str, ...]
    value: float
    tokens: int


def search(
    policy: Policy,
    source: RewardSource,
    prompts: Mapping[str, Conversation],
    settings: StepSearch,
    watch: Watch | None = None,
) -> dict[str, SearchResult]:
    """The best answer to each prompt; all prompts take a step at a time together.

    Args:
        policy: writes the steps.
        source: scores begun answers; a model or judge that gives each step a probability.
        prompts: by id.
        settings: how to search.
        watch: told of the progress.

    Raises:
        ConfigError: for a source whose rewards say nothing of steps.
        EngineError: when the policy gave out.
    """
    beams = {prompt: [Beam()] for prompt in prompts}
    tokens = dict.fromkeys(prompts, 0)
    for number in range(settings.max_steps):
        drafts, parents = _drafts(prompts, beams, number, settings)
        if not drafts:
            break
        if watch is not None:
            watch("steps", number, settings.max_steps)
        grown: dict[str, list[Beam]] = {prompt: [] for prompt in prompts}
        for completion, (prompt, beam) in zip(policy.write(drafts, stop=(settings.step_end,)), parents, strict=True):
            tokens[prompt] += completion.output_tokens
            if (next_beam := grow(beam, completion)) is not None:
                grown[prompt].append(next_beam)
        values = _values(source, prompts, grown)
        for prompt, before in beams.items():
            begun = [beam._replace(value=values.get((prompt, beam.steps), beam.value)) for beam in grown[prompt]]
            beams[prompt] = kept([*(beam for beam in before if beam.finished), *begun], before, settings.beams)
    best = {prompt: max(each, key=lambda beam: (beam.finished, beam.value)) for prompt, each in beams.items()}
    return {prompt: SearchResult(beam.steps, beam.value, tokens[prompt]) for prompt, beam in best.items()}


def grow(beam: Beam, completion: Completion) -> Beam | None:
    """A begun answer with one step more; ended where the policy says nothing more or states its answer."""
    if completion.finish == "error":
        return None
    step = completion.text.strip()
    if not step:
        return beam._replace(finished=True) if beam.steps else None
    return Beam(steps=(*beam.steps, step), finished=states_answer(step))


def kept(candidates: Sequence[Beam], before: Sequence[Beam], count: int) -> list[Beam]:
    """The best of the different candidates; those of before, ended, where there are none.

    Where the best one has ended it alone is kept: what is begun has a lower reward, and the minimum or the product over
    steps never rises with another step.
    """
    different = {(beam.steps, beam.finished): beam for beam in candidates if beam.value > -inf}
    best = sorted(different.values(), key=lambda beam: (-beam.value, not beam.finished))[:count]
    if best and best[0].finished:
        return best[:1]
    return best or [beam._replace(finished=True) for beam in before]


def _drafts(
    prompts: Mapping[str, Conversation], beams: Mapping[str, Sequence[Beam]], number: int, settings: StepSearch
) -> tuple[list[Draft], list[tuple[str, Beam]]]:
    """What to write next, and the beam that each draft goes on with; the first step is drawn B · W times."""
    drafts, parents = [], []
    for prompt, conversation in prompts.items():
        for place, beam in enumerate(beams[prompt]):
            if beam.finished:
                continue
            begun = "".join(f"{step}{settings.step_end}" for step in beam.steps)
            for draw in range(settings.width * (1 if beam.steps else settings.beams)):
                drafts.append(Draft(conversation, begun, f"{prompt}/search {number}/{place}/{draw}"))
                parents.append((prompt, beam))
    return drafts, parents


def _values(
    source: RewardSource, prompts: Mapping[str, Conversation], grown: Mapping[str, Sequence[Beam]]
) -> dict[tuple[str, tuple[str, ...]], float]:
    """The reward of each different begun answer; one that cannot be read has none."""
    different = list(
        dict.fromkeys((prompt, beam.steps) for prompt, each in grown.items() for beam in each if beam.value == -inf)
    )
    rewards = source.score_batch([Solution(prompt=prompts[prompt], steps=steps) for prompt, steps in different])
    values = {}
    for place, (reward,) in zip(different, rewards, strict=True):
        if reward.value is not None and not reward.steps:
            raise ConfigError(
                f"{source.name}: its rewards say nothing of steps (accepted by --search steps: a process model, a "
                "judge by steps)"
            )
        if reward.value is not None:
            values[place] = reward.value
    return values
