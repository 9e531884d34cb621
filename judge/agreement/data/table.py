"""The rows of a report as arrays: who voted what, what the people say together, what each judge said.

Built once from Columns; everything later reads it. A row is *labelled* when people voted on it, and has a *truth* when
they come to one verdict.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judge.agreement.data.columns import READ, UNREADABLE, Columns, JudgeColumns, Order
from judge.agreement.statistics.bootstrap import Floats, Ints
from judge.errors import InputError
from judge.judgements import Form, Shape

Mask = NDArray[np.bool_]
TIE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """One line a vote, sorted by row. names: annotators by number; seconds: nan where unknown. duplicates: votes that
    stood behind another one of the same person on the row; a label that several runs carry along is one."""

    row: Ints
    who: Ints
    value: Floats
    seconds: Floats
    names: tuple[str, ...]
    orders: dict[int, Order] = field(default_factory=dict)
    duplicates: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """One judge's verdicts by row; see JudgeColumns."""

    name: str
    task: str
    state: NDArray[np.int8]
    verdict: Floats
    probability: Floats
    forward: Floats
    swapped: Floats
    consistent: NDArray[np.int8]
    pairs: Ints
    same: Ints
    detail: dict[int, Any] = field(default_factory=dict)
    turned: dict[str, str] = field(default_factory=dict)
    duplicates: int = 0

    @property
    def read(self) -> Mask:
        """Rows with a readable verdict."""
        return np.asarray(self.state == READ)

    @property
    def unreadable(self) -> Mask:
        """Rows that were judged in vain."""
        return np.asarray(self.state == UNREADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All rows. truth: the people's verdict together, nan when there is none; split: the people differ.

    group: the prompt of each row. criterion: index into `criteria`. length: log ratio of characters (pairs), log of
    characters (responses); style: difference of markdown marks. first, second: what tells two responses apart.
    """

    task: str
    shape: Shape
    ids: tuple[str, ...]
    group: Ints
    criterion: Ints
    criteria: tuple[str, ...]
    truth: Floats
    labelled: Mask
    split: Mask
    votes: Votes
    judges: tuple[Judge, ...]
    length: Floats
    style: Floats
    size: Ints
    first: Ints
    second: Ints
    authors: dict[int, tuple[str, str]]
    fields: dict[str, list[str]]
    source: Ints
    position: Ints

    def __len__(self) -> int:
        return len(self.group)

    @property
    def form(self) -> Form:
        """What a verdict is: see judgements.Shape."""
        return self.shape.form

    @property
    def paired(self) -> bool:
        """Whether a verdict says which of two responses is better."""
        return self.shape.paired

    @property
    def labels(self) -> tuple[str, ...]:
        """The named verdicts; a verdict's code is its place."""
        return self.shape.labels


def build(columns: Columns) -> Table:
    """The table of everything entered; raises InputError when people and judges have no row in common."""
    size = len(columns)
    for judge in columns.judges:
        judge.grow(size)
    votes = _votes(columns)
    truth, split = together(columns.shape, votes, size)
    labelled = np.zeros(size, dtype=bool)
    labelled[votes.row] = True
    judges = tuple(_judge(judge, size) for judge in columns.judges)
    _check_common(columns, labelled, judges)
    names = sorted(set(columns.criterion))
    where = {name: number for number, name in enumerate(names)}
    return Table(
        task=columns.task,
        shape=columns.shape,
        ids=tuple(columns.index),
        group=np.frombuffer(columns.group, dtype=np.int32).astype(np.int64),
        criterion=np.array([where[name] for name in columns.criterion], dtype=np.int64),
        criteria=tuple(names),
        truth=truth,
        labelled=labelled,
        split=split,
        votes=votes,
        judges=judges,
        length=_array(columns.length),
        style=_array(columns.style),
        size=np.array(columns.size, dtype=np.int64),
        first=np.array(columns.first, dtype=np.int64),
        second=np.array(columns.second, dtype=np.int64),
        authors=columns.authors,
        fields=columns.fields,
        source=np.array(columns.source, dtype=np.int64),
        position=np.array(columns.position, dtype=np.int64),
    )


def _array(column: Any) -> Floats:
    return np.array(column, dtype=np.float64)


def _votes(columns: Columns) -> Votes:
    """All votes sorted by row; of several of one annotator on a row the first one stands."""
    row, who = np.array(columns.vote_row, dtype=np.int64), np.array(columns.vote_who, dtype=np.int64)
    seconds = np.full(len(row), np.nan)
    for position, spent in columns.seconds.items():
        seconds[position] = spent
    key = row * (int(who.max(initial=0)) + 1) + who
    order = np.argsort(key, kind="stable")
    first = np.ones(len(order), dtype=bool)
    first[1:] = key[order[1:]] != key[order[:-1]]
    kept = order[first]
    vote, source = _array(columns.vote), np.array(columns.vote_source, dtype=np.int64)
    standing = kept[np.cumsum(first) - 1]  # by vote: the one that stands for it
    carried = (vote[order] == vote[standing]) & (source[order] != source[standing])
    new_position = {int(before): position for position, before in enumerate(kept)} if columns.orders else {}
    return Votes(
        row=row[kept],
        who=who[kept],
        value=vote[kept],
        seconds=seconds[kept],
        names=tuple(columns.annotators),
        orders={
            new_position[position]: order_of_person
            for position, order_of_person in columns.orders.items()
            if position in new_position
        },
        duplicates=int((~first & ~carried).sum()),
    )


def _judge(judge: JudgeColumns, size: int) -> Judge:
    return Judge(
        name=judge.name,
        task=judge.task,
        state=np.array(judge.state[:size], dtype=np.int8),
        verdict=_array(judge.verdict[:size]),
        probability=_array(judge.probability[:size]),
        forward=_array(judge.forward[:size]),
        swapped=_array(judge.swapped[:size]),
        consistent=np.array(judge.consistent[:size], dtype=np.int8),
        pairs=np.array(judge.pairs[:size], dtype=np.int64),
        same=np.array(judge.same[:size], dtype=np.int64),
        detail=judge.detail,
        turned=judge.turned,
        duplicates=judge.duplicates,
    )


def _check_common(columns: Columns, labelled: Mask, judges: tuple[Judge, ...]) -> None:
    if not labelled.any():
        raise InputError(f"no human label for the task {columns.task} in what was read; name a file with --human")
    for judge in judges:
        if not (labelled & (judge.state > 0)).any():
            judged = int((judge.state > 0).sum())
            raise InputError(
                f"{judge.name}: none of its {judged} rows is among the {int(labelled.sum())} that people labelled; "
                + (_other_criteria(columns, labelled, judge) or _CHANGED)
            )


_CHANGED = "were the texts changed? rows meet by id, or by a field with --key FIELD"


def _other_criteria(columns: Columns, labelled: Mask, judge: Judge) -> str:
    """Whose criteria are which, where people and judge have none in common."""

    def named(rows: Mask) -> list[str]:
        return sorted({columns.criterion[row] or "(the whole)" for row in np.flatnonzero(rows)})

    by_judge, by_people = named(judge.state > 0), named(labelled)
    if set(by_judge) & set(by_people):
        return ""
    return f"it has the criteria {', '.join(by_judge)}, people have {', '.join(by_people)}"


def together(shape: Shape, votes: Votes, size: int) -> tuple[Floats, Mask]:
    """What the people say together, and where they differ.

    The verdict that most of them gave; where none leads, a pair is a tie (PandaLM counts three different verdicts so),
    other tasks have no verdict (nan). Scores have their mean. Rankings are compared with each person's own.
    """
    truth, split = np.full(size, np.nan), np.zeros(size, dtype=bool)
    if not len(votes.row):
        return truth, split
    if shape.form == "order":
        truth[votes.row] = 0.0
        return truth, split
    order = np.lexsort((votes.value, votes.row))
    row, value = votes.row[order], votes.value[order]
    starts = np.flatnonzero(np.r_[True, (row[1:] != row[:-1]) | (value[1:] != value[:-1])])
    count = np.diff(np.r_[starts, len(row)])
    run_row, run_value = row[starts], value[starts]
    first = np.flatnonzero(np.r_[True, run_row[1:] != run_row[:-1]])
    different = np.diff(np.r_[first, len(run_row)])
    split[run_row[first]] = different > 1
    if shape.form == "scores":
        sums, counts = np.bincount(row, weights=value, minlength=size), np.bincount(row, minlength=size)
        truth[run_row[first]] = (sums / np.maximum(counts, 1))[run_row[first]]
        return truth, split
    most = np.maximum.reduceat(count, first)
    leads = count == np.repeat(most, different)
    leaders = np.add.reduceat(leads.astype(np.int64), first)
    truth[run_row[leads]] = run_value[leads]
    undecided = run_row[first][leaders > 1]
    truth[undecided] = TIE if shape.paired else np.nan
    return truth, split
