"""Rows of the families that hold an agent's trajectory, and the records that a reader of them expects."""

from typing import Any

from judge.records import Conversation, HumanLabel, Message, Record, Response, Solution

CALL = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "capital of Peru"}'}}
TOOLS = [{"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}]
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "The capital of Peru?"}]
DONE: list[dict[str, Any]] = [
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "name": "search", "content": "Lima", "tool_call_id": "c1"},
    {"role": "assistant", "content": "Cusco."},
]
PROMPT: Conversation = (
    Message("system", "Be brief.", tools=tuple(TOOLS)),
    Message("user", "The capital of Peru?"),
)
TURNS: Conversation = (
    Message("assistant", "", tool_calls=(CALL,)),
    Message("tool", "Lima", name="search", tool_call_id="c1"),
    Message("assistant", "Cusco."),
)


def label(verdict: float, criterion: str = "") -> HumanLabel:
    return HumanLabel(annotator="agentprocessbench", verdict=verdict, criterion=criterion)


LABELLED: dict[str, Any] = {
    "query_index": 7,
    "question": "The capital of Peru?",
    "ground_truth": {"target": ["Lima", "City of Lima"]},
    "messages": [*ASKED, *DONE],
    "tools": TOOLS,
    "step_labels": {"2": 1, "4": -1},
    "final_label": -1,
}
META = {name: LABELLED[name] for name in ("query_index", "question", "ground_truth")}

TRAJECTORY_CASES: list[tuple[str, dict[str, Any], list[Record]]] = [
    (
        "agentprocessbench",
        LABELLED,
        [
            Solution(
                prompt=PROMPT,
                turns=TURNS,
                reference="Lima / City of Lima",
                human=(label(1), label(0.0, "correct")),
                meta=META | {"ratings": [1, -1]},
            )
        ],
    ),
    (
        "agentprocessbench",
        {"messages": [*ASKED, *DONE], "tools": TOOLS, "step_labels": [0, 1], "final_label": 0},
        [Solution(prompt=PROMPT, turns=TURNS, human=(label(-1),), meta={"ratings": [0, 1]})],
    ),
    (
        # Nobody says where the first mistake is: the first turn has no label.
        "agentprocessbench",
        {"messages": [*ASKED, *DONE], "tools": TOOLS, "step_labels": {"4": -1}, "final_label": 1},
        [Solution(prompt=PROMPT, turns=TURNS, human=(label(1.0, "correct"),), meta={"ratings": [None, -1]})],
    ),
    (
        "trl-completion",
        {"prompt": ASKED, "completion": DONE, "tools": TOOLS, "source": "s"},
        [Response(prompt=PROMPT, response=TURNS, meta={"source": "s"})],
    ),
]
