"""UltraFeedback, raw (four completions with GPT-4's ratings) and binarized (best against another)."""

from judge.formats.base import Format, Row
from judge.formats.fields import assistant, inner, items, need, number, rest, said, text, user
from judge.formats.trl import preference, split_messages
from judge.records import HumanLabel, Pair, Response


def raw(row: Row) -> list[Response]:
    """One response a completion, with a rating for each aspect and `overall_score`. A rating "N/A" is no label."""
    prompt = said("user", text(row, "instruction"))
    meta = rest(row, ("instruction", "completions", "models"))
    records = []
    for item in items(row, "completions"):
        aspects = inner(item, "annotations") if item.get("annotations") else {}
        human = [
            HumanLabel(annotator="gpt-4", verdict=number(rating, "Rating"), criterion=aspect)
            for aspect, rating in aspects.items()
            if isinstance(rating, dict) and rating.get("Rating") not in (None, "N/A")
        ]
        if item.get("overall_score") is not None:
            human.append(HumanLabel(annotator="gpt-4", verdict=number(item, "overall_score")))
        response = said("assistant", text(item, "response", empty=True))
        model = {"model": item["model"]} if "model" in item else {}
        records.append(Response(prompt=prompt, response=response, human=tuple(human), meta=meta | model))
    return records


def binarized(row: Row) -> list[Pair]:
    """One pair with both scores in `meta`; the conversations repeat the prompt, which is taken out of them."""
    scores = {name: number(row, name) for name in ("score_chosen", "score_rejected")}
    if isinstance(need(row, "chosen"), str):
        return preference(row, annotator="gpt-4")
    user(row, "prompt")
    prompt, first, second = split_messages(assistant(row, "chosen", empty=True), assistant(row, "rejected", empty=True))
    equal = scores["score_chosen"] == scores["score_rejected"]
    human = (HumanLabel(annotator="gpt-4", verdict="tie" if equal else "first"),)
    meta = rest(row, ("prompt", "chosen", "rejected", "messages"))
    return [Pair(prompt=prompt, first=first, second=second, human=human, meta=meta)]


FORMATS = (
    Format(
        name="ultrafeedback",
        about="UltraFeedback raw: instruction, completions [{model, response, annotations, overall_score}]",
        fields=("instruction", "completions"),
        read=raw,
        fits=lambda row: (
            isinstance(row["completions"], list)
            and all(isinstance(item, dict) and "response" in item for item in row["completions"])
        ),
    ),
    Format(
        name="ultrafeedback-binarized",
        about="UltraFeedback binarized: prompt, chosen, rejected (messages), score_chosen, score_rejected",
        fields=("prompt", "chosen", "rejected", "score_chosen", "score_rejected"),
        read=binarized,
        over=("trl-preference", "openrlhf"),
    ),
)
