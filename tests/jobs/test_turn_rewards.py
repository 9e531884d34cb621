"""Rewards for an agent's turns: a process model learns from labels of turns and tells each turn of others."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.files import write_rows
from judge.formats import read_records
from judge.records import Solution
from tests.rewards.models import save

YES, NO = "w10", "w20"


def call(word: str) -> dict[str, Any]:
    function = {"name": "f", "arguments": json.dumps({"x": f"w7 {word} w7"})}
    return {"id": "c1", "type": "function", "function": function}


def trajectory(number: int, *words: str) -> list[dict[str, Any]]:
    """Each turn calls a tool with a word; the tool says the same whatever the word is."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": f"w{6 + number % 50} w{6 + number // 50}"}]
    for word in words:
        turns.append({"role": "assistant", "content": f"w8 {word} w8", "tool_calls": [call(word)]})
        turns.append({"role": "tool", "content": "w9", "tool_call_id": "c1"})
    return turns


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> judge.RewardModel:
    """From AgentProcessBench's labels: a turn is wrong where it says NO."""
    folder = tmp_path_factory.mktemp("turns")
    rows = []
    for number in range(40):
        words = [(YES, NO), (NO, YES), (YES, YES)][number % 3]
        labels = {str(1 + 2 * place): 1 if word == YES else -1 for place, word in enumerate(words)}
        rows.append({"messages": trajectory(number, *words), "step_labels": labels})
    write_rows(folder / "labelled.jsonl", rows)
    return judge.distill(
        folder / "labelled.jsonl",
        kind="process",
        labels="human",
        backbone=str(save(folder / "backbone", "llama")),
        out=folder / "model",
        epochs=6,
        learning_rate=3e-3,
        validation_fraction=0.2,
        progress=False,
    )


def test_every_turn_has_its_reward(process: judge.RewardModel) -> None:
    turns = trajectory(7, YES, NO, YES)
    reward = process.score(turns[:1], turns[1:])
    assert len(reward.steps) == 3
    assert reward.steps[1] < min(reward.steps[0], reward.steps[2])
    assert reward.value == pytest.approx(min(reward.steps))


def test_two_turns_that_differ_in_an_argument_have_two_rewards(process: judge.RewardModel) -> None:
    turns = trajectory(7, YES)
    other = [*turns[:1], {**turns[1], "tool_calls": [call(NO)]}, *turns[2:]]
    first, second = process.score_batch([(turns[:1], turns[1:]), (other[:1], other[1:])])
    assert first[0].steps != second[0].steps


def test_a_file_of_trajectories_is_scored_turn_by_turn(process: judge.RewardModel, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    write_rows(data, [{"messages": trajectory(9, YES, NO)}, {"messages": trajectory(11, NO)}])
    run = judge.score(process, data, out=tmp_path / "run", progress=False)
    rows = {len(row["steps"]): row for row in run.rows()}
    assert run.task == "steps" and rows[2]["judgement"]["verdict"] == ["right", "wrong"]
    assert rows[2]["turns"][0]["tool_calls"] == [call(YES)]
    assert rows[1]["judgement"]["first_wrong"] == 0
    # The run is that of judges: exported with a label a turn, and read again.
    judge.export(run, to="openai", out=tmp_path / "out", validation=0.0)
    labels = [json.loads(line)["step_labels"] for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert sorted(map(json.dumps, labels)) == ['{"1": -1}', '{"1": 1, "3": -1}']
    again = {record.id for _, record in read_records(tmp_path / "out" / "train.jsonl") if isinstance(record, Solution)}
    assert again == {row["id"] for row in rows.values()}
    # Judged as wholes they are outcomes.
    whole = judge.score(process, data, out=tmp_path / "whole", aggregate="min", progress=False)
    assert whole.task == "outcome" and whole.counts.verdicts == {"wrong": 2}
