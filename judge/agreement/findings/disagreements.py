"""The rows to look at: where people and judge differ, the most confident mistakes first, with their texts.

Picks rows by number, then reads only those again from their sources. Refuses to know why they differ.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.data.columns import UNREADABLE, Order, Row
from judge.agreement.data.sources import Source
from judge.agreement.data.table import Judge, Table
from judge.agreement.schema import Disagreement, JudgeReading, Vote
from judge.agreement.statistics.bootstrap import Floats, Ints

LONGEST = 8_000
"""Characters of one text that the report carries."""


def confidence(table: Table, judge: Judge) -> Floats:
    """The judge's probability of its own verdict, nan where it states none (or says tie)."""
    p = judge.probability
    if table.form == "label":
        return np.where(judge.verdict == 0, p, np.where(judge.verdict == 1, 1 - p, np.nan))
    return np.full(len(table), np.nan)


def differing(measure: Measure, hit: Floats) -> Ints:
    """Rows whose verdict differs from the people's or could not be read, the most telling first: certain judges before
    uncertain ones, rows on which people agree before split ones, further apart before nearer, unreadable ones last."""
    table, judge = measure.table, measure.judge
    wrong = measure.rows & (hit < 1)
    lost = table.labelled & (judge.state == UNREADABLE)
    rows = np.flatnonzero(wrong | lost)
    certain = np.nan_to_num(confidence(table, judge)[rows], nan=0.5)
    apart = np.zeros(len(rows))
    if table.form in ("scores", "steps"):
        apart = np.nan_to_num(np.abs(judge.verdict[rows] - table.truth[rows]))
    order = np.lexsort((rows, table.split[rows], -apart, -certain, lost[rows]))
    return np.asarray(rows[order])


def disagreements(
    measures: Sequence[Measure],
    picked: Sequence[Ints],
    shown: int,
    sources: Sequence[Source],
    runs: Sequence[Sequence[int]],
) -> tuple[Disagreement, ...]:
    """The first rows of each judge in turn, up to `shown`, read again. runs: the sources of each judge."""
    share = -(-shown // max(len(measures), 1))
    chosen = [(number, int(at)) for number, rows in enumerate(picked) for at in rows[:share]][:shown]
    rows = [at for _, at in chosen]
    table = measures[0].table
    texts = _texts(table, rows, sources)
    said = {
        number: _judged(table, [at for one, at in chosen if one == number], sources, runs[number])
        for number in range(len(measures))
    }
    votes = _votes(table, set(rows))
    certain = [confidence(table, measure.judge) for measure in measures]
    return tuple(
        _disagreement(
            measures[number], at, texts.get(at, {}), said[number].get(at), votes[at], float(certain[number][at])
        )
        for number, at in chosen
    )


def _texts(table: Table, rows: Sequence[int], sources: Sequence[Source]) -> dict[int, Row]:
    wanted: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for at in rows:
        if table.source[at] >= 0:
            wanted[int(table.source[at])][int(table.position[at])].append(at)
    found: dict[int, Row] = {}
    for number, places in wanted.items():
        for place, row in sources[number].fetch(set(places)).items():
            found.update(dict.fromkeys(places[place], row))
    return found


def _judged(table: Table, rows: Sequence[int], sources: Sequence[Source], own: Sequence[int]) -> dict[int, Row]:
    """The judge's own rows: those where the texts lie in its run are there already; the others are looked for."""
    found = {at: row for at, row in _texts(table, rows, sources).items() if table.source[at] in own}
    lacking = {table.ids[at]: at for at in rows if at not in found}
    if lacking:
        for number in own:
            for _, row in sources[number].rows():
                names = (str(row["id"]), *(f"{row['id']}\t{name}" for name in table.criteria if name))
                for name in names:
                    if name in lacking:
                        found[lacking[name]] = row
    return found


def _votes(table: Table, rows: set[int]) -> dict[int, tuple[Vote, ...]]:
    found: dict[int, list[Vote]] = {at: [] for at in rows}
    for at in rows:
        start, end = np.searchsorted(table.votes.row, [at, at + 1])
        for vote in range(int(start), int(end)):
            order = table.votes.orders.get(vote)
            word = said(table, float(table.votes.value[vote])) if order is None else ordered(order)
            found[at].append(Vote(annotator=table.votes.names[int(table.votes.who[vote])], verdict=word))
    return {at: tuple(held) for at, held in found.items()}


def said(table: Table, value: float) -> str:
    """A verdict as a word."""
    if np.isnan(value):
        return "none"
    if table.labels:
        return table.labels[int(value)]
    if table.form == "steps":
        return "no mistake" if value < 0 else f"step {int(value) + 1}"
    return f"{value:g}"


def ordered(order: Order) -> str:
    """An order of responses as words, counted from 1; or which of them are right."""
    if isinstance(order, frozenset):
        return f"right: {', '.join(str(at + 1) for at in sorted(order))}"
    return " > ".join(str(at + 1) for at in order)


def spoken(messages: Any) -> str:
    """A conversation of a row as text, cut."""
    if not messages:
        return ""
    one = len(messages) == 1
    text = "\n\n".join(turn["content"] if one else f"{turn['role']}: {turn['content']}" for turn in messages)
    return text if len(text) <= LONGEST else text[:LONGEST] + f"\n… ({len(text) - LONGEST:,} more characters)"


def _parts(row: Row) -> Mapping[str, str]:
    match row.get("kind"):
        case "pair":
            return {name: spoken(row[name]) for name in ("first", "second")}
        case "response":
            return {"response": spoken(row["response"])} | ({"reference": row["reference"]} if row["reference"] else {})
        case "solution":
            return {"steps": "\n\n".join(f"{at}. {step}" for at, step in enumerate(row["steps"], 1))[:LONGEST]}
        case "ranking":
            return {f"response {at}": spoken(one) for at, one in enumerate(row["responses"], 1)}
    return {}


def _answers(row: Row | None) -> tuple[JudgeReading, ...]:
    if row is None or not row.get("judgement"):
        return ()
    found = []
    for reading in row["judgement"].get("readings") or ():
        verdict = reading["verdict"]
        chances = reading.get("probabilities") or {}
        found.append(
            JudgeReading(
                asked=reading["asked"],
                verdict="" if verdict is None else str(verdict),
                text=str(reading.get("text") or "")[:LONGEST],
                probability=chances.get(verdict) if verdict is not None else None,
            )
        )
    return tuple(found)


def _disagreement(
    measure: Measure, at: int, row: Row, judged: Row | None, votes: tuple[Vote, ...], certain: float
) -> Disagreement:
    table, judge = measure.table, measure.judge
    by_people, by_judge = said(table, float(table.truth[at])), said(table, float(judge.verdict[at]))
    if table.form == "order":
        words = {vote.verdict for vote in votes}
        by_people = words.pop() if len(words) == 1 else "different orders"
        by_judge = ordered(judge.detail[at][0]) if at in judge.detail else ""
    fields = {name: values[at] for name, values in table.fields.items()}
    if len(table.criteria) > 1:
        fields["criterion"] = table.criteria[int(table.criterion[at])]
    return Disagreement(
        id=table.ids[at].partition("\t")[0],
        judge_name=judge.name,
        human=by_people,
        judge="unreadable" if judge.state[at] == UNREADABLE else by_judge,
        confidence=None if np.isnan(certain) else certain,
        votes=votes,
        answers=_answers(judged),
        prompt=spoken(row.get("prompt")),
        texts=_parts(row),
        fields=fields,
        consistent=bool(judge.consistent[at]) if judge.consistent[at] >= 0 else None,
        length=None if np.isnan(table.length[at]) else float(table.length[at]),
        split=bool(table.split[at]),
    )
