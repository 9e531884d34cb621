"""Somebody else's reward model ready to score, whatever its form."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from judge.records import Record
from judge.rewards.checkpoint.save_load import LoadedModel
from judge.rewards.external.classifier import Classifier
from judge.rewards.external.decoder import ReadingSettings, adopt, is_adoptable
from judge.rewards.external.pooled import pool
from judge.rewards.external.recognition import PublishedModel
from judge.rewards.inference import external_prms, scoring
from judge.rewards.inference.external_prms import ExternalPrm
from judge.rewards.inference.judgements import Rule
from judge.rewards.inference.scoring import Scored


class Reader(Protocol):
    """Scores records."""

    def score(self, records: Iterable[Record], *, rule: Rule, batch_tokens: int, window: int) -> Iterator[list[Scored]]:
        """Judgements of all records in their order, a list at a time."""


def open_reader(model: PublishedModel, settings: ReadingSettings) -> Reader:
    """Load a model.

    Raises:
        EngineError: for one that cannot be loaded.
        ConfigError: for one that cannot be read as it is, with the way out.
    """
    if settings.engine == "vllm":
        return pool(model, settings)
    if model.form == "process":
        return _Process(model, settings)
    if model.form != "remote":
        loaded = adopt(model, settings) if is_adoptable(model) else None
        if loaded is not None:
            return _Packed(loaded)
    return Classifier(model, settings)


class _Packed:
    """A decoder as a model of our own."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded

    def score(self, records: Iterable[Record], *, rule: Rule, batch_tokens: int, window: int) -> Iterator[list[Scored]]:
        return scoring.score(self.loaded, records, rule=rule, batch_tokens=batch_tokens, window=window)


class _Process:
    """A process model by its convention."""

    def __init__(self, model: PublishedModel, settings: ReadingSettings) -> None:
        self.model = ExternalPrm(model.folder, model.convention, dtype=settings.dtype, device=settings.device)
        self.calibration = settings.calibration

    def score(self, records: Iterable[Record], *, rule: Rule, batch_tokens: int, window: int) -> Iterator[list[Scored]]:
        return external_prms.score(
            self.model, records, rule=rule, batch_tokens=batch_tokens, window=window, calibration=self.calibration
        )
