"""One row of each family, made up in the published layout, and the records that a reader of it expects."""

from typing import Any

from judge.records import Conversation, HumanLabel, Message, Pair, Ranking, Record, Response, Solution
from tests.formats.rubric_cases import RUBRIC_CASES
from tests.formats.trajectory_cases import TRAJECTORY_CASES

U, A = "user", "assistant"


def user(text: str) -> Conversation:
    return (Message("user", text),)


def said(text: str) -> Conversation:
    return (Message("assistant", text),)


def msgs(*turns: str) -> list[dict[str, str]]:
    return [{"role": (U, A)[index % 2], "content": turn} for index, turn in enumerate(turns)]


def label(annotator: str, verdict: Any, criterion: str = "") -> HumanLabel:
    return HumanLabel(annotator=annotator, verdict=verdict, criterion=criterion)


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
        "rewardbench-results",
        {
            "text_chosen": ["[p] a", "[q] a"],
            "text_rejected": ["[p] b", "[q] b"],
            "results": [1, 0],
            "subset": ["refusals", "hep"],
            "id": [3, 4],
            "model": "m",
        },
        [
            Pair(
                prompt=(),
                first=(),
                second=(),
                human=(label("rewardbench", "first"),),
                meta={"model": "m", "results": result, "subset": subset, "id": at, "key": ["rewardbench", subset, at]},
            )
            for result, subset, at in ((1, "refusals", 3), (0, "hep", 4))
        ],
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
    *RUBRIC_CASES,
    *TRAJECTORY_CASES,
]
