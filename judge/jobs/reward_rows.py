"""Texts and rows as they are given to `score_batch`, as records."""

from collections.abc import Mapping, Sequence

from judge.errors import ConfigError
from judge.formats import records_from
from judge.formats.fields import message
from judge.records import Conversation, Message, Pair, Ranking, Record, Response, Solution, is_trajectory
from judge.rewards.reward import Scorable, Text


def records_of(rows: Sequence[Scorable], *, process: bool) -> list[Record]:
    """Records of rows in their order; rows as dicts are recognised together.

    Args:
        rows: records, (prompt, response) pairs, or rows as dicts of any format.
        process: whether a pair's response is a solution, each of its lines a step.

    Raises:
        ConfigError: for a row of another type. InputError: for a dict that no format fits.
    """
    tables = [(f"row {number}", row) for number, row in enumerate(rows, start=1) if isinstance(row, Mapping)]
    from_tables = iter([record for _, record in records_from(iter(tables), name="rows")] if tables else [])
    records: list[Record] = []
    for row in rows:
        if isinstance(row, Pair | Ranking | Response | Solution):
            records.append(row)
        elif isinstance(row, Mapping):
            records.append(next(from_tables))
        elif isinstance(row, tuple) and len(row) == 2:
            records.append(_record(*row, process=process))
        else:
            raise ConfigError(
                f"a row of the type {type(row).__name__} (accepted: (prompt, response), a dict, a record)"
            )
    return records


def _record(prompt: Text, response: Text, *, process: bool) -> Record:
    turns, answer = conversation(prompt, "user"), conversation(response, "assistant")
    if not process:
        return Response(prompt=turns, response=answer)
    if is_trajectory(answer):
        return Solution(prompt=turns, turns=answer)
    lines = "\n".join(message.content for message in answer).splitlines()
    return Solution(prompt=turns, steps=tuple(line for line in lines if line.strip()))


def conversation(text: Text, role: str) -> Conversation:
    """A text as one message of a role, or messages as they are; "" is no message."""
    if isinstance(text, str):
        return (Message(role, text),) if text else ()  # type: ignore[arg-type]
    return tuple(
        turn if isinstance(turn, Message) else message(turn, f"{role}[{index}]", empty=True)
        for index, turn in enumerate(text)
    )
