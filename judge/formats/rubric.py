"""Rubrics: lists of criteria, in a column of the data or in a file, and the families of data that are made of them.

An item is a text, or an object with `criterion` (HealthBench), `description` with `title` (rubrics as rewards), or
`text`, and `points` or `weight`, below 0 for what counts against a response; `gate: true` for what must hold.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yaml.nodes import MappingNode, SequenceNode

from judge.errors import InputError
from judge.files import scan_rows
from judge.formats.base import Format, Row
from judge.formats.fields import assistant, conversation, need, number, offered, rest, text, user, values, wrong
from judge.records import Conversation, HumanLabel, Record, Response, Rubric, RubricItem
from judge.yaml_input import YamlError, compose, construct

COLUMNS = ("rubric", "rubrics")
OWN = "rmjudge"
"""The field in which an export of a judged rubric says what it scored; no part of the data."""
_TEXTS, _POINTS, _NAMES = ("criterion", "description", "text"), ("points", "weight"), ("name", "title")


def rubric_of(row: Row) -> Rubric:
    """The rubric in a row's column, () where there is none; a text in the column is no list of criteria."""
    for name in COLUMNS:
        value = row.get(name)
        if isinstance(value, list | tuple) or (isinstance(value, str) and value.lstrip().startswith("[")):
            return rubric_items(values(row, name, "a list of criteria"), name)
    return ()


def rubric_items(entries: Sequence[Any], field: str) -> Rubric:
    """A rubric from plain values; raises InputError without a place."""
    items = tuple(_item(entry, f"{field}[{index}]") for index, entry in enumerate(entries))
    if not items and field not in COLUMNS:
        raise InputError(f"field '{field}': found no criteria (accepted: one or more)")
    again = [label for label, count in Counter(item.label for item in items).items() if count > 1]
    if again:
        raise InputError(f"field '{field}': the criterion '{again[0]}' stands there twice (accepted: different ones)")
    return items


def _item(entry: Any, field: str) -> RubricItem:
    if isinstance(entry, str):
        entry = {"criterion": entry}
    if not isinstance(entry, Mapping):
        raise wrong(field, entry, "a text, or an object with 'criterion' and 'points'")
    key = next((name for name in _TEXTS if name in entry), "")
    if not key:
        raise InputError(f"field '{field}': no 'criterion' in it (found: {', '.join(map(str, entry)) or 'nothing'})")
    given = [name for name in _POINTS if entry.get(name) is not None]
    try:
        points = number(entry, given[0]) if given else 1.0
        name = next((str(entry[name]).strip() for name in _NAMES if entry.get(name)), "")
        item = RubricItem(
            text=text(entry, key).strip(),
            points=points,
            name=name,
            gate=bool(entry.get("gate", False)),
            tags=tuple(str(tag) for tag in values(entry, "tags")) if entry.get("tags") else (),
        )
    except InputError as error:
        raise InputError(f"field '{field}': {error}") from None
    if not item.points and not item.gate:
        raise wrong(f"{field}.{given[0]}", 0, "points other than 0")
    return item


def as_rubric(entries: Sequence[Any]) -> Rubric:
    """A rubric from items, texts and plain values, which may be mixed; raises InputError."""
    plain = [rubric_rows((entry,))[0] if isinstance(entry, RubricItem) else entry for entry in entries]
    return rubric_items(plain, "rubric") if plain else ()


def rubric_rows(rubric: Rubric) -> list[dict[str, Any]]:
    """A rubric as plain values, which `rubric_items` reads again."""
    return [
        {"criterion": item.text, "points": item.points}
        | ({"name": item.name} if item.name else {})
        | ({"gate": True} if item.gate else {})
        | ({"tags": list(item.tags)} if item.tags else {})
        for item in rubric
    ]


def load_rubric(path: str | Path) -> Rubric:
    """The rubric of a file: YAML or JSON (a list of criteria, or an object with `criteria`), or JSON lines.

    Raises:
        InputError: `file:line: …` for what cannot be read.
    """
    path = Path(path)
    placed = _lines(path) if path.suffix == ".jsonl" else _listed_in(path)
    for place, entry in placed:
        try:
            rubric_items([entry], "entry")
        except InputError as error:
            raise InputError(f"{place}: {str(error).replace('entry[0].', '').removeprefix(_ENTRY)}") from None
    return _whole([entry for _, entry in placed], str(path))


_ENTRY = "field 'entry[0]': "


def _lines(path: Path) -> list[tuple[str, Any]]:
    placed = []
    for place, row in scan_rows(path):
        if isinstance(row, InputError):
            raise row
        placed.append((place, row))
    return placed


def _listed_in(path: Path) -> list[tuple[str, Any]]:
    """The entries of a YAML or JSON file, each with its place."""
    try:
        source = path.read_text("utf-8")
        tree = compose(source)
        value = construct(tree)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    except YamlError as error:
        raise InputError(f"{path}:{error.line}: no YAML: {error}") from None
    if isinstance(value, Mapping) and isinstance(tree, MappingNode):
        key = next((name for name in ("criteria", *COLUMNS) if name in value), "")
        value, tree = value.get(key), next((child for name, child in tree.value if name.value == key), None)
    if not isinstance(value, list) or not value or not isinstance(tree, SequenceNode):
        raise InputError(f"{path}: no list of criteria in it (accepted: a list, or an object with 'criteria')")
    return [(f"{path}:{node.start_mark.line + 1}", entry) for entry, node in zip(value, tree.value, strict=True)]


def _whole(entries: Sequence[Any], path: str) -> Rubric:
    try:
        return rubric_items(entries, "criteria")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


# -- families ---------------------------------------------------------------------------------------------------------


def _healthbench(row: Row) -> list[Record]:
    """HealthBench: a conversation with its rubric, maybe with a completion; the ideal completion is a reference."""
    ideal = row.get("ideal_completions_data") or {}
    reference = str(ideal.get("ideal_completion") or "") if isinstance(ideal, Mapping) else ""
    prompt = offered(conversation(need(row, "prompt"), "user", "prompt"), row)
    meta = rest(row, ("prompt", "rubrics", "completion", "response", "tools", OWN))
    response = _completion(row)
    rubric = rubric_of(row)
    return [Response(prompt=prompt, response=response, reference=reference, rubric=rubric, meta=meta)]


def _completion(row: Row) -> Conversation:
    name = next((name for name in ("completion", "response") if name in row), "")
    return assistant(row, name, empty=True) if name else ()


def _meta_evaluation(row: Row) -> list[Record]:
    """HealthBench's evaluation of graders: one criterion, and what several physicians said of it."""
    item = RubricItem(text=text(row, "rubric").strip())
    named = row.get("anonymized_physician_ids") is not None
    people = values(row, "anonymized_physician_ids") if named else []
    votes = values(row, "binary_labels", "a list of true or false")
    names = [str(people[index]) if index < len(people) else f"physician {index + 1}" for index in range(len(votes))]
    human = tuple(
        HumanLabel(annotator=name, verdict=float(bool(vote)), criterion=item.label)
        for name, vote in zip(names, votes, strict=True)
    )
    meta = rest(row, ("prompt", "completion", "rubric", "binary_labels", "anonymized_physician_ids", OWN))
    prompt, response = conversation(need(row, "prompt"), "user", "prompt"), assistant(row, "completion")
    return [Response(prompt=prompt, response=response, rubric=(item,), human=human, meta=meta)]


def _rubrics_as_rewards(row: Row) -> list[Record]:
    """Rubrics as rewards (Gunjal et al. 2025): question, reference_answer, rubric of {title, description, weight}."""
    meta = rest(row, ("question", "rubric", "reference_answer", "completion", "response", "tools", OWN))
    reference = text(row, "reference_answer", empty=True) if row.get("reference_answer") is not None else ""
    prompt, response = offered(user(row, "question"), row), _completion(row)
    return [Response(prompt=prompt, response=response, reference=reference, rubric=rubric_of(row), meta=meta)]


def _listed(name: str) -> Any:
    return lambda row: isinstance(row.get(name), list) or str(row.get(name)).lstrip().startswith("[")


FORMATS = (
    Format(
        name="healthbench",
        about="HealthBench: prompt (messages), rubrics of {criterion, points, tags}, with or without a completion",
        fields=("prompt", "rubrics"),
        read=_healthbench,
        fits=_listed("rubrics"),
        over=("trl-unpaired", "rmjudge"),
    ),
    Format(
        name="healthbench-meta",
        about="HealthBench's evaluation of graders: a completion, one criterion, physicians' binary_labels",
        fields=("prompt", "completion", "rubric", "binary_labels"),
        read=_meta_evaluation,
    ),
    Format(
        name="rubrics-as-rewards",
        about="question, reference_answer, rubric of {title, description, weight}, with or without a response",
        fields=("question", "rubric"),
        read=_rubrics_as_rewards,
        fits=_listed("rubric"),
    ),
)
