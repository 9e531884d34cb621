"""Verdicts on pairs as their files keep them: Chatbot Arena's votes and alpaca_eval's annotations."""

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import conversation, label, need, number, one_of, rest, said, shared, text, wrong
from judge.formats.mtbench import WINNERS
from judge.records import HumanLabel, Pair

_WINNERS = WINNERS | {"tie (bothbad)": "tie", "both_bad": "tie", "bothbad": "tie"}


def arena(row: Row) -> list[Pair]:
    """One vote on two conversations. The prompt is all that both share through a user turn, usually the question; each
    response is what its model said from there on. "tie (bothbad)" is a tie; `winner` stays in `meta`."""
    verdict = one_of(row, "winner", _WINNERS)
    sides = [
        conversation(need(row, f"conversation_{side}"), "user", f"conversation_{side}", empty=True) for side in "ab"
    ]
    both = shared(sides[0], sides[1])
    end = max((index + 1 for index in range(both) if sides[0][index].role == "user"), default=0)
    if not end or any(len(side) <= end for side in sides):
        raise InputError("fields 'conversation_a', 'conversation_b': no question that both begin with and answer")
    annotator = row.get("judge") or row.get("judge_hash") or row.get("evaluation_session_id") or "vote"
    first, second = (side[end:] for side in sides)
    meta = rest(row, ("conversation_a", "conversation_b", "judge", "judge_hash"))
    return [Pair(prompt=sides[0][:end], first=first, second=second, human=label(str(annotator), verdict), meta=meta)]


def alpaca_eval(row: Row) -> list[Pair]:
    """One annotated pair: a preference below 1.5 is for the first, above it for the second, 1.5 a tie, null none.

    A weighted annotator's preference lies between 1 and 2 and is kept in `meta`. The annotator's own name is the
    judge's: such a file is a judge's run as well.
    """
    prompt = "\n\n".join(str(row[name]) for name in ("instruction", "input") if row.get(name))
    if not prompt.strip():
        raise InputError("field 'instruction': found an empty text (accepted: a text with something in it)")
    human: tuple[HumanLabel, ...] = ()
    if need(row, "preference") not in (None, ""):
        preference = number(row, "preference")
        if preference == 0:  # how older files write a tie
            preference = 1.5
        if not 1 <= preference <= 2:
            raise wrong("preference", row["preference"], "1 (the first) to 2 (the second), 1.5 a tie, null none")
        verdict = "first" if preference < 1.5 else "second" if preference > 1.5 else "tie"
        human = label(str(row.get("annotator") or "annotator"), verdict)
    first, second = (said("assistant", text(row, f"output_{side}", empty=True)) for side in (1, 2))
    names = {
        f"{side}_model": row[f"generator_{index}"]
        for side, index in (("first", 1), ("second", 2))
        if row.get(f"generator_{index}")
    }
    meta = (
        rest(row, ("instruction", "input", "output_1", "output_2", "annotator", "generator_1", "generator_2")) | names
    )
    meta["preference"] = row["preference"]  # null says that the annotator gave none
    return [Pair(prompt=said("user", prompt), first=first, second=second, human=human, meta=meta)]


FORMATS = (
    Format(
        name="chatbot-arena",
        about="Chatbot Arena votes: model_a, model_b, winner (also 'tie (bothbad)'), conversation_a, conversation_b",
        fields=("model_a", "model_b", "winner", "conversation_a", "conversation_b"),
        read=arena,
        fits=lambda row: not isinstance(row.get("question_id"), int) or "judge" not in row,
    ),
    Format(
        name="alpaca-eval",
        about="alpaca_eval annotations: instruction, output_1, output_2, preference (1 to 2, 1.5 a tie, null none)",
        fields=("instruction", "output_1", "output_2", "preference"),
        read=alpaca_eval,
    ),
)
