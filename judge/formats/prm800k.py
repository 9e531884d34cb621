"""OpenAI's PRM800K: a walk through a solution where people rated every candidate step 1, 0 (neutral) or -1."""

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import inner, items, label, rest, said, text, wrong
from judge.records import HumanLabel, Solution


def solution(row: Row) -> list[Solution]:
    """The steps that were walked: the chosen completion, else what the human wrote, else (at the end) the first one.

    A neutral step is not a wrong one, as its authors count it. A step that nobody rated, before the first wrong one,
    leaves no label; a walk without steps gives no record. All ratings stand in `meta["ratings"]`
    (null for the human's own steps).
    """
    question, walk = inner(row, "question"), inner(row, "label")
    steps, ratings = [], []
    for index, step in enumerate(items(walk, "steps")):
        written, rating = _step(step, index)
        steps.append(written)
        ratings.append(rating)
    if not steps:
        return []
    human = _first_wrong(ratings, str(row.get("labeler") or "prm800k"))
    meta = rest(row, ("question", "label")) | {
        "ratings": [None if rating == "human" else rating for rating in ratings],
        "finish_reason": walk.get("finish_reason"),
    }
    prompt = said("user", text(question, "problem"))
    reference = str(question.get("ground_truth_answer") or "")
    return [Solution(prompt=prompt, steps=tuple(steps), reference=reference, human=human, meta=meta)]


def _step(step: Row, index: int) -> tuple[str, int | str | None]:
    """The text and the rating of a walked step; "human" for a step that a person wrote in."""
    candidates = items(step, "completions") if step.get("completions") else []
    chosen, own = step.get("chosen_completion"), step.get("human_completion")
    if chosen is None and own:
        return (own if isinstance(own, str) else text(own, "text")), "human"
    chosen = 0 if chosen is None else chosen
    if not isinstance(chosen, int) or not 0 <= chosen < len(candidates):
        raise InputError(f"field 'label.steps[{index}]': chosen_completion {chosen} of {len(candidates)} completions")
    rating = candidates[chosen].get("rating")
    if rating not in (-1, 0, 1, None):
        raise wrong(f"label.steps[{index}].rating", rating, "-1, 0, 1 or null")
    return text(candidates[chosen], "text"), rating


def _first_wrong(ratings: list[int | str | None], annotator: str) -> tuple[HumanLabel, ...]:
    """The first -1, or -1 where there is none; no label when an unrated step comes before it."""
    for index, rating in enumerate(ratings):
        if rating is None:
            return ()
        if rating == -1:
            return label(annotator, index)
    return label(annotator, -1)


FORMATS = (
    Format(
        name="prm800k",
        about="PRM800K: question {problem, …}, label {steps [{completions [{text, rating}], …}], finish_reason}",
        fields=("question", "label"),
        read=solution,
        fits=lambda row: isinstance(row["question"], dict) and isinstance(row["label"], dict),
    ),
)
