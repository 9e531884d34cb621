"""JUDGE-BENCH's schema: one object with `annotations` (the metrics) and `instances` with the scores of people."""

from typing import Any

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import cell, inner, items, rest, said
from judge.records import HumanLabel, Response

_PLACE = ("{{ instance }}", "{{instance}}")
_ANSWERS = ("response", "output", "answer", "translation", "summary", "generated", "text", "completion")


def instances(row: Row) -> list[Response]:
    """One response an instance, with a label a metric and annotator.

    A metric's own scores are taken one by one where the file has them, else their mean or majority. The prompt is what
    the instance holds beside its answer; of an instance that is a text, the first metric's instruction.
    """
    metrics = items(row, "annotations")
    instruction = str(metrics[0].get("prompt") or "") if metrics else ""
    for place in _PLACE:
        instruction = instruction.replace(place, "").strip()
    records = []
    for index, instance in enumerate(items(row, "instances")):
        prompt, answer = _texts(instance.get("instance"), instruction, index)
        human = _labels(inner(instance, "annotations"))
        meta = {"dataset": row.get("dataset"), **rest(instance, ("instance", "annotations"))}
        records.append(
            Response(prompt=said("user", prompt), response=said("assistant", answer), human=human, meta=meta)
        )
    return records


def _texts(instance: Any, instruction: str, index: int) -> tuple[str, str]:
    if isinstance(instance, str) and instance.strip():
        return instruction or "(no instruction)", instance
    if isinstance(instance, dict):
        parts = {name: value for name, value in instance.items() if isinstance(value, str) and value.strip()}
        name = next((name for name in _ANSWERS if name in parts), "")
        if name:
            before = [f"{other}: {value}" for other, value in parts.items() if other not in (name, "reference")]
            return "\n\n".join(before) or instruction or "(no instruction)", parts[name]
    raise InputError(
        f"field 'instances[{index}].instance': found no text to judge (accepted: a text; {', '.join(_ANSWERS)})"
    )


def _labels(annotations: Row) -> tuple[HumanLabel, ...]:
    human: list[HumanLabel] = []
    for metric in annotations:
        scores = inner(annotations, metric)
        single = scores.get("individual_human_scores")
        if isinstance(single, list) and single:
            named = [(f"annotator{number}", value) for number, value in enumerate(single, 1)]
        else:
            named = [(name, scores.get(f"{name}_human")) for name in ("mean", "majority") if f"{name}_human" in scores][
                :1
            ]
        for annotator, value in named:
            for row in cell(annotator, value, "response"):
                human.append(HumanLabel(annotator=annotator, verdict=row["verdict"], criterion=str(metric)))
    return tuple(human)


FORMATS = (
    Format(
        name="judge-bench",
        about="JUDGE-BENCH: annotations (metrics), instances [{instance, annotations {metric: scores}}]",
        fields=("annotations", "instances"),
        read=instances,
        fits=lambda row: isinstance(row["instances"], list),
    ),
)
