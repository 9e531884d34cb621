"""Validation examples of data of their own."""

from collections.abc import Iterable, Sequence

from judge.errors import InputError
from judge.rewards.data.collate import Collator
from judge.rewards.data.examples import Example, Labelled, examples


def held_out_of(
    labelled: Iterable[Labelled], labels: str, collate: Collator, training: Sequence[Example]
) -> list[Example]:
    """Examples to validate on, of other data than those of the training.

    Args:
        labelled: records with their judgements.
        labels: whose labels are taken, "judge" or "human".
        collate: of the training; what does not fit it is left out.
        training: its examples.

    Raises:
        InputError: where prompts of the training are among them.
    """
    made, _ = examples(labelled, collate.kind, labels)
    shared = {example.group for example in made} & {example.group for example in training}
    if shared:
        raise InputError(f"{len(shared)} prompts of the validation data are in the training data too; leave them out")
    return collate.fit(made).examples
