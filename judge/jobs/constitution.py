"""Constitutions tried out on a judge: on a sample, against people, against another one, on their own examples."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from judge.constitution.constitution import Constitution, load_constitution, skeleton
from judge.constitution_eval.ablation import RESAMPLES, Ablation, ablate, human_labels
from judge.constitution_eval.difference import ConstitutionDiff, difference
from judge.constitution_eval.example_tests import ExampleResults, run_examples
from judge.constitution_eval.principle_votes import PrincipleJudge, read_pairs
from judge.constitution_eval.trial import ConstitutionTrial, summarize
from judge.engines.jury import Judge, as_judges
from judge.engines.spec import read_settings
from judge.errors import ConfigError
from judge.formats import BadRow
from judge.locations.remote_files import is_remote
from judge.prompting.template import load_template
from judge.records import spoken
from judge.runs.counts import Counts
from judge.runs.data import Data
from judge.runs.progress import progress_bar
from judge.tasks import Options
from judge.tasks.constitution_preference import PROMPT, check_principle, held

Named = str | Path | Constitution
"""A constitution, a shipped one's name, or a YAML file."""
Judges = Judge | Sequence[Judge] | None
"""A judge's spec, an engine of the caller's own, or several of them: a jury."""
Settings = Mapping[str, Any] | Iterable[str] | None
"""Settings of engines by name, or texts NAME=VALUE."""

EXAMPLE_TEXTS = {
    "prompt": "(the prompt)",
    "first": "(the response that stands first)",
    "second": "(the response that stands second)",
}


def new_constitution(path: str | Path) -> Path:
    """Write a constitution to begin with, every key explained.

    Raises:
        ConfigError: where the file exists already, or its folder does not.
    """
    return write_new(path, skeleton())


def write_new(path: str | Path, text: str) -> Path:
    """Write a file that does not exist yet."""
    file = Path(path)
    if file.exists():
        raise ConfigError(f"{file}: exists already; name another file")
    if not file.parent.is_dir():
        raise ConfigError(f"{file}: there is no folder '{file.parent}'")
    file.write_text(text, encoding="utf-8")
    return file


def render_constitution(constitution: Named, *, prompt: str = "") -> list[dict[str, Any]]:
    """What a judge is given under each principle.

    Args:
        constitution: a constitution, a shipped one's name, or a YAML file.
        prompt: a shipped prompt's name or a file; else the usual one.

    Returns:
        For each principle its id, the prompt's name and the messages, filled with its first example where it has one.
    """
    template = load_template("preference", prompt or PROMPT)
    check_principle(template)
    rendered = []
    for principle in _load(constitution).principles:
        pair = principle.examples[0].pair if principle.examples else None
        texts = {name: spoken(getattr(pair, name)) for name in EXAMPLE_TEXTS} if pair else EXAMPLE_TEXTS
        turns = held(template, principle).render(**texts)
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        rendered.append({"principle": principle.id, "prompt": template.name, "messages": messages})
    return rendered


def try_constitution(
    constitution: Named,
    data: Data,
    *,
    judges: Judges,
    limit: int | None = 100,
    prompt: str = "",
    format: str | None = None,
    skip_bad: bool = False,
    settings: Settings = None,
    seed: int = 0,
    one_order: bool = False,
    progress: bool = True,
) -> ConstitutionTrial:
    """Judge a sample under each principle alone and all together.

    Args:
        constitution: a constitution, a shipped one's name, or a YAML file.
        data: pairs, or rankings, which give the pairs of their responses.
        judges: a judge's spec, an engine, or several of them.
        limit: only the first so many distinct pairs.
        prompt: a shipped prompt's name or a file, with a place for a principle; else the usual one.
        format: the family of formats of the data, where it is not to be recognised.
        skip_bad: rows that cannot be judged are left out and counted; else they end it.
        settings: settings of the engines.
        seed: every draw follows from it.
        one_order: ask a pair only as it stands.
        progress: show how far it is.

    Returns:
        How often each principle speaks, decides and abstains, and where two of them disagree.
    """
    loaded = _load(constitution)
    bad: list[BadRow] = []
    on_bad = bad.append if skip_bad else None
    pairs = read_pairs(needed(data, "--data"), format=format, limit=limit, on_bad=on_bad)
    with _judging(judges, prompt, settings, seed, one_order) as judge, watching(len(pairs), progress) as watch:
        return replace(summarize(loaded, judge.vote(pairs, loaded, watch=watch)), skipped=len(bad))


def names_annotator(human: str) -> bool:
    """Whether a text names one of the data's annotators, and no labelled data of its own."""
    return not is_remote(human) and not Path(human).exists()


def ablate_constitution(
    constitution: Named,
    data: Data,
    *,
    judges: Judges,
    human: Data | None = None,
    limit: int | None = None,
    prompt: str = "",
    format: str | None = None,
    skip_bad: bool = False,
    settings: Settings = None,
    seed: int = 0,
    one_order: bool = False,
    resamples: int = RESAMPLES,
    progress: bool = True,
) -> Ablation:
    """Agreement with people, with each principle left out and each alone.

    Args:
        human: data with human labels, or the name of one annotator of the data's own labels; else all of these.
        resamples: draws of the bootstrap.
        constitution, data, judges, limit, prompt, format, skip_bad, settings, seed, one_order, progress: see
            `try_constitution`.

    Returns:
        The principles by their worth, the most useful first.
    """
    loaded = _load(constitution)
    bad: list[BadRow] = []
    on_bad = bad.append if skip_bad else None
    pairs = read_pairs(needed(data, "--data"), format=format, limit=limit, on_bad=on_bad)
    annotator = human if isinstance(human, str) and names_annotator(human) else ""
    labels = human_labels(pairs, pairs if annotator or human is None else read_pairs(human, on_bad=on_bad), annotator)
    labelled = [pair for pair in pairs if pair.id in labels]
    with _judging(judges, prompt, settings, seed, one_order) as judge, watching(len(labelled), progress) as watch:
        votes = judge.vote(labelled, loaded, watch=watch)
    unlabelled = len(pairs) - len(labelled)
    ablation = ablate(loaded, votes, labels, unlabelled=unlabelled, seed=seed, resamples=resamples)
    return replace(ablation, skipped=len(bad))


def diff_constitutions(
    before: Named,
    after: Named,
    *,
    data: Data | None = None,
    judges: Judges = None,
    limit: int | None = 100,
    prompt: str = "",
    format: str | None = None,
    skip_bad: bool = False,
    settings: Settings = None,
    seed: int = 0,
    one_order: bool = False,
    progress: bool = True,
) -> ConstitutionDiff:
    """What changed from one constitution to another, in words, and, with data and judges, in verdicts.

    Args:
        before, after: constitutions, shipped ones' names, or YAML files.
        data: the pairs whose verdicts are compared.
        judges, limit, prompt, format, skip_bad, settings, seed, one_order, progress: see `try_constitution`.
    """
    old, new = _load(before), _load(after)
    if judges and not data:
        raise ConfigError("--judge needs --data, the pairs whose verdicts are compared")
    if not data:
        return difference(old, new)
    bad: list[BadRow] = []
    pairs = read_pairs(data, format=format, limit=limit, on_bad=bad.append if skip_bad else None)
    with _judging(judges, prompt, settings, seed, one_order) as judge, watching(len(pairs), progress) as watch:
        return replace(difference(old, new, judge=judge, pairs=pairs, watch=watch), skipped=len(bad))


def test_constitution(
    constitution: Named,
    *,
    judges: Judges,
    prompt: str = "",
    settings: Settings = None,
    seed: int = 0,
    one_order: bool = False,
    progress: bool = True,
) -> ExampleResults:
    """Judge the principles' own examples, each under its principle alone.

    Args:
        constitution, judges, prompt, settings, seed, one_order, progress: see `try_constitution`.

    Returns:
        What came of each example; `.passed` says whether all came out as they say.

    Raises:
        ConfigError: where no principle has examples.
    """
    loaded = _load(constitution)
    if not any(principle.examples for principle in loaded.principles):
        raise ConfigError(f"{loaded.source or loaded.name}: no principle has examples, so there is nothing to test")
    with _judging(judges, prompt, settings, seed, one_order) as judge, watching(None, progress) as watch:
        return run_examples(loaded, judge, watch=watch)


def _load(constitution: Named) -> Constitution:
    return constitution if isinstance(constitution, Constitution) else load_constitution(constitution)


@contextmanager
def _judging(judges: Judges, prompt: str, settings: Settings, seed: int, one_order: bool) -> Iterator[PrincipleJudge]:
    """The judge that the arguments name, let go at the end."""
    options = Options(seed=seed, one_order=one_order)
    jury = needed(as_judges(judges), "--judge")
    judge = PrincipleJudge(jury, prompt=prompt, options=options, settings=read_settings(settings))
    try:
        yield judge
    finally:
        judge.close()


@contextmanager
def watching(total: int | None, progress: bool) -> Iterator[Callable[[Counts], None]]:
    """The progress of a trial of so many records."""
    with progress_bar(total, shown=progress) as watch:
        yield watch


def needed(value: Any, option: str) -> Any:
    """The value of an option that must be given; raises ConfigError where it is not."""
    if value is None or (isinstance(value, Sequence) and not value):
        raise ConfigError(f"{option} is missing")
    return value
