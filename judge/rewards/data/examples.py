"""What a judged or labelled record teaches a reward model: one `Example`, or a stated reason why there is none.

Soft labels stay soft: a probability is never rounded, neutral is a class of its own, and what could not be read is
dropped with a count.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from judge.errors import ConfigError, InputError, unknown
from judge.judgements import Judgement
from judge.records import Conversation, Record, content_id, plain
from judge.rewards.data.label_conversion import UNLABELLED, StepProbabilities, by_judge, by_people, teachers, unfit
from judge.rewards.registry import KINDS

TWICE = "labelled twice"
LABELS = ("judge", "human")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing to learn.

    Attributes:
        id: the record's.
        group: content id of the prompt; a group stays in one batch and on one side of a split.
        prompt: the conversation before the responses.
        responses: two or more to be compared, one to be scored.
        steps: of a solution, for a verdict after each.
        p_first: P(the first is better), a tie counted half.
        p_tie: P(tie) where it was given.
        margin: how much better the first is, in its annotator's terms.
        order: of more than two responses, their indices, best first.
        scores: objective -> score, one a response.
        p_correct: P(the whole answer is correct).
        step_probabilities: P(right), P(wrong), P(neutral) of a step, None where it was not judged: no loss there.
        weight: in the loss.
        step_weights: of each step, None where it was not judged; empty where all weigh the same.
        votes: how many people gave the label, of a solution one a step; empty where that is unknown.
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
    # Not in the text of an example, by which an interrupted training knows its data: the settings decide them.
    step_weights: tuple[float | None, ...] = field(default=(), repr=False)
    votes: tuple[int, ...] = field(default=(), repr=False)


Labelled = tuple[Record, Judgement | None]


def examples(labelled: Iterable[Labelled], kind: str, labels: str = "judge") -> tuple[list[Example], "Counter[str]"]:
    """Examples for a kind of model, and how many rows were dropped for which reason.

    Args:
        labelled: records with their judgements; the first row of an id wins.
        kind: of the model.
        labels: "judge" takes the judgements, "human" the people's labels of the same records.

    Returns:
        The examples, and the number of dropped rows by reason.

    Raises:
        ConfigError: when no row at all holds labels that the kind can be made from.
        InputError: when no row is left.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    if labels not in LABELS:
        raise unknown("labels", labels, LABELS)
    made: list[Example] = []
    dropped: Counter[str] = Counter()
    seen: set[str] = set()
    tasks: set[str] = set()
    for record, judgement in labelled:
        targets = by_judge(record, judgement, kind) if labels == "judge" else by_people(record, kind)
        tasks.add(judgement.task if judgement is not None and labels == "judge" else record.kind)
        if isinstance(targets, dict) and (record_id := record.id) in seen:
            targets = TWICE
        if isinstance(targets, str):
            dropped[targets] += 1
            continue
        seen.add(record_id)
        made.append(Example(id=record_id, group=content_id(plain(record.prompt)), prompt=record.prompt, **targets))
    if not made:
        raise _nothing_left(kind, labels, tasks, dropped)
    return made, dropped


def check(made: Sequence[Example], kind: str) -> None:
    """Raise InputError when the examples hold nothing to learn: every pair a tie, one class only, one score only."""
    if all(example.p_first is not None and abs(example.p_first - 0.5) < 1e-3 for example in made):
        raise InputError(f"all {len(made)} pairs are ties: there is nothing to learn from them")
    if kind == "outcome":
        sides = {example.p_correct >= 0.5 for example in made if example.p_correct is not None}
        if len(sides) == 1:
            only = "correct" if sides.pop() else "wrong"
            raise InputError(f"all {len(made)} answers are {only}: an outcome model needs both")
    if kind == "process":
        _check_steps(made)
    scores = [(name, value) for example in made for row in example.scores for name, value in row.items()]
    if scores and len(set(scores)) == len({name for name, _ in scores}):
        raise InputError(f"all {len(made)} rows have the same score: there is nothing to learn from them")


def _check_steps(made: Sequence[Example]) -> None:
    judged = [shares for example in made for shares in example.step_probabilities if shares is not None]
    classes = {shares.index(max(shares)) for shares in judged}
    if len(classes) == 1:
        raise InputError(
            f"all {len(judged)} steps are {('right', 'wrong', 'neutral')[classes.pop()]}: a process model needs both"
        )


def split(made: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and validation examples, whole groups on either side; the same groups whatever order they come in.

    Groups are drawn until about `share` of all examples are held out; one group stays for training at least.
    """
    groups = Counter(example.group for example in made)
    held: set[str] = set()
    wanted, taken = share * len(made), 0
    for group in sorted(groups, key=lambda group: content_id(seed, group))[:-1]:
        if taken + groups[group] / 2 <= wanted:
            held.add(group)
            taken += groups[group]
    return [example for example in made if example.group not in held], [
        example for example in made if example.group in held
    ]


def objectives_of(made: Iterable[Example]) -> tuple[str, ...]:
    """The names of the objectives that are scored, sorted."""
    return tuple(sorted({name for example in made for row in example.scores for name in row}))


def _nothing_left(kind: str, labels: str, tasks: Iterable[str], dropped: Mapping[str, int]) -> ConfigError | InputError:
    names = sorted(tasks)
    if all(reason in (unfit(name, kind) for name in names) for reason in dropped) and dropped:
        made_from = ", ".join(teachers(kind))
        return ConfigError(f"{', '.join(names)} cannot teach kind {kind} (it is made from: {made_from})")
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "there are no rows"
    hint = "; people's labels are taken with --labels human" if labels == "judge" and UNLABELLED in dropped else ""
    return InputError(f"no row is left to learn from: {reasons}{hint}")
