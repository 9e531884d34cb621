"""Ray actors that judge: started, started again when they die, more while records wait, fewer when they do not."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.errors import EngineError, RmjudgeError
from judge.runs.cluster.dispatcher import Dispatcher, Item
from judge.runs.cluster.leases import Ledger
from judge.runs.cluster.worker import Handover, Recipe, Worker
from judge.runs.cluster.workers import Workers
from judge.runs.runner import Answer

DEATHS = 3
"""A worker that dies so many times without a row in between is not started again."""
ROOM_SECONDS = 600.0
"""How long a cluster may take until it has room for a first worker; it may have to start machines."""
_EXCHANGE_SECONDS = 0.2
_IDLE_SECONDS = 5.0
_CLOSE_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Slot:
    """A worker's place on the cluster. call: the exchange that is under way. up: whether it has answered once.
    deaths: since its last row. rows: whether its actor has given any. busy: when it last held a record."""

    number: int
    group: Any
    actor: Any = None
    call: Any = None
    up: bool = False
    deaths: int = 0
    rows: bool = False
    busy: float = 0.0


class RayPool:
    """Workers on the cluster that `ray` is connected to. Close it when done.

    Args:
        ray: the module.
        recipe: how a worker is made.
        workers: how many there may be.
        dispatcher: who holds which records.
        accept: what is done with each answer; also told whether it came first.
        ledger: what a run with a cost limit may still cost.
    """

    def __init__(
        self,
        ray: Any,
        recipe: Recipe,
        workers: Workers,
        dispatcher: Dispatcher,
        accept: Callable[[Answer, bool], None],
        ledger: Ledger | None = None,
    ) -> None:
        self._ray, self._recipe, self._workers, self._dispatcher = ray, recipe, workers, dispatcher
        self._accept, self._ledger, self._most = accept, ledger, workers.most
        self._started = time.monotonic()
        self._numbers = iter(range(1 << 30))
        self._slots: dict[int, _Slot] = {}
        self._any_up = False
        self._gpus = recipe.gpus if ray.cluster_resources().get("GPU") else 0
        self._cpus = _share_of_cores(ray, workers.most) if recipe.computes and not self._gpus else 1

    @property
    def size(self) -> int:
        """How many workers are up or asked for."""
        return len(self._slots)

    def turn(self, seconds: float) -> None:
        """Bring the number of workers to what the work asks for, then take answers up and hand records out, waiting so
        long for the first answer.

        Raises:
            EngineError: when no worker is left that could be started again, or the cluster has no room for one.
            RmjudgeError: what a worker raised that another one would raise too.
        """
        self._fit()
        for slot in self._ready(seconds):
            try:
                handover: Handover = self._ray.get(slot.call)
            except self._ray.exceptions.RayError as error:
                self._bury(slot, error)
                continue
            slot.up = self._any_up = True
            self._take(slot, handover.answers)
            if self._ledger is not None:
                self._ledger.report(slot.number, handover.usage)
            self._hand_out(slot)

    @property
    def exhausted(self) -> bool:
        """Whether the cost limit leaves no worker anything to ask."""
        holders = (number for number in self._slots if self._dispatcher.held_by(number))
        return self._ledger is not None and self._ledger.exhausted(holders)

    def suspend(self) -> None:
        """Take up what was said of records that the cost limit leaves unfinished."""
        calls = {slot.actor.suspend.remote(): slot for slot in self._slots.values() if slot.up}
        self._take_up(calls, _CLOSE_SECONDS, lambda answers: answers)

    def drain(self) -> None:
        """Take up what workers have finished and not handed over yet."""
        calls = {slot.call: slot for slot in self._slots.values() if slot.up}
        self._take_up(calls, 2 * _EXCHANGE_SECONDS, lambda handover: handover.answers)

    def _take_up(self, calls: dict[Any, _Slot], seconds: float, answers_of: Callable[[Any], list[Answer]]) -> None:
        """Take up the last answers of workers, as far as they come in so many seconds."""
        if not calls:
            return
        ready, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=seconds)
        for call in ready:
            with suppress(self._ray.exceptions.RayError):
                self._take(calls[call], answers_of(self._ray.get(call)))

    def close(self) -> None:
        """Let workers with nothing to do close their models, and end all."""
        idle = [slot for slot in self._slots.values() if slot.up and not self._dispatcher.held_by(slot.number)]
        if idle:
            closing = [slot.actor.close.remote() for slot in idle]
            self._ray.wait(closing, num_returns=len(closing), timeout=_CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End all workers at once."""
        for slot in list(self._slots.values()):
            self._remove(slot)

    # -- one turn -----------------------------------------------------------------------------------------------------

    def _ready(self, seconds: float) -> Iterator[_Slot]:
        calls = {slot.call: slot for slot in self._slots.values()}
        ready, _ = self._ray.wait(list(calls), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=0)
        return (calls[call] for call in ready)

    def _take(self, slot: _Slot, answers: list[Answer]) -> None:
        for answer in answers:
            first = True
            if answer.row is None:
                self._dispatcher.give_back(slot.number, answer.id, answer.kept)
            elif first := self._dispatcher.finish(slot.number, answer.id):
                slot.deaths, slot.rows = 0, True
            self._accept(answer, first)

    def _hand_out(self, slot: _Slot) -> None:
        # What waits for money is not late, and would be paid for twice.
        items = self._dispatcher.take(slot.number, again=self._ledger is None or not self._ledger.short)
        if self._dispatcher.held_by(slot.number):
            slot.busy = time.monotonic()
        slot.call = self._exchange(slot, items, _EXCHANGE_SECONDS)

    def _exchange(self, slot: _Slot, items: Sequence[Item], seconds: float) -> Any:
        lease = math.inf if self._ledger is None else self._ledger.offer(slot.number)
        return slot.actor.exchange.remote(items, seconds, lease)

    def _bury(self, slot: _Slot, error: Exception) -> None:
        """Hand a dead worker's records to others, and start it again unless it dies again and again."""
        fault = _fault(self._ray, error)
        if not isinstance(fault, EngineError):
            raise fault
        lost = self._dispatcher.lose(slot.number)
        # An engine that gave out says so after all its patience: without a row in between, once is enough.
        gave_out = isinstance(error, self._ray.exceptions.RayTaskError)
        slot.deaths += 1
        if slot.deaths >= (1 if gave_out and not slot.rows else DEATHS):
            self._remove(slot)
            self._most -= 1
            log.warning("worker %d is given up: %s; %d records go to others", slot.number, fault, lost)
            if not self._most:
                raise fault
        else:
            log.warning("worker %d is started again: %s; %d records wait again", slot.number, fault, lost)
            self._kill_actor(slot)
            self._start(slot)

    # -- how many -----------------------------------------------------------------------------------------------------

    def _fit(self) -> None:
        most, waiting = self._most, self._dispatcher.waiting
        wanted = most if waiting else min(self._workers.least, most)
        while len(self._slots) < wanted:
            self._open()
        if not self._any_up and time.monotonic() - self._started > ROOM_SECONDS:
            raise EngineError(
                f"the cluster has had no room for a worker for {ROOM_SECONDS:.0f} s: "
                f"one takes {_words(self._bundle())}, the cluster has {_words(self._ray.cluster_resources())}"
            )
        if not waiting:
            patience = time.monotonic() - max(_IDLE_SECONDS, 3 * self._dispatcher.mean_seconds)
            for slot in list(self._slots.values()):
                idle = not self._dispatcher.held_by(slot.number) and slot.busy < patience
                if len(self._slots) > wanted and idle:
                    self._remove(slot)

    def _open(self) -> None:
        from ray.util.placement_group import placement_group

        spread = self._recipe.spread and self._gpus > 1
        bundles = [self._bundle() | {"GPU": 1}] * self._gpus if spread else [self._bundle()]
        group = placement_group(bundles, strategy="PACK" if spread else "STRICT_PACK")
        slot = _Slot(next(self._numbers), group)
        self._slots[slot.number] = slot
        self._start(slot)

    def _start(self, slot: _Slot) -> None:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        spread = self._recipe.spread and self._gpus > 1
        strategy = PlacementGroupSchedulingStrategy(
            placement_group=slot.group, placement_group_bundle_index=0, placement_group_capture_child_tasks=spread
        )
        # A model that is spread gives each of its GPUs to a child actor of vLLM's, in the same group.
        options = {"num_cpus": 0 if spread else self._cpus, "num_gpus": 0 if spread else self._gpus}
        actor = self._ray.remote(Worker).options(scheduling_strategy=strategy, max_restarts=0, **options)
        slot.actor = actor.remote(self._recipe, str(Path.cwd()))
        slot.up, slot.rows, slot.busy = False, False, time.monotonic()
        slot.call = self._exchange(slot, [], 0.0)  # records are handed out once it is up

    def _bundle(self) -> dict[str, float]:
        return {"CPU": self._cpus, **({"GPU": self._gpus} if self._gpus else {})}

    def _remove(self, slot: _Slot) -> None:
        from ray.util.placement_group import remove_placement_group

        self._kill_actor(slot)
        with suppress(Exception):  # the cluster itself may be gone
            remove_placement_group(slot.group)
        self._slots.pop(slot.number, None)

    def _kill_actor(self, slot: _Slot) -> None:
        if self._ledger is not None:
            self._ledger.lose(slot.number)
        with suppress(Exception):
            self._ray.kill(slot.actor)


def _fault(ray: Any, error: Exception) -> RmjudgeError:
    """What happened to a worker, as an error of ours: its own where it raised one."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause
        return cause if isinstance(cause, RmjudgeError) else EngineError(f"a Ray worker failed: {cause!r}")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return EngineError(f"a Ray worker died: {lines[0] if lines else type(error).__name__}")


def _share_of_cores(ray: Any, workers: int) -> int:
    """How many cores a worker has that computes on them: so many that all find room on their machines."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    most = min(max(nodes, default=1), max(int(ray.available_resources().get("CPU", 0)), workers) // workers)
    return next((cores for cores in range(most, 1, -1) if sum(node // cores for node in nodes) >= workers), 1)


def _words(resources: dict[str, float]) -> str:
    return ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
