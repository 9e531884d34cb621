"""`judge.audit`: change what should not matter, judge again, and say how often verdicts move.

Records and their probes are written to one file and judged in one run; what came out lies in the run as audit.json.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.agreement.data.probes import PROBES, probes
from judge.agreement.schema import Audit
from judge.agreement.serialization import AUDIT_FILE, audit_to_row
from judge.engines.jury import Judge
from judge.engines.prices import Prices
from judge.errors import ConfigError
from judge.files import to_json, write_atomic, write_rows
from judge.formats import BadRow, OnBad, to_row
from judge.jobs.label import label, need
from judge.jobs.score import score
from judge.jobs.scoring.scoring_model import ScoringModel
from judge.records import Record, RubricItem
from judge.run_files import read_lines
from judge.runs.cluster.ray_job import Runner
from judge.runs.cluster.workers import Workers
from judge.runs.counts import Counts
from judge.runs.data import Data, open_data
from judge.runs.reader import Run
from judge.runs.runner import add_skipped
from judge.runs.scheduler import WINDOW, distinct

if TYPE_CHECKING:
    from rich.table import Table

    from judge.agreement.analyses.probe_sensitivity import Link

PROBED = "probes.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAudit(Audit):
    """An audit with its run, which holds the verdicts on the records and on their probes."""

    run: Run

    def over(self, share: float | None) -> list[str]:
        """The probes that moved more than this share of verdicts; none where no share is given."""
        return [probe.probe for probe in self.probes if share is not None and (probe.moved.value or 0.0) > share]

    def to_row(self) -> dict[str, Any]:
        """The audit as plain values, as audit.json holds it."""
        return audit_to_row(Audit(name=self.name, probes=self.probes))

    def table(self, fail_over: float | None = None) -> "Table":
        """A line a probe; those that moved more verdicts than `fail_over` are marked."""
        from judge.report.terminal import audit as audit_table

        return audit_table(self, fail_over)

    def __rich__(self) -> "Table":
        return self.table()

    def _repr_html_(self) -> str:
        from rich.console import Console

        console = Console(record=True, file=StringIO(), width=120)
        console.print(self.table())
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def audit(
    data: Data | None = None,
    *,
    out: str | Path | None = None,
    task: str = "",
    judges: Judge | Sequence[Judge] | None = None,
    model: str | Path | ScoringModel | None = None,
    probe: str | Sequence[str] | None = None,
    prompt: str | Path = "",
    format: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    prices: str | Path | Prices | None = None,
    max_cost: float | None = None,
    seed: int | None = None,
    one_order: bool | None = None,
    hard: bool | None = None,
    rubric: str | Path | Sequence[RubricItem | Mapping[str, Any] | str] | None = None,
    retry_failures: bool = False,
    window: int = WINDOW,
    runner: Runner = "here",
    workers: int | str | Workers = 1,
    progress: bool = True,
) -> RunAudit:
    """Change what should not matter (order, padding, style, praise, an author, an order to the judge) and judge again.

    Args:
        data: a path, a glob, a hub name, a run, rows as dicts, a `datasets.Dataset`, or a sequence of paths.
        out: the run directory; the probes lie beside it, the audit in it.
        task, judges, prompt, settings, prices, max_cost, seed, one_order, hard, rubric, window, runner, workers: as
            `judge.label` takes them.
        model: a reward model instead of judges, as `judge.score` takes it; it has no task and no prompt.
        probe: swap, pad, restyle, flatter, author, inject: one or several; all of them where none is named.
        skip_bad: rows that cannot be read go to the failures.jsonl of the run with place and reason, and are counted.
        limit: only the first so many distinct records, each with its probes.

    Returns:
        The audit, saved in the run; its `run` has the verdicts.

    Raises:
        ConfigError: for an unknown probe, and for data that no probe can change; and what `judge.label` raises.
    """
    if model is None:
        need("audit", data=data is not None, task=task, judges=judges, out=out)
    else:
        need("audit", data=data is not None, out=out)
        if asked := [name for name, value in {"task": task, "judges": judges, "prompt": prompt}.items() if value]:
            raise ConfigError(f"{', '.join(asked)}: a reward model is audited without (accepted: model alone)")
    assert data is not None and out is not None
    from judge.agreement.analyses.probe_sensitivity import moved, verdict_of

    names = (probe,) if isinstance(probe, str) else tuple(probe or PROBES)
    file = Path(out).with_name(Path(out).name + "." + PROBED)
    links: list[Link] = []
    bad: list[BadRow] = []
    records = _records(data, format, limit, bad.append if skip_bad else None)
    write_rows(file, _rows(records, names, seed or 0, links))
    resuming: dict[str, Any] = {"retry_failures": retry_failures, "window": window, "progress": progress}
    resuming |= {"runner": runner, "workers": workers}
    if model is not None:
        run = score(model, file, out=out, settings=settings, **resuming)
    else:
        asking: dict[str, Any] = {"task": task, "judges": judges, "prompt": prompt, "settings": settings}
        asking |= {"prices": prices, "max_cost": max_cost, "rubric": rubric}
        run = label(file, out=out, seed=seed, one_order=one_order, hard=hard, **asking, **resuming)
    run = add_skipped(run, bad) if bad else run
    verdicts: dict[str, Any] = {}
    for path in run.files:
        for line in read_lines(path):
            verdicts.setdefault(line.row["id"], verdict_of(line.row["judgement"]))
    about = {name: probe.about for name, probe in PROBES.items()}
    audited = RunAudit(name=run.directory.name, probes=moved(verdicts, links, about, seed=seed or 0), run=run)
    write_atomic(run.directory / AUDIT_FILE, to_json(audited.to_row()) + "\n")
    return audited


def _records(data: Data, format: str | None, limit: int | None, on_bad: OnBad | None) -> Iterator[Record]:
    """The first distinct records."""
    records = (record for source in open_data(data) for _, record in source.records(format, on_bad))
    return (record for _, record in islice(distinct(records, Counts()), limit))


def _rows(records: Iterable[Record], names: Sequence[str], seed: int, links: "list[Link]") -> Iterator[dict[str, Any]]:
    """The records, each followed by its probes, whose links to it are appended to `links`."""
    from judge.agreement.analyses.probe_sensitivity import Link

    for record in records:
        yield to_row(record)
        for probed in probes(record, names, seed=seed):
            links.append(Link(probed.of, probed.probe, probed.side, probed.record.id))
            yield to_row(probed.record) | {"human": []}
    if not links:
        raise ConfigError("nothing to audit: no record that a probe could change")
