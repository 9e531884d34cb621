"""`rmjudge iterate`: improve a policy in rounds of sampling, labelling, distilling and training."""

from pathlib import Path
from typing import Annotated

import typer

import judge as rmjudge
from judge.cli import drawing
from judge.cli import options as o

app = typer.Typer(add_completion=False)
_LABELS, _POLICY, _REWARD = "Labels", "The policy", "The reward model"


@app.command()
def iterate(
    data: o.Data = None,
    policy: Annotated[str | None, typer.Option("--policy", help="A language model's directory or hub name.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The directory of all rounds.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How many at most.")] = 3,
    improve: Annotated[
        str, typer.Option("--improve", help="best-of: train on the best of n answers; grpo: against the reward.")
    ] = "best-of",
    n: Annotated[int, typer.Option("-n", min=2, help="Answers to a prompt.")] = 8,
    held_out: Annotated[
        float, typer.Option("--held-out", min=0, max=1, help="The share of prompts that figures are made of.")
    ] = 0.25,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="How far held-out figures may fall before it stops.")
    ] = 0.05,
    format: o.Format = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", "-j", help="What labels the answers; several: a jury.", rich_help_panel=_LABELS),
    ] = None,
    labels: Annotated[
        str,
        typer.Option("--labels", help="judge; human: wait for people; truth: the references.", rich_help_panel=_LABELS),
    ] = "judge",
    task: Annotated[
        str, typer.Option("--task", "-t", help="What the judge is asked; else by --kind.", rich_help_panel=_LABELS)
    ] = "",
    kind: Annotated[
        str, typer.Option("--kind", "-k", help="outcome, process, scalar, ensemble …", rich_help_panel=_REWARD)
    ] = "outcome",
    backbone: Annotated[
        str, typer.Option("--backbone", "-b", help="A directory, a hub name, or tiny.", rich_help_panel=_REWARD)
    ] = "tiny",
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of its training.", rich_help_panel=_REWARD),
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="hf or vllm.", rich_help_panel=_POLICY)] = "hf",
    answer_prompt: Annotated[
        str, typer.Option("--answer-prompt", help="A prompt of the task answer.", rich_help_panel=_POLICY)
    ] = "",
    temperature: Annotated[float, typer.Option("--temperature", help="Of sampling.", rich_help_panel=_POLICY)] = 1.0,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="The longest answer.", rich_help_panel=_POLICY)
    ] = 1024,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help="Of its training.", rich_help_panel=_POLICY)
    ] = 1e-5,
    epochs: Annotated[float, typer.Option("--epochs", help="Of its training.", rich_help_panel=_POLICY)] = 1.0,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Answers a step.", rich_help_panel=_POLICY)
    ] = 8,
    lower: o.Lower = 0.0,
    clip: o.Clip = None,
    truth_weight: o.TruthWeight = 0.0,
    length_penalty: o.LengthPenalty = 0.0,
    length_target: o.LengthTarget = 0,
    seed: o.FixedSeed = 0,
    json: o.Json = False,
    quiet: o.Quiet = False,
    runner: o.Runner = "here",
    workers: o.Workers = "1",
) -> int:
    """Improve a policy: it samples, a judge or people label, a reward model is distilled, it is trained; again.

    rmjudge iterate problems.jsonl --policy Qwen/Qwen3-0.6B --judge vllm:Qwen/Qwen3-32B --out runs/rounds
    """
    o.need("iterate", DATA=data, policy=policy, out=out)
    with drawing.resumable(f"every finished stage is in {out}"):
        iteration = rmjudge.iterate(
            data or [],
            policy=policy or "",
            out=out,
            rounds=rounds,
            judges=judge,
            labels=labels,
            task=task,
            kind=kind,
            backbone=backbone,
            improve=improve,
            n=n,
            held_out=held_out,
            tolerance=tolerance,
            engine=engine,
            answer_prompt=answer_prompt,
            temperature=temperature,
            max_tokens=max_tokens,
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            shaping=rmjudge.Shaping(
                lower=lower,
                clip=clip,
                truth_weight=truth_weight,
                length_penalty=length_penalty,
                length_target=length_target,
            ),
            settings=set,
            format=format,
            seed=seed,
            runner=runner,
            workers=workers,
            progress=not quiet,
        )
    drawing.show_iteration(iteration, as_json=json)
    return 1 if iteration.stopped and not iteration.waits else 0
