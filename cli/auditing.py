"""An audit from files: records and their probes are written to one file, judged in one run, and compared; what came
out lies in the run as audit.json.

The run resumes like any other. Nothing here computes a figure.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from judge.agreement.analyses.probe_sensitivity import Link, moved, verdict_of
from judge.agreement.data.probes import PROBES, probes
from judge.agreement.data.sources import OwnFile, run_files
from judge.agreement.schema import Audit
from judge.agreement.serialization import AUDIT_FILE
from judge.errors import ConfigError
from judge.files import to_json, write_atomic, write_rows
from judge.formats import read_records, to_row

PROBED = "probes.jsonl"
_NOT_GIVEN = (
    "votes temperature top_p max_tokens retries steps pairwise low high criterion rubric no_reference from_run limit "
    "format constitution preset clamp"
).split()


class Asked(NamedTuple):
    """What to audit."""

    data: list[str]
    out: Path
    probes: tuple[str, ...]
    format: str | None
    limit: int | None
    seed: int


def audited(asked: Asked, given: Mapping[str, Any], *, quiet: bool) -> Audit:
    """Write the probes, judge everything that is not judged yet, compare, save."""
    if not asked.data or not given["out"]:
        raise ConfigError("rmjudge audit needs DATA, --task, --judge, --out; see `rmjudge audit --help`")
    names = asked.probes or tuple(PROBES)
    file = asked.out.with_name(asked.out.name + "." + PROBED)
    links: list[Link] = []
    write_rows(file, _rows(asked, names, links))
    _judge(file, given, quiet=quiet)
    verdicts: dict[str, Any] = {}
    for path in run_files(asked.out):
        for _, row in OwnFile(path, str(path)).rows():
            verdicts.setdefault(row["id"], verdict_of(row["judgement"]))
    about = {name: probe.about for name, probe in PROBES.items()}
    found = Audit(name=asked.out.name, probes=moved(verdicts, links, about, seed=asked.seed))
    write_atomic(asked.out / AUDIT_FILE, to_json(asdict(found)) + "\n")
    return found


def _rows(asked: Asked, names: tuple[str, ...], links: list[Link]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    records = (record for path in asked.data for _, record in read_records(path, format=asked.format))
    fresh = (record for record in records if not (record.id in seen or seen.add(record.id)))  # type: ignore[func-returns-value]
    for record in islice(fresh, asked.limit):
        yield to_row(record)
        for probed in probes(record, names, seed=asked.seed):
            links.append(Link(probed.of, probed.probe, probed.side, probed.record.id))
            yield to_row(probed.record) | {"human": []}
    if not links:
        raise ConfigError("nothing to audit: no record that a probe could change")


def _judge(file: Path, given: Mapping[str, Any], *, quiet: bool) -> None:
    from judge.cli.planning import plan_from
    from judge.runs.interrupt import Interrupt
    from judge.runs.progress import progress
    from judge.runs.runner import Job, judge_here
    from judge.runs.runner import label as judge_all

    rest = dict.fromkeys(_NOT_GIVEN) | {"window": 1024, "retry_failures": False, "dry_run": False}
    plan = plan_from({**rest, **given, "data": [str(file)]})
    with Interrupt().listening() as interrupt:
        job = Job(plan)
        try:
            judge_all(job, lambda total: progress(total, sys.stderr, quiet=quiet), interrupt=interrupt, by=judge_here)
        finally:
            job.close()


def show(found: Audit, *, as_json: bool, fail_over: float | None) -> None:
    """A line a probe, the one that moves most verdicts first."""
    if as_json:
        print(to_json({**asdict(found), "fail_over": fail_over}))
        return
    from rich.console import Console

    from judge.report.terminal import audit

    Console(highlight=False).print(audit(found, fail_over))
