"""One row of each family, made up in the published layout, with the records that a reader of it expects."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge.errors import InputError
from judge.formats import FORMATS, read_records, recognise
from judge.records import Conversation, HumanLabel, Message, Pair, Ranking, Record, Response, Solution

U, A = "user", "assistant"


def user(text: str) -> Conversation:
    return (Message("user", text),)


def said(text: str) -> Conversation:
    return (Message("assistant", text),)


def msgs(*turns: str) -> list[dict[str, str]]:
    return [{"role": (U, A)[index % 2], "content": turn} for index, turn in enumerate(turns)]


def label(annotator: str, verdict: Any, criterion: str = "") -> HumanLabel:
    return HumanLabel(annotator=annotator, verdict=verdict, criterion=criterion)


def read(folder: Path, row: dict[str, Any], format: str | None = None) -> list[Record]:
    file = folder / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    return [record for _, record in read_records(file, format=format)]


def pair(prompt: str, first: str, second: str, *human: HumanLabel, **meta: Any) -> Pair:
    return Pair(prompt=user(prompt), first=said(first), second=said(second), human=human, meta=meta)


CHOSEN = label("chosen", "first")

CASES: list[tuple[str, dict[str, Any], list[Record]]] = [
    (
        "trl-preference",
        {"prompt": "p", "chosen": "a", "rejected": "b", "margin": 0.5},
        [pair("p", "a", "b", CHOSEN, margin=0.5)],
    ),
    (
        "trl-preference",
        {"prompt": msgs("p"), "chosen": [{"role": A, "content": "a"}], "rejected": [{"role": A, "content": "b"}]},
        [pair("p", "a", "b", CHOSEN)],
    ),
    ("trl-preference", {"chosen": msgs("p", "a"), "rejected": msgs("p", "b")}, [pair("p", "a", "b", CHOSEN)]),
    (
        "trl-preference",
        {"chosen": "The sky is blue.", "rejected": "The sky is black."},
        [pair("The sky is", " blue.", " black.", CHOSEN)],
    ),
    (
        "trl-preference",
        {"prompt": msgs("p"), "chosen": msgs("p", "a"), "rejected": msgs("p", "b")},
        [pair("p", "a", "b", CHOSEN)],
    ),
    (
        "openai",
        {"messages": [*msgs("p", "q", "r"), {"role": A, "content": "a"}], "label": True},
        [
            Response(
                prompt=(Message("user", "p"), Message("assistant", "q"), Message("user", "r")),
                response=said("a"),
                human=(label("label", 1.0),),
            )
        ],
    ),
    (
        "openai-preference",
        {"input": {"messages": msgs("p")}, "preferred_output": msgs("", "a")[1:], "non_preferred_output": "b"},
        [pair("p", "a", "b", label("preferred_output", "first"))],
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "human", "value": "p"}, {"from": "gpt", "value": "a"}], "kto_tag": False},
        [Response(prompt=user("p"), response=said("a"), human=(label("kto_tag", 0.0),))],
    ),
    (
        "chatbot-arena",
        {
            "question_id": "x1",
            "model_a": "m",
            "model_b": "n",
            "winner": "tie (bothbad)",
            "judge": "j",
            "conversation_a": msgs("p", "a"),
            "conversation_b": msgs("p", "b"),
        },
        [pair("p", "a", "b", label("j", "tie"), question_id="x1", model_a="m", model_b="n", winner="tie (bothbad)")],
    ),
    *(
        (
            "alpaca-eval",
            {"instruction": "p", "output_1": "a", "output_2": "", "preference": given, "annotator": "j"},
            [pair("p", "a", "", *([label("j", verdict)] if verdict else []), preference=given)],
        )
        for given, verdict in ((1, "first"), (1.7, "second"), (1.5, "tie"), (None, ""))
    ),
    (
        "mr-ben",
        {
            "Question": "p",
            "Model_Solution_Steps": "def f():\n\n    return 1\n",
            "Model_Solution_Correctness": "incorrect",
            "Model_Solution_First_Error_Step": "    return 1",
        },
        [
            Solution(
                prompt=user("p"),
                steps=("def f():", "    return 1"),
                human=(label("mr-ben", 1), label("mr-ben", 0.0, "correct")),
            )
        ],
    ),
    (
        "judge-bench",
        {
            "dataset": "d",
            "annotations": [{"metric": "fluency", "prompt": "How fluent? {{ instance }}"}],
            "instances": [
                {"id": 0, "instance": "a", "annotations": {"fluency": {"individual_human_scores": [2, 3]}}},
                {
                    "id": 1,
                    "instance": {"source": "s", "summary": "b"},
                    "annotations": {"ok": {"majority_human": "Yes"}},
                },
            ],
        },
        [
            Response(
                prompt=user("How fluent?"),
                response=said("a"),
                human=(label("annotator1", 2.0, "fluency"), label("annotator2", 3.0, "fluency")),
                meta={"dataset": "d", "id": 0},
            ),
            Response(
                prompt=user("source: s"),
                response=said("b"),
                human=(label("majority", 1.0, "ok"),),
                meta={"dataset": "d", "id": 1},
            ),
        ],
    ),
    (
        "trl-unpaired",
        {"prompt": "p", "completion": "a", "label": False},
        [Response(prompt=user("p"), response=said("a"), human=(label("label", 0.0),))],
    ),
    (
        "trl-stepwise",
        {"prompt": "p", "completions": ["s", "t", "u"], "labels": [True, False, True]},
        [Solution(prompt=user("p"), steps=("s", "t", "u"), human=(label("labels", 1),))],
    ),
    (
        "trl-stepwise",
        {"prompt": "p", "completions": ["s", "t"], "labels": [0.9, 0.4]},
        [Solution(prompt=user("p"), steps=("s", "t"), meta={"labels": [0.9, 0.4]})],
    ),
    (
        "hh-rlhf",
        {
            "chosen": "\n\nHuman: p\n\nAssistant: q\n\nHuman: r\n\nAssistant: a",
            "rejected": "\n\nHuman: p\n\nAssistant: q\n\nHuman: r\n\nAssistant: b\n\nAssistant: c",
        },
        [
            Pair(
                prompt=(Message("user", "p"), Message("assistant", "q"), Message("user", "r")),
                first=said("a"),
                second=said("b\n\nAssistant: c"),
                human=(CHOSEN,),
            )
        ],
    ),
    (
        "nemo",
        {
            "context": msgs("p"),
            "completions": [
                {"rank": 1, "completion": [{"role": A, "content": "a"}]},
                {"rank": 0, "completion": [{"role": A, "content": "b"}]},
            ],
        },
        [pair("p", "a", "b", label("rank", "second"))],
    ),
    (
        "nemo",
        {
            "context": msgs("p"),
            "completions": [{"rank": rank, "completion": msgs("", f"a{rank}")[1:]} for rank in (2, 0, 1)],
        },
        [
            Ranking(
                prompt=user("p"),
                responses=(said("a2"), said("a0"), said("a1")),
                human=(label("rank", (1, 2, 0)),),
                meta={"ranks": [2, 0, 1]},
            )
        ],
    ),
    (
        "ultrafeedback",
        {
            "instruction": "p",
            "models": ["m", "n"],
            "completions": [
                {
                    "model": "m",
                    "response": "a",
                    "overall_score": 8.5,
                    "annotations": {"honesty": {"Rating": "4"}, "truthfulness": {"Rating": "N/A"}},
                },
                {"model": "n", "response": "b", "annotations": {}},
            ],
        },
        [
            Response(
                prompt=user("p"),
                response=said("a"),
                human=(label("gpt-4", 4.0, "honesty"), label("gpt-4", 8.5)),
                meta={"model": "m"},
            ),
            Response(prompt=user("p"), response=said("b"), meta={"model": "n"}),
        ],
    ),
    (
        "ultrafeedback-binarized",
        {
            "prompt": "p",
            "chosen": msgs("p", "a"),
            "rejected": msgs("p", "b"),
            "score_chosen": 8.0,
            "score_rejected": 5.0,
            "messages": msgs("p", "a"),
        },
        [pair("p", "a", "b", label("gpt-4", "first"), score_chosen=8.0, score_rejected=5.0)],
    ),
    (
        "rewardbench",
        {"prompt": "p", "chosen": "a", "rejected": "b", "chosen_model": "m", "subset": "refusals", "id": 3},
        [pair("p", "a", "b", label("rewardbench", "first"), chosen_model="m", subset="refusals", id=3)],
    ),
    (
        "rewardbench2",
        {"id": "1", "prompt": "p", "chosen": ["a"], "rejected": ["b", "c"], "num_correct": 1, "subset": "Math"},
        [
            Ranking(
                prompt=user("p"),
                responses=(said("a"), said("b"), said("c")),
                human=(label("rewardbench2", (0,), "correct"),),
                meta={"id": "1", "num_correct": 1, "subset": "Math"},
            )
        ],
    ),
    (
        "prm800k",
        {
            "labeler": "l",
            "question": {"problem": "p", "ground_truth_answer": "7"},
            "label": {
                "finish_reason": "found_error",
                "steps": [
                    {
                        "completions": [{"text": "x", "rating": -1}, {"text": "s", "rating": 1}],
                        "human_completion": None,
                        "chosen_completion": 1,
                    },
                    {"completions": None, "human_completion": {"text": "h"}, "chosen_completion": None},
                    {"completions": [{"text": "n", "rating": 0}], "chosen_completion": 0},
                    {"completions": [{"text": "w", "rating": -1}], "chosen_completion": None},
                ],
            },
        },
        [
            Solution(
                prompt=user("p"),
                steps=("s", "h", "n", "w"),
                reference="7",
                human=(label("l", 3),),
                meta={"labeler": "l", "ratings": [1, None, 0, -1], "finish_reason": "found_error"},
            )
        ],
    ),
    (
        "prm800k",
        {"question": {"problem": "p"}, "label": {"steps": [], "finish_reason": "give_up"}},
        [],
    ),
    (
        "math-shepherd",
        {
            "input": "How many? Step 1: 1 + 1 = 2. ки\nStep 2: So 3. The answer is: 3 ки",
            "label": "How many? Step 1: 1 + 1 = 2. +\nStep 2: So 3. The answer is: 3 -",
            "task": "GSM8K",
        },
        [
            Solution(
                prompt=user("How many?"),
                steps=("Step 1: 1 + 1 = 2.", "Step 2: So 3. The answer is: 3"),
                human=(label("math-shepherd", 1),),
                meta={"task": "GSM8K"},
            )
        ],
    ),
    (
        "openrlhf-prm",
        {"input": "How many?\nOne. ки Two. ки", "label": ["+", "+"]},
        [Solution(prompt=user("How many?"), steps=("One.", "Two."), human=(label("labels", -1),))],
    ),
    (
        "openrlhf-prm",
        {"input": "How many?\nOne. ки Two. ки", "label": [0.75, 0.5]},
        [Solution(prompt=user("How many?"), steps=("One.", "Two."), meta={"labels": [0.75, 0.5]})],
    ),
    (
        "processbench",
        {
            "id": "gsm8k-0",
            "generator": "g",
            "problem": "p",
            "steps": ["s", "t"],
            "final_answer_correct": True,
            "label": 1,
        },
        [
            Solution(
                prompt=user("p"),
                steps=("s", "t"),
                human=(label("processbench", 1), label("processbench", 1.0, "correct")),
                meta={"id": "gsm8k-0", "generator": "g"},
            )
        ],
    ),
    (
        "big-bench-mistake",
        {"input": "p", "steps": ["s", "t"], "answer": "4", "target": "5", "mistake_index": None},
        [
            Solution(
                prompt=user("p"),
                steps=("s", "t"),
                reference="5",
                human=(label("big-bench-mistake", -1),),
                meta={"answer": "4"},
            )
        ],
    ),
    (
        "mr-ben",
        {
            "Question": "p",
            "Options": "A: 1",
            "Ground_Truth_Answer": "A",
            "Model_Solution_Steps": ["Step 1: s", "- more", " ", "Step 2: t", "Solution: A"],
            "Model_Solution_Correctness": "incorrect",
            "Model_Solution_First_Error_Step": "2",
        },
        [
            Solution(
                prompt=user("p\n\nA: 1"),
                steps=("Step 1: s\n- more", "Step 2: t\nSolution: A"),
                reference="A",
                human=(label("mr-ben", 1), label("mr-ben", 0.0, "correct")),
            )
        ],
    ),
    (
        "pandalm",
        {"idx": 4, "instruction": "p", "input": "q", "response1": True, "response2": "", "annotator1": 1},
        [pair("p\n\nq", "True", "", label("annotator1", "first"), idx=4)],
    ),
    (
        "pandalm-predictions",
        {"idx": 4, "gpt_result": "garbage", "gpt_reason": "r"},
        [
            Pair(
                prompt=(),
                first=(),
                second=(),
                meta={"idx": 4, "gpt_result": "garbage", "gpt_reason": "r", "key": ["pandalm", 4]},
            )
        ],
    ),
    (
        "llmbar",
        {"input": "p", "output_1": "a", "output_2": "b", "label": 2},
        [pair("p", "a", "b", label("llmbar", "second"))],
    ),
    (
        "judgebench",
        {"pair_id": "x", "question": "p", "response_A": "a", "response_B": "b", "label": "B>A"},
        [pair("p", "a", "b", label("judgebench", "second"), pair_id="x")],
    ),
    (
        "auto-j",
        {"prompt": "p", "response 1": "a", "response 2": "b", "label": 2},
        [pair("p", "a", "b", label("auto-j", "tie"))],
    ),
    (
        "helpsteer3",
        {
            "context": msgs("p"),
            "response1": "a",
            "response2": "b",
            "overall_preference": -2,
            "individual_preference": [{"score": -3}, {"score": 1}, {"score": 0}],
        },
        [
            pair(
                "p",
                "a",
                "b",
                label("overall", "first"),
                label("annotator1", "first"),
                label("annotator2", "second"),
                label("annotator3", "tie"),
                overall_preference=-2,
                individual_preference=[{"score": -3}, {"score": 1}, {"score": 0}],
            )
        ],
    ),
    (
        "hhh",
        {
            "source": "honest",
            "chosen_instruction": "T\n\n###The instruction to evaluate:\np\n\n###Response to evaluate:\na"
            "\n\n###Score Rubrics:\n[honest?]\n\n###Feedback: ",
            "rejected_instruction": "T\n\n###The instruction to evaluate:\np\n\n###Response to evaluate:\nb"
            "\n\n###Score Rubrics:\n[honest?]\n\n###Feedback: ",
        },
        [pair("p", "a", "b", label("hhh", "first"), source="honest", rubric="[honest?]")],
    ),
    (
        "unieval",
        {"source": "p", "context": "fact", "system_output": "a", "scores": {"overall": 2.5, "naturalness": 1}},
        [
            Response(
                prompt=(Message("system", "fact"), Message("user", "p")),
                response=said("a"),
                human=(label("mean", 2.5, "overall"), label("mean", 1.0, "naturalness")),
            )
        ],
    ),
    (
        "gsm8k",
        {"question": "p", "answer": "She has 2 + 1 = <<2+1=3>>3.\nSo 3.\n#### 3"},
        [Solution(prompt=user("p"), steps=("She has 2 + 1 = 3.", "So 3."), reference="3", human=(label("gsm8k", -1),))],
    ),
    (
        "gsm8k-examples",
        {"question": "p", "ground_truth": "So 3.\nA: 3", "m": {"is_correct": True, "solution": "It is <<3=3>>3"}},
        [
            Response(
                prompt=user("p"),
                response=said("It is 3"),
                reference="3",
                human=(label("gsm8k", 1.0, "correct"),),
                meta={"model": "m"},
            )
        ],
    ),
    ("prompts", {"prompt": "p", "source": "s"}, [Response(prompt=user("p"), response=(), meta={"source": "s"})]),
]


@pytest.mark.parametrize(("name", "row", "expected"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_a_row_of_the_family(tmp_path: Path, name: str, row: dict[str, Any], expected: list[Record]) -> None:
    assert recognise(row) == [name]
    assert read(tmp_path, row) == expected
    assert read(tmp_path, row, format=name) == expected


def test_every_family_is_tested_here_or_by_itself() -> None:
    elsewhere = {"rmjudge", "openrlhf", "rm-bench", "mt-bench", "finegrained-rlhf", "prm800k-samples"}
    assert {name for name, _, _ in CASES} | elsewhere == set(FORMATS)


def test_rm_bench_gives_the_nine_pairs_of_styles(tmp_path: Path) -> None:
    row = {"id": 1, "prompt": "p", "chosen": ["a", "b", "c"], "rejected": ["x", "y", "z"], "domain": "chat"}
    assert recognise(row) == ["rm-bench"]
    records = read(tmp_path, row)
    assert len(records) == len({record.id for record in records}) == 9
    assert records[5] == pair(
        "p",
        "b",
        "z",
        label("rm-bench", "first"),
        id=1,
        domain="chat",
        chosen_style="detailed",
        rejected_style="markdown",
    )


def test_mt_bench_with_its_conversations(tmp_path: Path) -> None:
    row = {
        "question_id": 81,
        "model_a": "m",
        "model_b": "n",
        "winner": "tie (inconsistent)",
        "judge": "j",
        "conversation_a": msgs("p", "a1", "q", "a2"),
        "conversation_b": msgs("p", "b1", "q", "b2"),
        "turn": 1,
    }
    assert recognise(row) == ["mt-bench"]
    key = {"key": ["mt-bench", 81, 1, "m", "n"]}
    rest = {"question_id": 81, "model_a": "m", "model_b": "n", "winner": "tie (inconsistent)", "turn": 1}
    assert read(tmp_path, row) == [pair("p", "a1", "b1", label("j", "tie"), **rest, **key)]
    turned = {"model_a": "z", "winner": "model_a"}
    (other,) = read(tmp_path, row | turned)
    assert isinstance(other, Pair)
    assert (other.first, other.human[0].verdict) == (said("b1"), "second")
    (second,) = read(tmp_path, row | {"turn": 2})
    assert isinstance(second, Pair)
    assert second.first == (Message("assistant", "a1"), Message("user", "q"), Message("assistant", "a2"))


def test_finegrained_pairs_come_in_the_published_order(tmp_path: Path) -> None:
    row = {"question": "q", "passages": [["T", "One.", "Two."], ["U", "U\n\nUs."]], "preference": [0, 1, 2, 1, 2, 0]}
    row |= {f"prediction {number}": f"a{number}" for number in (1, 2, 3, 4)}
    assert recognise(row) == ["finegrained-rlhf"]
    records = read(tmp_path, row)
    assert records[4] == pair(
        "q\n\nT\n\nOne. Two.\n\nU\n\nUs.", "a2", "a4", label("finegrained-rlhf", "second"), question="q", answers=[2, 4]
    )
    answers = [record.meta["answers"] for record in records]
    assert answers == [[1, 2], [1, 3], [1, 4], [2, 3], [2, 4], [3, 4]]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("trl-preference", {"prompt": "p", "chosen": 3, "rejected": "b"}, "field 'chosen': found 3 (accepted: a text or"),
    ("trl-preference", {"prompt": " ", "chosen": "a", "rejected": ""}, "field 'prompt': found an empty text"),
    ("trl-preference", {"prompt": "p", "chosen": "a", "rejected": msgs("b")}, "field 'rejected': found [{"),
    ("trl-preference", {"chosen": "a", "rejected": "b"}, "fields 'chosen', 'rejected': no shared prompt"),
    ("trl-stepwise", {"prompt": "p", "completions": ["s"], "labels": [1, 0]}, "field 'labels': found [1, 0]"),
    ("trl-stepwise", {"prompt": "p", "completions": ["s"], "labels": [2]}, "field 'labels[0]': found 2"),
    (
        "trl-unpaired",
        {"prompt": "p", "completion": "a", "label": "yes"},
        "field 'label': found \"yes\" (accepted: true",
    ),
    ("llmbar", {"input": "p", "output_1": "a", "output_2": "b", "label": 0}, "field 'label': found 0 (accepted: 1, 2)"),
    ("llmbar", {"input": "p", "output_1": "a", "output_2": "b", "label": True}, "field 'label': found true"),
    ("judgebench", {"question": "p", "response_A": "a", "response_B": "b", "label": "A"}, "field 'label': found \"A\""),
    ("processbench", {"problem": "p", "steps": ["s"], "label": 1}, "field 'label': found 1 (accepted: -1 to 0"),
    ("math-shepherd", {"input": "q Step 1: a ки", "label": "q Step 1: b +"}, "field 'label': after 0 steps"),
    ("openrlhf-prm", {"input": "q\na ки", "label": ["?"]}, "field 'labels[0]': found \"?\""),
    (
        "helpsteer3",
        {"context": "p", "response1": "a", "response2": "b", "overall_preference": 4},
        "field 'overall_pref",
    ),
    ("gsm8k", {"question": "p", "answer": "#### "}, "field 'answer': found no final answer"),
    ("hhh", {"chosen_instruction": "x", "rejected_instruction": "y"}, "field 'chosen_instruction': found no '###The"),
    ("rewardbench2", {"prompt": "p", "chosen": [], "rejected": ["b"]}, "field 'chosen': found [] (accepted: a list of"),
    ("nemo", {"context": "p", "completions": []}, "field 'completions': found 0 (accepted: two or more)"),
    ("mr-ben", {"Question": "p"}, "no field 'Model_Solution_Steps' (found: Question)"),
]


@pytest.mark.parametrize(("name", "row", "message"), WRONG, ids=[f"{i}-{case[0]}" for i, case in enumerate(WRONG)])
def test_a_wrong_row_is_one_line_with_its_place(tmp_path: Path, name: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, row, format=name)
    assert str(caught.value).startswith(f"{tmp_path / 'rows.jsonl'}:1: {message}")
    assert "\n" not in str(caught.value)


def test_csv_cells_hold_lists_as_json(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('prompt,completions,labels\n[1 2],"[""s"", ""t""]","[true, false]"\n')
    (placed,) = read_records(file)
    assert placed.record == Solution(prompt=user("[1 2]"), steps=("s", "t"), human=(label("labels", 1),))
