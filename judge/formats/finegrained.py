"""FineGrainedRLHF's preference file: four answers to a question about passages, and six pairwise human preferences."""

from itertools import combinations

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import label, one_of, said, text, values, wrong
from judge.records import Pair

ANSWERS = 4
VERDICTS = {"0": "tie", "1": "first", "2": "second"}


def pairs(row: Row) -> list[Pair]:
    """Six pairs a row in the order (1,2), (1,3), (1,4), (2,3), (2,4), (3,4); the numbers stand in `meta["answers"]`.

    The prompt is the question and then the passages that the annotators saw.
    """
    answers = [said("assistant", text(row, f"prediction {number}", empty=True)) for number in range(1, ANSWERS + 1)]
    preferences = values(row, "preference")
    order = list(combinations(range(ANSWERS), 2))
    if len(preferences) != len(order):
        raise InputError(f"field 'preference': found {len(preferences)} values (accepted: {len(order)})")
    prompt = said("user", "\n\n".join([text(row, "question"), *_passages(row)]))
    gold = {"gold": row["gold"]} if "gold" in row else {}
    return [
        Pair(
            prompt=prompt,
            first=answers[i],
            second=answers[j],
            human=label("finegrained-rlhf", one_of({"preference": value}, "preference", VERDICTS)),
            meta={"question": row["question"], "answers": [i + 1, j + 1], **gold},
        )
        for (i, j), value in zip(order, preferences, strict=True)
    ]


def _passages(row: Row) -> list[str]:
    """Each passage as one text; its title leads, unless its first sentence says it already."""
    texts = []
    for passage in values(row, "passages"):
        if not isinstance(passage, list) or not passage or not all(isinstance(part, str) for part in passage):
            raise wrong("passages", passage, "a list of [title, sentence, …]")
        title, *sentences = passage
        body = " ".join(sentences)
        texts.append(body if body.startswith(title) else f"{title}\n\n{body}")
    return texts


FORMATS = (
    Format(
        name="finegrained-rlhf",
        about="FineGrainedRLHF: question, passages, 'prediction 1'…'prediction 4', preference (six of 0, 1, 2)",
        fields=("question", "passages", "prediction 1", "prediction 4", "preference"),
        read=pairs,
    ),
)
