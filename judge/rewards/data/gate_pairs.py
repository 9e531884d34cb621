"""What the gate of a multi-objective model is fitted to: preferences between two responses to one prompt."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import fmean, pstdev

from judge.errors import InputError
from judge.records import Conversation, Pair, content_id
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator
from judge.rewards.data.examples import Example, Labelled, examples


def apart(labelled: Iterable[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Rows that are scored, and pairs, which only a gate can learn from."""
    rows = list(labelled)
    pairs = [row for row in rows if isinstance(row[0], Pair)]
    return [row for row in rows if not isinstance(row[0], Pair)], pairs


def gate_pairs(
    pairs: Sequence[Labelled],
    training: Sequence[Example],
    validation: Sequence[Example],
    config: RewardConfig,
    labels: str,
    collate: Collator,
) -> list[Example]:
    """Pairs with a preference; where there are none, those of scored responses to one prompt, by their scores' sum.

    Args:
        pairs: rows that are pairs; those of prompts that are held out are left out.
        training: examples with scores.
        validation: those that are held out.
        config: the objectives and their weights.
        labels: "judge" or "human", whose preferences are taken.
        collate: what does not fit it is left out.

    Raises:
        InputError: when there is neither.
    """
    made = examples(pairs, "scalar", labels)[0] if pairs else by_scores(training, config)
    held_out = {example.group for example in validation}
    decided = [example for example in made if example.p_first not in (None, 0.5) and example.group not in held_out]
    fitting = collate.fit(decided).examples
    if not fitting:
        raise InputError(
            "gated: a gate is fitted to preferences between two responses to one prompt, and the data has none "
            "(accepted: pairs beside the scores, or several scored responses to a prompt)"
        )
    return fitting


def by_scores(scored: Sequence[Example], config: RewardConfig) -> list[Example]:
    """Pairs of responses to one prompt whose weighed sums of standardised scores differ; the higher one is better."""
    objectives = config.model.objectives
    weights = config.model.objective_weights or (1.0,) * len(objectives)
    scale = {}
    for name in objectives:
        values = [row[name] for example in scored for row in example.scores if name in row]
        scale[name] = pstdev(values) or 1.0 if values else 1.0
    by_prompt: dict[str, list[tuple[Example, float]]] = defaultdict(list)
    for example in scored:
        for response, row in zip(example.responses, example.scores, strict=True):
            if all(name in row for name in objectives):
                total = fmean(
                    weight * row[name] / scale[name] for weight, name in zip(weights, objectives, strict=True)
                )
                by_prompt[example.group].append((_alone(example, response), total))
    return [
        Example(
            id=content_id(first.id, second.id),
            group=first.group,
            prompt=first.prompt,
            responses=(*first.responses, *second.responses),
            p_first=float(total > other),
        )
        for responses in by_prompt.values()
        for (first, total), (second, other) in combinations(responses, 2)
        if total != other and first.responses != second.responses
    ]


def _alone(example: Example, response: Conversation) -> Example:
    """An example of one of its responses."""
    if len(example.responses) == 1:
        return example
    place = example.responses.index(response)
    return Example(
        id=f"{example.id} {place}", group=example.group, prompt=example.prompt, responses=(example.responses[place],)
    )
