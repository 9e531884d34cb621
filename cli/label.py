"""`rmjudge label`: judge the rows of a data file and write the verdicts to a run directory."""

import shlex
import sys
from contextlib import AbstractContextManager

import typer

from judge.cli import options as o

app = typer.Typer(add_completion=False)


@app.command()
def label(
    data: o.Data = None,
    task: o.Task = None,
    judge: o.Judge = None,
    out: o.Out = None,
    prompt: o.Prompt = None,
    constitution: o.Constitution = None,
    format: o.Format = None,
    limit: o.Limit = None,
    set: o.Set = None,
    patience: o.Patience = None,
    seed: o.Seed = None,
    votes: o.Votes = None,
    temperature: o.Temperature = None,
    top_p: o.TopP = None,
    max_tokens: o.MaxTokens = None,
    retries: o.Retries = None,
    one_order: o.OneOrder = None,
    hard: o.Hard = None,
    steps: o.Steps = None,
    pairwise: o.Pairwise = None,
    preset: o.Preset = None,
    clamp: o.Clamp = None,
    low: o.Low = None,
    high: o.High = None,
    criterion: o.Criterion = None,
    rubric: o.Rubric = None,
    no_reference: o.NoReference = None,
    from_run: o.From = None,
    retry_failures: o.RetryFailures = False,
    window: o.Window = 1024,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    runner: o.Runner = "here",
    workers: o.Workers = 1,
) -> int:
    """Judge the rows of a data file and write the verdicts to a run directory.

    rmjudge label pairs.jsonl --task preference --judge vllm:Qwen/Qwen3-32B --out runs/pairs
    """
    from judge.cli.planning import plan_from, runner_from
    from judge.cli.summary import show_preview, show_run
    from judge.runs.interrupt import Interrupt
    from judge.runs.preview import preview
    from judge.runs.progress import Watch, progress
    from judge.runs.runner import Job
    from judge.runs.runner import label as judge_all
    from judge.secrets import mask

    plan, by = plan_from(locals()), runner_from(runner, workers)
    with Interrupt().listening() as interrupt:
        job = Job(plan)
        try:
            if dry_run:
                show_preview(preview(job), as_json=json)
                return 0

            def watching(total: int | None) -> AbstractContextManager[Watch]:
                return progress(total, sys.stderr, quiet=quiet)

            done = judge_all(job, watching, interrupt=interrupt, by=by)
        except KeyboardInterrupt:
            if dry_run:
                raise
            again = mask(shlex.join(["rmjudge", *sys.argv[1:]]))
            print(f"interrupted; every verdict so far is in {plan.out}. To go on:\n  {again}", file=sys.stderr)
            return 130
        finally:
            job.close()
    show_run(plan, done, as_json=json)
    return 0
