"""`judge.iterate`: a policy samples, a judge or people label, a reward is distilled, the policy gets better; again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from judge.engines.jury import Judge, as_judges
from judge.engines.spec import read_settings
from judge.errors import InputError, RunChangedError
from judge.files import to_json, write_atomic, write_rows
from judge.hooks.scorer import scored_by_group
from judge.iteration.answers import (
    Answered,
    answers_to,
    key_of,
    labelled_values,
    split_prompts,
    true_labels,
    unlabelled,
)
from judge.iteration.chart import draw
from judge.iteration.config import IterationConfig
from judge.iteration.figures import RoundFigures, figures_of
from judge.iteration.policy_training import need_trl, train_by_grpo, train_on_best
from judge.jobs.check_progress import check_progress
from judge.jobs.distill import distill
from judge.jobs.label import label, need
from judge.jobs.reward_model import RewardModel, load_reward_model
from judge.json_input import load_json
from judge.locations.remote_files import target_path
from judge.records import Message, Response, Solution
from judge.rewards.checkpoint.metadata import REWARD_FILE
from judge.rewards.reward import Reward, RewardSource
from judge.rewards.shaping import Shaping
from judge.runs.cluster.ray_job import Runner, check_runner
from judge.runs.cluster.workers import Workers
from judge.runs.data import Data, open_data
from judge.runs.labelling import LabelJob
from judge.runs.plan import Plan
from judge.tasks import Options

ITERATE_FILE, CHART = "iterate.json", "chart.svg"
TO_LABEL, LABELLED = "to-label.jsonl", "labelled.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Iteration:
    """What came of the rounds.

    Attributes:
        directory: where all of it lies; `chart` is the picture in it.
        rounds: the figures, of the policy as it came (round 0) and after each round.
        stopped: why there are no more rounds, "" where all were made.
        waits: whether it stopped for labels of people and goes on when they are there.
    """

    directory: Path
    rounds: tuple[RoundFigures, ...]
    stopped: str = ""
    waits: bool = False

    @property
    def chart(self) -> Path:
        """The figures of all rounds as one chart."""
        return self.directory / CHART

    @property
    def policy(self) -> Path | None:
        """The policy of the round with the highest truth of best of n; None where it is the one that came."""
        best = max(self.rounds, key=lambda figures: figures.best_of, default=None)
        return None if best is None or not best.round else self.directory / f"round-{best.round}" / "policy"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        rounds = [figures.to_dict() for figures in self.rounds]
        return {"directory": str(self.directory), "rounds": rounds, "stopped": self.stopped, "waits": self.waits}

    def __repr__(self) -> str:
        lines = [f"Iteration('{self.directory}')"]
        lines += [
            f"  round {row.round}: truth {row.truth:.3f}, best of n {row.best_of:.3f}"
            + ("" if row.agreement is None else f", agreement {row.agreement:.3f}")
            for row in self.rounds
        ]
        return "\n".join([*lines, *([f"  stopped: {self.stopped}"] if self.stopped else [])])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def iterate(
    data: Data,
    *,
    policy: str | Path,
    out: str | Path | None = None,
    rounds: int = 3,
    judges: Judge | Sequence[Judge] | None = None,
    labels: Literal["judge", "human", "truth"] | str = "judge",
    task: str = "",
    kind: str = "outcome",
    backbone: str = "tiny",
    improve: Literal["best-of", "grpo"] | str = "best-of",
    n: int = 8,
    held_out: float = 0.25,
    tolerance: float = 0.05,
    engine: str = "hf",
    answer_prompt: str = "",
    temperature: float = 1.0,
    max_tokens: int = 1024,
    learning_rate: float = 1e-5,
    epochs: float = 1.0,
    batch_size: int = 8,
    shaping: Shaping | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    format: str | None = None,
    seed: int = 0,
    runner: Runner = "here",
    workers: int | str | Workers = 1,
    progress: bool = True,
) -> Iteration:
    """Improve a policy in rounds. The same call again goes on where it was interrupted.

    Each round the policy answers the training prompts n times, the answers are labelled, a reward model is distilled
    from the labels of all rounds so far, and the policy is trained on its best answers by it, or by GRPO against it.
    Then it answers the held-out prompts. Every round's answers, labels, models and figures lie in `out/round-R`.

    Args:
        data: prompts, with references where answers can be checked by them.
        policy: a model's directory or hub name.
        out: the directory of all rounds.
        rounds: how many at most; more later go on from the last.
        judges: what labels the answers, see `judge.label`.
        labels: "judge"; "human": it stops for people, who write `round-R/labelled.jsonl`; "truth": the references.
        task: what the judge is asked; by default what the kind learns from: outcome, steps or score.
        kind, backbone: of the reward model. settings: of its training, as of `judge.distill`.
        improve: "best-of" trains on the best of n answers, "grpo" by GRPO.
        n: answers to a prompt.
        held_out: the share of prompts that figures are made of and nothing learns from.
        tolerance: how far agreement or truth of best of n may fall before it stops.
        engine: what samples, hf or vllm.
        answer_prompt: a prompt of the task `answer` that the policy is shown, "" for the bare conversation.
        temperature, max_tokens: of sampling.
        learning_rate, epochs, batch_size: of the policy's training.
        shaping: of rewards, when the best answer is picked and in GRPO.
        format: force a family of formats instead of recognising it.
        seed: every draw follows from it.
        runner, workers: where the judge labels, see `judge.label`.

    Returns:
        The figures of all rounds and why it stopped: the reward's agreement with the truth (without references: with
        the judge's labels) on held-out prompts fell, the truth of best of n fell, or labels are waited for.

    Raises:
        ConfigError: for settings that do not fit together. RunChangedError: where `out` holds another iteration.
        MissingExtraError: without TRL. InputError: for data that cannot be read or has too few prompts.
    """
    need("iterate", out=out)
    check_runner(runner, workers)
    folder, jury = target_path(out or "", "directory"), as_judges(judges)
    models: dict[str, Any] = {"policy": str(policy), "judges": _names(jury), "kind": kind, "backbone": str(backbone)}
    labelling: dict[str, Any] = {"labels": labels, "task": task, "held_out": held_out, "tolerance": tolerance}
    sampling: dict[str, Any] = {"n": n, "engine": engine, "answer_prompt": answer_prompt, "max_tokens": max_tokens}
    learning: dict[str, Any] = {"learning_rate": learning_rate, "epochs": epochs, "batch_size": batch_size}
    config = IterationConfig(
        **(models | labelling | sampling | learning),
        improve=improve,
        temperature=temperature,
        shaping=Shaping.of(shaping),
        reward_settings=read_settings(settings),
        seed=seed,
    )
    _check_jury(config, jury, runner)
    need_trl()
    sources = open_data(data)
    training, measured = split_prompts(sources, format, held_out, seed)
    _claim(folder, config, [source.entry() for source in sources])
    with check_progress(shown=progress) as watch:
        loop = _Loop(folder, config, jury, training, measured, {"runner": runner, "workers": workers})
        return loop.run(rounds, watch)


class _Loop:
    """The rounds of one directory. Each stage is left out where its file or directory stands."""

    def __init__(
        self,
        folder: Path,
        config: IterationConfig,
        jury: Sequence[Judge],
        training: list[Answered],
        held: list[Answered],
        where: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.config, self.jury, self.training, self.held = folder, config, jury, training, held
        self.where = where or {}
        self.label_data: list[Path] = []

    def run(self, rounds: int, watch: Any) -> Iteration:
        """All rounds, or those until it stops."""
        figures: list[RoundFigures] = []
        stages = 4 * rounds
        for number in range(1, rounds + 1):
            place = self.folder / f"round-{number}"
            place.mkdir(parents=True, exist_ok=True)
            self._tell(watch, f"round {number}: answers and labels", 4 * number - 4, stages)
            answered = answers_to(
                self.training, place / "answers.jsonl", self._policy(number - 1), self.config, f"round-{number}"
            )
            waits = self._labelled(place, answered)
            if waits:
                return self._finished(figures, waits, waits=True)
            self._tell(watch, f"round {number}: reward model", 4 * number - 3, stages)
            reward = self._reward(place)
            if number == 1:
                figures.append(self._measured(0, reward, self.folder / "round-0"))
            self._tell(watch, f"round {number}: policy", 4 * number - 2, stages)
            self._improved(place, answered, reward, number)
            self._tell(watch, f"round {number}: held-out prompts", 4 * number - 1, stages)
            figures.append(self._measured(number, reward, place))
            self._finished(figures, "")
            if reason := self._fell(figures):
                return self._finished(figures, reason)
        return self._finished(figures, "")

    def _policy(self, number: int) -> str | Path:
        """The policy after a round, 0 the one that came."""
        return self.folder / f"round-{number}" / "policy" if number else self.config.policy

    def _labelled(self, place: Path, answered: Sequence[Answered]) -> str:
        """Label a round's answers; why that has to wait, "" where they are labelled."""
        path = place / (LABELLED if self.config.labels != "judge" else "labels")
        if self.config.labels == "judge":
            label(
                unlabelled(answered, self.config.kind),
                task=self.config.asked,
                judges=self.jury,
                out=path,
                progress=False,
                **self.where,
            )
        elif not path.exists() and self.config.labels == "truth":
            write_rows(path, true_labels(answered, self.config.kind))
        elif not path.exists():
            write_rows(place / TO_LABEL, unlabelled(answered, self.config.kind))
            return f"waits for people: label {place / TO_LABEL}, write {path}, and run the same again"
        self.label_data.append(path)
        return ""

    def _reward(self, place: Path) -> RewardModel:
        out = place / "reward"
        if not (out / REWARD_FILE).exists():
            named = {"kind": self.config.kind, "backbone": self.config.backbone, "seed": self.config.seed}
            labels = "judge" if self.config.labels == "judge" else "human"
            distill(
                [str(path) for path in self.label_data],
                out=out,
                labels=labels,
                settings={**named, **self.config.reward_settings},
                progress=False,
            )
        return load_reward_model(out)

    def _improved(self, place: Path, answered: Sequence[Answered], reward: RewardModel, number: int) -> None:
        out, begin = place / "policy", self._policy(number - 1)
        if out.exists():
            return
        if self.config.improve == "grpo":
            train_by_grpo(begin, answered, reward, out, self.config)
            return
        chosen = []
        for entry, rewards in zip(answered, _rewards(reward, answered, self.config.shaping), strict=True):
            values = [(reward.value, -place) for place, reward in enumerate(rewards) if reward.value is not None]
            if values:
                chosen.append((entry.prompt, entry.answers[-max(values)[1]]))
        if not chosen:
            raise InputError(f"{place}: no answer has a reward; there is nothing to learn from")
        train_on_best(begin, chosen, out, self.config)

    def _measured(self, number: int, reward: RewardModel, place: Path) -> RoundFigures:
        """The figures of the policy after a round, by the reward of that round (of round 0 by the first)."""
        path = place / "figures.json"
        if path.exists():
            return RoundFigures(**load_json(path.read_text("utf-8")))
        place.mkdir(exist_ok=True)
        answered = answers_to(
            self.held, place / "held-out.jsonl", self._policy(number), self.config, f"held-out-{number}"
        )
        rewards = _rewards(reward, answered, Shaping())
        values = [[entry.value if entry.probability is None else entry.probability for entry in row] for row in rewards]
        probabilities = self.config.kind in ("outcome", "process")
        figures = figures_of(number, values, self._truths(place, answered), probabilities=probabilities)
        write_atomic(path, to_json(figures.to_dict()))
        return figures

    def _truths(self, place: Path, answered: Sequence[Answered]) -> list[list[float]]:
        """Of each answer its truth by the reference; without references by the judge's labels."""
        truths = [entry.truths() for entry in answered]
        known = [[value for value in row if value is not None] for row in truths]
        if all(len(row) == len(entry.answers) for row, entry in zip(known, answered, strict=True)):
            return known
        if self.config.labels != "judge":
            raise InputError("held-out prompts need references (accepted: a field `reference` in every row)")
        run = label(
            unlabelled(answered, self.config.kind),
            task=self.config.asked,
            judges=self.jury,
            out=place / "held-out-labels",
            progress=False,
            **self.where,
        )
        labels = labelled_values(run)
        return [
            [labels.get(_key(entry, answer, self.config.kind), 0.0) for answer in entry.answers] for entry in answered
        ]

    def _fell(self, figures: Sequence[RoundFigures]) -> str:
        """Why it stops after the last round, "" where it goes on."""
        before, after = figures[-2], figures[-1]
        allowed = self.config.tolerance
        if (
            before.agreement is not None
            and after.agreement is not None
            and after.agreement < before.agreement - allowed
        ):
            return (
                f"held-out agreement of reward and truth fell from {before.agreement:.3f} to {after.agreement:.3f} "
                f"in round {after.round}, more than {allowed:g}"
            )
        if after.best_of < before.best_of - allowed:
            return (
                f"held-out truth of best of {self.config.n} fell from {before.best_of:.3f} to {after.best_of:.3f} "
                f"in round {after.round}, more than {allowed:g}"
            )
        return ""

    def _finished(self, figures: Sequence[RoundFigures], stopped: str, *, waits: bool = False) -> Iteration:
        iteration = Iteration(directory=self.folder, rounds=tuple(figures), stopped=stopped, waits=waits)
        if figures:
            write_atomic(self.folder / "rounds.json", to_json(iteration.to_dict()))
            draw(figures, iteration.chart, n=self.config.n)
        return iteration

    @staticmethod
    def _tell(watch: Any, stage: str, done: int, total: int) -> None:
        if watch is not None:
            watch(stage, done, total)


def _rewards(source: RewardSource, answered: Sequence[Answered], shaping: Shaping) -> list[list[Reward]]:
    """Shaped rewards of the answers to each prompt."""
    shaping = shaping.bound_to(source)
    texts = [
        (entry.prompt, (Message("assistant", answer),) if answer else ())
        for entry in answered
        for answer in entry.answers
    ]
    raw = iter(scored_by_group(source, texts))
    return [
        [
            shaping.shape(next(raw), length=len(answer), truth=truth)
            for answer, truth in zip(entry.answers, entry.truths(), strict=True)
        ]
        for entry in answered
    ]


def _names(jury: Sequence[Judge]) -> tuple[str, ...]:
    return tuple(judge if isinstance(judge, str) else str(judge.describe().get("model", "")) for judge in jury)


def _key(entry: Answered, answer: str, kind: str) -> str:
    if kind == "process":
        lines = tuple(line for line in answer.splitlines() if line.strip())
        return key_of(Solution(prompt=entry.prompt, steps=lines))
    return key_of(Response(prompt=entry.prompt, response=(Message("assistant", answer),)))


def _check_jury(config: IterationConfig, jury: tuple[Judge, ...], runner: Runner) -> None:
    """Raise ConfigError for judges that the workers of a cluster cannot have."""
    if runner == "ray" and config.labels == "judge":
        plan = Plan(data=(), task=config.asked, judges=jury, options=Options(judges=len(jury)))
        with closing(LabelJob(plan)) as job:
            job.recipe()


def _claim(folder: Path, config: IterationConfig, data: Sequence[Any]) -> None:
    """Take the directory for this iteration; raises RunChangedError where it is another's."""
    wanted = json.loads(to_json({**config.to_dict(), "data": list(data)}))
    path = folder / ITERATE_FILE
    if path.exists():
        before = load_json(path.read_text("utf-8"))
        changed = sorted(name for name in {*before, *wanted} if before.get(name) != wanted.get(name))
        if changed:
            shown = ", ".join(f"{name} {before.get(name)!r} is now {wanted.get(name)!r}" for name in changed)
            raise RunChangedError(f"{folder}: holds another iteration: {shown}")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, to_json(wanted))
