"""`rmjudge serve`: rewards of models and judges over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

import judge
from judge.cli import options as o

app = typer.Typer(add_completion=False)
_LIMITS, _LOG = "Limits", "The log"


@app.command()
def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help="Reward models or judges; NAME=MODEL gives one a name."),
    ],
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="Of a judge: score, outcome, steps or tournament.")
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the models or judges: dtype=float32, votes=3."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", help="Holds the key that requests must carry; else RMJUDGE_API_KEY does."),
    ] = None,
    admin_key_file: Annotated[
        Path | None,
        typer.Option(
            "--admin-key-file", help="Holds the key of /admin; else RMJUDGE_ADMIN_KEY. Without one: no /admin."
        ),
    ] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="Serve other machines without a key.")] = False,
    cache_size: Annotated[
        int, typer.Option("--cache-size", min=0, help="Texts whose rewards are remembered; 0 for none.")
    ] = 100_000,
    unreadable: Annotated[
        float | None,
        typer.Option(
            "--unreadable", help="The reward of a text without one, for OpenRLHF and vLLM; else it is refused."
        ),
    ] = None,
    max_body: Annotated[
        int | None, typer.Option("--max-body", help="Bytes of a body. [8388608]", rich_help_panel=_LIMITS)
    ] = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", help="Characters of a text. [200000]", rich_help_panel=_LIMITS)
    ] = None,
    max_responses: Annotated[
        int | None, typer.Option("--max-responses", help="Responses of a request. [1024]", rich_help_panel=_LIMITS)
    ] = None,
    max_queue: Annotated[
        int | None, typer.Option("--max-queue", help="Responses that wait. [8192]", rich_help_panel=_LIMITS)
    ] = None,
    max_connections: Annotated[
        int | None, typer.Option("--max-connections", help="Open connections. [900]", rich_help_panel=_LIMITS)
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option("--batch-tokens", help="Tokens scored at once. [16384]", rich_help_panel=_LIMITS)
    ] = None,
    slow_client: Annotated[
        float | None,
        typer.Option(
            "--slow-client", help="Seconds for a head, and for a body, to come. [20]", rich_help_panel=_LIMITS
        ),
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option("--drain", help="Seconds for what waits when the server ends. [60]", rich_help_panel=_LIMITS),
    ] = None,
    lower: o.Lower = 0.0,
    normalize: o.Normalize = False,
    clip: o.Clip = None,
    truth_weight: o.TruthWeight = 0.0,
    length_penalty: o.LengthPenalty = 0.0,
    length_target: o.LengthTarget = 0,
    kl_coefficient: o.KlCoefficient = 0.0,
    log_level: Annotated[
        str, typer.Option("--log-level", help="debug, info, warning or error.", rich_help_panel=_LOG)
    ] = "info",
    log_texts: Annotated[
        bool, typer.Option("--log-texts", help="Write prompts and responses to the log.", rich_help_panel=_LOG)
    ] = False,
) -> int:
    """Serve rewards over HTTP: /score, OpenRLHF's /get_reward, vLLM's /classify and /pooling; /docs describes them.

    rmjudge serve models/pairs --port 8000
    """
    judge.serve(
        models,
        settings=[*(set or ()), *([f"task={task}"] if task else ())],
        shaping=judge.Shaping(
            lower=lower,
            normalize=normalize,
            clip=clip,
            truth_weight=truth_weight,
            length_penalty=length_penalty,
            length_target=length_target,
            kl_coefficient=kl_coefficient,
        ),
        host=host,
        port=port,
        api_key_file=api_key_file,
        admin_key_file=admin_key_file,
        no_key=no_key,
        cache_size=cache_size,
        unreadable=unreadable,
        max_body=max_body,
        max_length=max_length,
        max_responses=max_responses,
        max_queue=max_queue,
        max_connections=max_connections,
        batch_tokens=batch_tokens,
        slow_client=slow_client,
        drain=drain,
        log_level=log_level,
        log_texts=log_texts,
    )
    return 0
