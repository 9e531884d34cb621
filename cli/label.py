"""`rmjudge label`: judge the rows of a data file and write the verdicts to a run directory."""

import typer

import judge as rmjudge
from judge.cli import drawing
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
    shard: o.Shard = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    patience: o.Patience = None,
    prices: o.Prices = None,
    max_cost: o.MaxCost = None,
    seed: o.Seed = None,
    votes: o.Votes = None,
    temperature: o.Temperature = None,
    top_p: o.TopP = None,
    max_tokens: o.MaxTokens = None,
    retries: o.Retries = None,
    one_order: o.OneOrder = None,
    hard: o.Hard = None,
    steps: o.Steps = None,
    tournament: o.Tournament = None,
    rounds: o.TournamentRounds = None,
    pairwise: o.Pairwise = None,
    preset: o.Preset = None,
    clamp: o.Clamp = None,
    low: o.Low = None,
    high: o.High = None,
    criterion: o.Criterion = None,
    category: o.Category = None,
    rubric: o.Rubric = None,
    no_reference: o.NoReference = None,
    own_reference: o.OwnReference = None,
    turns: o.Turns = None,
    max_tool_result: o.MaxToolResult = None,
    language: o.Language = None,
    from_run: o.From = None,
    retry_failures: o.RetryFailures = False,
    window: o.Window = 1024,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    runner: o.Runner = "here",
    workers: o.Workers = "1",
) -> int:
    """Judge the rows of a data file and write the verdicts to a run directory.

    rmjudge label pairs.jsonl --task preference --judge vllm:Qwen/Qwen3-32B --out runs/pairs
    """
    o.need("label", DATA=data or from_run, task=task or from_run, judge=judge or from_run, out=out or dry_run)
    with drawing.resumable(f"every verdict so far is in {out}"):
        run = rmjudge.label(
            data,
            out=out,
            task=task or "",
            judges=judge,
            prompt=prompt or "",
            constitution=constitution or "",
            format=format,
            limit=limit,
            shard=shard,
            skip_bad=skip_bad,
            settings=set,
            patience=patience,
            prices=prices,
            max_cost=max_cost,
            seed=seed,
            votes=votes,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            retries=retries,
            one_order=one_order,
            hard=hard,
            steps=steps,
            tournament=tournament,
            rounds=rounds,
            pairwise=pairwise,
            preset=preset,
            clamp=clamp,
            low=low,
            high=high,
            criterion=criterion,
            category=category,
            rubric=rubric,
            no_reference=no_reference,
            own_reference=own_reference,
            turns=turns,
            max_tool_result=max_tool_result,
            language=language,
            from_run=from_run,
            retry_failures=retry_failures,
            window=window,
            runner=runner,
            workers=workers,
            dry_run=dry_run,
            progress=not quiet,
        )
    drawing.show(run, as_json=json)
    return 0
