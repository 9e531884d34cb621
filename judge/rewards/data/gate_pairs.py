"""What the gate of a multi-objective model is fitted to: preferences between two responses to one prompt."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np

from judge.records import Conversation, Pair, content_id
from judge.rewards.config import RewardConfig
from judge.rewards.data.example_rows import from_row, to_row
from judge.rewards.data.examples import Example, ExampleStream, Labelled
from judge.rewards.data.grouping import group_keys, group_numbers

NO_PAIRS = (
    "gated: a gate is fitted to preferences between two responses to one prompt, and the data has none "
    "(accepted: pairs beside the scores, or several scored responses to a prompt)"
)


class PairsBeside:
    """Pairs that stand among scored rows: only a gate can learn from them.

    Args:
        labels: "judge" or "human", whose preferences are taken.
        file: keeps those with a preference while the rows are read.
    """

    def __init__(self, labels: str, file: Path) -> None:
        self._stream, self.file = ExampleStream((), "scalar", labels), file
        self.present = False

    def scored(self, labelled: Iterable[Labelled]) -> Iterator[Labelled]:
        """The rows that are scored; the pairs among them are set apart.

        Raises:
            InputError: where there are pairs, and none can be read.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("wb") as file:
            for record, judgement in labelled:
                if not isinstance(record, Pair):
                    yield record, judgement
                    continue
                self.present = True
                example = self._stream.make(record, judgement)
                if example is not None and example.p_first not in (None, 0.5):
                    file.write(to_row(example))
        if self.present:
            self._stream.check()

    def __iter__(self) -> Iterator[Example]:
        """The pairs with a preference, once all rows were read."""
        with self.file.open("rb") as file:
            yield from map(from_row, file)


def by_scores(scored: Sequence[Example], config: RewardConfig) -> Iterator[Example]:
    """Pairs of responses to one prompt whose weighed sums of standardised scores differ; the higher one is better."""
    objectives = config.model.objectives
    weights = config.model.objective_weights or (1.0,) * len(objectives)
    values = {name: array("d") for name in objectives}
    complete = array("q")  # examples with a response that every objective is known of
    for place, example in enumerate(scored):
        for row in example.scores:
            for name in objectives:
                if name in row:
                    values[name].append(row[name])
        if any(all(name in row for name in objectives) for row in example.scores):
            complete.append(place)
    scale = {name: (pstdev(known) or 1.0) if known else 1.0 for name, known in values.items()}
    places = np.array(complete, dtype=np.int64)
    numbers, _ = group_numbers(group_keys(scored)[places])
    members = places[np.argsort(numbers, kind="stable")]
    for of_group in np.split(members, np.cumsum(np.bincount(numbers))[:-1]):
        responses = [
            (
                _alone(example, response),
                fmean(weight * row[name] / scale[name] for weight, name in zip(weights, objectives, strict=True)),
            )
            for example in (scored[place] for place in of_group.tolist())
            for response, row in zip(example.responses, example.scores, strict=True)
            if all(name in row for name in objectives)
        ]
        for (first, total), (second, other) in combinations(responses, 2):
            if total != other and first.responses != second.responses:
                yield Example(
                    id=content_id(first.id, second.id),
                    group=first.group,
                    prompt=first.prompt,
                    responses=(*first.responses, *second.responses),
                    p_first=float(total > other),
                )


def _alone(example: Example, response: Conversation) -> Example:
    """An example of one of its responses."""
    if len(example.responses) == 1:
        return example
    place = example.responses.index(response)
    return Example(
        id=f"{example.id} {place}", group=example.group, prompt=example.prompt, responses=(example.responses[place],)
    )
