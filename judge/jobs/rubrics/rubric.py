"""Rubrics tried on a judge: on answers, against people, against another rubric, on their own examples."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from judge.constitution_eval.ablation import RESAMPLES
from judge.engines.jury import as_judges
from judge.engines.spec import read_settings
from judge.errors import ConfigError, InputError, unknown
from judge.formats import BadRow, OnBad
from judge.jobs.constitution import Judges, Settings, names_annotator, needed, watching, write_new
from judge.prompting.template import load_template
from judge.records import Pair, Record, responses_of
from judge.rubric.ablation import RubricAblation, ablate
from judge.rubric.comparisons import comparisons, read_answers
from judge.rubric.criterion_votes import CriterionJudge, answer_key, answers_of, votes_on
from judge.rubric.difference import RubricDiff, difference
from judge.rubric.example_tests import RubricExampleResults, run_examples
from judge.rubric.rubric_file import Named, load_rubric, skeleton
from judge.rubric.trial import RubricTrial, summarize
from judge.runs.data import Data
from judge.tasks import TASKS, Options

EXAMPLE_TEXTS = {"prompt": "(the prompt)", "response": "(the response)"}


def new_rubric(path: str | Path) -> Path:
    """Write a rubric to begin with, every key explained.

    Raises:
        ConfigError: where the file exists already, or its folder does not.
    """
    return write_new(path, skeleton())


def render_rubric(rubric: Named, *, prompt: str = "") -> list[dict[str, Any]]:
    """What a judge is given for each criterion.

    Args:
        rubric: a rubric, its file, or a list of criteria.
        prompt: a shipped prompt's name or a file; else the usual one.

    Returns:
        For each criterion its name, the prompt's name and the messages, filled with its first example where it has one.
    """
    loaded = load_rubric(rubric)
    template = load_template("checklist", prompt or TASKS["checklist"].prompt(Options()).name)
    rendered = []
    for item in loaded:
        examples = loaded.examples.get(item.label, ())
        texts = {name: getattr(examples[0], name) for name in EXAMPLE_TEXTS} if examples else EXAMPLE_TEXTS
        reference = examples[0].reference if examples else ""
        turns = template.render(**texts, reference=reference, criterion=item.text)
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        rendered.append({"criterion": item.label, "prompt": template.name, "messages": messages})
    return rendered


def try_rubric(
    rubric: Named | None = None,
    data: Data | None = None,
    *,
    judges: Judges,
    question: str = "",
    answer: str | None = None,
    reference: str = "",
    limit: int | None = 100,
    prompt: str = "",
    format: str | None = None,
    skip_bad: bool = False,
    settings: Settings = None,
    seed: int = 0,
    progress: bool = True,
) -> RubricTrial:
    """Judge one answer, or a sample of answers, by a rubric.

    Args:
        rubric: a rubric, its file, or a list of criteria; None for the rubrics of the rows.
        data: answers: responses, solutions, pairs or rankings. A rubric that is given goes before that of a row.
        judges: a judge's spec, an engine, or several of them.
        question, answer, reference: one answer, instead of data.
        limit: only the first so many distinct records.
        prompt: a shipped prompt's name or a file, of the task checklist; else the usual one.
        format: the family of formats of the data, where it is not to be recognised.
        skip_bad: rows that cannot be judged are left out and counted; else they end it.
        settings: settings of the engines.
        seed: every draw follows from it.
        progress: show how far it is.

    Returns:
        What is decided of each criterion of each answer, and the scores.
    """
    loaded = load_rubric(rubric) if rubric is not None else None
    if answer is not None:
        if data:
            raise ConfigError("one answer or data, not both")
        data = [{"prompt": needed(question or None, "--question"), "response": answer, "reference": reference}]
    bad: list[BadRow] = []

    def unfit(record: Record) -> str:
        if loaded is None and not record.rubric:
            return "no rubric (a column 'rubric' with a list of criteria, or name a rubric's file)"
        return _without_text(record)

    on_bad = bad.append if skip_bad else None
    records = read_answers(needed(data, "--data"), format=format, limit=limit, on_bad=on_bad, unfit=unfit)
    with _judging(judges, prompt, settings, seed) as judge, watching(None, progress) as watch:
        judged = judge.answers(records, loaded.criteria if loaded else (), watch=watch)
    named = {"rubric": loaded.name, "hash": loaded.hash} if loaded else {}
    return summarize(judged, **named, skipped=len(bad))


def ablate_rubric(
    rubric: Named,
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
    resamples: int = RESAMPLES,
    progress: bool = True,
) -> RubricAblation:
    """What each criterion contributes: agreement with people with it left out, and with it alone.

    Under a rubric the answer with the higher expected score is the better one. Pairs are those of the data, those that
    an order of answers implies, and answers to one prompt that people gave scores, or are known to be right or wrong.

    Args:
        human: data with human labels, or the name of one annotator of the data's own labels; else all of these.
        resamples: draws of the bootstrap.
        rubric, data, judges, limit, prompt, format, skip_bad, settings, seed, progress: see `try_rubric`.

    Returns:
        The criteria by their worth, the most useful first.
    """
    loaded = load_rubric(rubric)
    bad: list[BadRow] = []
    on_bad = bad.append if skip_bad else None
    records = read_answers(needed(data, "--data"), format=format, limit=limit, on_bad=on_bad, unfit=_without_text)
    pairs = _labelled(records, human, on_bad)
    with _judging(judges, prompt, settings, seed) as judge, watching(None, progress) as watch:
        judged = judge.answers(pairs, loaded.criteria, watch=watch)
    return ablate(loaded, votes_on(pairs, judged), seed=seed, resamples=resamples, skipped=len(bad))


def diff_rubrics(
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
    progress: bool = True,
) -> RubricDiff:
    """What changed from one rubric to another, in words, and, with data and judges, in the scores of answers.

    Args:
        before, after: rubrics, their files, or lists of criteria.
        data: the answers whose scores are compared.
        judges, limit, prompt, format, skip_bad, settings, seed, progress: see `try_rubric`.
    """
    old, new = load_rubric(before), load_rubric(after)
    if judges and not data:
        raise ConfigError("--judge needs --data, the answers whose scores are compared")
    if not data:
        return difference(old, new)
    bad: list[BadRow] = []
    on_bad = bad.append if skip_bad else None
    records = read_answers(data, format=format, limit=limit, on_bad=on_bad, unfit=_without_text)
    with _judging(judges, prompt, settings, seed) as judge, watching(None, progress) as watch:
        return replace(difference(old, new, judge=judge, records=records, watch=watch), skipped=len(bad))


def test_rubric(
    rubric: Named,
    *,
    judges: Judges,
    prompt: str = "",
    settings: Settings = None,
    seed: int = 0,
    progress: bool = True,
) -> RubricExampleResults:
    """Judge the criteria's own examples, each by its criterion alone.

    Args:
        rubric, judges, prompt, settings, seed, progress: see `try_rubric`.

    Returns:
        What came of each example; `.passed` says whether all came out as they say.

    Raises:
        ConfigError: where no criterion has examples.
    """
    loaded = load_rubric(rubric)
    if not loaded.examples:
        raise ConfigError(f"{loaded.source or loaded.name}: no criterion has examples, so there is nothing to test")
    with _judging(judges, prompt, settings, seed) as judge, watching(None, progress) as watch:
        return run_examples(loaded, judge, watch=watch)


def _labelled(records: Sequence[Record], human: Data | None, on_bad: OnBad | None) -> list[Pair]:
    """The pairs with people's verdicts: the data's own, one annotator's of these, or those of other data."""
    if isinstance(human, str) and names_annotator(human):
        return _by_annotator(comparisons(records), human)
    pairs = comparisons(records if human is None else read_answers(human, on_bad=on_bad))
    if human is not None:
        references = {answer_key(answer): answer.reference for record in records for answer in answers_of(record)}
        keys = [[answer_key(answer) for answer in answers_of(pair)] for pair in pairs]
        pairs = [
            replace(pair, reference=references[first])
            for pair, (first, second) in zip(pairs, keys, strict=True)
            if first in references and second in references
        ]
    if not pairs:
        raise InputError("people have no verdict on any two answers of the data; name data that has with --human")
    return pairs


def _by_annotator(pairs: Sequence[Pair], annotator: str) -> list[Pair]:
    """The pairs with the labels of one annotator alone."""
    names = {label.annotator for pair in pairs for label in pair.human}
    if annotator not in names:
        raise unknown("annotator", annotator, names)
    labelled = [
        replace(pair, human=tuple(label for label in pair.human if label.annotator == annotator)) for pair in pairs
    ]
    return [pair for pair in labelled if pair.human]


@contextmanager
def _judging(judges: Judges, prompt: str, settings: Settings, seed: int) -> Iterator[CriterionJudge]:
    """The judge that the arguments name, let go at the end."""
    jury = needed(as_judges(judges), "--judge")
    judge = CriterionJudge(jury, prompt=prompt, options=Options(seed=seed), settings=read_settings(settings))
    try:
        yield judge
    finally:
        judge.close()


def _without_text(record: Record) -> str:
    return "" if all(responses_of(record)) and record.prompt else "no answer in it; there is nothing to judge"
