"""A job on a Ray cluster: this process reads the data and writes the run, workers judge what they are handed.

Workers write nothing and hold no lock, so what outlives a killed driver cannot stand in the way of the next attempt.
Every machine must see prompts and models under the same paths; data and the run are the driver's alone.
"""

import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from judge.engines.prices import limit_reached
from judge.errors import ConfigError, EngineError, MissingExtraError, RunError, unknown
from judge.formats import OnBad
from judge.records import Record
from judge.runs.cluster.dispatcher import Dispatcher, Item
from judge.runs.cluster.leases import Ledger
from judge.runs.cluster.ray_pool import RayPool, cores
from judge.runs.cluster.worker import Recipe
from judge.runs.cluster.workers import Workers
from judge.runs.counts import Counts
from judge.runs.data import DataSource
from judge.runs.journal import Journal
from judge.runs.kept_replies import KeptReplies
from judge.runs.runner import Answer, Attempt, Job

Runner = Literal["here", "ray"] | str
RUNNERS = ("here", "ray")
UNFINISHED = "(records that are not finished)"
"""The entry of a run's costs for what workers spent on records whose rows are still to come, or were lost with them."""
SHARDS = "shards"
_TURN_SECONDS = 0.5
_ROUNDING = 1e-9  # dollars
_STARTS = 3  # a machine that is busy with other work starts Ray too slowly for Ray's own patience of 30 s


class Distributable(Job, Protocol):
    """A job that others can do.

    Attributes:
        place: where the record that was read last stands in the data, "" where rows do not say.
    """

    @property
    def place(self) -> str: ...

    def recipe(self) -> Recipe:
        """How a worker is made that does the same."""
        ...


def on_runner(job: Distributable, runner: Runner, workers: int | str | Workers) -> Job:
    """The job itself, or the same on a Ray cluster.

    Raises:
        ConfigError: for a job that others cannot do; and what `check_runner` raises.
    """
    size = check_runner(runner, workers)
    return RayJob(job, size) if runner == "ray" else job


def check_runner(runner: Runner, workers: int | str | Workers) -> Workers:
    """How many workers there may be.

    Raises:
        ConfigError: for an unknown runner, and for several workers without one.
        MissingExtraError: where ray is not installed.
    """
    if runner not in RUNNERS:
        raise unknown("value of runner", runner, RUNNERS)
    size = Workers.of(workers)
    if runner == "here" and size != (1, 1):
        raise ConfigError("workers are those of a cluster: name runner='ray' (on the command line --runner ray) too")
    if runner == "ray" and find_spec("ray") is None:
        raise MissingExtraError("the runner ray needs ray: pip install 'rmjudge[ray]'")
    return size


class RayJob:
    """A job executed by workers on a Ray cluster: the one that RAY_ADDRESS names, else one of this machine's own."""

    def __init__(self, job: Distributable, workers: Workers) -> None:
        self._job, self._workers, self._recipe = job, workers, job.recipe()

    @property
    def data(self) -> Sequence[DataSource]:
        return self._job.data

    def records(self, on_bad: OnBad | None = None) -> Iterator[Record]:
        """See Job."""
        return self._job.records(on_bad)

    def config(self) -> dict[str, Any]:
        """See Job."""
        return self._job.config()

    def execute(self, attempt: Attempt) -> None:
        """Judge on the cluster."""
        attempt.counts.resumed += gather(attempt.directory / SHARDS, attempt.journal, attempt.counts)
        with KeptReplies(attempt.directory) as replies:
            left = None if attempt.total is None else max(attempt.total - attempt.counts.rows, 1)
            items = self._items(attempt, replies)
            dispatcher = Dispatcher(items, window=self._recipe.window, workers=self._workers.most, total=left)
            if dispatcher.done:
                return
            with _connected(self._workers.most) as ray, attempt.interrupt.listening():  # Ray set a handler of its own
                self._judge(ray, dispatcher, attempt, replies)

    def _judge(self, ray: Any, dispatcher: Dispatcher, attempt: Attempt, replies: KeptReplies) -> None:
        def accept(answer: Answer, first: bool) -> None:
            with attempt.interrupt.shielded():
                if not first:  # another worker was faster; what it cost is paid all the same
                    attempt.counts.add_spent(Counts(costs=answer.spent.costs, saved=answer.spent.saved))
                    return
                if answer.row is None:
                    replies.keep(answer.id, answer.kept)
                attempt.write(answer)

        def settle() -> None:
            """Count what was paid for records that are not finished, so that no later attempt spends it again."""
            if ledger is None:
                return
            costs = attempt.counts.costs
            unfinished = ledger.used - (attempt.counts.cost - costs.pop(UNFINISHED, 0.0))
            if unfinished > _ROUNDING:
                costs[UNFINISHED] = unfinished

        limit = self._recipe.limit
        ledger = None if limit == math.inf else Ledger(limit, attempt.counts.cost)
        pool = RayPool(ray, self._recipe, self._workers, dispatcher, accept, ledger)
        try:
            while not dispatcher.done:
                pool.turn(_TURN_SECONDS)
                attempt.journal.sync()
                settle()
                attempt.watch(attempt.counts)
                if ledger is not None and pool.exhausted:
                    pool.suspend()
                    settle()
                    raise limit_reached(limit, attempt.counts.cost, attempt.counts.rows, forfeited=ledger.forfeited)
            pool.close()
        except BaseException:
            pool.drain()
            settle()
            raise
        finally:
            pool.kill()

    def _items(self, attempt: Attempt, replies: KeptReplies) -> Iterator[Item]:
        """What is to be judged, read as it is handed out."""
        for content_id, record in attempt.waiting(self._job.records(attempt.skip)):
            yield Item(content_id, record, self._job.place, replies.take(content_id))


@contextmanager
def _connected(workers: int) -> Iterator[Any]:
    """The module ray, connected to a cluster; a connection of the caller's own is used and stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield ray
        return
    try:
        _connect(ray, workers)
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, workers: int) -> None:
    """Join the cluster that RAY_ADDRESS names, else start one here.

    Raises:
        EngineError: where there is none.
    """
    address = os.environ.get("RAY_ADDRESS")
    here = {} if address else {"num_cpus": max(cores(), workers), "include_dashboard": False}
    tries = 1 if address else _STARTS
    while True:
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **here)
            return
        except Exception as error:  # noqa: BLE001 - Ray raises bare Exceptions too
            tries -= 1
            if not tries:
                place = f"cluster at {address} cannot be joined" if address else "cluster could not be started here"
                lines = str(error).splitlines()
                raise EngineError(f"Ray: the {place}: {lines[0] if lines else type(error).__name__}") from None
            ray.shutdown()


def gather(shards: Path, journal: Journal, counts: Counts) -> int:
    """Move into the run what workers of versions up to 0.2 left in shards of their own; how many rows. A row that the
    run holds already is passed over."""
    moved = 0

    def take(row: Mapping[str, Any], good: bool) -> None:
        nonlocal moved
        if journal.done.add(row["id"]):
            journal.write(row, readable=good)
            rows = counts.rows
            counts.add_row(row, readable=good)
            moved += counts.rows - rows

    if shards.is_dir():
        with suppress(RunError):  # a worker that is still ending holds its shard; what is in it is judged again
            for shard in sorted(shards.iterdir()):
                Journal(shard, seen=take).close()
        journal.sync(now=True)
        shutil.rmtree(shards, ignore_errors=True)
    return moved
