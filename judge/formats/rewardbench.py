"""Benchmarks of reward models: RewardBench, RewardBench 2 and RM-Bench."""

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import integer, label, need, number, rest, said, text, texts, wrong
from judge.formats.trl import preference
from judge.records import HumanLabel, Pair, Ranking

STYLES = ("concise", "detailed", "markdown")


def best_of(row: Row) -> list[Ranking]:
    """RewardBench 2: one ranking, the right responses first. Its label (criterion "correct") names the right ones;
    nothing is said about the order among them or among the wrong ones."""
    prompt = said("user", text(row, "prompt"))
    right, wrong = texts(row, "chosen", empty=True), texts(row, "rejected", empty=True)
    if "num_correct" in row and integer(row, "num_correct") != len(right):
        raise InputError(f"field 'num_correct': found {row['num_correct']} (accepted: {len(right)}, as in 'chosen')")
    responses = tuple(said("assistant", response) for response in right + wrong)
    human = (HumanLabel(annotator="rewardbench2", verdict=tuple(range(len(right))), criterion="correct"),)
    meta = rest(row, ("prompt", "chosen", "rejected"))
    return [Ranking(prompt=prompt, responses=responses, human=human, meta=meta)]


def scored(row: Row) -> list[Pair]:
    """What a reward model made of RewardBench, as its own code stores it: a row each, or one object of columns.

    The texts in it are those of the model's chat template; the pairs have none and join the data on `id`.
    """
    columns = {name: value for name, value in row.items() if isinstance(value, list)}
    if not isinstance(results := need(row, "results"), list):
        return [_scored(row)]
    if any(len(column) != len(results) for column in columns.values()):
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"columns of different lengths: {lengths}")
    common = {name: value for name, value in row.items() if name not in columns}
    return [_scored(common | dict(zip(columns, cells, strict=True))) for cells in zip(*columns.values(), strict=True)]


def _scored(row: Row) -> Pair:
    if not 0 <= number(row, "results") <= 1:
        raise wrong("results", row["results"], "1 (the chosen one scores higher), 0, or 0.5 for a tie")
    meta = rest(row, ("text_chosen", "text_rejected")) | {"key": ["rewardbench", need(row, "subset"), need(row, "id")]}
    return Pair(prompt=(), first=(), second=(), human=label("rewardbench", "first"), meta=meta)


def styled(row: Row) -> list[Pair]:
    """RM-Bench: the nine pairs of three right and three wrong responses, with the style of each in `meta`."""
    prompt = said("user", text(row, "prompt"))
    sides = [texts(row, name, least=len(STYLES), empty=True) for name in ("chosen", "rejected")]
    if any(len(side) != len(STYLES) for side in sides):
        raise InputError(f"fields 'chosen', 'rejected': accepted: three texts each ({', '.join(STYLES)})")
    meta = rest(row, ("prompt", "chosen", "rejected"))
    return [
        Pair(
            prompt=prompt,
            first=said("assistant", good),
            second=said("assistant", bad),
            human=label("rm-bench", "first"),
            meta=meta | {"chosen_style": STYLES[i], "rejected_style": STYLES[j]},
        )
        for i, good in enumerate(sides[0])
        for j, bad in enumerate(sides[1])
    ]


FORMATS = (
    Format(
        name="rewardbench",
        about="RewardBench: prompt, chosen, rejected, chosen_model, rejected_model, subset, id",
        fields=("prompt", "chosen", "rejected", "subset"),
        read=lambda row: preference(row, annotator="rewardbench"),
        fits=lambda row: isinstance(row["chosen"], str),
        over=("trl-preference", "openrlhf"),
    ),
    Format(
        name="rewardbench-results",
        about="RewardBench's stored scores: text_chosen, text_rejected, results, subset, id (join on id)",
        fields=("text_chosen", "text_rejected", "results", "subset", "id"),
        read=scored,
        fits=lambda row: "prompt" not in row or "chosen" not in row,
    ),
    Format(
        name="rewardbench2",
        about="RewardBench 2: prompt, chosen and rejected (lists), num_correct, subset",
        fields=("prompt", "chosen", "rejected", "subset"),
        read=best_of,
        fits=lambda row: isinstance(row["chosen"], list) and all(isinstance(item, str) for item in row["chosen"]),
        over=("trl-preference", "openrlhf"),
    ),
    Format(
        name="rm-bench",
        about="RM-Bench: prompt, chosen and rejected (three styles each), domain",
        fields=("prompt", "chosen", "rejected", "domain"),
        read=styled,
        fits=lambda row: isinstance(row["chosen"], list) and all(isinstance(item, str) for item in row["chosen"]),
        over=("trl-preference", "openrlhf"),
    ),
)
