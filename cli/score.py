"""`rmjudge score`: score the rows of a data file with a reward model, as a judge would."""

from pathlib import Path
from typing import Annotated

import typer

import judge as rmjudge
from judge.cli import drawing
from judge.cli import options as o

app = typer.Typer(add_completion=False)
_SCORING = "Scoring"

_FOREIGN = "Models that others trained"

Model = Annotated[
    str,
    typer.Argument(help="A reward model's directory, ours or anybody's, or a name on the hub, OWNER/NAME@REVISION."),
]
Aggregate = Annotated[
    str | None,
    typer.Option(
        "--aggregate",
        help="Whole solutions by their steps: min, product, last or mean.",
        rich_help_panel=_SCORING,
    ),
]
Convention = Annotated[
    str | None,
    typer.Option(
        "--convention",
        help="A process model, where it is not recognised: trl, math-shepherd, rlhflow, qwen or skywork.",
        rich_help_panel=_FOREIGN,
    ),
]
Objective = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        metavar="NAME[=WEIGHT]",
        help="The output that is the reward, of a model with several; repeated: their weighted mean.",
        rich_help_panel=_FOREIGN,
    ),
]
ChatTemplate = Annotated[
    str | None,
    typer.Option(
        "--chat-template",
        metavar="FILE",
        help="A Jinja template instead of the tokenizer's; or plain: prompt, response, end-of-text.",
        rich_help_panel=_FOREIGN,
    ),
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length",
        min=8,
        help="Tokens of prompt and response together; else as many as it reads.",
        rich_help_panel=_FOREIGN,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run the code that lies in its directory.", rich_help_panel=_FOREIGN),
]
Calibration = Annotated[
    Path | None,
    typer.Option("--calibration", help="A file that `rmjudge calibrate` wrote.", rich_help_panel=_SCORING),
]
BestOf = Annotated[
    bool,
    typer.Option(
        "--best-of", help="Also write the best response to each prompt, best.jsonl.", rich_help_panel=_SCORING
    ),
]
BatchTokens = Annotated[
    int | None, typer.Option("--batch-tokens", min=1, help="Tokens computed at once. [16384]", rich_help_panel=_SCORING)
]
Dtype = Annotated[
    str | None, typer.Option("--dtype", help="float32, bfloat16 or float16; else as saved.", rich_help_panel=_SCORING)
]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda; else a GPU if there is one.", rich_help_panel=_SCORING)
]

Engine = Annotated[
    str, typer.Option("--engine", help="transformers, or vllm: one linear head on a decoder.", rich_help_panel=_SCORING)
]


@app.command()
def score(
    model: Model,
    data: o.Data = None,
    out: o.Out = None,
    format: o.Format = None,
    limit: o.Limit = None,
    shard: o.Shard = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    aggregate: Aggregate = None,
    calibration: Calibration = None,
    convention: Convention = None,
    objective: Objective = None,
    chat_template: ChatTemplate = None,
    max_length: MaxLength = None,
    trust_remote_code: TrustRemoteCode = False,
    engine: Engine = "transformers",
    best_of: BestOf = False,
    batch_tokens: BatchTokens = None,
    dtype: Dtype = None,
    device: Device = None,
    window: o.Window = 1024,
    retry_failures: o.RetryFailures = False,
    lower: o.Lower = 0.0,
    normalize: o.Normalize = False,
    clip: o.Clip = None,
    truth_weight: o.TruthWeight = 0.0,
    length_penalty: o.LengthPenalty = 0.0,
    length_target: o.LengthTarget = 0,
    kl_coefficient: o.KlCoefficient = 0.0,
    json: o.Json = False,
    quiet: o.Quiet = False,
    runner: o.Runner = "here",
    workers: o.Workers = "1",
) -> int:
    """Score the rows of a data file with a reward model; `rmjudge agree` reads the run as it reads a judge's.

    rmjudge score models/reward pairs.jsonl --out runs/reward
    rmjudge score Skywork/Skywork-Reward-V2-Qwen3-0.6B pairs.jsonl --out runs/skywork
    """
    o.need("score", DATA=data, out=out)
    with drawing.resumable(f"every score so far is in {out}"):
        run = rmjudge.score(
            model,
            data,
            out=out,
            format=format,
            limit=limit,
            shard=shard,
            skip_bad=skip_bad,
            settings=set,
            shaping=rmjudge.Shaping(
                lower=lower,
                normalize=normalize,
                clip=clip,
                truth_weight=truth_weight,
                length_penalty=length_penalty,
                length_target=length_target,
                kl_coefficient=kl_coefficient,
            ),
            aggregate=aggregate,
            calibration=calibration,
            convention=convention,
            objective=objective or (),
            chat_template=chat_template,
            max_length=max_length,
            trust_remote_code=trust_remote_code,
            engine=engine,
            best_of=best_of,
            batch_tokens=batch_tokens,
            dtype=dtype,
            device=device,
            window=window,
            retry_failures=retry_failures,
            runner=runner,
            workers=workers,
            progress=not quiet,
        )
    drawing.show(run, as_json=json)
    return 0
