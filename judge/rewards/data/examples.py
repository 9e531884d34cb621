"""What a judged or labelled record teaches a reward model: one `Example`, or a stated reason why there is none.

Soft labels stay soft: a probability is never rounded, neutral is a class of its own, and what could not be read is
dropped with a count. This module refuses to know files, models and losses.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from judge.errors import ConfigError, InputError, unknown
from judge.judgements import Judgement
from judge.records import Conversation, Record, content_id, plain
from judge.rewards.data.label_conversion import UNLABELLED, StepProbabilities, by_judge, by_people, unfit

TWICE = "labelled twice"
LABELS = ("judge", "human")
TEACHES = {  # kind -> the labels that it can be made from, in a user's words
    "scalar": "preference, ranking, score",
    "ensemble": "preference, ranking, score",
    "multi": "score",
    "outcome": "outcome, steps",
    "process": "steps",
    "hierarchical": "preference, ranking, score, outcome, steps",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing to learn.

    id: the record's. group: content id of the prompt; a group stays in one batch and on one side of a split.
    responses: two or more to be compared, one to be scored. steps: of a solution, for a verdict after each.
    p_first: P(the first is better), a tie counted half; p_tie: P(tie) where it was given. margin: how much better the
    first is, in its annotator's terms. order: of more than two responses, their indices, best first. scores: objective
    -> score, one a response. p_correct: P(the whole answer is correct).
    step_probabilities: (right, wrong, neutral) a step, None where it was not judged: no loss there.
    """

    id: str
    group: str
    prompt: Conversation
    responses: tuple[Conversation, ...] = ()
    steps: tuple[str, ...] = ()
    p_first: float | None = None
    p_tie: float | None = None
    margin: float | None = None
    order: tuple[int, ...] = ()
    scores: tuple[Mapping[str, float], ...] = ()
    p_correct: float | None = None
    step_probabilities: tuple[StepProbabilities | None, ...] = ()
    weight: float = 1.0


Labelled = tuple[Record, Judgement | None]


def examples(labelled: Iterable[Labelled], kind: str, labels: str = "judge") -> tuple[list[Example], "Counter[str]"]:
    """Examples for a kind of model, and how many rows were dropped for which reason.

    labels: "judge" takes the judgements, "human" the people's labels of the same records. The first row of an id wins.
    Raises ConfigError when no row at all holds labels that the kind can be made from.
    """
    if kind not in TEACHES:
        raise unknown("kind", kind, TEACHES)
    if labels not in LABELS:
        raise unknown("labels", labels, LABELS)
    made: list[Example] = []
    dropped: Counter[str] = Counter()
    seen: set[str] = set()
    met: set[str] = set()
    for record, judgement in labelled:
        said = by_judge(record, judgement, kind) if labels == "judge" else by_people(record, kind)
        met.add(judgement.task if judgement is not None and labels == "judge" else record.kind)
        if isinstance(said, dict) and (record_id := record.id) in seen:
            said = TWICE
        if isinstance(said, str):
            dropped[said] += 1
            continue
        seen.add(record_id)
        made.append(Example(id=record_id, group=content_id(plain(record.prompt)), prompt=record.prompt, **said))
    if not made:
        raise _nothing(kind, labels, met, dropped)
    return made, dropped


def check(made: Sequence[Example], kind: str) -> None:
    """Raise InputError when the examples hold nothing to learn: every pair a tie, one class only, one score only."""
    if all(one.p_first is not None and abs(one.p_first - 0.5) < 1e-3 for one in made):
        raise InputError(f"all {len(made)} pairs are ties: there is nothing to learn from them")
    if kind == "outcome":
        sides = {one.p_correct >= 0.5 for one in made if one.p_correct is not None}
        if len(sides) == 1:
            only = "correct" if sides.pop() else "wrong"
            raise InputError(f"all {len(made)} answers are {only}: an outcome model needs both")
    if kind == "process":
        _check_steps(made)
    scores = [(name, value) for one in made for row in one.scores for name, value in row.items()]
    if scores and len(set(scores)) == len({name for name, _ in scores}):
        raise InputError(f"all {len(made)} rows have the same score: there is nothing to learn from them")


def _check_steps(made: Sequence[Example]) -> None:
    judged = [shares for one in made for shares in one.step_probabilities if shares is not None]
    classes = {shares.index(max(shares)) for shares in judged}
    if len(classes) == 1:
        raise InputError(
            f"all {len(judged)} steps are {('right', 'wrong', 'neutral')[classes.pop()]}: a process model needs both"
        )


def split(made: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and validation examples, whole groups on either side; the same groups whatever order they come in.

    Groups are drawn until about `share` of all examples are held out; one group stays for training at least.
    """
    groups = Counter(one.group for one in made)
    held: set[str] = set()
    wanted, taken = share * len(made), 0
    for group in sorted(groups, key=lambda group: content_id(seed, group))[:-1]:
        if taken + groups[group] / 2 <= wanted:
            held.add(group)
            taken += groups[group]
    return [one for one in made if one.group not in held], [one for one in made if one.group in held]


def objectives_of(made: Iterable[Example]) -> tuple[str, ...]:
    """The names of the objectives that are scored, sorted."""
    return tuple(sorted({name for one in made for row in one.scores for name in row}))


def _nothing(kind: str, labels: str, met: Iterable[str], dropped: Mapping[str, int]) -> ConfigError | InputError:
    names = sorted(met)
    if all(name in (unfit(one, kind) for one in names) for name in dropped) and dropped:
        return ConfigError(f"{', '.join(names)} cannot teach kind {kind} (it is made from: {TEACHES[kind]})")
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "there are no rows"
    hint = "; people's labels are taken with --labels human" if labels == "judge" and UNLABELLED in dropped else ""
    return InputError(f"no row is left to learn from: {reasons}{hint}")
