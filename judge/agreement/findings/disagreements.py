"""The rows to look at: where people and judge differ, the most confident mistakes first, with their texts.

Picks rows by number, then reads only those again from their sources.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.data.columns import UNREADABLE, Order, Row, turned
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
    distance = np.zeros(len(rows))
    if table.form in ("scores", "steps"):
        distance = np.nan_to_num(np.abs(judge.verdict[rows] - table.truth[rows]))
    order = np.lexsort((rows, table.split[rows], -distance, -certain, lost[rows]))
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
    chosen = [(number, int(row)) for number, rows in enumerate(picked) for row in rows[:share]][:shown]
    rows = [row for _, row in chosen]
    table = measures[0].table
    texts = _texts(table, rows, sources)
    judged = {
        number: _judged(
            measures[number].judge,
            table,
            [row for judge_number, row in chosen if judge_number == number],
            sources,
            runs[number],
        )
        for number in range(len(measures))
    }
    votes = _votes(table, set(rows))
    certain = [confidence(table, measure.judge) for measure in measures]
    return tuple(
        _disagreement(
            measures[number], row, texts.get(row, {}), judged[number].get(row), votes[row], float(certain[number][row])
        )
        for number, row in chosen
    )


def _texts(table: Table, rows: Sequence[int], sources: Sequence[Source]) -> dict[int, Row]:
    wanted: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row_number in rows:
        if table.source[row_number] >= 0:
            wanted[int(table.source[row_number])][int(table.position[row_number])].append(row_number)
    texts: dict[int, Row] = {}
    for number, places in wanted.items():
        for place, row in sources[number].fetch(set(places)).items():
            texts.update(dict.fromkeys(places[place], row))
    return texts


def _judged(
    judge: Judge, table: Table, rows: Sequence[int], sources: Sequence[Source], of_judge: Sequence[int]
) -> dict[int, Row]:
    """The judge's own rows: those where the texts lie in its run are there already; the others are looked for."""
    judged = {
        row_number: row
        for row_number, row in _texts(table, rows, sources).items()
        if table.source[row_number] in of_judge
    }
    lacking = {
        judge.turned.get(name := table.ids[row_number], name): row_number
        for row_number in rows
        if row_number not in judged
    }
    if lacking:
        for number in of_judge:
            for _, row in sources[number].rows():
                names = (str(row["id"]), *(f"{row['id']}\t{name}" for name in table.criteria if name))
                for name in names:
                    if name in lacking:
                        known = table.ids[lacking[name]]
                        is_turned = known in judge.turned
                        judged[lacking[name]] = turned(row, table.shape, known) if is_turned else row
    return judged


def _votes(table: Table, rows: set[int]) -> dict[int, tuple[Vote, ...]]:
    votes_of: dict[int, list[Vote]] = {row: [] for row in rows}
    for row in rows:
        start, end = np.searchsorted(table.votes.row, [row, row + 1])
        for vote in range(int(start), int(end)):
            order = table.votes.orders.get(vote)
            word = said(table, float(table.votes.value[vote])) if order is None else ordered(order)
            votes_of[row].append(Vote(annotator=table.votes.names[int(table.votes.who[vote])], verdict=word))
    return {row: tuple(votes_of_row) for row, votes_of_row in votes_of.items()}


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
        return f"right: {', '.join(str(index + 1) for index in sorted(order))}"
    return " > ".join(str(index + 1) for index in order)


def spoken(messages: Any) -> str:
    """A conversation of a row as text, cut."""
    if not messages:
        return ""
    is_single = len(messages) == 1
    text = "\n\n".join(turn["content"] if is_single else f"{turn['role']}: {turn['content']}" for turn in messages)
    return text if len(text) <= LONGEST else text[:LONGEST] + f"\n… ({len(text) - LONGEST:,} more characters)"


def _parts(row: Row) -> Mapping[str, str]:
    match row.get("kind"):
        case "pair":
            return {name: spoken(row[name]) for name in ("first", "second")}
        case "response":
            return {"response": spoken(row["response"])} | ({"reference": row["reference"]} if row["reference"] else {})
        case "solution":
            return {"steps": "\n\n".join(f"{number}. {step}" for number, step in enumerate(row["steps"], 1))[:LONGEST]}
        case "ranking":
            return {f"response {number}": spoken(response) for number, response in enumerate(row["responses"], 1)}
    return {}


def _answers(row: Row | None) -> tuple[JudgeReading, ...]:
    if row is None or not row.get("judgement"):
        return ()
    answers = []
    for reading in row["judgement"].get("readings") or ():
        verdict = reading["verdict"]
        chances = reading.get("probabilities") or {}
        answers.append(
            JudgeReading(
                asked=reading["asked"],
                verdict="" if verdict is None else str(verdict),
                text=str(reading.get("text") or "")[:LONGEST],
                probability=chances.get(verdict) if verdict is not None else None,
            )
        )
    return tuple(answers)


def _disagreement(
    measure: Measure, index: int, row: Row, judged: Row | None, votes: tuple[Vote, ...], certain: float
) -> Disagreement:
    table, judge = measure.table, measure.judge
    by_people, by_judge = said(table, float(table.truth[index])), said(table, float(judge.verdict[index]))
    if table.form == "order":
        words = {vote.verdict for vote in votes}
        by_people = words.pop() if len(words) == 1 else "different orders"
        by_judge = ordered(judge.detail[index][0]) if index in judge.detail else ""
    fields = {name: values[index] for name, values in table.fields.items()}
    if len(table.criteria) > 1:
        fields["criterion"] = table.criteria[int(table.criterion[index])]
    return Disagreement(
        id=table.ids[index].partition("\t")[0],
        judge_name=judge.name,
        human=by_people,
        judge="unreadable" if judge.state[index] == UNREADABLE else by_judge,
        confidence=None if np.isnan(certain) else certain,
        votes=votes,
        answers=_answers(judged),
        prompt=spoken(row.get("prompt")),
        texts=_parts(row),
        fields=fields,
        consistent=bool(judge.consistent[index]) if judge.consistent[index] >= 0 else None,
        length=None if np.isnan(table.length[index]) else float(table.length[index]),
        split=bool(table.split[index]),
    )
