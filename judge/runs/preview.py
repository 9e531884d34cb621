"""What a run would ask and cost, before it does: nothing is loaded, asked or written.

Calls are those of each record's first round, so they are a lower bound: unreadable replies are asked for again, and a
critique is followed by a call for its probabilities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice
from pathlib import Path

from judge.engines.base import Completion, Request
from judge.errors import ConfigError
from judge.formats import BadRow
from judge.runs.counts import Counts
from judge.runs.plan import EngineJob
from judge.runs.reader import Run
from judge.runs.runner import count_records, ignore
from judge.runs.scheduler import distinct

SHOWN = 2
COUNTED = 1000


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Preview(Run):
    """A run that was not begun: it holds nothing, and says what it would ask.

    Attributes:
        total: distinct records that would be judged, None for data of the hub without a limit.
        calls: first-round requests.
        prompt_tokens: of their prompts.
        cost: dollars for these prompts alone, None where nothing has a price.
        exact: whether calls and tokens were counted over all rows; else they are those of the first 1,000, scaled up.
        shown: the first requests, with their prompt tokens.
    """

    total: int | None = None
    calls: int = 0
    prompt_tokens: int = 0
    cost: float | None = None
    exact: bool = True
    shown: Sequence[tuple[Request, int]] = ()

    def __repr__(self) -> str:
        about = "" if self.exact else "about "
        cost = f"{about}{self.calls:,} calls, {about}{self.prompt_tokens:,} prompt tokens"
        return f"Preview(records={self.total}, at least {cost})"

    @staticmethod
    def text_of(request: Request) -> str:
        """A request for people: its turns, what the reply begins with, and the choices."""
        turns = [f"[{turn.role}]\n{turn.content}" for turn in request.messages]
        begun = [f"[assistant begins]\n{request.prefill}"] if request.prefill else []
        choices = [f"[one of] {' | '.join(request.choices)}"] if request.choices else []
        return "\n".join([*turns, *begun, *choices])

    def _repr_html_(self) -> str:
        prompts = "".join(
            f"<details><summary>{escape(request.key)}, {tokens} tokens</summary>"
            f"<pre>{escape(self.text_of(request))}</pre></details>"
            for request, tokens in self.shown
        )
        return f"<p>{escape(repr(self))}</p>{prompts}"


def preview(job: EngineJob, out: str | Path, *, limit: int | None = None, skip_bad: bool = False) -> Preview:
    """Render the first rounds of the first records and count; InputError for a bad row, as a run would raise it."""
    counts = Counts()

    def skip(bad: BadRow) -> None:
        counts.skipped += 1

    total = count_records(job, limit, job.render, skip if skip_bad else None)
    shown: list[tuple[Request, int]] = []
    counted = calls = prompt_tokens = 0
    cost = 0.0
    for _, record in islice(
        distinct(job.records(ignore if skip_bad else None), Counts()), min(COUNTED, total or COUNTED)
    ):
        counted += 1
        program = job.program(record)
        for request in next(program):
            tokens = _count_tokens(job, request)
            calls += 1
            prompt_tokens += tokens
            priced = job.budget.cost(request.judge, Completion(text="", prompt_tokens=tokens))
            cost += priced.dollars if priced else 0.0
            if len(shown) < SHOWN:
                shown.append((request, tokens))
        program.close()
    exact = total is None or counted >= total
    scale = 1.0 if exact or total is None else total / counted
    return Preview(
        directory=Path(out),
        manifest={"config": job.config()},
        counts=counts,
        total=total,
        calls=round(calls * scale),
        prompt_tokens=round(prompt_tokens * scale),
        cost=cost * scale if job.plan.prices else None,
        exact=exact,
        shown=shown,
    )


def _count_tokens(job: EngineJob, request: Request) -> int:
    if not 0 <= request.judge < len(job.engines):
        raise ConfigError(f"a task asked judge {request.judge}; the run has {len(job.engines)}")
    return job.engines[request.judge].count_tokens(request)
