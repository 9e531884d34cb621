"""`rmjudge constitution`: write principles, check them, and try them out on a judge."""

import json as encode
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge.cli import options as o

if TYPE_CHECKING:
    from judge.constitution_eval.principle_votes import Bench
    from judge.runs.counts import Counts

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The principles that a judge is held to.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A shipped constitution's name, or a .yaml file.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
Data = Annotated[list[str] | None, typer.Option("--data", "-d", help="Files with pairs of responses; several: again.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Seed = Annotated[int, typer.Option("--seed", help="Every draw follows from it.")]
OneOrder = Annotated[bool, typer.Option("--one-order", help="Ask a pair only as it stands.")]


@app.command()
def new(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; it must not exist.")]) -> None:
    """Write a constitution to begin with, every key explained."""
    from judge.constitution.constitution import skeleton
    from judge.errors import ConfigError

    if file.exists():
        raise ConfigError(f"{file}: exists already; name another file")
    if not file.parent.is_dir():
        raise ConfigError(f"{file}: there is no folder '{file.parent}'")
    text = skeleton()
    file.write_text(text, encoding="utf-8")
    print(f"Wrote {file}. Edit it, then: rmjudge constitution lint {file}")


@app.command("list")
def list_all(json: Json = False) -> None:
    """The shipped constitutions."""
    from judge.cli.constitution_view import draw_list, facts
    from judge.constitution.constitution import list_constitutions

    found = list_constitutions()
    _show([facts(one) for one in found], lambda: draw_list(found), json)


@app.command()
def show(
    name: Name,
    rendered: Annotated[bool, typer.Option("--rendered", help="As the judge sees it: the prompt of each.")] = False,
    prompt: o.Prompt = None,
    json: Json = False,
) -> None:
    """A constitution as a person reads it, or with --rendered as the judge sees it."""
    from judge.cli.constitution_view import draw_constitution, draw_rendered, facts, rendering
    from judge.constitution.constitution import load_constitution

    constitution = load_constitution(name)
    if rendered:
        prompts = rendering(constitution, prompt)
        _show(prompts, lambda: draw_rendered(prompts), json)
    else:
        _show(facts(constitution, whole=True), lambda: draw_constitution(constitution), json)


@app.command()
def lint(
    files: Annotated[list[str] | None, typer.Argument(help="Names or files; else all shipped ones.")] = None,
    json: Json = False,
) -> int:
    """Everything that is wrong with constitutions, each with its line; exit 1 if anything is."""
    from judge.constitution.constitution import locate, shipped
    from judge.constitution.lint import lint as findings_in

    paths = [locate(name) for name in files] if files else list(shipped().values())
    findings = [finding for path in paths for finding in findings_in(path)]
    if json:
        keys = ("path", "line", "fatal", "message")
        _write([{key: getattr(finding, key) for key in keys} for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.place}: {finding.message}")
        said = f"{len(findings)} finding{'s' * (len(findings) != 1)}" if findings else "nothing found"
        print(f"{len(paths)} constitution{'s' * (len(paths) != 1)}: {said}", file=sys.stderr)
    return 1 if findings else 0


@app.command("try")
def try_out(
    name: Name,
    data: Data = None,
    judge: o.Judge = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only the first N distinct pairs.")] = 100,
    prompt: o.Prompt = None,
    format: o.Format = None,
    set: o.Set = None,
    seed: Seed = 0,
    one_order: OneOrder = False,
    shown: Annotated[int, typer.Option("--show", min=0, help="How many pairs to show where principles differ.")] = 5,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a sample under each principle alone and all together, and show where they disagree."""
    from judge.cli.constitution_view import draw_sample
    from judge.constitution.constitution import load_constitution
    from judge.constitution_eval.principle_votes import read_pairs
    from judge.constitution_eval.sample import sample

    constitution = load_constitution(name)
    pairs = read_pairs(_needed(data, "--data"), format=format, limit=limit)
    with _bench(judge, prompt, set, seed, one_order) as bench, _watching(len(pairs), quiet) as watch:
        heard = bench.hear(pairs, constitution, watch=watch)
    found = sample(constitution, heard)
    _show(found.to_row(), lambda: draw_sample(found, shown), json)


@app.command()
def ablate(
    name: Name,
    data: Data = None,
    human: Annotated[
        str | None, typer.Option("--human", help="A file with human labels, or one annotator; else the data's own.")
    ] = None,
    judge: o.Judge = None,
    limit: o.Limit = None,
    prompt: o.Prompt = None,
    format: o.Format = None,
    set: o.Set = None,
    seed: Seed = 0,
    one_order: OneOrder = False,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Draws of the bootstrap.")] = 2000,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Agreement with people with each principle left out and each alone, the most useful first."""
    from judge.cli.constitution_view import draw_ablation
    from judge.constitution.constitution import load_constitution
    from judge.constitution_eval.ablation import ablate as worth
    from judge.constitution_eval.ablation import human_labels
    from judge.constitution_eval.principle_votes import read_pairs

    constitution = load_constitution(name)
    pairs = read_pairs(_needed(data, "--data"), format=format, limit=limit)
    apart = human is not None and Path(human).exists()
    labels = human_labels(pairs, read_pairs([human]) if human and apart else pairs, "" if apart else human or "")
    labelled = [pair for pair in pairs if pair.id in labels]
    with _bench(judge, prompt, set, seed, one_order) as bench, _watching(len(labelled), quiet) as watch:
        heard = bench.hear(labelled, constitution, watch=watch)
    found = worth(constitution, heard, labels, unlabelled=len(pairs) - len(labelled), seed=seed, resamples=resamples)
    _show(found.to_row(), lambda: draw_ablation(found), json)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A shipped constitution's name, or a .yaml file.")],
    after: Annotated[str, typer.Argument(help="Another one, or a later version.")],
    data: Data = None,
    judge: o.Judge = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only the first N distinct pairs.")] = 100,
    prompt: o.Prompt = None,
    format: o.Format = None,
    set: o.Set = None,
    seed: Seed = 0,
    one_order: OneOrder = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What changed in words, and, with --data and --judge, which verdicts changed."""
    from judge.cli.constitution_view import draw_difference
    from judge.constitution.constitution import load_constitution
    from judge.constitution_eval.difference import difference
    from judge.constitution_eval.principle_votes import read_pairs
    from judge.errors import ConfigError

    one, other = load_constitution(before), load_constitution(after)
    if judge and not data:
        raise ConfigError("--judge needs --data, the pairs whose verdicts are compared")
    if not data:
        found = difference(one, other)
    else:
        pairs = read_pairs(data, format=format, limit=limit)
        with _bench(judge, prompt, set, seed, one_order) as bench, _watching(len(pairs), quiet) as watch:
            found = difference(one, other, bench=bench, pairs=pairs, watch=watch)
    _show(found.to_row(), lambda: draw_difference(found), json)


@app.command("test")
def examples(
    name: Name,
    judge: o.Judge = None,
    prompt: o.Prompt = None,
    set: o.Set = None,
    seed: Seed = 0,
    one_order: OneOrder = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Judge the principles' own examples; exit 1 if one of them does not come out as it says."""
    from judge.cli.constitution_view import draw_examples
    from judge.constitution.constitution import load_constitution
    from judge.constitution_eval.example_tests import run_examples
    from judge.errors import ConfigError

    constitution = load_constitution(name)
    if not any(principle.examples for principle in constitution.principles):
        raise ConfigError(f"{constitution.source}: no principle has examples, so there is nothing to test")
    with _bench(judge, prompt, set, seed, one_order) as bench, _watching(None, quiet) as watch:
        outcomes = run_examples(constitution, bench, watch=watch)
    _show([outcome.to_row() for outcome in outcomes], lambda: draw_examples(constitution, outcomes), json)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


@contextmanager
def _bench(
    judge: Sequence[str] | None, prompt: str | None, set: Sequence[str] | None, seed: int, one_order: bool
) -> "Iterator[Bench]":
    """The judge that the options name, closed at the end."""
    from judge.constitution_eval.principle_votes import Bench
    from judge.engines.spec import read_settings
    from judge.tasks import Options

    options = Options(seed=seed, one_order=one_order)
    bench = Bench(_needed(judge, "--judge"), prompt=prompt or "", options=options, settings=read_settings(set))
    try:
        yield bench
    finally:
        bench.close()


@contextmanager
def _watching(total: int | None, quiet: bool) -> "Iterator[Callable[[Counts], None]]":
    from judge.runs.progress import progress_bar

    with progress_bar(total, shown=not quiet) as watch:
        yield watch


def _needed(given: Sequence[str] | None, option: str) -> Sequence[str]:
    from judge.errors import ConfigError

    if not given:
        raise ConfigError(f"{option} is missing")
    return given


def _show(value: Any, draw: Callable[[], None], json: bool) -> None:
    if json:
        _write(value)
    else:
        draw()


def _write(value: Any) -> None:
    encode.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
