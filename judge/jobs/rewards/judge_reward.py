"""A judge as a source of rewards: its score, P(right), P(all steps right), or its tournament of responses."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from statistics import fmean
from threading import Lock
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from judge.engines import ENGINES
from judge.engines.jury import Judge, as_judges
from judge.engines.spec import parse_spec, read_settings
from judge.errors import ConfigError, EngineError, unknown
from judge.jobs.label import rubric_options, worded_options
from judge.jobs.reward_rows import records_of
from judge.judgements import Judgement, Order, Score, Steps, shape_of, shapes
from judge.records import (
    Conversation,
    Ranking,
    Record,
    Response,
    Solution,
    as_steps,
    content_id,
    is_trajectory,
    plain,
    responses_of,
)
from judge.rewards.reward import Reward, Scorable
from judge.runs.counts import Counts
from judge.runs.labelling import LabelJob
from judge.runs.plan import Plan
from judge.runs.scheduler import run
from judge.secrets import mask_secrets
from judge.tasks import Options
from judge.tasks.views import responses

ALONE = "a tournament needs two or more responses to one prompt"
EMPTY = "an empty response"


class JudgeReward:
    """A judge that gives rewards; a `RewardSource`.

    | task | value of a reward | beside it |
    |---|---|---|
    | `score` | the mean of the scale under the scores' probabilities; of several criteria their mean | `objectives` |
    | `checklist` | the expected share of the rubric's points, 0 to 1 | `objectives`: P(met) of each criterion |
    | `outcome` | P(right) | `probability` |
    | `steps` | P(all steps right), the product over the steps | `steps`, `probability` |
    | another | of the form "scores" as `score`, or the probability of the first label | |
    | `tournament` | Bradley-Terry log-strength among the responses to the same prompt, mean 0 | |

    All rows of a call are judged side by side; calls of several threads wait for one another. An engine that was named
    by a spec is loaded once and let go by `close` or at the end of a `with` block; one of the caller's own stays open.

    Attributes:
        task: what the judge is asked.
        counts: what all calls so far have cost: `counts.calls`, tokens.
    """

    def __init__(
        self,
        judges: Judge | Sequence[Judge],
        *,
        task: Literal["score", "checklist", "outcome", "steps", "tournament"] | str = "score",
        prompt: str | Path = "",
        tournament: Literal["full", "swiss", "knockout"] | str = "",
        rounds: int = 0,
        settings: Mapping[str, Any] | Iterable[str] | None = None,
        seed: int = 0,
        votes: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_tokens: int | None = None,
        retries: int = 2,
        one_order: bool = False,
        hard: bool = False,
        low: int = 1,
        high: int = 5,
        criterion: str | Sequence[str] = (),
        rubric: str | Path | Sequence[Any] = "",
        no_reference: bool = False,
    ) -> None:
        """
        Args:
            judges: a spec ("vllm:MODEL"), an `Engine`, or several of these: a jury.
            task: score, checklist, outcome, steps, tournament, or one of a plugin that gives scores or a probability.
            prompt: a shipped prompt's name or a path; else the judge's or the task's default.
            tournament: full, swiss (the default) or knockout; rounds: of a Swiss one.
            settings: for those engines that know them; a mapping, or texts NAME=VALUE.
            criterion: named qualities, "NAME" or "NAME=MEANING", that `score` asks one by one.
            rubric: what the scores of `score` mean; of `checklist` the criteria, as `judge.label` takes them.
            seed, votes, temperature, top_p, max_tokens, retries, one_order, hard, low, high, no_reference: how
                to ask; see `Options`.

        Raises:
            ConfigError: for an unknown task or engine, and for settings that do not fit each other.
        """
        self.task, self.counts = task, Counts()
        if task not in (accepted := reward_tasks()):
            raise unknown("task of a reward", task, accepted)
        if task != "tournament" and (tournament or rounds):
            raise ConfigError(f"tournament and rounds are for task='tournament', found task='{task}'")
        named = as_judges(judges)
        words = worded_options(hard=hard, no_reference=no_reference, steps=None, criterion=criterion or None)
        options = Options(
            judges=len(named),
            seed=seed,
            votes=votes,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            retries=retries,
            one_order=one_order,
            low=low,
            high=high,
            tournament=(tournament or "swiss") if task == "tournament" else "",
            rounds=rounds,
            **{name: value for name, value in words.items() if value is not None},
            **rubric_options(task, rubric),
        )
        self._lock, self._interrupted = Lock(), False
        self._job = LabelJob(
            Plan(
                data=(),
                task="ranking" if task == "tournament" else task,
                judges=named,
                prompt=str(prompt),
                options=options,
                settings=read_settings(settings),
            )
        )

    @property
    def name(self) -> str:
        """The judges' specs and the task."""
        judges = [
            mask_secrets(judge) if isinstance(judge, str) else str(judge.describe().get("model", "judge"))
            for judge in self._job.plan.judges
        ]
        return f"{', '.join(judges)} by {self.task}"

    @cached_property
    def version(self) -> str:
        """A hash of the engines, the prompt and the options."""
        config = self._job.config()
        return content_id([config[name] for name in ("task", "prompt", "judges", "options")])

    @property
    def compares(self) -> bool:
        """Whether a response's reward depends on the others of its prompt."""
        return self.task == "tournament"

    @cached_property
    def loaded(self) -> "JudgeReward":
        """Itself, the models that run in this process loaded; else the first row loads them."""
        for engine in self._job.engines:
            for name in ("engine", "model"):  # of vllm and hf
                getattr(engine, name, None)
        return self

    def score_batch(self, rows: Sequence[Scorable]) -> list[list[Reward]]:
        """The rewards of many rows, judged side by side.

        Args:
            rows: records, (prompt, response) pairs, or rows as dicts of any format. For a tournament the responses of a
                pair or ranking stand together, and so do rows of one response each that have the same prompt.

        Returns:
            Of each row, in its order, a reward a response; what could not be read has no value and says why.

        Raises:
            EngineError: when a judge gave out. TemplateError: for what the prompt needs and a row lacks.
        """
        records = records_of(rows, process=self.task == "steps")
        rewards = [[Reward(value=None, reason=EMPTY) for _ in responses_of(record)] for record in records]
        units = list(_groups(records) if self.task == "tournament" else _single(records, self.task))
        units = [self._fit(unit) for unit in units]
        judgements = self._judged([unit.record for unit in units if unit.record is not None])
        for unit in units:
            judged = unit.known if unit.record is None else _rewards(judgements[unit.record.id])
            for row, place, number in unit.places:
                rewards[row][place] = judged[number]
        return rewards

    def close(self) -> None:
        """Let go of the models that were loaded for it."""
        self._job.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"JudgeReward('{self.name}')"

    def _fit(self, unit: "_Unit") -> "_Unit":
        """The unit, or one without a record where the task cannot judge it."""
        unfit = self._job.spec.unfit
        reason = unfit(unit.record, self._job.plan.options) if unfit is not None and unit.record is not None else ""
        return unit._replace(record=None, known=(Reward(value=None, reason=reason),)) if reason else unit

    def _judged(self, records: Sequence[Record]) -> dict[str, Judgement]:
        """The judgements of records by id."""
        judgements: dict[str, Judgement] = {}

        def keep(record: Record, judgement: Judgement) -> Mapping[str, Any]:
            judgements[record.id] = judgement
            return {"judgement": {"task": judgement.task, "verdict": None, "reason": judgement.reason}}

        for record in records:
            self._job.render(record)  # what a prompt refuses is said before an engine holds any request
        with self._lock:
            if self._interrupted:  # its engines still hold requests, whose answers would be taken for those of others
                raise EngineError(f"{self.name}: an earlier call ended in the middle; open the judge again")
            self._interrupted = True
            run(
                records,
                self._job.program,
                self._job.engines,
                _Nowhere(),
                keep,
                counts=self.counts,
                window=max(len(records), 1),
            )
            self._interrupted = False
        return judgements


class _Nowhere:
    """A sink that keeps nothing: judgements are taken where their rows would be made."""

    done: frozenset[str] = frozenset()

    def write(self, row: Mapping[str, Any], *, readable: bool) -> None:
        """See Sink."""

    def sync(self) -> None:
        """See Sink."""


class _Unit(NamedTuple):
    """What is judged as one.

    Attributes:
        record: what the judge is given; None where there is nothing to judge.
        places: (row, response, which of the unit's rewards is its) of each response.
        known: the rewards, where they are known without a judge.
    """

    record: Record | None
    places: list[tuple[int, int, int]]
    known: tuple[Reward, ...] = ()


def _single(records: Sequence[Record], task: str) -> Iterator[_Unit]:
    """Each response of each record, those with text."""
    for row, record in enumerate(records):
        for place, alone in enumerate(responses(record)):
            if any(map(_has_text, responses_of(alone))):
                yield _Unit(_as_solution(alone) if task == "steps" else alone, [(row, place, 0)])


def _as_solution(record: Response | Solution) -> Solution:
    """A response whose lines are its steps; of a trajectory the agent's turns are."""
    if isinstance(record, Solution):
        return record
    if is_trajectory(record.response):
        return as_steps(record)
    lines = "\n".join(message.content for message in record.response).splitlines()
    steps = tuple(line for line in lines if line.strip())
    return Solution(prompt=record.prompt, steps=steps, reference=record.reference)


def _groups(records: Sequence[Record]) -> Iterator[_Unit]:
    """The responses of each pair and ranking, and rows of one response each by their prompt; those without text are
    left out. Responses that are the same enter a tournament once."""
    groups: dict[object, list[tuple[int, int, Conversation]]] = {}
    for row, record in enumerate(records):
        key = content_id(plain(record.prompt)) if isinstance(record, Response | Solution) else row
        members = [(row, place, response) for place, response in enumerate(responses_of(record))]
        groups.setdefault(key, []).extend(member for member in members if _has_text(member[2]))
    for group in groups.values():
        texts: dict[str, Conversation] = {}
        for _, _, response in group:
            texts.setdefault(content_id(plain(response)), response)
        order = {text: number for number, text in enumerate(texts)}
        places = [(row, place, order[content_id(plain(response))]) for row, place, response in group]
        if len(texts) > 1:
            record = records[group[0][0]]
            together = Ranking(prompt=record.prompt, responses=tuple(texts.values()), reference=record.reference)
            yield _Unit(together, places)
        elif group:
            same = Reward(value=0.0) if len(group) > 1 else Reward(value=None, reason=ALONE)
            yield _Unit(None, places, known=(same,))


def _has_text(response: Conversation) -> bool:
    return any(message.content.strip() or message.more for message in response)


def _rewards(judgement: Judgement) -> tuple[Reward, ...]:
    """The rewards that a judgement gives, one a response that was judged."""
    match judgement:
        case Score():
            return (_of_score(judgement),)
        case Steps():
            return (_of_steps(judgement),)
        case Order():
            return _of_order(judgement)
        case _:
            probability = shape_of(judgement.task).p(judgement)
            reason = judgement.reason if probability is None else ""
            return (Reward(value=probability, probability=probability, reason=reason),)


def _of_score(judgement: Score) -> Reward:
    """The score of the whole, else the mean over criteria: of each the scale's mean under the probabilities, the score
    itself where there are none."""
    scores = {
        name: number if (mean := judgement.expected.get(name)) is None else mean
        for name, number in judgement.verdict.items()
    }
    read = {name: float(value) for name, value in scores.items() if value is not None}
    if len(read) < len(scores):
        return Reward(value=None, reason=judgement.reason)
    named = {name: value for name, value in read.items() if name}
    return Reward(value=read[""] if "" in read else fmean(read.values()), objectives=named or None)


def _of_steps(judgement: Steps) -> Reward:
    steps = [p for p in judgement.p_right if p is not None]
    if not steps or len(steps) < len(judgement.p_right):
        return Reward(value=None, reason=judgement.reason or "no steps")
    return Reward(value=prod(steps), probability=prod(steps), steps=tuple(steps))


def _of_order(judgement: Order) -> tuple[Reward, ...]:
    """Strengths; where comparisons do not join all responses, those of the largest group."""
    strengths = judgement.strengths or ()
    groups = judgement.groups or (0,) * len(strengths)
    return tuple(
        Reward(value=None, reason=judgement.reason) if group else Reward(value=strength)
        for strength, group in zip(strengths, groups, strict=True)
    )


def reward_tasks() -> tuple[str, ...]:
    """The tasks whose judgements of a response are a number, and the tournament."""
    numbers = [
        name
        for name, shape in shapes().items()
        if shape.form in ("scores", "steps") or (shape.form == "label" and shape.probability and not shape.paired)
    ]
    return (*numbers, "tournament")


def names_judge(source: str | Path) -> bool:
    """Whether a text is a judge's spec and no path: `vllm:MODEL`, `tiny`."""
    text = str(source)
    if Path(text).exists():
        return False
    return bool(re.match(r"[A-Za-z]\w+:(?!//)", text)) or parse_spec(text).kind in ENGINES


def judge_reward(judges: Judge | Sequence[Judge], settings: Mapping[str, Any]) -> JudgeReward:
    """A judge's rewards by settings of their names.

    Raises:
        UnknownNameError: for a setting that `JudgeReward` does not have; and what that raises.
    """
    accepted = [name for name in inspect.signature(JudgeReward).parameters if name != "judges"]
    for name in settings:
        if name not in accepted:
            raise unknown("setting of a judge's reward", name, accepted)
    return JudgeReward(judges, **settings)
