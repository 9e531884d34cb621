"""NVIDIA NeMo-RL preference data: `context` messages and `completions`, each with a rank (0 is best) and messages."""

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import assistant, integer, items, label, offered, rest, user
from judge.records import HumanLabel, Pair, Ranking


def ranked(row: Row) -> list[Pair] | list[Ranking]:
    """A pair of two completions, a ranking of more. Equal ranks are a tie of a pair; an order that has ties is kept
    in `meta` alone, because a ranking's label cannot say it."""
    completions = items(row, "completions")
    if len(completions) < 2:
        raise InputError(f"field 'completions': found {len(completions)} (accepted: two or more)")
    prompt = offered(user(row, "context"), row)
    responses = tuple(assistant(item, "completion") for item in completions)
    ranks = [integer(item, "rank") for item in completions]
    meta = rest(row, ("context", "completions", "tools"))
    if len(responses) == 2:
        verdict = "tie" if ranks[0] == ranks[1] else "first" if ranks[0] < ranks[1] else "second"
        human = label("rank", verdict)
        return [Pair(prompt=prompt, first=responses[0], second=responses[1], human=human, meta=meta)]
    order = tuple(sorted(range(len(ranks)), key=ranks.__getitem__))
    known: tuple[HumanLabel, ...] = label("rank", order) if len(set(ranks)) == len(ranks) else ()
    return [Ranking(prompt=prompt, responses=responses, human=known, meta=meta | {"ranks": ranks})]


def _fits(row: Row) -> bool:
    completions = row["completions"]
    return isinstance(completions, list) and all(isinstance(item, dict) and "rank" in item for item in completions)


FORMATS = (
    Format(
        name="nemo",
        about="NeMo-RL preference: context (messages), completions [{rank, completion}]",
        fields=("context", "completions"),
        read=ranked,
        fits=_fits,
    ),
)
