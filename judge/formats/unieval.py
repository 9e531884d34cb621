"""UniEval's files: a system's output with mean human ratings by criterion, and its own predictions beside them."""

from judge.formats.base import Format, Row
from judge.formats.fields import inner, number, rest, said, text
from judge.records import HumanLabel, Message, Response


def rated(row: Row) -> list[Response]:
    """One response; each rating is a label of the annotator "mean" with its criterion. The fact of a dialogue
    (`context`) is a system turn before it. `predict_scores` stays in `meta`."""
    scores = inner(row, "scores")
    human = tuple(HumanLabel(annotator="mean", verdict=number(scores, name), criterion=name) for name in scores)
    prompt = said("user", text(row, "source"))
    if str(row.get("context") or "").strip():
        prompt = (Message("system", text(row, "context")), *prompt)
    return [
        Response(
            prompt=prompt,
            response=said("assistant", text(row, "system_output", empty=True)),
            reference=text(row, "reference", empty=True) if row.get("reference") is not None else "",
            human=human,
            meta=rest(row, ("source", "context", "system_output", "reference", "scores")),
        )
    ]


FORMATS = (
    Format(
        name="unieval",
        about="UniEval: source, system_output, scores {criterion: mean rating}; optional context, reference",
        fields=("source", "system_output", "scores"),
        read=rated,
    ),
)
