"""The same loop on many machines: Ray actors with engines of their own, each judging its share of the records.

A record's share follows from its id, so no actor needs to know another. Each journals under `RUN/shards/`; what lies
there is gathered into the run when all have ended, and what a kill left there is gathered by the next attempt. Every
machine must see the data, the prompts and the run under the same paths.
"""

import os
import shutil
import time
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from judge.engines.base import Durable
from judge.errors import ConfigError, EngineError, MissingExtraError, RmjudgeError, RunError
from judge.runs.counts import Counts, add_costs
from judge.runs.id_set import IdSet
from judge.runs.journal import Journal
from judge.runs.labelling import LabelJob
from judge.runs.plan import Plan
from judge.runs.runner import Attempt, SkippedRows, row_of
from judge.runs.scheduler import run

SHARDS = "shards"
_LOOK_SECONDS = 0.5


class RayLabelJob(LabelJob):
    """A job of labelling that is executed by actors on a Ray cluster: the one that RAY_ADDRESS names, else here.

    An actor asks for as many GPUs as the setting `tensor_parallel_size` says (1) where the cluster has any. Raises
    ConfigError for an engine of the caller's own, which no other process can have; MissingExtraError without ray.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        if workers < 1:
            raise ConfigError(f"workers must be at least 1, not {workers}")
        if not all(isinstance(judge, str) for judge in plan.judges):
            raise ConfigError("Ray's actors load the judges themselves: name each by a spec, such as 'vllm:MODEL'")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise MissingExtraError("the runner ray needs ray: pip install 'rmjudge[ray]'") from None
        if plan.max_cost is not None:
            raise ConfigError("a cost limit holds for one process: leave out max_cost, or the runner ray")
        self._ray, self.workers = ray, workers
        super().__init__(plan)
        if any(isinstance(engine, Durable) for engine in self.engines):
            self.close()
            raise ConfigError("a batch endpoint is asked by one process: leave out batch=true, or the runner ray")

    def execute(self, attempt: Attempt) -> None:
        """Judge on the cluster."""
        ray, journal, counts = self._ray, attempt.journal, attempt.counts
        shards = attempt.directory / SHARDS
        counts.resumed += gather(shards, journal, counts)
        if not ray.is_initialized():
            ray.init(log_to_driver=False, **({} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}))
        try:
            with attempt.interrupt.listening():  # Ray has put a handler of its own in the place of ours
                _judge(ray, self.plan, attempt, self.workers)
        except BaseException:
            ray.shutdown()
            with suppress(RunError):  # an actor that is still ending holds its shard; the next attempt gathers it
                gather(shards, journal, counts)
            raise
        ray.shutdown()
        gather(shards, journal, counts)


def gather(shards: Path, journal: Journal, counts: Counts) -> int:
    """Move the rows of ended shards into the run; how many. A row that the run holds already is passed over."""
    moved = 0

    def take(row: Mapping[str, Any], good: bool) -> None:
        nonlocal moved
        if journal.done.add(row["id"]):
            journal.write(row, readable=good)
            rows = counts.rows
            counts.add_row(row, readable=good)
            moved += counts.rows - rows

    if shards.is_dir():
        for shard in sorted(shards.iterdir()):
            Journal(shard, seen=take).close()
        journal.sync(now=True)
        shutil.rmtree(shards)
    return moved


def share_of(content_id: str, workers: int) -> int:
    """Which worker judges a record. By the last digits: IdSet is filled by the first ones."""
    return int(content_id[-8:], 16) % workers


class Elsewhere:
    """The ids that a worker leaves alone: those of other shares, and those that the run holds."""

    def __init__(self, held: Container[str], share: int, workers: int) -> None:
        self._held, self._share, self._workers = held, share, workers

    def __contains__(self, content_id: object) -> bool:
        assert isinstance(content_id, str)
        return share_of(content_id, self._workers) != self._share or content_id in self._held


class Shard:
    """Where a worker's rows go."""

    def __init__(self, journal: Journal, done: Elsewhere) -> None:
        self.done, self._journal = done, journal

    def write(self, row: Mapping[str, Any], *, readable: bool) -> None:
        self._journal.write(row, readable=readable)

    def sync(self) -> None:
        self._journal.sync()


class Share(NamedTuple):
    """What one actor judges: a share of a plan's first records, into a shard of the run."""

    plan: Plan
    directory: Path
    limit: int | None
    number: int
    workers: int
    skip_bad: bool = False


def judge_share(share: Share, held: IdSet, tell: Callable[[int, Counts], None]) -> Counts:
    """What an actor does."""
    plan = share.plan
    job, last_report = LabelJob(plan), 0.0

    def watch(counts: Counts) -> None:
        nonlocal last_report
        if time.monotonic() - last_report >= _LOOK_SECONDS:
            last_report = time.monotonic()
            tell(share.number, counts)

    try:
        with Journal(share.directory / SHARDS / f"{share.number:04d}") as journal:
            sink = Shard(journal, Elsewhere(held, share.number, share.workers))
            counts = Counts()
            return run(
                job.records(SkippedRows(sink, counts) if share.skip_bad else None),
                job.program,
                job.engines,
                sink,
                row_of,
                counts=counts,
                window=plan.window,
                limit=share.limit,
                watch=watch,
                budget=job.budget,
            )
    finally:
        job.close()


class _Board:
    """Where the actors write how far they are."""

    def __init__(self) -> None:
        self._counts: dict[int, Counts] = {}

    def tell(self, share: int, counts: Counts) -> None:
        self._counts[share] = counts

    def read(self) -> list[Counts]:
        return list(self._counts.values())


class _Worker:
    """One actor."""

    def judge(self, share: Share, held: IdSet, board: Any) -> Counts:
        return judge_share(share, held, lambda number, counts: board.tell.remote(number, counts))


def _judge(ray: Any, plan: Plan, attempt: Attempt, workers: int) -> None:
    """Start the actors, and watch until all have ended; what they spent goes into the counts, their rows do not."""
    gpus = plan.settings.get("tensor_parallel_size", 1) if ray.cluster_resources().get("GPU") else 0
    board = ray.remote(_Board).options(num_cpus=0).remote()
    worker, known, counts = ray.remote(_Worker), ray.put(attempt.journal.done), attempt.counts
    skip_bad = attempt.skip is not None
    shares = [Share(plan, attempt.directory, attempt.limit, number, workers, skip_bad) for number in range(workers)]
    actors = [worker.options(num_cpus=0 if gpus else 1, num_gpus=gpus).remote() for _ in range(workers)]
    waiting = [actor.judge.remote(share, known, board) for share, actor in zip(shares, actors, strict=True)]
    ended: list[Counts] = []
    while waiting:
        back, waiting = ray.wait(waiting, timeout=_LOOK_SECONDS)
        ended += [_result(ray, reference) for reference in back]
        attempt.watch(together(counts, ray.get(board.read.remote())))
    spent = together(Counts(), ended)
    for name in ("calls", "prompt_tokens", "cached_tokens", "output_tokens"):
        setattr(counts, name, getattr(counts, name) + getattr(spent, name))
    counts.costs = add_costs(counts.costs, spent.costs)
    counts.duplicates = spent.duplicates


def together(counts: Counts, parts: Sequence[Counts]) -> Counts:
    """The counts with those of the workers added. Every worker sees every duplicate, so these are not added up."""
    whole = replace(counts, verdicts=counts.verdicts.copy())
    for part in parts:
        whole.verdicts.update(part.verdicts)
        for name in _ADDED:
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
        whole.duplicates = max(whole.duplicates, part.duplicates)
        whole.costs = add_costs(whole.costs, part.costs)
    return whole


_ADDED = [field.name for field in fields(Counts) if field.name not in ("verdicts", "duplicates", "costs")]


def _result(ray: Any, reference: Any) -> Counts:
    """What an actor handed back; its error as it was raised there."""
    try:
        counts: Counts = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise (cause if isinstance(cause, RmjudgeError) else EngineError(f"a Ray actor failed: {cause!r}")) from None
    except ray.exceptions.RayError as error:
        raise EngineError(f"a Ray actor ended: {str(error).splitlines()[0]}") from None
    return counts
