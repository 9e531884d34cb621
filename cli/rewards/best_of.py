"""`rmjudge best-of`: what is choosing the best of n responses by a reward worth?"""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import options as o
from judge.cli.drawing import draw, say

app = typer.Typer(add_completion=False)
_POLICY = "A policy that writes the responses"
_JUDGE = "What gives the rewards"

Model = Annotated[str, typer.Argument(help="A reward model's directory, or a judge such as vllm:MODEL.")]
Number = Annotated[
    int | None, typer.Option("-n", "--number", min=2, help="Responses to choose from; else as many as prompts have.")
]
Task = Annotated[
    str | None,
    typer.Option("--task", "-t", help="Of a judge: score, outcome, steps or tournament.", rich_help_panel=_JUDGE),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the model or judge: tournament=full, prompt=verdict, dtype=float32.",
        rich_help_panel=_JUDGE,
    ),
]
Gold = Annotated[
    str | None,
    typer.Option("--gold", help="A second model or judge: its reward of the pick by n.", rich_help_panel=_JUDGE),
]
GoldSet = Annotated[
    list[str] | None,
    typer.Option("--gold-set", metavar="NAME=VALUE", help="A setting of --gold.", rich_help_panel=_JUDGE),
]
Picks = Annotated[Path | None, typer.Option("--picks", help="Write the best response to each prompt to a file.")]
Policy = Annotated[
    str | None,
    typer.Option("--policy", help="An engine that writes n responses to each prompt.", rich_help_panel=_POLICY),
]
Search = Annotated[
    str | None,
    typer.Option("--search", help="steps: the policy also searches step by step.", rich_help_panel=_POLICY),
]
Beams = Annotated[
    int, typer.Option("--beams", min=1, help="Begun answers that a search keeps.", rich_help_panel=_POLICY)
]
Width = Annotated[
    int, typer.Option("--width", min=1, help="Next steps that are drawn for each.", rich_help_panel=_POLICY)
]
MaxSteps = Annotated[
    int, typer.Option("--max-steps", min=1, help="Steps of a searched answer.", rich_help_panel=_POLICY)
]
AnswerPrompt = Annotated[
    str,
    typer.Option(
        "--answer-prompt", help="A prompt of the task answer; else the bare conversation.", rich_help_panel=_POLICY
    ),
]
Temperature = Annotated[float, typer.Option("--temperature", help="Of the policy.", rich_help_panel=_POLICY)]
TopP = Annotated[float, typer.Option("--top-p", help="Of the policy.", rich_help_panel=_POLICY)]
MaxTokens = Annotated[
    int, typer.Option("--max-tokens", min=1, help="The longest answer or step.", rich_help_panel=_POLICY)
]
PolicySet = Annotated[
    list[str] | None,
    typer.Option("--policy-set", metavar="NAME=VALUE", help="A setting of the policy.", rich_help_panel=_POLICY),
]
Out = Annotated[
    list[Path] | None, typer.Option("--out", "-o", help="Write one self-contained HTML page, or NAME.json; several.")
]


@app.command()
def best_of(
    model: Model,
    data: o.Data = None,
    n: Number = None,
    gold: Gold = None,
    task: Task = None,
    set: Set = None,
    gold_set: GoldSet = None,
    picks: Picks = None,
    format: o.Format = None,
    limit: o.Limit = None,
    skip_bad: o.SkipBad = False,
    policy: Policy = None,
    search: Search = None,
    beams: Beams = 4,
    width: Width = 4,
    max_steps: MaxSteps = 32,
    answer_prompt: AnswerPrompt = "",
    temperature: Temperature = 1.0,
    top_p: TopP = 1.0,
    max_tokens: MaxTokens = 1024,
    policy_set: PolicySet = None,
    lower: o.Lower = 0.0,
    length_penalty: o.LengthPenalty = 0.0,
    length_target: o.LengthTarget = 0,
    resamples: o.Resamples = 1000,
    seed: o.FixedSeed = 0,
    out: Out = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Choose the best of n responses by a reward, and say what that is worth. Exit 1 when something is found.

    rmjudge best-of models/reward responses.jsonl -n 16 --out best-of.html --picks best.jsonl
    """
    import judge

    o.need("best-of", DATA=data)
    report = judge.best_of(
        model,
        data,
        n=n,
        gold=gold,
        task=task,
        settings=set,
        gold_settings=gold_set,
        shaping=judge.Shaping(lower=lower, length_penalty=length_penalty, length_target=length_target),
        picks=picks,
        format=format,
        limit=limit,
        skip_bad=skip_bad,
        policy=policy,
        search=search,
        beams=beams,
        width=width,
        max_steps=max_steps,
        answer_prompt=answer_prompt,
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        policy_settings=policy_set,
        resamples=resamples,
        seed=seed,
        progress=not quiet,
    )
    for path in out or ():
        report.save(path)
    if json:
        say(report.to_json())
    else:
        draw(report)
    return 1 if report.wrong else 0
