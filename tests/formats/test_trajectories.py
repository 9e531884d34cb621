"""Trajectories: read with their labels, their turns as steps, written and read again; what is wrong is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge.errors import InputError
from judge.exports.examples import Stepped
from judge.exports.writers import WRITERS
from judge.formats import from_row, read_records, to_row
from judge.records import Message, Record, Response, Solution, as_steps, is_trajectory, response_of, turn_steps
from tests.formats.trajectory_cases import ASKED, CALL, DONE, LABELLED, PROMPT, TOOLS, TURNS


def read(folder: Path, row: dict[str, Any]) -> Record:
    file = folder / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (placed,) = read_records(file)
    return placed.record


def test_a_step_is_a_turn_of_the_agent_with_what_came_in_before_it() -> None:
    call = '<tool_call>\n{"name": "search", "arguments": {"q": "capital of Peru"}, "id": "c1"}\n</tool_call>'
    result = '<tool_result name="search" id="c1">\nLima\n</tool_result>'
    assert turn_steps(TURNS) == (call, f"Tool: {result}\n\nAssistant: Cusco.")
    # What follows the last turn belongs to the last step.
    assert turn_steps(TURNS[:2]) == (f"Assistant: {call}\n\nTool: {result}",)
    assert turn_steps((Message("assistant", "a"), Message("user", "b"), Message("assistant", "c"))) == (
        "a",
        "User: b\n\nAssistant: c",
    )


def test_no_text_of_a_step_can_open_a_tag_of_another() -> None:
    steps = turn_steps((*TURNS, Message("assistant", "</tool_result><tool_call>{}")))
    assert steps[2] == "(/tool_result>(tool_call>{}"


def test_a_trajectory_is_told_from_an_answer() -> None:
    assert is_trajectory(TURNS) and is_trajectory(TURNS[:1])
    assert not is_trajectory(TURNS[2:]) and not is_trajectory(())


def test_turns_and_not_their_texts_make_the_id() -> None:
    response = Response(prompt=PROMPT, response=TURNS)
    solution = as_steps(response)
    assert response_of(solution) == TURNS and len(solution.steps) == 2
    text = Solution(prompt=PROMPT, steps=solution.steps)
    other = CALL | {"function": {"name": "search", "arguments": '{"q": "capital of Chile"}'}}
    changed = Solution(prompt=PROMPT, turns=(Message("assistant", "", tool_calls=(other,)), *TURNS[1:]))
    assert len({solution.id, text.id, changed.id, response.id}) == 4
    # The id of a solution without turns stays what it was.
    plain = Solution(prompt=(Message("user", "1+1+1?"),), steps=("1+1=2", "2+1=4"))
    assert plain.id == "e55a7b75afaab120ba45dd7dc24b84f9"


def test_our_own_row_holds_the_turns_and_for_the_eye_the_steps(tmp_path: Path) -> None:
    solution = read(tmp_path, LABELLED)
    row = json.loads(json.dumps(to_row(solution)))
    assert list(row)[:5] == ["id", "kind", "prompt", "turns", "steps"] and len(row["steps"]) == 2
    assert from_row(row) == solution and from_row(row).id == solution.id
    of_a_run = row | {"shortened": 2, "judgement": {"task": "steps", "verdict": ["right", "wrong"]}}
    assert read(tmp_path, of_a_run).meta == solution.meta


def test_step_labels_are_written_and_read_again(tmp_path: Path) -> None:
    solution = read(tmp_path, LABELLED)
    assert isinstance(solution, Solution)
    stepped = Stepped(
        prompt=solution.prompt,
        steps=solution.steps,
        right=(True, False),
        p_right=(0.9, 0.2),
        neutral=(False, False),
        turns=solution.turns,
    )
    row = WRITERS["openai"]["stepwise"](stepped, False)
    assert {name: row[name] for name in ("messages", "tools", "step_labels")} == {
        name: LABELLED[name] for name in ("messages", "tools", "step_labels")
    }
    again = read(tmp_path, row)
    assert isinstance(again, Solution)
    assert (again.prompt, again.turns, again.human) == (solution.prompt, solution.turns, solution.human[:1])


def test_a_neutral_step_and_the_steps_of_a_text(tmp_path: Path) -> None:
    stepped = Stepped(
        prompt=(Message("user", "p"),), steps=("a", "b"), right=(True, True), p_right=(1.0, 0.9), neutral=(False, True)
    )
    row = WRITERS["openai"]["stepwise"](stepped, False)
    assert row["step_labels"] == {"1": 1, "2": 0}
    assert [message["role"] for message in row["messages"]] == ["user", "assistant", "assistant"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_labels": {"3": 1}}, "message 3 is no turn of the assistant (accepted: 2, 4)"),
        ({"step_labels": {"2": 2}}, "field 'step_labels.2': found 2 (accepted: 1, 0 or -1)"),
        ({"step_labels": [1]}, "a list of one a turn of the assistant"),
        ({"messages": ASKED, "step_labels": {}}, "found no turn of the assistant"),
    ],
)
def test_what_is_no_label_of_a_step_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=r"rows\.jsonl:1: ") as caught:
        read(tmp_path, {"messages": [*ASKED, *DONE], "tools": TOOLS, **change})
    assert message in str(caught.value)
