"""Rows for tests: pairs with votes and a judge's verdicts, entered as a run and a human file would be."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judge.agreement.data.columns import Columns
from judge.agreement.data.table import Table, build
from judge.records import content_id

Row = dict[str, Any]
LETTERS = {"f": "first", "s": "second", "t": "tie", "-": None}


def pair_row(number: int, prompt: str = "", first: str = "one", second: str = "two", **more: Any) -> Row:
    """A pair as a row; `number` tells it apart."""
    turn = [{"role": "user", "content": prompt or f"question {number}"}]
    sides = {
        "first": [{"role": "assistant", "content": first}],
        "second": [{"role": "assistant", "content": second}],
    }
    return {"id": content_id("pair", number), "kind": "pair", "prompt": turn, **sides, "human": [], "meta": {}, **more}


def votes(row: Row, said: str) -> Row:
    """The row with one vote a letter (f, s, t; - for none) of annotators a, b, c, …"""
    people = [
        {"annotator": chr(ord("a") + at), "verdict": LETTERS[letter]} for at, letter in enumerate(said) if letter != "-"
    ]
    return {**row, "human": people}


def judged(row: Row, forward: str, swapped: str = "", p_first: float | None = None) -> Row:
    """The row with a preference; letters as above, in the record's own terms; both orders merged as a tie when they
    differ."""
    sides = [("forward", forward)] + ([("swapped", swapped)] if swapped else [])
    readings = [{"asked": asked, "verdict": LETTERS[letter], "text": ""} for asked, letter in sides]
    read = {LETTERS[letter] for _, letter in sides} - {None}
    verdict = None if not read else read.pop() if len(read) == 1 else "tie"
    said: Row = {"task": "preference", "verdict": verdict, "readings": readings}
    if p_first is not None:
        said["p_first"] = p_first
    return {**row, "human": [], "judgement": said}


def columns(
    judges: Mapping[str, Iterable[Row]], human: Sequence[Row], *, wanted: tuple[str, ...] = (), key: str = ""
) -> Columns:
    """Columns of judged rows and of rows with votes."""
    made = Columns(wanted=wanted, key=key)
    for name, rows in judges.items():
        column = None
        for at, row in enumerate(rows):
            column = column or made.judge(name, row["judgement"]["task"])
            made.add_judgement(column, row, len(made.judges) - 1, at)
    for at, row in enumerate(human):
        made.add_votes(row, len(made.judges), at)
    return made


def pairs(people: Sequence[str], *judge_letters: str, prompts: Sequence[str] = ()) -> Table:
    """A table of pairs: one string of votes a row, one letter a row for each judge."""
    rows = [pair_row(at, prompts[at] if prompts else "") for at in range(len(people))]
    judges = {
        f"judge{number}": [judged(row, letter) for row, letter in zip(rows, letters, strict=True)]
        for number, letters in enumerate(judge_letters)
    }
    return build(columns(judges, [votes(row, said) for row, said in zip(rows, people, strict=True)]))
