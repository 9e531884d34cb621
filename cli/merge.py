"""`rmjudge merge`: join the shards of a run."""

from pathlib import Path
from typing import Annotated

import typer

import judge as rmjudge
from judge.cli import drawing
from judge.cli import options as o

app = typer.Typer(add_completion=False)


@app.command()
def merge(
    runs: Annotated[list[Path], typer.Argument(help="The run directories of all shards, in any order.")],
    out: o.Out = None,
    json: o.Json = False,
) -> int:
    """Join the shards of a run (--shard 1/4 …) into the run that one process would have made.

    rmjudge merge runs/pairs-1 runs/pairs-2 --out runs/pairs
    """
    o.need("merge", out=out)
    assert out is not None
    drawing.show_run(rmjudge.merge(runs, out=out), as_json=json)
    return 0
