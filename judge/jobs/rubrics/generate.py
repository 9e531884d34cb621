"""`judge.generate_rubrics`: a model writes rubrics, and what people say of answers decides which criteria stay."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judge.constitution_eval.ablation import RESAMPLES, PairMean
from judge.engines.jury import Judge, as_judges, close_loaded, load_jury
from judge.engines.spec import read_settings
from judge.errors import ConfigError
from judge.files import to_json, write_atomic, write_rows
from judge.formats import BadRow, to_row
from judge.jobs.label import label, need
from judge.records import Record, Response, Rubric, RubricItem, spoken
from judge.rubric.comparisons import prompt_id, read_answers
from judge.rubric.criterion_votes import CriterionVotes, JudgedAnswer, votes_on
from judge.rubric.material import PromptMaterial, gather_material
from judge.rubric.rubric_file import RubricFile
from judge.rubric.selection import Candidate, deduplicate, fate, held_out_agreement, separations
from judge.runs.cluster.ray_job import Runner
from judge.runs.cluster.workers import Workers
from judge.runs.data import Data
from judge.runs.reader import Run
from judge.tasks.authoring.rubric import criteria_of

MARGIN = 0.1
POOL = 3
"""How many times the most criteria that one rubric for all prompts may keep are judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricGeneration:
    """What was written, what stayed of it, and how far it agrees with people.

    Attributes:
        rubric: the rubric for all prompts, None where each prompt has its own.
        file: where the result lies: data with a rubric a row, or that one rubric; the report where nothing is left.
        prompts: for how many prompts a rubric was asked. unwritten: of these, where nothing could be read.
        candidates: every criterion that was proposed, once for each rubric, with what became of it.
        empty: prompts of which no criterion stayed.
        agreement: with people on pairs that were held out, of the criteria that stayed, with a 95 % interval over
            prompts. before: of all criteria, before any was dropped for not separating.
        held_out_prompts: prompts that were held out as a whole. Where each prompt has its own rubric, theirs are
            written without what people said; once they are measured, criteria that do not separate are dropped too.
        unscored: pairs held out on which the rubric has no verdict; they are left out of `agreement`.
        skipped: rows of the data that could not be read.
    """

    rubric: RubricFile | None
    file: Path
    prompts: int
    unwritten: int
    candidates: tuple[Candidate, ...]
    empty: int
    agreement: PairMean
    before: PairMean
    held_out_prompts: int
    unscored: int
    skipped: int = 0

    @property
    def kept(self) -> tuple[Candidate, ...]:
        """The criteria that stayed."""
        return tuple(candidate for candidate in self.candidates if not candidate.dropped)

    @property
    def dropped(self) -> tuple[Candidate, ...]:
        """The criteria that were left out, with the reason."""
        return tuple(candidate for candidate in self.candidates if candidate.dropped)

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        row = {name: getattr(self, name) for name in ("prompts", "unwritten", "empty", "held_out_prompts", "unscored")}
        return {
            "file": str(self.file),
            "rubric": self.rubric.to_row() if self.rubric else None,
            **row,
            "skipped": self.skipped,
            "kept": len(self.kept),
            "agreement": self.agreement._asdict(),
            "before": self.before._asdict(),
            "candidates": [candidate.to_row() for candidate in self.candidates],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """How criteria are selected; see `generate_rubrics`."""

    shared: bool
    margin: float
    most: int
    seed: int
    resamples: int


def generate_rubrics(
    data: Data | None = None,
    *,
    judges: Judge | Sequence[Judge] | None = None,
    author: Judge | None = None,
    out: str | Path | None = None,
    shared: bool = False,
    held_out: float = 0.2,
    margin: float = MARGIN,
    most: int = 20,
    author_prompt: str = "",
    prompt: str = "",
    format: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    patience: str | float | None = None,
    votes: int | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    runner: Runner = "here",
    workers: int | str | Workers = 1,
    progress: bool = True,
) -> RubricGeneration:
    """Write rubrics by a model. The same call again resumes an unfinished one.

    An author writes criteria for each prompt from the prompt, its reference, better and worse answers, and people's
    critiques (columns `critique`, `critiques`, `feedback`). Criteria that say nearly the same are merged. Each is then
    judged on the answers of the data, and stays if it tells those that people prefer from the others.

    Args:
        data: prompts, with or without answers; people's verdicts on pairs, orders or scores of answers, where known.
        judges: who judges the criteria; the first one also writes, where no author is named.
        out: a folder; `rubrics.jsonl` in it is the data with a rubric a row, which the task checklist reads, or
            `rubric.yaml` the rubric of all; `report.json` says the same as the result. `author` and `checks` are runs.
        shared: one rubric for all prompts instead of one for each.
        held_out: the share of what people said that nothing is learnt from; see `judge.rubric.material`.
        margin: how far a criterion must tell better from worse answers, in P(met).
        most: the most criteria that a rubric keeps, those that separate best.
        author_prompt, prompt: the author's prompt, of the task rubric, and the judges', of the task checklist.
        votes, temperature, max_tokens: how many rubrics the author writes for a prompt, and how it is sampled.
        format, limit, skip_bad, settings, patience, seed, runner, workers, progress: see `judge.label`.
        resamples: of the bootstrap.

    Returns:
        What was written, what stayed, and its agreement with people who were held out.

    Raises:
        ConfigError, InputError, RunChangedError: as `judge.label` does.
    """
    jury = as_judges(judges)
    need("generate_rubrics", data=data is not None, judges=jury, out=out)
    if not 0.0 <= held_out < 1.0 or most < 1:
        raise ConfigError(f"held_out {held_out}, most {most} (accepted: a share from 0 to below 1, and 1 or more)")
    assert data is not None and out is not None
    folder, bad = Path(out), list[BadRow]()
    on_bad = bad.append if skip_bad else None
    records = read_answers(data, format=format, limit=limit, on_bad=on_bad, unfit=_unfit)
    material = gather_material(records, held_out=held_out, seed=seed, shared=shared)
    rules = _Rules(shared=shared, margin=margin, most=most, seed=seed, resamples=resamples)
    asks = [prompt for prompt in material if not (shared and prompt.unseen)]
    given = read_settings(settings) | ({"patience": patience} if patience else {})
    with _engines(jury, author, given, here=runner == "here") as (writer, checkers, left):
        asked: dict[str, Any] = {"settings": left, "seed": seed, "runner": runner, "workers": workers}
        asked |= {"progress": progress}
        briefs = [prompt.brief(seed, general=shared) for prompt in asks]
        sampled: dict[str, Any] = {"votes": votes, "temperature": temperature, "max_tokens": max_tokens}
        written = label(
            briefs, task="rubric", judges=writer, prompt=author_prompt, out=folder / "author", **sampled, **asked
        )
        candidates = _proposed(written, asks, rules)
        judged: list[JudgedAnswer] = []
        if answers := _answers(material, candidates, rules):
            checks = label(answers, task="checklist", judges=checkers, prompt=prompt, out=folder / "checks", **asked)
            judged = [
                JudgedAnswer(row.record, row.judgement)
                for row in (*checks, *checks.failures())
                if isinstance(row.record, Response)
            ]
    decided = _selected(material, candidates, judged, rules)
    decided = replace(decided, unwritten=sum(1 for _ in written.failures()), skipped=len(bad))
    return _saved(decided, records, folder, shared=shared)


@contextmanager
def _engines(
    jury: Sequence[Judge], author: Judge | None, settings: Mapping[str, Any], *, here: bool
) -> Iterator[tuple[Judge, Sequence[Judge], Mapping[str, Any]]]:
    """The author, the judges, and the settings that are left for them. A judge that also writes is loaded once; an
    author of its own is let go before the judges are loaded, since both may need the whole of a GPU. On a cluster the
    workers load all of them."""
    if author is not None or not here:
        yield jury[0] if author is None else author, jury, settings
        return
    engines = load_jury(jury, settings)
    try:
        yield engines[0], engines, {}
    finally:
        close_loaded(engines, jury)


def _unfit(record: Record) -> str:
    return "" if record.prompt else "no prompt; there is nothing to write a rubric for"


def _key(prompt: PromptMaterial, rules: _Rules) -> str:
    """The rubric that a prompt is judged by."""
    return "" if rules.shared else prompt.id


def _proposed(written: Run, asks: Sequence[PromptMaterial], rules: _Rules) -> dict[str, list[Candidate]]:
    """The criteria of each rubric, without those that say the same, at most as many as may be judged."""
    texts = {prompt_id(row.record): str(row.judgement.verdict) for row in written}
    items: dict[str, list[RubricItem]] = {}
    for prompt in asks:  # in the order of the data, whatever the order of the rows is
        items.setdefault(_key(prompt, rules), []).extend(criteria_of(texts.get(prompt.id, "")))
    named = {_key(prompt, rules): "" if rules.shared else spoken(prompt.prompt) for prompt in asks}
    proposed = {}
    for key, rubric in items.items():
        candidates = deduplicate(rubric, prompt=named[key], prompt_id=key)
        fresh = [candidate for candidate in candidates if not candidate.dropped]
        for candidate in fresh[POOL * rules.most :]:
            place = candidates.index(candidate)
            candidates[place] = replace(candidate, dropped="others are proposed more often")
        proposed[key] = candidates
    return proposed


def _items(candidates: Iterable[Candidate]) -> Rubric:
    return tuple(candidate.item for candidate in candidates if not candidate.dropped)


def _answers(
    material: Sequence[PromptMaterial], candidates: Mapping[str, Sequence[Candidate]], rules: _Rules
) -> list[Response]:
    """Every answer that people compared, with all criteria that it is judged by."""
    rubrics = {key: _items(listed) for key, listed in candidates.items()}
    kept: dict[str, Response] = {}
    for prompt in material:
        if rubric := rubrics.get(_key(prompt, rules), ()):
            kept |= {answer.id: answer for answer in prompt.answers(rubric)}
    return list(kept.values())


def _selected(
    material: Sequence[PromptMaterial],
    candidates: Mapping[str, Sequence[Candidate]],
    judged: Sequence[JudgedAnswer],
    rules: _Rules,
) -> RubricGeneration:
    """The criteria that stay, and their agreement with people on what was held out."""
    keys = {prompt.id: _key(prompt, rules) for prompt in material}
    shown: dict[str, list[CriterionVotes]] = {}
    for vote in votes_on((pair for prompt in material for pair in prompt.shown), judged):
        shown.setdefault(keys[prompt_id(vote.pair)], []).append(vote)
    held = votes_on((pair for prompt in material for pair in prompt.held_out), judged)
    decided = {key: _decided(listed, shown.get(key, []), rules) for key, listed in candidates.items()}
    kept = {key: _items(listed) for key, listed in decided.items()}
    of_prompts = [kept.get(keys[prompt_id(vote.pair)], ()) for vote in held]
    late: dict[str, list[CriterionVotes]] = {}
    drawn: dict[str, int] = {"seed": rules.seed, "resamples": rules.resamples}
    agreement, unscored = held_out_agreement(list(zip(held, of_prompts, strict=True)), **drawn)
    before, _ = held_out_agreement([(vote, vote.rubric) for vote in held], **drawn)
    for vote in held:  # once they have been measured, the rubrics of unseen prompts are as good as the others
        if not shown.get(keys[prompt_id(vote.pair)]):
            late.setdefault(keys[prompt_id(vote.pair)], []).append(vote)
    decided |= {key: _decided(candidates[key], votes, rules) for key, votes in late.items()}
    kept = {key: _items(listed) for key, listed in decided.items()}
    whole = kept.get("", ())
    return RubricGeneration(
        rubric=RubricFile(name="generated", criteria=whole) if rules.shared and whole else None,
        file=Path(),
        prompts=len(material) if not rules.shared else sum(not prompt.unseen for prompt in material),
        unwritten=0,
        candidates=tuple(candidate for listed in decided.values() for candidate in listed),
        empty=sum(not kept.get(keys[prompt.id]) for prompt in material),
        agreement=agreement,
        before=before,
        held_out_prompts=sum(prompt.unseen for prompt in material),
        unscored=unscored + sum(len(prompt.held_out) for prompt in material) - len(held),
    )


def _decided(candidates: Sequence[Candidate], votes: Sequence[CriterionVotes], rules: _Rules) -> list[Candidate]:
    """What becomes of each candidate: where people compared answers, it must separate them, and only the best stay."""
    measured = list(candidates)
    if votes:
        judged = [candidate for candidate in candidates if not candidate.dropped]
        means = separations(_items(judged), votes, seed=rules.seed, resamples=rules.resamples)
        measured = [candidate for candidate in candidates if candidate.dropped]
        measured += [
            replace(candidate, separation=mean, dropped=fate(mean, rules.margin))
            for candidate, mean in zip(judged, means, strict=True)
        ]
    measured.sort(key=_order)
    count = sum(not candidate.dropped for candidate in measured)
    late = [replace(candidate, dropped="others separate better") for candidate in measured[rules.most : count]]
    return [*measured[: min(count, rules.most)], *late, *measured[count:]]


def _order(candidate: Candidate) -> tuple[bool, bool, float]:
    """Sorts what stays first, the best of it first, and what was not measured last."""
    separates = candidate.separation
    return bool(candidate.dropped), not separates.pairs and bool(candidate.dropped), -(separates.value or 0.0)


def _saved(result: RubricGeneration, records: Sequence[Record], folder: Path, *, shared: bool) -> RubricGeneration:
    """The result with its files."""
    if shared and result.rubric is None:
        file = folder / "report.json"
        (folder / "rubric.yaml").unlink(missing_ok=True)  # of an earlier call, by which this one does not stand
    elif result.rubric is not None:
        file = result.rubric.save(folder / "rubric.yaml")
    else:
        file = folder / "rubrics.jsonl"
        rubrics: dict[str, Rubric] = {}
        for candidate in result.kept:
            rubrics[candidate.prompt_id] = (*rubrics.get(candidate.prompt_id, ()), candidate.item)
        rows = (to_row(replace(record, rubric=rubrics.get(prompt_id(record), ()))) for record in records)
        write_rows(file, rows)
    result = replace(result, file=file)
    write_atomic(folder / "report.json", to_json(result.to_row()) + "\n")
    return result
