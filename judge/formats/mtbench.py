"""MT-Bench votes: `model_a`, `model_b`, `judge`, `turn`, `winner`, with the conversations or without any text."""

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import conversation, integer, label, need, one_of, rest, text
from judge.records import Conversation, Pair

WINNERS = {"model_a": "first", "model_b": "second", "tie": "tie", "tie (inconsistent)": "tie"}
TURNED = {"first": "second", "second": "first", "tie": "tie"}


def vote(row: Row) -> list[Pair]:
    """One vote. The two models stand in alphabetical order, so that votes on one pair meet under one id: people saw
    them in either order, GPT-4's file has one. `model_a`, `model_b` and `winner` stay in `meta` as they were.

    Rows without `conversation_a` and `conversation_b` are labels alone: the pair has no texts, and question, turn and
    models make its id. With them, the response is all that the model said up to that turn.
    """
    turn, verdict = integer(row, "turn"), one_of(row, "winner", WINNERS)
    sides = [(text(row, f"model_{side}"), f"conversation_{side}") for side in "ab"]
    if sides[0] > sides[1]:
        sides, verdict = sides[::-1], TURNED[verdict]
    key = ["mt-bench", integer(row, "question_id"), turn, *(model for model, _ in sides)]
    human = label(text(row, "judge"), verdict)
    meta = rest(row, ("conversation_a", "conversation_b", "judge")) | {"key": key}
    if row.get("conversation_a") is None:
        return [Pair(prompt=(), first=(), second=(), human=human, meta=meta)]
    first, second = (_until(row, name, turn) for _, name in sides)
    if first[0] != second[0]:
        raise InputError("fields 'conversation_a', 'conversation_b': they begin with different questions")
    return [Pair(prompt=first[:1], first=first[1:], second=second[1:], human=human, meta=meta)]


def _until(row: Row, name: str, turn: int) -> Conversation:
    messages = conversation(need(row, name), "user", name, empty=True)
    if not 0 < 2 * turn <= len(messages):
        raise InputError(f"field '{name}': found {len(messages)} messages (accepted: two a turn, turn {turn})")
    return messages[: 2 * turn]


FORMATS = (
    Format(
        name="mt-bench",
        about="MT-Bench votes: question_id, turn, model_a, model_b, judge, winner; conversation_a/b or no texts",
        fields=("question_id", "turn", "model_a", "model_b", "judge", "winner"),
        read=vote,
    ),
)
