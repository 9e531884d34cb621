"""What is fuzzed: whatever reads bytes of other people. Each target takes bytes and may raise RmjudgeError alone."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.constitution.constitution import load_constitution, shipped
from judge.constitution.lint import lint as lint_constitution
from judge.engines.base import Request
from judge.engines.openai import answers
from judge.engines.spec import parse_spec
from judge.errors import RmjudgeError
from judge.formats import BadRow, read_records, to_row
from judge.formats.rmjudge import from_row
from judge.formats.survey import survey
from judge.pretrained import check_directory
from judge.prompting.template import lint as lint_prompt
from judge.prompting.template import load_template, render_record
from judge.prompting.template import shipped as shipped_prompts
from judge.records import Message
from judge.rewards.checkpoint.metadata import read_metadata
from judge.runs.reader import open_run
from judge.serving.limits import Limits
from judge.serving.protocols import openrlhf, score, vllm
from judge.serving.protocols.bodies import parse
from judge.serving.refusals import RefusedError
from judge.tasks.critique import read_text
from judge.tasks.ranking import read_order
from judge.terminal import visible
from judge.verdicts import read_label, read_steps

TURN = [{"role": "user", "content": "How many?"}]
ANSWER = [{"role": "assistant", "content": "Three."}]
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@dataclass(frozen=True, slots=True)
class Target:
    """share: of all inputs. seeds: inputs that are read. read: reads one, with a folder to write it to."""

    share: float
    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path], None]


def _lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


# -- readers of data ---------------------------------------------------------------------------------------------------

HUMAN = [{"annotator": "x", "verdict": "first"}]
DATA = (
    _lines(
        {"prompt": "p", "chosen": "a", "rejected": "b", "margin": 0.5}, {"prompt": "q", "chosen": "", "rejected": "b"}
    ),
    _lines({"prompt": TURN, "chosen": ANSWER, "rejected": ANSWER, "tools": [{"name": "f", "parameters": {}}]}),
    _lines({"prompt": "p", "completion": "c", "label": True}, {"prompt": "p", "completions": ["a"], "labels": [False]}),
    _lines({"kind": "pair", "prompt": TURN, "first": ANSWER, "second": ANSWER, "human": HUMAN, "meta": {"a": 1}}),
    _lines(
        {"id": "x", "kind": "solution", "prompt": "p", "steps": ["a", "b"], "human": [{"annotator": "x", "verdict": 1}]}
    ),
    _lines(
        {"kind": "ranking", "prompt": "p", "responses": ["a", "b"], "human": [{"annotator": "x", "verdict": [1, 0]}]}
    ),
    _lines({"prompt": "p", "response": "r", "rubric": [{"criterion": "c", "points": 2, "tags": ["t"]}]}),
    _lines({"chosen": "\n\nHuman: p\n\nAssistant: a", "rejected": "\n\nHuman: p\n\nAssistant: b"}),
    _lines({"context": TURN, "completions": [{"rank": 1, "completion": ANSWER}, {"rank": 2, "completion": ANSWER}]}),
    _lines(
        {
            "question_id": 81,
            "turn": 1,
            "model_a": "a",
            "model_b": "b",
            "judge": "x",
            "winner": "tie",
            "conversation_a": [*TURN, *ANSWER],
            "conversation_b": [*TURN, *ANSWER],
        }
    ),
    _lines(
        {
            "id": "1",
            "prompt": "p",
            "chosen": ["a"],
            "rejected": ["b"],
            "subset": "Ties",
            "num_correct": 1,
            "num_incorrect": 1,
            "total_completions": 2,
            "models": ["x", "y"],
        }
    ),
    _lines(
        {
            "idx": 1,
            "instruction": "i",
            "input": "",
            "response1": "a",
            "response2": "b",
            "annotator1": 1,
            "annotator2": 0,
            "annotator3": 2,
        }
    ),
    _lines(
        {
            "question": {"problem": "p", "ground_truth_answer": "1"},
            "label": {
                "finish_reason": "solution",
                "steps": [
                    {
                        "completions": [{"text": "a", "rating": 1, "flagged": None}],
                        "human_completion": None,
                        "chosen_completion": 0,
                    }
                ],
            },
        }
    ),
    _lines({"input": "p Step 1: a ки\nStep 2: b ки", "label": "p Step 1: a +\nStep 2: b -", "task": "GSM8K"}),
    _lines(
        {"id": "1", "generator": "g", "problem": "p", "steps": ["a", "b"], "final_answer_correct": True, "label": -1}
    ),
    _lines({"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": '{"name": "f"}'}]}),
    _lines(
        {
            "messages": [
                *TURN,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "3"},
            ]
        }
    ),
    b'prompt,chosen,rejected\np,a,b\n"q\n",,b\n',
    b'[{"prompt": "p", "chosen": "a", "rejected": "b"}]',
    b'{"rows": [{"prompt": "p", "chosen": "a", "rejected": "b"}]}',
)


def read_data(content: bytes, folder: Path) -> None:
    """As JSONL or JSON by turns, or as a table; each record is written, read again and put into a prompt."""
    objects = content.lstrip()[:1] in (b"{", b"[")
    suffix = (".jsonl", ".jsonl", ".json")[len(content) % 3] if objects else (".csv", ".csv", ".tsv")[len(content) % 3]
    path = folder / f"data{suffix}"
    path.write_bytes(content)
    bad: list[BadRow] = []
    template = load_template("preference", "default")
    for placed in read_records(str(path), on_bad=bad.append):
        row = to_row(placed.record)
        again = from_row(json.loads(json.dumps(row)))
        assert again.id == placed.record.id
        if again.kind == "pair":
            list(render_record(template, again))
    json.dumps(survey(str(path)).to_row())


# -- runs --------------------------------------------------------------------------------------------------------------

READING = {"asked": "forward", "verdict": "first", "probabilities": {"first": 0.9, "second": 0.1}, "text": "[[A]]"}
JUDGEMENT = {"task": "preference", "verdict": "first", "p_first": 0.9, "consistent": True, "readings": [READING]}
PAIR_ROW = {
    "id": "0" * 32,
    "kind": "pair",
    "prompt": TURN,
    "first": ANSWER,
    "second": ANSWER,
    "human": HUMAN,
    "meta": {},
}
STEPS = {"task": "steps", "verdict": ["right"], "p_right": [0.5], "first_wrong": -1, "readings": []}
SOLUTION_ROW = {
    "id": "1" * 32,
    "kind": "solution",
    "prompt": TURN,
    "steps": ["a"],
    "reference": "",
    "human": [],
    "meta": {},
}
MANIFEST = {
    "config": {"task": "preference", "data": [{"bytes": 3, "hash": "x"}]},
    "finished": None,
    "attempts": 1,
    "seconds": 0.5,
    "counts": {"labelled": 1, "unreadable": 0, "verdicts": {"first": 1}},
    "tokens": {"calls": 1, "prompt": 2, "cached": 0, "output": 1},
    "cost": {"dollars": 1.0, "saved": 0.0, "models": [{"model": "m", "dollars": 1.0}]},
}
RUNS = (
    _lines(PAIR_ROW | {"judgement": JUDGEMENT}, MANIFEST),
    _lines(SOLUTION_ROW | {"judgement": STEPS}, MANIFEST),
    _lines({"id": "2" * 32, "kind": "bad", "place": "a:1", "reason": "x"}, MANIFEST),
)


def read_run(content: bytes, folder: Path) -> None:
    """The last line is the manifest, what is before it the labels."""
    rows, _, manifest = content.rpartition(b"\n")
    (folder / "labels.jsonl").write_bytes(rows + b"\n")
    (folder / "manifest.json").write_bytes(manifest)
    run = open_run(folder)
    repr(run)
    run._repr_html_()
    for judged in run:
        repr(judged.judgement)
    list(run.rows())


# -- prompts, constitutions, settings ----------------------------------------------------------------------------------

VALUES = {"prompt": "p", "first": "a", "second": "b"}


def read_prompt(content: bytes, folder: Path) -> None:
    """Checked, loaded, rendered."""
    path = folder / "mine.jinja"
    path.write_bytes(content)
    for finding in lint_prompt(path):
        assert finding.place.startswith(str(path)) and finding.line > 0
    template = load_template("", str(path))
    template.render(**dict.fromkeys(template.variables, "…"))


def read_constitution(content: bytes, folder: Path) -> None:
    """Checked, loaded, drawn from."""
    path = folder / "mine.yaml"
    path.write_bytes(content)
    for finding in lint_constitution(path):
        assert finding.line > 0
    constitution = load_constitution(path)
    json.dumps(constitution.to_row())
    constitution.draw(1, "key")


def read_spec(content: bytes, folder: Path) -> None:
    """An engine's spec, as on the command line."""
    visible(str(parse_spec(content.decode(errors="surrogateescape"))))


# -- replies and servers -----------------------------------------------------------------------------------------------

REPLIES = (
    b"Response A is correct, B is not. Verdict: [[A]]",
    b"I would not say [[A]]. So the verdict is **[[B]]**.",
    "Step 1 is fine.\nStep 1: [[right]]\nStep 2: [[wrong]]\n［［A］］ 【B】".encode(),
    b"My order: [[2 > 1 > 3]]",
    b"Score: 4/5. The final score is [[4]].",
    b"<critique> fine </critique>",
)
PATTERNS = sorted({load_template("", name).verdict for name in shipped_prompts()})
SIDES, GRADES = {"first": "A", "second": "B", "tie": "C"}, {str(grade): str(grade) for grade in range(1, 6)}
CRITIQUE = load_template("critique", "default")


def read_reply(content: bytes, folder: Path) -> None:
    """A judge's reply, by every shipped pattern."""
    text = content.decode(errors="replace")
    for finish in ("stop", "length"):
        for pattern in PATTERNS:
            read_label(text, pattern, SIDES, finish=finish)
            if pattern:
                read_steps(text, pattern, {"right": "right", "wrong": "wrong"}, 3, finish=finish)
        read_label(text, "", GRADES, finish=finish)
        read_order(text, PATTERNS[-1], 3, finish=finish)
        read_text(text, CRITIQUE, finish=finish)


CHOICE = {
    "index": 0,
    "finish_reason": "stop",
    "message": {"role": "assistant", "content": "[[A]]", "reasoning": "so"},
    "logprobs": {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "B", "logprob": -2}]}]},
}
BODIES = (
    _lines({"choices": [CHOICE], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {}}}),
    _lines({"error": {"message": "busy", "code": 429}}),
    _lines({"detail": [{"loc": ["body", "x"], "msg": "no"}]}),
    b"<html>nothing here</html>",
)
REQUEST = Request(messages=(Message("user", "p"),), choices=("A", "B"))


def read_answer(content: bytes, folder: Path) -> None:
    """What a judge's server answers, with several statuses and headers."""
    headers = {"Content-Type": "application/json", "Retry-After": content[:20].decode(errors="replace")}
    for status in (200, 302, 400, 429, 503):
        answer = answers.parse(status, headers, content)
        if not isinstance(answer, answers.Failure):
            answers.read_reply(answer, REQUEST)
            answers.listed_tokens(answer)
            answers.reply_text(answer)
            answers.usage_of(answer)


REQUESTS = (
    _lines({"prompt": "p", "responses": ["a", "b"], "truth": [1, None], "model": "m"}),
    _lines({"messages": [*TURN, *ANSWER]}),
    _lines({"query": ["pa"], "prompts": ["p"], "labels": ["1"]}),
    _lines({"model": "m", "input": ["a", "b"], "use_activation": False}),
)


def read_request(content: bytes, folder: Path) -> None:
    """What a client sends to the reward server, by every protocol."""
    limits = Limits(max_length=1000, max_responses=4)
    for model, taken in (
        (score.ScoreRequest, score.asked),
        (openrlhf.GetRewardRequest, openrlhf.groups_of),
        (vllm.PoolingRequest, vllm.asked),
    ):
        try:
            taken(parse(model, content), limits)  # type: ignore[operator, type-var]
        except RefusedError as refusal:
            visible(str(refusal))


# -- model directories -------------------------------------------------------------------------------------------------

TENSORS = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "__metadata__": {"format": "pt"}}
CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "text_config": {"num_labels": 2}}
REWARD = {"format": 1, "kind": "scalar", "config": {"model": {"kind": "scalar", "backbone": "x"}}, "calibration": None}
MODELS = (
    _lines(TENSORS, CONFIG, REWARD),
    _lines(TENSORS, {**CONFIG, "auto_map": {"AutoConfig": "evil.Config"}}, REWARD),
)


def read_model(content: bytes, folder: Path) -> None:
    """Lines: the header of the weights, config.json, reward.json."""
    header, config, reward = ([*content.split(b"\n", 2), b"", b""])[:3]
    length = struct.pack("<Q", len(header)) if len(content) % 7 else content[:8]
    (folder / "model.safetensors").write_bytes(length + header + bytes(16))
    (folder / "config.json").write_bytes(config)
    (folder / "reward.json").write_bytes(reward)
    try:
        check_directory(folder, weights=True)
    except RmjudgeError:
        pass
    read_metadata(folder)


_PROMPTS = tuple(
    shipped_prompts()[name].read_bytes() for name in ("preference/default", "steps/default", "score/default")
)
_OWN_PROMPT = b"""---
task: preference
labels: {first: A, second: B}
verdict: '(A|B)'
variables: [prompt, first, second, {tone: calm}]
---
{% macro twice(text) %}{{ text }}{{ text }}{% endmacro %}
{% user %}
{% for word in [prompt, first, second] if word %}{{ loop.index }} {{ word | frame("word") }}{% endfor %}
{{ twice(tone) ~ '%d' % 3 }} {% set n = namespace(a=1) %}{% set n.a = n.a + 1 %}{{ [n.a, {'k': 2 ** 3}] }}
{{ prompt | indent(2) | replace("a", "b") | truncate(20) }} {{ range(5) | map("string") | join(", ") }}
{% enduser %}
"""
TARGETS: dict[str, Target] = {
    "readers": Target(0.30, DATA, read_data),
    "runs": Target(0.10, RUNS, read_run),
    "templates": Target(0.12, (*_PROMPTS, _OWN_PROMPT), read_prompt),
    "constitutions": Target(0.08, tuple(path.read_bytes()[:3000] for path in shipped().values()), read_constitution),
    "specs": Target(0.05, (b"openai:http://h:1/v1?key=x#m?a=1&b=[1, 2]", b"hf:a/b?dtype=auto"), read_spec),
    "verdicts": Target(0.10, REPLIES, read_reply),
    "server answers": Target(0.10, BODIES, read_answer),
    "server requests": Target(0.08, REQUESTS, read_request),
    "model directories": Target(0.07, MODELS, read_model),
}
