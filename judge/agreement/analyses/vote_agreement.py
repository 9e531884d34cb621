"""Agreement counted in votes instead of rows, as MT-Bench does it.

Every vote of a person against the judge's verdict on the same row, and every pair of votes on one row; with ties as a
verdict of their own (setup S1) or left out on either side (setup S2). Source: Zheng et al. 2023, "Judging
LLM-as-a-Judge with MT-Bench and Chatbot Arena", §4.2 and Table 5; FastChat, fastchat/llm_judge/compute_agreement.py.
"""

from typing import NamedTuple

import numpy as np

from judge.agreement.data.table import TIE, Judge, Mask, Table


class VoteCount(NamedTuple):
    """Votes that agree, of how many."""

    agree: int
    of: int


def kept_votes(table: Table, annotators: Mask | None = None, rows: Mask | None = None) -> Mask:
    """The votes of some annotators on some rows."""
    kept = np.ones(len(table.votes.row), dtype=bool)
    if annotators is not None:
        kept &= annotators[table.votes.who]
    if rows is not None:
        kept &= rows[table.votes.row]
    return kept


def with_judge(table: Table, judge: Judge, kept: Mask, *, ties: bool) -> VoteCount:
    """Each vote against the judge's verdict."""
    row, value = table.votes.row[kept], table.votes.value[kept]
    judged = judge.verdict[row]
    counted = judge.read[row]
    if not ties:
        counted = counted & (value != TIE) & (judged != TIE)
    return VoteCount(int((counted & (value == judged)).sum()), int(counted.sum()))


def among_people(table: Table, kept: Mask, *, ties: bool) -> VoteCount:
    """Each pair of votes on one row."""
    row, value = table.votes.row[kept], table.votes.value[kept]
    if not ties:
        row, value = row[value != TIE], value[value != TIE]
    _, votes_of_row = np.unique(row, return_counts=True)
    _, same = np.unique(np.stack([row, value]), axis=1, return_counts=True)
    return VoteCount(int((same * (same - 1) // 2).sum()), int((votes_of_row * (votes_of_row - 1) // 2).sum()))
