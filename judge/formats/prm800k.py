"""OpenAI's PRM800K: a walk through a solution where people rated every candidate step 1, 0 (neutral) or -1; and its
file of test samples, which are counted by best of n."""

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import inner, items, label, number, rest, said, text, texts, truth, wrong
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
    chosen, written = step.get("chosen_completion"), step.get("human_completion")
    if chosen is None and written:
        return (written if isinstance(written, str) else text(inner(step, "human_completion"), "text")), "human"
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


def sample(row: Row) -> list[Solution]:
    """One of many solutions to a test problem (scored-test-samples.jsonl): whether its answer is right is its label;
    the answer and its authors' own scores go to `meta`."""
    meta = rest(row, ("problem", "steps", "is_correct", "ground_truth_answer", "given_answer"))
    answer = row.get("answer", row.get("given_answer"))
    meta |= {"answer": answer} if answer is not None else {}
    meta |= {name: number(row, name) for name in ("prm_score", "orm_score") if row.get(name) is not None}
    return [
        Solution(
            prompt=said("user", text(row, "problem")),
            steps=texts(row, "steps", empty=True),
            reference=str(row.get("ground_truth_answer") or ""),
            human=label("prm800k", float(truth(row, "is_correct")), "correct"),
            meta=meta,
        )
    ]


FORMATS = (
    Format(
        name="prm800k-samples",
        about="PRM800K's test samples: problem, steps, is_correct; answer, prm_score and orm_score where known",
        fields=("problem", "steps", "is_correct"),
        read=sample,
    ),
    Format(
        name="prm800k",
        about="PRM800K: question {problem, …}, label {steps [{completions [{text, rating}], …}], finish_reason}",
        fields=("question", "label"),
        read=solution,
        fits=lambda row: isinstance(row["question"], dict) and isinstance(row["label"], dict),
    ),
)
