"""Somebody else's reward model as an object that scores, from its directory or its name on the hub."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.errors import ConfigError, InputError
from judge.hub import model_directory
from judge.jobs.scoring.calibration_file import read_calibration
from judge.jobs.scoring.scoring_model import BATCH_TOKENS, WINDOW, ScoringModel, check_engine
from judge.records import Record, content_id
from judge.rewards.config import RewardConfig
from judge.rewards.external.recognition import PublishedModel, recognize
from judge.rewards.inference.judgements import Rule

if TYPE_CHECKING:
    from judge.rewards.evaluation.calibration import Calibration
    from judge.rewards.external.decoder import ReadingSettings
    from judge.rewards.external.reading import Reader
    from judge.rewards.inference.scoring import Scored

Objectives = str | Sequence[str] | Mapping[str, float]


class PublishedRewardModel(ScoringModel):
    """A reward model that others trained: a classifier of transformers, one of a few makers' heads, a process model.

    Attributes:
        published: what its files say.

    Args:
        source: a directory, or OWNER/NAME[@REVISION] on the hub.
        convention: read it as a process model in this way; some are recognised.
        objective: which of its several outputs is the reward: a name, NAME=WEIGHT texts, or weights by name.
        chat_template: a file of a Jinja template, or "plain": prompt, response, end-of-text.
        max_length: tokens of prompt and response together; by default as many as it reads.
        calibration: a file of `judge.calibrate`.
        normalize: whether rewards have mean 0 and deviation 1 over the calibration data.
        dtype, device: of the weights; else as saved, and a GPU if there is one.
        trust_remote_code: run the code that lies in its directory.
        engine: transformers, or vllm for decoders with one linear head.

    Raises:
        InputError: for what is no reward model, or cannot be read.
        ConfigError: for a model that needs more to be said, with what that is.
    """

    _loaded_parts = ("reader",)

    def __init__(
        self,
        source: str | Path,
        *,
        convention: str = "",
        objective: Objectives = (),
        chat_template: str | Path = "",
        max_length: int = 0,
        calibration: str | Path | None = None,
        normalize: bool = False,
        dtype: str = "",
        device: str = "",
        trust_remote_code: bool = False,
        engine: str = "transformers",
    ) -> None:
        folder = model_directory(source)
        self.published: PublishedModel = recognize(
            folder, name=str(source), convention=convention, trust_remote_code=trust_remote_code
        )
        self.normalize = normalize
        self._weights = _weights(objective)
        if self._weights and self.published.kind != "multi":
            raise ConfigError(f"objective: {source} has one output, which is the reward")
        self._config = self.published.reward_config(self._weights)
        self._template = _template(chat_template)
        self._max_length, self._dtype, self.device = max_length, dtype, device
        self._trust_remote_code, self._engine = trust_remote_code, check_engine(engine)
        self._calibration: Calibration | None = None
        if calibration is not None:
            self._calibration = read_calibration(calibration, self)
        Rule(normalize=normalize).check(self._config, calibrated=self._calibration is not None)

    @property
    def name(self) -> str:
        """What it was asked for by."""
        return self.published.name

    @property
    def config(self) -> RewardConfig:
        """The model in our own terms."""
        return self._config

    @cached_property
    def version(self) -> str:
        """A hash of its weights and of how it is read: the same version gives the same rewards."""
        return content_id([self.identity(), self.calibration_row(), self.normalize])

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return self.published.hashes()

    def identity(self) -> dict[str, Any]:
        identity: dict[str, Any] = {"kind": self.kind, "weights": self._hashes, "dtype": self._dtype}
        if self.published.form != "process":
            identity["architecture"] = self.published.architecture
        if self.kind == "multi":
            model = self._config.model
            identity["objectives"] = [
                list(pair) for pair in zip(model.objectives, model.objective_weights, strict=True)
            ]
        if self._template:
            identity["chat_template"] = content_id(self._template)
        if self._max_length:
            identity["max_length"] = self._max_length
        return identity

    def calibration_row(self) -> Mapping[str, Any] | None:
        return None if self._calibration is None else self._calibration.to_dict()

    def score_records(
        self, records: Iterable[Record], *, rule: Rule, batch_tokens: int = BATCH_TOKENS, window: int = WINDOW
    ) -> "Iterator[list[Scored]]":
        return self.reader.score(records, rule=rule, batch_tokens=batch_tokens, window=window)

    @cached_property
    def reader(self) -> "Reader":
        """The model itself, its weights loaded."""
        from judge.rewards.external.reading import open_reader

        return open_reader(self.published, self._settings())

    def _settings(self) -> "ReadingSettings":
        from judge.rewards.external.decoder import ReadingSettings

        return ReadingSettings(
            objective_weights=self._weights,
            chat_template=self._template,
            max_length=self._max_length,
            dtype=self._dtype,
            device=self.device,
            trust_remote_code=self._trust_remote_code,
            calibration=self._calibration,
            engine=self._engine,
        )

    def __repr__(self) -> str:
        return f"PublishedRewardModel('{self.name}', {self.published.form}, kind='{self.kind}')"


def _weights(objective: Objectives) -> dict[str, float]:
    """Weights by the names of outputs: NAME alone weighs 1."""
    if isinstance(objective, Mapping):
        return {str(name): float(weight) for name, weight in objective.items()}
    weights: dict[str, float] = {}
    for text in [objective] if isinstance(objective, str) else objective:
        name, equals, weight = text.rpartition("=")
        try:
            weights[name if equals else text] = float(weight) if equals else 1.0
        except ValueError:
            raise ConfigError(f"objective '{text}': the weight is no number (accepted: NAME, NAME=WEIGHT)") from None
    return weights


def _template(chat_template: str | Path) -> str:
    """The text of a template's file; "plain" is itself."""
    if not chat_template or str(chat_template) == "plain":
        return str(chat_template or "")
    try:
        return Path(chat_template).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{chat_template}: cannot be read: {reason} (accepted: a file of a Jinja template, plain)"
        ) from None
