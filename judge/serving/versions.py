"""The models of a server and their versions: one serves, the one before stands by; a switch drops no request.

A request keeps the version that served when it came. What waits for the version before is still scored by it.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from judge.errors import ConfigError, RmjudgeError, unknown
from judge.rewards.reward import RewardSource
from judge.rewards.shaping import Shaping
from judge.secrets import mask_secrets
from judge.serving.batching import Batch, Worker
from judge.serving.drift import DriftMonitor, HasDeciles
from judge.serving.limits import Limits
from judge.serving.refusals import RefusedError
from judge.serving.request_log import log

Opener = Callable[[str], RewardSource]


class Version:
    """A loaded source with its worker.

    Attributes:
        source: what gives the rewards.
        id: the source's version: the same id gives the same rewards.
        origin: where it was loaded from, "" for an object.
        loaded: when, in seconds since 1970.
        shaping: of its rewards.
        drift: of the rewards that it has given.
    """

    def __init__(
        self,
        source: RewardSource,
        limits: Limits,
        shaping: Shaping,
        *,
        origin: str = "",
        on_batch: Callable[[Batch], None],
    ) -> None:
        self.shaping = shaping.bound_to(source)
        self.source, self.id, self.origin, self.loaded = source, source.version, origin, time.time()
        self.drift = DriftMonitor(source.deciles if isinstance(source, HasDeciles) else ())
        self.worker = Worker(
            source,
            batch_tokens=limits.batch_tokens,
            max_queue=limits.max_queue,
            on_batch=on_batch,
            close_source=bool(origin),
        )
        self.worker.wait_loaded()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for everybody, without where it was loaded from."""
        return {
            "version": self.id,
            "loaded": round(self.loaded, 3),
            "waiting": self.worker.waiting,
            "drift": self.drift.to_dict(),
        }


@dataclass(slots=True, eq=False)
class ServedModel:
    """A model by its name.

    Attributes:
        name: as requests call it.
        current: the version that takes requests.
        previous: stands by for a roll-back, None before the first switch.
        loading: where a version is being loaded from, "" while none is.
        failure: why the last load failed, "" where it did not.
        switches: how often another version took over.
    """

    name: str
    current: Version
    previous: Version | None = None
    loading: str = ""
    failure: str = ""
    switches: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the admin's list."""
        return {
            "model": self.name,
            "current": _with_origin(self.current),
            "previous": None if self.previous is None else _with_origin(self.previous),
            "loading": mask_secrets(self.loading) or None,
            "failure": self.failure or None,
            "switches": self.switches,
        }


def _with_origin(version: Version) -> dict[str, Any]:
    return {"origin": mask_secrets(version.origin), **version.to_dict()}


class Models:
    """All models of a server. Everything but `open` runs in the event loop, so a switch falls between two requests.

    Args:
        sources: by name; the first is the one that is meant where a request names none.
        limits: of the server.
        shaping: of every model's rewards.
        opener: opens what an admin loads; None allows no loading.
        on_batch: is told of each batch with the model's name, in the worker's thread.
    """

    def __init__(
        self,
        sources: Mapping[str, RewardSource],
        limits: Limits,
        shaping: Shaping,
        *,
        opener: Opener | None = None,
        on_batch: Callable[[str, Batch], None] = lambda name, batch: None,
    ) -> None:
        self._limits, self._shaping, self._opener, self._on_batch = limits, shaping, opener, on_batch
        self._retired: WeakSet[Worker] = WeakSet()  # a thread holds its worker until what waited is scored
        self._models: dict[str, ServedModel] = {}
        try:
            for name, source in sources.items():
                self._models[name] = ServedModel(name, self._version(name, source))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    def get(self, name: str | None) -> ServedModel:
        """A model by name; RefusedError (404) for one that is not served."""
        if not name:
            return next(iter(self._models.values()))
        try:
            return self._models[name]
        except KeyError:
            raise RefusedError(404, str(unknown("model", name, self._models)), "model") from None

    def begin_loading(self, name: str, origin: str) -> ServedModel:
        """Claim a model for a load; RefusedError: 404 for an unknown one, 409 while another load runs."""
        model = self.get(name)
        if self._opener is None:
            raise RefusedError(404, "this server loads no further versions")
        if model.loading:
            raise RefusedError(409, f"{model.name}: {model.loading} is being loaded; wait for it", "model")
        model.loading, model.failure = origin, ""
        return model

    def open(self, model: ServedModel, origin: str) -> Version | None:
        """Load a version, in a thread of the caller's; None where that failed, with the reason in `failure`."""
        assert self._opener is not None
        try:
            return self._version(model.name, self._opener(origin), origin)
        except RmjudgeError as error:
            model.failure = str(error)
        except Exception as error:  # noqa: BLE001 - the admin is told, the server goes on
            model.failure = f"{origin}: {error}"
            log("load failed", level=logging.ERROR, exception=error, model=model.name, origin=origin)
        return None

    def finish_loading(self, model: ServedModel, version: Version | None) -> None:
        """Let a loaded version take the requests from now on."""
        model.loading = ""
        if version is None:
            log("load failed", level=logging.ERROR, model=model.name, reason=model.failure)
            return
        if model.previous is not None:
            self._retire(model.previous)
        self._switch(model, version)

    def roll_back(self, name: str) -> ServedModel:
        """Let the version before take the requests again; the other stands by. RefusedError (409) without one."""
        model = self.get(name)
        if model.previous is None:
            raise RefusedError(409, f"{model.name}: no version before this one is loaded", "model")
        self._switch(model, model.previous)
        return model

    def close(self) -> None:
        """Take no more requests in; what waits is still scored."""
        for worker in self._workers():
            worker.close()

    def join(self, seconds: float) -> bool:
        """Wait for all workers after `close`; whether all have ended."""
        deadline = time.monotonic() + seconds
        ended = [worker.join(max(0.0, deadline - time.monotonic())) for worker in self._workers()]
        return all(ended)

    def _switch(self, model: ServedModel, version: Version) -> None:
        model.previous, model.current = model.current, version
        model.switches += 1
        log("switched", model=model.name, version=version.id, origin=version.origin, before=model.previous.id)

    def _retire(self, version: Version) -> None:
        version.worker.close()
        self._retired.add(version.worker)

    def _workers(self) -> list[Worker]:
        live = [version for model in self for version in (model.current, model.previous) if version is not None]
        return [*(version.worker for version in live), *self._retired]

    def _version(self, name: str, source: RewardSource, origin: str = "") -> Version:
        return Version(
            source, self._limits, self._shaping, origin=origin, on_batch=lambda batch: self._on_batch(name, batch)
        )


def named(sources: RewardSource | Sequence[RewardSource] | Mapping[str, RewardSource]) -> dict[str, RewardSource]:
    """Sources by name: of a mapping its keys, else each source's own name.

    Raises:
        ConfigError: for no source, and for two of one name.
    """
    if isinstance(sources, Mapping):
        by_name = dict(sources)
    else:
        several = list(sources) if isinstance(sources, Sequence) else [sources]
        by_name = {source.name: source for source in several}
        if len(by_name) < len(several):
            names = [source.name for source in several]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"two models are called '{twice}'; give them names: NAME=MODEL")
    if not by_name:
        raise ConfigError("there is no model to serve (accepted: one or more)")
    return by_name
