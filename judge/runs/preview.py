"""What a run would ask and cost, before it does: nothing is loaded, asked or written.

Calls are those of each record's first round, so they are a lower bound: unreadable replies are asked for again, and a
critique is followed by a call for its probabilities. Nothing here draws.
"""

from dataclasses import dataclass, field
from itertools import islice

from judge.engines.base import Request
from judge.errors import ConfigError
from judge.runs.counts import Counts
from judge.runs.runner import Work
from judge.runs.scheduler import distinct

SHOWN = 2
COUNTED = 1000


@dataclass(slots=True)
class Preview:
    """rows: distinct records that would be judged, None for hub data without a limit. calls: first-round requests.
    prompt_tokens: their prompts. exact: whether calls and tokens were counted over all rows, or are those of the first
    1,000 scaled up. shown: the first requests, with their prompt tokens.
    """

    rows: int | None = None
    calls: int = 0
    prompt_tokens: int = 0
    exact: bool = True
    shown: list[tuple[Request, int]] = field(default_factory=list)


def preview(job: Work) -> Preview:
    """Render the first rounds of the first records and count; InputError for a bad row, as a run would raise it."""
    job.check_data()
    seen = Preview(rows=job.total)
    counted = 0
    for _, record in islice(distinct(job.records(), Counts()), min(COUNTED, job.total or COUNTED)):
        counted += 1
        program = job.program(record)
        for request in next(program):
            tokens = _count_tokens(job, request)
            seen.calls += 1
            seen.prompt_tokens += tokens
            if len(seen.shown) < SHOWN:
                seen.shown.append((request, tokens))
        program.close()
    if job.total is not None and counted < job.total:
        seen.exact = False
        seen.calls = round(seen.calls * job.total / counted)
        seen.prompt_tokens = round(seen.prompt_tokens * job.total / counted)
    return seen


def _count_tokens(job: Work, request: Request) -> int:
    if not 0 <= request.judge < len(job.engines):
        raise ConfigError(f"a task asked judge {request.judge}; the run has {len(job.engines)}")
    return job.engines[request.judge].count_tokens(request)
