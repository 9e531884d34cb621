"""The options of the command line, each declared once as an `Annotated` type, so that verbs agree on them."""

from pathlib import Path
from typing import Annotated

import typer

from judge import ConfigError

_SAMPLING = "Sampling"
_ASKING = "How to ask"
_RUN = "The run"
_SHAPING = "Shaping"

Data = Annotated[
    list[str] | None,
    typer.Argument(
        help="Data files (.jsonl .json .csv .parquet, .gz), run directories, hub names hf://NAME:SPLIT, or URLs of "
        "files elsewhere (s3:// gs:// https://)."
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task", "-t", help="preference, critique, score, checklist, classify, multilabel, steps, outcome or ranking."
    ),
]
Judge = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        "-j",
        help="vllm:MODEL, hf:MODEL, tiny, openai:URL#MODEL, scripted:FILE, recorded:RUN; several: a jury. Settings of "
        "its own: vllm:MODEL?NAME=VALUE; openai:URL#MODEL?batch=true asks a batch endpoint.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The run directory; an unfinished one is taken up again.")
]
Prompt = Annotated[str | None, typer.Option("--prompt", "-p", help="A shipped prompt's name, or a .jinja file.")]
Format = Annotated[str | None, typer.Option("--format", help="Force a family of formats instead of recognising it.")]
Constitution = Annotated[
    str | None,
    typer.Option("--constitution", "-c", help="Judge pairs under its principles: a shipped name, or a .yaml file."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N distinct records.")]
Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="The I-th of N shares of the data, by id; `rmjudge merge` joins them."),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read, list and count them; else they end it.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the engine, such as tensor_parallel_size=2."),
]
Patience = Annotated[
    str | None,
    typer.Option("--patience", metavar="TIME", help="How long a server may be away: 45s, 30m (the default), 2h."),
]
Prices = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="Dollars per million tokens by model, YAML or JSON."),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost", metavar="DOLLARS", help="Stop before the run costs more (exit code 1); a higher limit goes on."
    ),
]

Seed = Annotated[int | None, typer.Option("--seed", help="Every draw follows from it.", rich_help_panel=_SAMPLING)]
Votes = Annotated[int | None, typer.Option("--votes", help="Replies to each question.", rich_help_panel=_SAMPLING)]
Temperature = Annotated[float | None, typer.Option("--temperature", help="0 is greedy.", rich_help_panel=_SAMPLING)]
TopP = Annotated[float | None, typer.Option("--top-p", help="Nucleus sampling.", rich_help_panel=_SAMPLING)]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", help="The longest reply; else the prompt says.", rich_help_panel=_SAMPLING)
]
Retries = Annotated[
    int | None,
    typer.Option("--retries", help="Further tries at a reply that cannot be read.", rich_help_panel=_SAMPLING),
]

OneOrder = Annotated[
    bool | None, typer.Option("--one-order", help="Ask a pair only as it stands.", rich_help_panel=_ASKING)
]
Hard = Annotated[
    bool | None,
    typer.Option("--hard", help="No probabilities after a critique: one call less.", rich_help_panel=_ASKING),
]
Steps = Annotated[
    str | None, typer.Option("--steps", help="each: one call a step; all: one call.", rich_help_panel=_ASKING)
]
Tournament = Annotated[
    str | None,
    typer.Option(
        "--tournament",
        help="Rank by comparing pairs: full (every pair), swiss (rounds of equals) or knockout.",
        rich_help_panel=_ASKING,
    ),
]
TournamentRounds = Annotated[
    int | None,
    typer.Option("--rounds", min=1, help="Of a Swiss tournament; else log2 N + 1.", rich_help_panel=_ASKING),
]
Pairwise = Annotated[
    bool | None, typer.Option("--pairwise", help="The same as --tournament full.", rich_help_panel=_ASKING)
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset", help="A paper's settings: bai-2022 or bai-2022-cot (harmlessness).", rich_help_panel=_ASKING
    ),
]
Clamp = Annotated[
    str | None,
    typer.Option("--clamp", metavar="LOW:HIGH", help="Bounds of one principle's probability.", rich_help_panel=_ASKING),
]
Low = Annotated[int | None, typer.Option("--low", help="The scale's low end.", rich_help_panel=_ASKING)]
High = Annotated[int | None, typer.Option("--high", help="The scale's high end.", rich_help_panel=_ASKING)]
Criterion = Annotated[
    list[str] | None,
    typer.Option("--criterion", metavar="NAME[=MEANING]", help="A quality to score.", rich_help_panel=_ASKING),
]
Category = Annotated[
    list[str] | None,
    typer.Option(
        "--category", metavar="NAME[=MEANING]", help="A category of classify or multilabel.", rich_help_panel=_ASKING
    ),
]
Rubric = Annotated[
    str | None,
    typer.Option("--rubric", help="What the scores mean; of checklist a FILE of criteria.", rich_help_panel=_ASKING),
]
OwnReference = Annotated[
    bool | None,
    typer.Option("--own-reference", help="The judge answers first; that is the reference.", rich_help_panel=_ASKING),
]
Turns = Annotated[
    str | None,
    typer.Option(
        "--turns",
        help="Of conversations: last, the last answer alone; all, every turn of the assistant.",
        rich_help_panel=_ASKING,
    ),
]
MaxToolResult = Annotated[
    int | None,
    typer.Option(
        "--max-tool-result",
        min=0,
        help="Characters of a tool's result that are shown, the middle left out (8000; 0: all).",
        rich_help_panel=_ASKING,
    ),
]
Language = Annotated[
    str | None,
    typer.Option("--language", help="What critiques are written in, such as German.", rich_help_panel=_ASKING),
]
NoReference = Annotated[
    bool | None, typer.Option("--no-reference", help="Hide a known answer.", rich_help_panel=_ASKING)
]

Lower = Annotated[float, typer.Option("--lower", min=0, help="The reward - K σ.", rich_help_panel=_SHAPING)]
Normalize = Annotated[
    bool,
    typer.Option(
        "--normalize", help="Rewards with mean 0 and deviation 1 over the calibration data.", rich_help_panel=_SHAPING
    ),
]
Clip = Annotated[
    str | None,
    typer.Option("--clip", metavar="LOW:HIGH", help="Bounds of a reward.", rich_help_panel=_SHAPING),
]
TruthWeight = Annotated[
    float,
    typer.Option(
        "--truth-weight", min=0, max=1, help="(1 - W) · reward + W · truth of the data.", rich_help_panel=_SHAPING
    ),
]
LengthPenalty = Annotated[
    float,
    typer.Option(
        "--length-penalty", min=0, help="Off for each character beyond --length-target.", rich_help_panel=_SHAPING
    ),
]
LengthTarget = Annotated[
    int, typer.Option("--length-target", min=0, help="Characters that are free.", rich_help_panel=_SHAPING)
]
KlCoefficient = Annotated[
    float,
    typer.Option(
        "--kl-coefficient", min=0, help="Off for each nat between policy and reference.", rich_help_panel=_SHAPING
    ),
]

From = Annotated[
    Path | None,
    typer.Option("--from", help="Read the verdicts of a run's stored replies again.", rich_help_panel=_RUN),
]
RetryFailures = Annotated[
    bool, typer.Option("--retry-failures", help="Judge again what could not be read.", rich_help_panel=_RUN)
]
Window = Annotated[int, typer.Option("--window", min=1, help="Records in work at once.", rich_help_panel=_RUN)]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show the first prompts and the cost, and write nothing.", rich_help_panel=_RUN),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.", rich_help_panel=_RUN)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_RUN)]
Runner = Annotated[str, typer.Option("--runner", help="here, or ray: on a Ray cluster.", rich_help_panel=_RUN)]
Workers = Annotated[
    str,
    typer.Option(
        "--workers", metavar="N or MIN:MAX", help="Workers on the cluster, each with its models.", rich_help_panel=_RUN
    ),
]

# Of the verbs that examine (prompts, constitutions, rubrics, reports): short help, in no panels.
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
NoProgress = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
FixedSeed = Annotated[int, typer.Option("--seed", help="Every draw follows from it.")]
Resamples = Annotated[int, typer.Option("--resamples", min=0, help="Draws of the bootstrap; 0: no intervals.")]
AlwaysResamples = Annotated[int, typer.Option("--resamples", min=100, help="Draws of the bootstrap.")]
PeopleOrAnnotator = Annotated[
    str | None, typer.Option("--human", help="A file with human labels, or one annotator; else the data's own.")
]


def need(verb: str, **options: object) -> None:
    """Refuse a command line that lacks an option; the option of `out` is --out, DATA is an argument."""
    missing = [name if name.isupper() else f"--{name}" for name, value in options.items() if not value]
    if missing:
        raise ConfigError(f"rmjudge {verb} needs {', '.join(missing)}; see `rmjudge {verb} --help`")
