"""`rmjudge revise`: answer, criticise and revise, and keep what a referee finds better."""

from typing import Annotated

import typer

import judge as rmjudge
from judge.cli import drawing
from judge.cli import options as o

app = typer.Typer(add_completion=False)
_LOOP, _PROMPTS = "The loop", "Prompts"

Spec = Annotated[
    str | None,
    typer.Option("--judge", "-j", help="The critic: vllm:MODEL, hf:MODEL, tiny, openai:URL#MODEL, scripted:FILE."),
]
Author = Annotated[str | None, typer.Option("--author", help="Who answers and revises; else the judge.")]
Referee = Annotated[
    str | None, typer.Option("--referee", help="Who compares a revision with the text before; else the judge.")
]
Constitution = Annotated[
    str | None, typer.Option("--constitution", "-c", help="Principles to revise by: a shipped name, or a .yaml file.")
]
Rounds = Annotated[int | None, typer.Option("--rounds", help="Revisions at most. [2]", rich_help_panel=_LOOP)]
Margin = Annotated[
    float | None,
    typer.Option("--margin", help="What a revision must win by: P(better) - P(worse). [0.2]", rich_help_panel=_LOOP),
]
Tries = Annotated[
    int | None, typer.Option("--tries", help="Draws of principles a round has. [1]", rich_help_panel=_LOOP)
]
Drawn = Annotated[
    int | None,
    typer.Option(
        "--principles", help="Principles drawn each time; else the constitution's rule.", rich_help_panel=_LOOP
    ),
]
Keep = Annotated[
    str | None, typer.Option("--keep", help="better, or all: go on with every revision.", rich_help_panel=_LOOP)
]
Preset = Annotated[str | None, typer.Option("--preset", help="A paper's settings: bai-2022.", rich_help_panel=_LOOP)]
Votes = Annotated[
    int | None, typer.Option("--votes", help="Replies of the referee in each order.", rich_help_panel="Sampling")
]
Thought = Annotated[
    bool, typer.Option("--thought", help="A line of thought before each critique.", rich_help_panel=_LOOP)
]
AnswerPrompt = Annotated[str | None, typer.Option("--answer-prompt", rich_help_panel=_PROMPTS)]
CritiquePrompt = Annotated[str | None, typer.Option("--critique-prompt", rich_help_panel=_PROMPTS)]
RevisionPrompt = Annotated[str | None, typer.Option("--revision-prompt", rich_help_panel=_PROMPTS)]
RefereePrompt = Annotated[str | None, typer.Option("--referee-prompt", rich_help_panel=_PROMPTS)]


@app.command()
def revise(
    data: o.Data = None,
    judge: Spec = None,
    author: Author = None,
    referee: Referee = None,
    constitution: Constitution = None,
    out: o.Out = None,
    rounds: Rounds = None,
    margin: Margin = None,
    tries: Tries = None,
    principles: Drawn = None,
    keep: Keep = None,
    preset: Preset = None,
    thought: Thought = False,
    answer_prompt: AnswerPrompt = None,
    critique_prompt: CritiquePrompt = None,
    revision_prompt: RevisionPrompt = None,
    referee_prompt: RefereePrompt = None,
    format: o.Format = None,
    limit: o.Limit = None,
    shard: o.Shard = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    patience: o.Patience = None,
    prices: o.Prices = None,
    max_cost: o.MaxCost = None,
    seed: o.Seed = None,
    votes: Votes = None,
    temperature: o.Temperature = None,
    top_p: o.TopP = None,
    max_tokens: o.MaxTokens = None,
    retries: o.Retries = None,
    no_reference: o.NoReference = None,
    language: o.Language = None,
    retry_failures: o.RetryFailures = False,
    window: o.Window = 1024,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    runner: o.Runner = "here",
    workers: o.Workers = "1",
) -> int:
    """Answer, criticise and revise by a constitution; keep what a referee finds better, and write both as data.

    rmjudge revise prompts.jsonl --constitution harmless --judge vllm:Qwen/Qwen3-32B --out runs/revised
    """
    o.need("revise", DATA=data, judge=judge, out=out or dry_run)
    with drawing.resumable(f"every finished row so far is in {out}"):
        run = rmjudge.revise(
            data,
            out=out,
            judge=judge,
            author=author,
            referee=referee,
            constitution=constitution or "",
            rounds=rounds,
            margin=margin,
            tries=tries,
            principles=principles,
            keep=keep,
            preset=preset,
            thought=thought,
            answer_prompt=answer_prompt,
            critique_prompt=critique_prompt,
            revision_prompt=revision_prompt,
            referee_prompt=referee_prompt,
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
            no_reference=no_reference,
            language=language or "",
            retry_failures=retry_failures,
            window=window,
            dry_run=dry_run,
            runner=runner,
            workers=workers,
            progress=not quiet,
        )
    drawing.show(run, as_json=json)
    return 0
