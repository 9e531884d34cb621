"""The JSON Schemas of the package against what is really written; keys are snake_case everywhere."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import judge
from judge.agreement import schema
from judge.agreement.robustness import schema as robustness_schema
from judge.agreement.serialization import audit_to_row, to_row
from tests.report.sample import report as sample_report

KEY = re.compile(r"[a-z][a-z0-9_]*")
OF_DATA = {"fields", "texts", "meta", "probabilities", "verdicts"}
"""Mappings whose keys are names from data."""


def validator(name: str) -> jsonschema.Draft202012Validator:
    text = files("judge").joinpath("schemas", f"{name}.json").read_text("utf-8")
    jsonschema.Draft202012Validator.check_schema(json.loads(text))
    return jsonschema.Draft202012Validator(json.loads(text))


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            if name not in OF_DATA:
                yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


@pytest.fixture
def run(tmp_path: Path) -> judge.Run:
    """Six judged pairs: the judge says "first" to all, people to the even ones."""
    rules = tmp_path / "rules.jsonl"
    rules.write_text('{"match": "(?s)RIGHT.*WRONG", "text": "[[A]]"}\n{"match": "(?s)WRONG.*RIGHT", "text": "[[B]]"}\n')
    data = tmp_path / "pairs.jsonl"
    rows = [
        {
            "prompt": f"Sum {number}?",
            "first": "RIGHT",
            "second": "WRONG",
            "human": [{"annotator": "ann", "verdict": "second" if number % 2 else "first"}],
        }
        for number in range(6)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    from judge.cli.main import main

    command = ["label", str(data), "--task", "preference", "--judge", f"scripted:{rules}", "--quiet", "--json", "--out"]
    assert main([*command, str(tmp_path / "run")]) == 0
    return judge.open_run(tmp_path / "run")


def test_rows_and_manifest(run: judge.Run) -> None:
    rows = list(run.rows())
    assert len(rows) == 6
    for row in rows:
        validator("row").validate(row)
    manifest = json.loads((run.directory / "manifest.json").read_text())
    validator("manifest").validate(manifest)
    assert all(KEY.fullmatch(name) for name in keys(manifest))
    assert all(KEY.fullmatch(name) for name in keys(rows))


def test_a_row_that_is_none_does_not_pass(run: judge.Run) -> None:
    row = next(run.rows())
    assert not validator("row").is_valid(row | {"judgement": row["judgement"] | {"verdict": "maybe"}})
    assert not validator("row").is_valid({name: row[name] for name in row if name != "first"})


def test_report(run: judge.Run) -> None:
    row = json.loads(judge.agree(run, resamples=50).to_json())
    validator("report").validate(row)
    assert all(KEY.fullmatch(name) for name in keys(row))


def test_a_report_with_every_part() -> None:
    row = json.loads(json.dumps(to_row(sample_report()), allow_nan=False))
    validator("report").validate(row)
    assert all(row[name] for name in ("league", "triangle", "benchmarks", "audits", "changes", "disagreements"))
    validator("audit").validate(audit_to_row(sample_report().audits[0]))


def test_the_schema_of_a_report_names_the_fields_of_its_types() -> None:
    definitions = json.loads(files("judge").joinpath("schemas", "report.json").read_text("utf-8"))["$defs"]
    for name, definition in definitions.items():
        kind = getattr(schema, name)
        assert is_dataclass(kind)
        assert definition["required"] == [field.name for field in fields(kind)]


def lengths(prompts: list[str], completions: list[str]) -> list[float]:
    return [float(len(completion)) for completion in completions]


def test_a_robustness_report() -> None:
    rows = [
        {
            "prompt": f"Sum {number}?",
            "first": f"It is {number}." * (1 + number % 3),
            "second": "No idea at all.",
            "human": [{"annotator": "ann", "verdict": "first"}],
            "meta": {"source": "ab"[number % 2]},
        }
        for number in range(60)
    ]
    shifted = [{**row, "prompt": f"Shifted: {row['prompt']}"} for row in rows]
    report = judge.robustness(lengths, rows, shifted=shifted, pairs=10, k=2, resamples=50, progress=False)
    row = json.loads(report.to_json())
    validator("robustness").validate(row)
    assert all(row[name] for name in ("slices", "length", "probes", "attack", "findings", "shifted_coverage"))
    definitions = json.loads(files("judge").joinpath("schemas", "robustness.json").read_text("utf-8"))["$defs"]
    for name, definition in definitions.items():
        kind = getattr(robustness_schema, name)
        assert definition["required"] == [field.name for field in fields(kind)]
