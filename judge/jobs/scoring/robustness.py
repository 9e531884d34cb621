"""`judge.robustness`: how far a reward model can be trusted on other data, and what length and edits do to it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.agreement.robustness.comparisons import Comparisons, compare
from judge.errors import ConfigError, InputError
from judge.files import write_atomic
from judge.formats import BadRow, OnBad
from judge.jobs.check_progress import check_progress
from judge.jobs.label import need
from judge.jobs.reward_model import CARD, RewardModel
from judge.jobs.reward_source import open_scoring_model
from judge.jobs.scoring.scoring_model import ScoringModel
from judge.records import Record, Response, content_id, plain, plain_rows, spoken
from judge.report.robustness import RobustnessReport
from judge.rewards.inference.judgements import Rule
from judge.run_files import MANIFEST
from judge.runs.data import Data, open_data
from judge.runs.reader import Run, open_run

if TYPE_CHECKING:
    from judge.agreement.robustness.rewards import Scorer

RewardFunction = Callable[[Sequence[str], Sequence[str]], Sequence[float | None]]
"""(prompts, completions) to rewards, as TRL calls one."""

BEGIN, END = "<!-- robustness: written by `rmjudge robustness` -->", "<!-- /robustness -->"


def robustness(
    model: "str | Path | ScoringModel | Run | RewardFunction",
    data: Data | None = None,
    *,
    shifted: Data | None = None,
    slices: Sequence[str] = (),
    probe: str | Sequence[str] | None = None,
    k: int = 16,
    pairs: int = 300,
    format: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    lower: float = 0.0,
    convention: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    resamples: int = 1_000,
    seed: int = 0,
    card: bool = False,
    progress: bool = True,
) -> RobustnessReport:
    """Measure a reward model in and out of distribution, and under edits that it should not like.

    Args:
        model: a reward model, its directory or its name on the hub, whoever trained it; a run of `judge.score`, whose
            rewards are read (no edits then); or a function of (prompts, completions) to rewards.
        data: labelled pairs, rankings or scored responses; of a run its own rows where none is given.
        shifted: labelled data out of distribution; the gap is accuracy on `data` minus accuracy on it.
        slices: fields of the rows to slice by; those of two to twenty values where none is named.
        probe: edits, see `judge.agreement.robustness.probes`; all where none is named, "none" for none.
        k: compositions of edits tried on each worse response; 0 tries none.
        pairs: comparisons that are edited, drawn by the seed.
        format: the family of formats of the data, where it is not to be recognised.
        limit: only the first so many records of each data.
        skip_bad: rows that cannot be read are left out; else they end it.
        lower: a reward is the model's minus so many of its standard deviations.
        convention: read someone else's process model as its makers do, see `judge.score`.
        dtype, device: of the weights; else as saved, and a GPU if there is one.
        resamples: draws of the bootstrap by prompt; without any, nothing is found.
        seed: every draw follows from it.
        card: write the findings to the model's card, README.md, in a section of their own.
        progress: False draws none.

    Returns:
        The report; `wrong` says whether something was found.

    Raises:
        InputError: for what cannot be read, and for data without a comparison.
        ConfigError: for options that do not fit each other.
    """
    from judge.agreement.robustness.build import RobustnessConfig, examine
    from judge.agreement.robustness.probes import chosen_probes

    model = _opened(model)
    need("robustness", data=data is not None or isinstance(model, Run))
    for name, number in (("k", k), ("pairs", pairs), ("resamples", resamples)):
        if number < 0:
            raise ConfigError(f"{name}: found {number} (accepted: 0 and more)")
    folder = _card_folder(model) if card else None
    config = RobustnessConfig(
        probes=chosen_probes(probe),
        k=k,
        pairs=pairs,
        slices=tuple(slices),
        edits=not isinstance(model, Run),
        resamples=resamples,
        seed=seed,
    )
    inside = _comparisons(data if data is not None else model, format, limit, skip_bad, slices)
    outside = None if shifted is None else _comparisons(shifted, format, limit, skip_bad, ())
    if isinstance(model, Run):
        scorer = _of_runs([model, *_runs(data), *_runs(shifted)])
    else:
        scorer = _scorer(model, lower=lower, convention=convention or "", dtype=dtype or "", device=device or "")
    with check_progress(shown=progress) as watch:
        examined = examine(_name(model), scorer, inside, outside, config, watch or _silent)
    names = _names(data if data is not None else model)
    report = RobustnessReport(replace(examined, data=names, shifted=_names(shifted)))
    if folder is not None:
        write_card(folder, report)
    return report


def write_card(folder: Path, report: RobustnessReport) -> None:
    """Put the report's section into a model's card, in place of an earlier one.

    Raises:
        InputError: where the directory has no card.
    """
    path = folder / CARD
    if not path.is_file():
        raise InputError(f"{path}: there is no model card to write to")
    text = path.read_text("utf-8")
    section = f"{BEGIN}\n{report.card()}\n{END}"
    earlier = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if earlier.search(text):
        text = earlier.sub(lambda match: section, text, count=1)
    elif "\n## Labels" in text:  # below the figures of training
        head, tail = text.split("\n## Labels", 1)
        text = f"{head}\n{section}\n\n## Labels{tail}"
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    write_atomic(path, text)


def _opened(model: "str | Path | ScoringModel | Run | RewardFunction") -> "Path | ScoringModel | Run | RewardFunction":
    """A run where a directory holds one; a path stays one."""
    if isinstance(model, str | Path):
        path = Path(str(model).removeprefix("hf://"))
        if not path.exists() and re.match(r"\w+:", str(path)):
            raise ConfigError(
                f"model '{model}': a judge gives verdicts, not rewards; `rmjudge audit` tries edits on it"
            )
        return open_run(path) if (path / MANIFEST).is_file() else path
    if isinstance(model, ScoringModel | Run) or callable(model):
        return model
    raise ConfigError(
        f"model of the type {type(model).__name__} (accepted: a directory, a RewardModel, a Run, a function)"
    )


def _name(model: "Path | ScoringModel | Run | RewardFunction") -> str:
    match model:
        case Path():
            return model.resolve().name
        case ScoringModel():
            return model.name
        case Run():
            return model.directory.resolve().name
        case _:
            return getattr(model, "__name__", type(model).__name__)


def _card_folder(model: "Path | ScoringModel | Run | RewardFunction") -> Path:
    folder = model if isinstance(model, Path) else model.path if isinstance(model, RewardModel) else None
    if folder is None:
        raise ConfigError("card needs a reward model's directory: a run and a function have no card")
    if not (folder / CARD).is_file():
        raise InputError(f"{folder / CARD}: there is no model card to write to")
    return folder


def _comparisons(
    data: Any, format: str | None, limit: int | None, skip_bad: bool, slices: Sequence[str]
) -> Comparisons:
    """What people compare in data; InputError for a field to slice by that no row has."""
    skipped: list[BadRow] = []
    comparisons = compare(_limited(open_data(data), format, limit, skipped.append if skip_bad else None))
    comparisons.skipped = [bad.place for bad in skipped]
    for name in slices:
        if not any(name in named for named in comparisons.fields):
            known = sorted({field for named in comparisons.fields for field in named})
            raise InputError(f"no row has a field '{name}' to slice by (fields: {', '.join(known) or 'none'})")
    return comparisons


def _limited(
    sources: Sequence[Any], format: str | None, limit: int | None, on_bad: OnBad | None
) -> Iterator[tuple[str, Record]]:
    count = 0
    for source in sources:
        for _, record in source.records(format, on_bad):
            if limit is not None and count >= limit:
                return
            count += 1
            yield source.name, record


def _names(data: Any) -> tuple[str, ...]:
    """What the sources of data are called."""
    return () if data is None else tuple(source.name for source in open_data(data))


def _silent(what: str, done: int, total: int) -> None:
    """No progress."""


# -- what gives rewards -----------------------------------------------------------------------------------------------


def _scorer(
    model: "Path | ScoringModel | RewardFunction", *, lower: float, convention: str, dtype: str, device: str
) -> "Scorer":
    if not isinstance(model, Path | ScoringModel):
        return _of_function(model)
    if isinstance(model, Path):
        loaded: ScoringModel = open_scoring_model(model, convention=convention, dtype=dtype, device=device)
    else:
        loaded = model
    Rule(lower=lower).check(loaded.config)

    def score(answers: Sequence[Response]) -> list[float | None]:
        rewards = [reward for (reward,) in loaded.score_batch(answers)]
        return [None if reward.value is None else reward.value - lower * (reward.std or 0.0) for reward in rewards]

    return score


def _of_function(function: "RewardFunction") -> "Scorer":
    def score(answers: Sequence[Response]) -> list[float | None]:
        rewards = function(
            [spoken(answer.prompt) for answer in answers], [spoken(answer.response) for answer in answers]
        )
        if len(rewards) != len(answers):
            raise InputError(f"the reward function gave {len(rewards)} rewards for {len(answers)} texts")
        return list(rewards)

    return score


def _runs(data: Any) -> list[Run]:
    """The runs that data is."""
    parts = data if isinstance(data, list | tuple) else [data]
    is_run = [isinstance(part, str | Path) and (Path(part) / MANIFEST).is_file() for part in parts]
    opened = [open_run(part) for part, named in zip(parts, is_run, strict=True) if named]
    return opened + [part for part in parts if isinstance(part, Run)]


def _of_runs(runs: Sequence[Run]) -> "Scorer":
    """Rewards by text, as runs of `judge.score` hold them."""
    rewards: dict[str, float] = {}
    for run in runs:
        for row in run.rows():
            scores = ((row.get("meta") or {}).get("reward") or {}).get("scores")
            if not scores:
                raise InputError(f"{run.directory}: row {row['id']} has no scores; it is no run of `rmjudge score`")
            prompt = plain_rows(row["prompt"])
            rewards |= {
                content_id(prompt, plain_rows(part)): score for part, score in zip(_responses(row), scores, strict=True)
            }
    return lambda answers: [rewards.get(content_id(plain(answer.prompt), plain(answer.response))) for answer in answers]


def _responses(row: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    match row["kind"]:
        case "pair":
            return [row["first"], row["second"]]
        case "ranking":
            return list(row["responses"])
        case "response":
            return [row["response"]]
        case _:
            return [row.get("turns") or [{"role": "assistant", "content": "\n".join(row["steps"])}]]
