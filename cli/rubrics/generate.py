"""`rmjudge rubric generate`: let a model write rubrics."""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import drawing
from judge.cli import options as o


def generate(
    data: o.Data = None,
    judge: o.Judge = None,
    author: Annotated[str | None, typer.Option("--author", help="Who writes; else the first judge.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A folder; an unfinished one is taken up again.")
    ] = None,
    shared: Annotated[bool, typer.Option("--shared", help="One rubric for all prompts, not one for each.")] = False,
    held_out: Annotated[
        float, typer.Option("--held-out", min=0, max=0.9, help="The share of people's verdicts to measure it on.")
    ] = 0.2,
    margin: Annotated[
        float, typer.Option("--margin", help="How far a criterion must tell better from worse answers, in P(met).")
    ] = 0.1,
    most: Annotated[int, typer.Option("--most", min=1, help="The most criteria that a rubric keeps.")] = 20,
    author_prompt: Annotated[str | None, typer.Option("--author-prompt", help="The author's prompt.")] = None,
    prompt: o.Prompt = None,
    format: o.Format = None,
    limit: o.Limit = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    patience: o.Patience = None,
    votes: o.Votes = None,
    temperature: o.Temperature = None,
    max_tokens: o.MaxTokens = None,
    seed: o.FixedSeed = 0,
    resamples: o.AlwaysResamples = 2000,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
    runner: o.Runner = "here",
    workers: o.Workers = "1",
) -> None:
    """Let a model write rubrics, keep the criteria that tell better from worse answers, and compare with people.

    rmjudge rubric generate pairs.jsonl --judge vllm:Qwen/Qwen3-32B --out rubrics
    """
    from judge import generate_rubrics
    from judge.cli.rubrics import view

    o.need("rubric generate", DATA=data, judge=judge, out=out)
    with drawing.resumable(f"every answer so far is in {out}"):
        result = generate_rubrics(
            data,
            judges=judge,
            author=author,
            out=out,
            shared=shared,
            held_out=held_out,
            margin=margin,
            most=most,
            author_prompt=author_prompt or "",
            prompt=prompt or "",
            format=format,
            limit=limit,
            skip_bad=skip_bad,
            settings=set,
            patience=patience,
            votes=votes,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
            resamples=resamples,
            runner=runner,
            workers=workers,
            progress=not quiet,
        )
    drawing.show_either(result.to_row(), lambda: view.draw_generation(result), as_json=json)
