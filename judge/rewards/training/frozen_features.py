"""Features of a frozen backbone, computed once: epochs then train the head alone.

    N reads, F width of the features, R reads of all examples.

What stands still gives the same features in every epoch, as long as nothing is drawn in it: they are computed in
evaluation, so the backbone's dropout is off. They lie in tensors (R, F) beside the training's state, so an interrupted
training does not compute them again.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator, Features, Fitted
from judge.rewards.data.examples import Example
from judge.rewards.modeling.reward_model import RewardModule

BATCH_TOKENS = 8192
Watch = Callable[[int, int], None]  # examples that are done, and all of them


def can_be_cached(config: RewardConfig) -> bool:
    """Whether the head reads nothing but one feature vector a read, made by a backbone that stands still.

    Two encoders have layers of their own that learn; the heads `likelihood` and `hierarchical` read every token.
    """
    model = config.model
    plain = model.encoder == "joint" and model.kind != "hierarchical" and model.head != "likelihood"
    return model.freeze_backbone and plain


class FrozenFeatures:
    """Makes batches of features where a collator makes batches of tokens.

    Args:
        model: whose backbone is frozen; on the device where features are computed.
        collate: makes this model's batches.
        autocast: the context in which the training computes; None computes in the weights' precision.
    """

    def __init__(
        self,
        model: RewardModule,
        collate: Collator,
        autocast: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> None:
        self._model, self._collate, self._autocast = model, collate, autocast or nullcontext
        self._rows: dict[Any, dict[Any, int]] = {}  # of each example, the table's row of each response
        self._table: Tensor | None = None

    def __call__(self, examples: Sequence[Example]) -> Features:
        """The features of all reads of the examples, in their order; those that are not known are computed."""
        missing = [example for example in examples if _key(example) not in self._rows]
        if missing:
            self.add(missing, self.compute(missing))
        assert self._table is not None
        rows = [row for example in examples for row in self._places(example)]
        return Features(self._table[torch.tensor(rows)])

    def lengths(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each example, as the collator counts them: batches are those of a training without a cache."""
        return self._collate.lengths(examples)

    def fit(self, examples: Sequence[Example]) -> Fitted:
        """The examples that fit max_length, as the collator says."""
        return self._collate.fit(examples)

    def add(self, examples: Sequence[Example], features: Tensor) -> None:
        """Remember features (R, F) of examples, in their order."""
        row = 0 if self._table is None else len(self._table)
        self._table = features if self._table is None else torch.cat([self._table, features])
        for example in examples:
            self._rows[_key(example)] = {text: row + place for place, text in enumerate(_texts(example))}
            row += _reads(example)

    @torch.no_grad()
    def compute(self, examples: Sequence[Example], watch: Watch | None = None) -> Tensor:
        """Features (R, F) of examples, in their order, on the CPU; examples of like length are computed together."""
        training, device = self._model.training, next(self._model.parameters()).device
        self._model.eval()
        by_place: dict[int, Tensor] = {}
        for places in self._batches(examples):
            batch = [examples[place] for place in places]
            with self._autocast():
                features = self._model.read(self._collate(batch).to(device)).features.cpu()
            by_place.update(zip(places, features.split([_reads(example) for example in batch]), strict=True))
            if watch is not None:
                watch(len(by_place), len(examples))
        self._model.train(training)
        return torch.cat([by_place[place] for place in range(len(examples))])

    def _batches(self, examples: Sequence[Example]) -> Iterator[list[int]]:
        """Places of examples, longest first, so many that each batch computes some BATCH_TOKENS tokens."""
        lengths = self._collate.lengths(examples)
        batch: list[int] = []
        for place in sorted(range(len(examples)), key=lambda place: -lengths[place]):
            if batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS:
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _places(self, example: Example) -> Iterator[int]:
        rows = self._rows[_key(example)]
        if example.steps:
            yield from range(rows[example.steps], rows[example.steps] + len(example.steps))
        else:
            yield from (rows[response] for response in example.responses)


def frozen_features(
    model: RewardModule,
    collate: Collator,
    examples: Sequence[Example],
    folder: Path,
    key: str,
    accelerator: Any,
    watch: Watch | None = None,
) -> FrozenFeatures:
    """The features of all examples, read from the training's state or computed and kept there.

    Several processes (`accelerate launch`) compute a share each.

    Args:
        model: whose backbone is frozen; it is moved to the accelerator's device.
        collate: makes this model's batches.
        examples: of training and validation.
        folder: of the training's state.
        key: names backbone, examples and settings; features under another key are computed again.
        accelerator: of the training.
        watch: is told how many examples of this process's share are done.
    """
    features = FrozenFeatures(model.to(accelerator.device), collate, accelerator.autocast)
    world, rank = accelerator.num_processes, accelerator.process_index
    shares = [examples[process::world] for process in range(world)]
    files = [folder / f"features-{process + 1}-of-{world}.safetensors" for process in range(world)]
    if shares[rank] and _kept(files[rank], key) is None:
        _keep(files[rank], key, features.compute(shares[rank], watch))
    accelerator.wait_for_everyone()
    for share, file in zip(shares, files, strict=True):
        kept = _kept(file, key) if share else None
        if kept is not None:
            features.add(share, kept)
    return features


def _kept(file: Path, key: str) -> Tensor | None:
    """The features in a file, where it has them under this key."""
    try:
        with safe_open(file, framework="pt") as content:
            return content.get_tensor("features") if (content.metadata() or {}).get("key") == key else None
    except (OSError, SafetensorError):
        return None


def _keep(file: Path, key: str, features: Tensor) -> None:
    fresh = file.with_suffix(".new")
    save_file({"features": features.contiguous()}, fresh, metadata={"key": key})
    os.replace(fresh, file)


def _key(example: Example) -> Any:
    """Equal for an example and the same one with its responses in another order."""
    return (example.prompt, frozenset(example.responses), example.steps)


def _texts(example: Example) -> Sequence[Any]:
    return [example.steps] if example.steps else example.responses


def _reads(example: Example) -> int:
    return len(example.steps) or len(example.responses)
