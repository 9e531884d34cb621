"""`judge.merge`: join the shards of a run into the run that one process would have made."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from judge.errors import ConfigError, InputError
from judge.exports.export import write_revised
from judge.files import staged_directory
from judge.json_input import load_json
from judge.run_files import LABELS
from judge.runs.counts import Counts, add_costs
from judge.runs.data import Shard
from judge.runs.journal import Journal
from judge.runs.manifest import check_same, counts_of, entries_of, read_manifest, write_manifest
from judge.runs.reader import Run, open_run

_SUMMED = ("calls", "prompt_tokens", "cached_tokens", "output_tokens", "duplicates", "saved")


def merge(runs: str | Path | Run | Sequence[str | Path | Run], *, out: str | Path) -> Run:
    """Join runs that judged one data set in shards (`shard="1/4"` and so on).

    Args:
        runs: all shards, in any order.
        out: the run directory to make; the same command without a shard goes on with it.

    Returns:
        The whole run: the same rows as one process makes, once they are sorted by id.

    Raises:
        ConfigError: for a run that is no shard or is not finished, and for a shard that is missing or there twice.
        RunChangedError: for shards that were made by different configurations.
    """
    target = Path(out)
    if read_manifest(target) is not None:
        raise ConfigError(f"{target}: holds a run already; name another directory")
    opened = [run if isinstance(run, Run) else open_run(run) for run in _listed(runs)]
    by_shard = _in_order(opened)
    config = _whole(by_shard[0])
    for run in by_shard[1:]:
        check_same(run.directory, {"config": _whole(run)}, config)
    counts = _tokens(by_shard)
    with staged_directory(target) as folder:
        with Journal(folder) as journal:
            for run in by_shard:
                for row, good in _rows(run):
                    if journal.done.add(row["id"]):
                        journal.write(row, readable=good)
                        counts.add_row(row, readable=good)
        manifest = _manifest(by_shard, config) | entries_of(counts)
        write_manifest(folder, manifest)
        if config.get("task") == "revision":
            write_revised(folder)
    return replace(open_run(target), counts=counts)


def _listed(runs: str | Path | Run | Sequence[str | Path | Run]) -> Sequence[str | Path | Run]:
    return [runs] if isinstance(runs, str | Path | Run) else runs


def _in_order(runs: Sequence[Run]) -> list[Run]:
    """The runs by their shards, all of which have to be there, finished, once."""
    by_shard: dict[Shard, Run] = {}
    for run in runs:
        texts = {str(entry.get("shard", "")) for entry in run.config.get("data", ())}
        if len(texts) != 1 or texts == {""}:
            raise ConfigError(f"{run.directory}: no shard of a run (accepted: runs made with --shard I/N)")
        if run.manifest.get("finished") is None:
            raise ConfigError(f"{run.directory}: not finished; its command goes on where it stopped")
        shard = Shard.of(texts.pop())
        if shard in by_shard:
            raise ConfigError(f"{run.directory}: shard {shard} again, after {by_shard[shard].directory}")
        by_shard[shard] = run
    if not by_shard:
        raise ConfigError("no runs to merge")
    total = max(shard.total for shard in by_shard)
    missing = [str(shard) for number in range(1, total + 1) if (shard := Shard(number, total)) not in by_shard]
    if missing or len(by_shard) != total:
        strange = [str(shard) for shard in by_shard if shard.total != total]
        parts = {"missing": missing, "too many": strange}
        words = "; ".join(f"{name} {', '.join(shards)}" for name, shards in parts.items() if shards)
        raise ConfigError(f"shards that do not make a whole: {words}")
    return [by_shard[Shard(number, total)] for number in range(1, total + 1)]


def _whole(run: Run) -> dict[str, Any]:
    """A shard's configuration as it is without shards."""
    data = [{name: value for name, value in entry.items() if name != "shard"} for entry in run.config["data"]]
    return {**run.config, "data": data}


def _tokens(runs: Sequence[Run]) -> Counts:
    """What the shards spent, and the duplicates they met; rows are counted when they are written."""
    counts = Counts()
    for part in (counts_of(run.manifest) for run in runs):
        for name in _SUMMED:
            setattr(counts, name, getattr(counts, name) + getattr(part, name))
        counts.costs = add_costs(counts.costs, part.costs)
    return counts


def _rows(run: Run) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every row of a run, skipped ones included, and whether it is readable."""
    for path in run.files:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = load_json(line)
                    yield row, path.name == LABELS and "id" in row
                except (ValueError, TypeError):
                    raise InputError(f"{path}:{number}: not a row of a run; was the file changed by hand?") from None


def _manifest(runs: Sequence[Run], config: dict[str, Any]) -> dict[str, Any]:
    first = runs[0].manifest
    return {
        **{name: value for name, value in first.items() if name != "cost"},
        "config": config,
        "started": min(run.manifest["started"] for run in runs),
        "finished": max(run.manifest["finished"] for run in runs),
        "attempts": max(run.manifest.get("attempts", 1) for run in runs),
        "seconds": round(sum(run.manifest.get("seconds", 0.0) for run in runs), 3),
    }
