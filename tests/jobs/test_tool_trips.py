"""Conversations with tool calls all the way: shown to a judge, judged, exported, read again, and still the same."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.formats import read_records
from judge.records import Conversation, Pair, Response

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "stock",
            "description": "How many of an article are left.",
            "parameters": {"type": "object", "properties": {"article": {"type": "string"}}},
        },
    }
]


def call(article: str, *, content: str | None = None) -> dict[str, Any]:
    function = {"name": "stock", "arguments": json.dumps({"article": article})}
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


def answered(article: str, left: str) -> list[dict[str, Any]]:
    result = {"role": "tool", "content": left, "tool_call_id": "c1", "name": "stock"}
    return [call(article), result, {"role": "assistant", "content": f"{left} are left."}]


ASK = {"role": "user", "content": "How many red lamps are left?"}
TRL = [
    {"prompt": [ASK], "chosen": answered("red lamp", "7"), "rejected": [call("blue lamp")], "tools": TOOLS},
    # The two sides say the same and differ in what they call alone.
    {
        "prompt": [{"role": "system", "content": "Look it up."}, ASK],
        "chosen": [call("red lamp", content="One moment.")],
        "rejected": [call("blue lamp", content="One moment.")],
        "tools": TOOLS,
    },
    # The history holds a call; its content is empty, not null.
    {
        "prompt": [ASK, call("red lamp", content=""), answered("red lamp", "7")[1]],
        "chosen": [{"role": "assistant", "content": "Seven: red lamp.", "reasoning_content": "The tool says 7."}],
        "rejected": [{"role": "assistant", "content": "None: blue lamp."}],
        "tools": TOOLS,
    },
]
OPENAI = [
    {"messages": [{"role": "system", "content": "Be brief."}, ASK, *answered("red lamp", "7")], "tools": TOOLS},
    {"messages": [ASK, call("blue lamp")], "tools": TOOLS},
]
SHAREGPT = [
    {
        "conversations": [
            {"from": "human", "value": ASK["content"]},
            {"from": "function_call", "value": json.dumps({"name": "stock", "arguments": {"article": "red lamp"}})},
            {"from": "observation", "value": "7"},
        ],
        "chosen": {"from": "gpt", "value": "Seven: red lamp."},
        "rejected": {"from": "gpt", "value": "None: blue lamp."},
        "system": "Be brief.",
        "tools": json.dumps(TOOLS),
    }
]
PREFERS_RED = [
    {"match": r"(?s)<response_a>.*red lamp.*</response_a>.*<response_b>", "text": "[[A]]"},
    {"match": r"(?s)<response_b>.*red lamp.*</response_b>", "text": "[[B]]"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def texts(path: Path) -> list[tuple[Conversation, ...]]:
    """The prompts of a file with the responses to each, the better one first, wherever it stands."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    verdicts = {row["id"]: row["judgement"]["verdict"] for row in rows if "judgement" in row}
    found: list[tuple[Conversation, ...]] = []
    for _, record in read_records(path):
        assert isinstance(record, Pair | Response)
        if isinstance(record, Response):
            found.append((record.prompt, record.response))
        else:
            turned = verdicts.get(record.id, record.human[0].verdict if record.human else "") == "second"
            found.append((record.prompt, *((record.second, record.first) if turned else (record.first, record.second))))
    return sorted(found, key=repr)


def exported(folder: Path, run: judge.Run, to: str, kind: str = "") -> list[dict[str, Any]]:
    judge.export(run, to=to, kind=kind, out=folder / to, validation=0.0)
    return [json.loads(line) for line in (folder / to / "train.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("to", ["trl", "openai", "rmjudge", "nemo"])
def test_a_trl_preference_file(tmp_path: Path, to: str) -> None:
    data, rules = write(tmp_path / "data.jsonl", TRL), write(tmp_path / "rules.jsonl", PREFERS_RED)
    asked = {"task": "preference", "judges": f"scripted:{rules}", "progress": False}
    shown = judge.label(data, **asked, dry_run=True)  # type: ignore[arg-type]
    assert isinstance(shown, judge.Preview)
    text = shown.text_of(shown.shown[0][0])
    assert '<tool_call>\n{"name": "stock", "arguments": {"article": "red lamp"}' in text
    assert '"description": "How many of an article are left."' in text
    run = judge.label(data, **asked, out=tmp_path / "run")  # type: ignore[arg-type]
    assert run.counts.verdicts == {"first": 3} and run.counts.flips == 0  # the calls alone tell the second pair apart
    rows = exported(tmp_path, run, to)
    assert texts(tmp_path / to / "train.jsonl") == texts(data)
    if to == "trl":
        written = [{name: row[name] for name in TRL[0]} for row in rows]
        assert sorted(written, key=json.dumps) == sorted(TRL, key=json.dumps)


def test_an_openai_trajectory_file(tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", OPENAI)
    rules = write(
        tmp_path / "rules.jsonl",
        [{"match": "(?s)<[a-z_]*response>.*red lamp", "text": "[[right]]"}, {"match": "", "text": "[[wrong]]"}],
    )
    run = judge.label(data, task="outcome", judges=f"scripted:{rules}", out=tmp_path / "run", progress=False)
    assert run.counts.verdicts == {"right": 1, "wrong": 1}
    rows = exported(tmp_path, run, "openai")
    assert texts(tmp_path / "openai" / "train.jsonl") == texts(data)
    written = [{name: row[name] for name in OPENAI[0]} for row in rows]
    assert sorted(written, key=json.dumps) == sorted(OPENAI, key=json.dumps)
    assert sorted(row["label"] for row in rows) == [False, True]


def test_a_sharegpt_file_with_tools(tmp_path: Path) -> None:
    data, rules = write(tmp_path / "data.jsonl", SHAREGPT), write(tmp_path / "rules.jsonl", PREFERS_RED)
    run = judge.label(data, task="preference", judges=f"scripted:{rules}", out=tmp_path / "run", progress=False)
    assert run.counts.verdicts == {"first": 1}
    (row,) = exported(tmp_path, run, "sharegpt")
    assert {name: row[name] for name in SHAREGPT[0]} == SHAREGPT[0]
    assert texts(tmp_path / "sharegpt" / "train.jsonl") == texts(data)
