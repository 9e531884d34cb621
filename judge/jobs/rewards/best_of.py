"""`judge.best_of`: the best of n responses by a reward, and with the truth what choosing so is worth against n."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from judge.agreement.best_of.schema import BestOfConfig, Candidates, Searched
from judge.agreement.best_of.truth import answers_of, final_answer, known_answer, truth_of
from judge.engines.base import Completion, Engine
from judge.engines.jury import Judge
from judge.engines.spec import read_settings
from judge.errors import ConfigError, InputError, unknown
from judge.files import write_rows
from judge.formats import BadRow, OnBad, to_row
from judge.jobs.check_progress import check_progress
from judge.jobs.label import need
from judge.jobs.reward_source import open_reward
from judge.jobs.rewards.policy import Draft, Policy
from judge.jobs.rewards.step_search import StepSearch, Watch, search
from judge.records import (
    Conversation,
    Message,
    Record,
    Response,
    content_id,
    plain,
    responses_of,
    spoken,
)
from judge.report.best_of import BestOfReport
from judge.rewards.inference.best_of_n import best_of as best_rows
from judge.rewards.reward import Reward, RewardSource, Scorable
from judge.rewards.shaping import Shaping
from judge.runs.data import Data, open_data, reject

AT_ONCE = 1024
"""Responses that are scored in one call; those of a prompt are never parted."""
SEARCHES = ("steps",)
NO_TRUTH = (
    "no row says whether a response is right (accepted: a reference, `correct` or people's labels; "
    "--gold MODEL measures by a second model, --picks FILE writes the picks alone)"
)


def best_of(
    model: str | Path | RewardSource | Engine,
    data: Data | None = None,
    *,
    n: int | None = None,
    gold: str | Path | RewardSource | Engine | None = None,
    task: str | None = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    gold_settings: Mapping[str, Any] | Iterable[str] | None = None,
    shaping: Shaping | Mapping[str, Any] | None = None,
    picks: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    policy: Judge | None = None,
    search: Literal["steps"] | str | None = None,
    beams: int = 4,
    width: int = 4,
    max_steps: int = 32,
    step_end: str = "\n",
    answer_prompt: str = "",
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 1024,
    policy_settings: Mapping[str, Any] | Iterable[str] | None = None,
    resamples: int = 1_000,
    seed: int = 0,
    progress: bool = True,
) -> BestOfReport:
    """Choose the best response to each prompt by a reward, and say what that is worth.

    Args:
        model: what gives the rewards, see `judge.open_reward`: a model's directory, a judge's spec, an object.
        data: responses: rankings, or responses and solutions that meet by their prompt. The truth is people's labels,
            `correct`, or a reference that the final answer is held against; the reward never sees it.
        n: how many responses to choose from; by default as many as most prompts have.
        gold: a second model; its reward of the pick, against n, shows overoptimisation.
        task: of a judge: score, outcome, steps or tournament.
        settings, gold_settings: further settings of what is opened; a mapping, or texts NAME=VALUE.
        shaping: of the reward before the choice: a `Shaping`, or its fields by name.
        picks: a file for the best responses, a row {prompt, completion, reward, of, margin} a prompt.
        policy: an engine that writes n responses to each prompt of the data, in place of the data's.
        search: "steps": the policy also searches by steps against the model, and is held against the best of as many
            whole answers as have the same tokens. beams, width, max_steps, step_end: of it; see `StepSearch`.
        answer_prompt, temperature, top_p, max_tokens, policy_settings: of the policy; see `Policy`.
        resamples: of the bootstrap over prompts; 0: no intervals and no finding.
        seed: every draw follows from it.

    Returns:
        The report; `wrong` says whether something was found, `picks` are the best responses.

    Raises:
        ConfigError: for arguments that do not fit together, and what `judge.open_reward` raises.
        InputError: for data without a truth where nothing else is asked for, without two responses to a prompt, with
            fewer than n, and where nothing could be scored.
    """
    from judge.agreement.best_of.build import build

    need("best_of", data=data is not None)
    assert data is not None
    steps = StepSearch(beams=beams, width=width, max_steps=max_steps, step_end=step_end)
    sampling = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "seed": seed}
    writing = _Writing(policy, answer_prompt, sampling, policy_settings, steps, search=search or "", n=n or 0)
    sources, skipped = open_data(data), list[BadRow]()
    groups = _groups(sources, format, limit, skipped.append if skip_bad else None, written=policy is not None)
    chosen = read_settings(settings) | ({"task": task} if task else {})
    with check_progress(shown=progress) as watch:
        with _opened(model, chosen) as source:
            name, shape = source.name, Shaping.of(shaping).bound_to(source)
            searched = writing.write(groups, source, watch)
            scored = _scored(source, groups, shape, watch)
        gold_name, golds = _gold(gold, gold_settings, groups, watch)
    report = build(
        name,
        _candidates(groups, scored, golds),
        BestOfConfig(n=n or 0, resamples=resamples, seed=seed),
        gold=gold_name,
        data=tuple(part.name for part in sources),
        policy=writing.name,
        searched=searched,
    )
    if not (report.truth or report.gold or picks):
        raise InputError(f"{_names(sources)}: no truth: {NO_TRUTH}")
    best = list(_picks(groups, scored))
    if picks is not None:
        write_rows(picks, best)
    return BestOfReport(replace(report, skipped=len(skipped)), picks=best)


@dataclass(slots=True)
class _Group:
    """The responses to one prompt, as records or as a policy wrote them.

    Attributes:
        id: of the prompt. reference: the known answer's text, "" for none.
    """

    id: str
    prompt: Conversation
    reference: str = ""
    records: list[Record] = field(default_factory=list)

    @property
    def responses(self) -> list[Conversation]:
        """All of them."""
        return list(chain.from_iterable(responses_of(record) for record in self.records))


def _groups(
    sources: Sequence[Any], format: str | None, limit: int | None, on_bad: OnBad | None, *, written: bool
) -> list[_Group]:
    """The prompts of data with their responses, in order. written: the policy writes these, so none are needed."""
    groups: dict[str, _Group] = {}
    placed = chain.from_iterable(source.records(format, on_bad) for source in sources)
    for place, record in islice(placed, limit):
        if not record.prompt:
            reject(place, "no prompt; responses meet by their prompt", on_bad)
            continue
        if not written and not all(spoken(response).strip() for response in responses_of(record)):
            reject(place, f"a {record.kind} without its text; there is nothing to choose from", on_bad)
            continue
        key = content_id(plain(record.prompt))
        group = groups.setdefault(key, _Group(key, record.prompt))
        group.reference = group.reference or getattr(record, "reference", "")
        group.records.append(record)
    if not groups:
        raise InputError(f"{_names(sources)}: holds nothing to choose from")
    return list(groups.values())


def _names(sources: Sequence[Any]) -> str:
    return ", ".join(source.name for source in sources)


@contextmanager
def _opened(model: Any, settings: Mapping[str, Any]) -> Iterator[RewardSource]:
    """What gives rewards; closed at the end where it was opened here and can be closed."""
    source = open_reward(model, **settings)
    close = getattr(source, "close", None) if source is not model else None
    with closing(source) if close is not None else nullcontext():  # type: ignore[type-var]
        yield source


# ---- what a policy writes --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Writing:
    """What writes the responses: nothing where they are the data's.

    Attributes:
        n: answers to each prompt, 0 for the default. name: of the policy, once it was there.
    """

    policy: Judge | None
    prompt: str
    sampling: Mapping[str, Any]
    settings: Mapping[str, Any] | Iterable[str] | None
    steps: StepSearch
    search: str
    n: int
    name: str = ""

    def __post_init__(self) -> None:
        if self.search and self.search not in SEARCHES:
            raise unknown("search", self.search, SEARCHES)
        if self.search and self.policy is None:
            raise ConfigError("a search is of a policy: name the engine that writes the answers (policy, --policy)")
        if self.n < 0 or self.n == 1:
            raise ConfigError(f"n: found {self.n} (accepted: 2 and more)")

    def write(self, groups: Sequence[_Group], source: RewardSource, watch: Watch | None) -> list[Searched]:
        """Put the policy's answers into the groups, and search by steps if that is asked for."""
        if self.policy is None:
            return []
        if self.search and not any(known_answer(group.reference) for group in groups):
            raise InputError("no truth: a search is measured by rows whose reference is the known answer")
        policy = Policy(self.policy, prompt=self.prompt, settings=self.settings, **self.sampling)
        with closing(policy):
            self.name = policy.name
            count = self.n or (self.steps.beams * self.steps.width if self.search else 16)
            costs = _answers(policy, groups, count, watch)
            return _search(policy, source, groups, self.steps, costs, watch) if self.search else []


def _answers(policy: Policy, groups: Sequence[_Group], n: int, watch: Watch | None) -> dict[str, float]:
    """n answers of the policy to each prompt, in place of the data's; the mean tokens of one, by prompt."""
    if watch is not None:
        watch("answers", 0, len(groups) * n)
    drafts = [Draft(group.prompt, "", f"{group.id}/answer/{draw}") for group in groups for draw in range(n)]
    completions = policy.write(drafts)
    costs: dict[str, float] = {}
    for number, group in enumerate(groups):
        whole = [part for part in completions[number * n : (number + 1) * n] if part.finish != "error"]
        group.records = [_written(group, part) for part in whole if part.text.strip()]
        costs[group.id] = sum(part.output_tokens for part in whole) / max(len(whole), 1)
    return costs


def _written(group: _Group, completion: Completion) -> Response:
    message = Message("assistant", completion.text.strip())
    return Response(prompt=group.prompt, response=(message,), reference=group.reference)


def _search(
    policy: Policy,
    source: RewardSource,
    groups: Sequence[_Group],
    settings: StepSearch,
    costs: Mapping[str, float],
    watch: Watch | None,
) -> list[Searched]:
    """What a search by steps finds for each prompt whose answer is known."""
    known = {group.id: answer for group in groups if (answer := known_answer(group.reference)) is not None}
    prompts = {group.id: group.prompt for group in groups if group.id in known}
    results = search(policy, source, prompts, settings, watch)
    return [
        Searched(key, float(final_answer("\n".join(each.steps)) == known[key]), each.tokens, costs[key])
        for key, each in results.items()
    ]


# ---- rewards ---------------------------------------------------------------------------------------------------------


def _scored(
    source: RewardSource, groups: Sequence[_Group], shaping: Shaping, watch: Watch | None
) -> list[list[Reward]]:
    """The shaped rewards of each prompt's responses. The source is given no label, reference or other field."""
    rewards: list[list[Reward]] = []
    total = sum(len(group.responses) for group in groups)
    for batch in _batches(groups):
        if watch is not None:
            watch(source.name, sum(map(len, rewards)), total)
        rows = [_bare(record) for group in batch for record in group.records]
        scored = iter(source.score_batch(rows))
        for group in batch:
            each = list(chain.from_iterable(next(scored) for _ in group.records))
            truths = list(chain.from_iterable(map(truth_of, group.records)))
            rewards.append(
                [
                    shaping.shape(reward, length=len(spoken(response)), truth=truth) if shaping else reward
                    for reward, response, truth in zip(each, group.responses, truths, strict=True)
                ]
            )
    unread = [reward.reason for each in rewards for reward in each if reward.value is None]
    if unread and len(unread) == sum(map(len, rewards)):
        raise InputError(f"{source.name} gave no reward to any of {len(unread):,} responses: {unread[0]}")
    return rewards


def _batches(groups: Sequence[_Group]) -> Iterator[list[_Group]]:
    """Prompts with about AT_ONCE responses together."""
    batch: list[_Group] = []
    count = 0
    for group in groups:
        batch.append(group)
        count += len(group.responses)
        if count >= AT_ONCE:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def _bare(record: Record) -> Scorable:
    """A record's texts and its rubric, without labels and known answers. Of a response that has no rubric the lines are
    a process model's steps."""
    if isinstance(record, Response) and not record.rubric:
        return record.prompt, record.response
    return replace(record, reference="", human=(), meta={})


def _gold(
    model: Any, settings: Mapping[str, Any] | Iterable[str] | None, groups: Sequence[_Group], watch: Watch | None
) -> tuple[str, list[list[Reward]]]:
    """The name and the rewards of the second model, nothing without one."""
    if model is None:
        return "", []
    with _opened(model, read_settings(settings)) as source:
        return source.name, _scored(source, groups, Shaping(), watch)


def _candidates(
    groups: Sequence[_Group], scored: Sequence[Sequence[Reward]], golds: Sequence[Sequence[Reward]]
) -> list[Candidates]:
    return [
        Candidates(
            prompt=group.id,
            rewards=[reward.value for reward in scored[number]],
            truth=list(chain.from_iterable(map(truth_of, group.records))),
            answers=list(chain.from_iterable(map(answers_of, group.records))),
            gold=[reward.value for reward in golds[number]] if golds else (),
        )
        for number, group in enumerate(groups)
    ]


def _picks(groups: Sequence[_Group], scored: Sequence[Sequence[Reward]]) -> Iterator[dict[str, Any]]:
    """The best response to each prompt that has one with a reward."""
    for group, rewards in zip(groups, scored, strict=True):
        known = [
            (response, reward.value)
            for response, reward in zip(group.responses, rewards, strict=True)
            if reward.value is not None
        ]
        if not known:
            continue
        rows = [
            to_row(Response(prompt=group.prompt, response=response)) | {"meta": {"reward": {"scores": [value]}}}
            for response, value in known
        ]
        yield from best_rows(rows)
