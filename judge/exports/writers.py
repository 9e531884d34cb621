"""Examples as the rows that trainers read: TRL, OpenRLHF, NeMo-RL, UltraFeedback, and our own.

Conversations stay lists of messages, so a trainer applies the chat template of its own model. `p` and `margin` travel
beside what a trainer needs.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from judge.exports.examples import Answered, Preferred, Rated, Stepped
from judge.exports.rubric_rows import healthbench, own_rubric, rubrics_as_rewards
from judge.formats import judgement_to_row, openai_messages, sharegpt_turns, to_row, tools_of
from judge.judgements import Outcome, Preference, Steps
from judge.records import Conversation, Message, Pair, Response, Solution, StepVerdict, content_id, spoken

Row = dict[str, Any]
Writer = Callable[[Any, bool], Row]
"""(example, whether the chosen response stands second where places have no meaning) -> row."""


def messages(conversation: Conversation) -> list[dict[str, Any]]:
    """A conversation as every chat trainer reads it, tool calls and all."""
    return openai_messages(conversation)


def with_tools(row: Row, prompt: Conversation) -> Row:
    """The row with the tools that its prompt offers, where it offers some."""
    tools = tools_of(prompt)
    return {**row, "tools": tools} if tools else row


def chosen_rejected(example: Preferred, swap: bool) -> Row:
    """TRL's and OpenRLHF's preference; to both `margin` is what the rewards should differ by at least."""
    row = {
        "prompt": messages(example.prompt),
        "chosen": messages(example.chosen),
        "rejected": messages(example.rejected),
        "margin": example.margin,
        "p": example.p,
    }
    return with_tools(row, example.prompt)


def unpaired(example: Rated, swap: bool) -> Row:
    """TRL's unpaired preference (KTO)."""
    row = {"prompt": messages(example.prompt), "completion": messages(example.completion), "label": example.right}
    return with_tools({**row, "p": example.p}, example.prompt)


def stepwise(example: Stepped, swap: bool) -> Row:
    """TRL's stepwise supervision. The probabilities stand beside the labels: TRL's trainer cuts floats with int()."""
    row = {"prompt": spoken(example.prompt), "completions": list(example.steps), "labels": list(example.right)}
    return {**row, "p_right": list(example.p_right)}


def prompt_completion(example: Answered, swap: bool) -> Row:
    """TRL's prompt and completion."""
    return with_tools({"prompt": messages(example.prompt), "completion": messages(example.completion)}, example.prompt)


def openrlhf_unpaired(example: Rated, swap: bool) -> Row:
    """OpenRLHF's KTO data: --output_key output --label_key label --apply_chat_template, which renders `output` alone,
    so it holds the prompt too."""
    row = {"output": messages(example.prompt + example.completion), "label": int(example.right), "p": example.p}
    return with_tools(row, example.prompt)


def openrlhf_steps(example: Stepped, swap: bool) -> Row:
    """OpenRLHF's process-reward data: each step ends in the placeholder ки, each label is + or -."""
    text = "".join(f"{step} ки\n" for step in example.steps)
    labels = ["+" if right else "-" for right in example.right]
    return {"input": f"{spoken(example.prompt)} {text.rstrip()}", "label": labels, "p_right": list(example.p_right)}


def openrlhf_answer(example: Answered, swap: bool) -> Row:
    """OpenRLHF's supervised data: --input_key input --output_key output."""
    return with_tools({"input": messages(example.prompt), "output": messages(example.completion)}, example.prompt)


def nemo(example: Preferred, swap: bool) -> Row:
    """NeMo-RL's preference: rank 0 is the better one; its trainers take no ties. Either response may stand first."""
    completions = [
        {"rank": 0, "completion": messages(example.chosen)},
        {"rank": 1, "completion": messages(example.rejected)},
    ]
    row = {
        "context": messages(example.prompt),
        "completions": completions[::-1] if swap else completions,
        "p": example.p,
    }
    return with_tools(row, example.prompt)


def nemo_answer(example: Answered, swap: bool) -> Row:
    """NeMo-RL's supervised data, and OpenAI's: one conversation."""
    return with_tools({"messages": messages(example.prompt + example.completion)}, example.prompt)


def openai_rated(example: Rated, swap: bool) -> Row:
    """One conversation in OpenAI's messages, with whether its answer is good."""
    return with_tools(
        {"messages": messages(example.prompt + example.completion), "label": example.right, "p": example.p},
        example.prompt,
    )


def openai_preference(example: Preferred, swap: bool) -> Row:
    """OpenAI's preference data."""
    return {
        "input": with_tools({"messages": messages(example.prompt)}, example.prompt),
        "preferred_output": messages(example.chosen),
        "non_preferred_output": messages(example.rejected),
        "p": example.p,
    }


def sharegpt_preference(example: Preferred, swap: bool) -> Row:
    """ShareGPT's preference, as LLaMA-Factory reads it: one turn a response."""
    sides = {"chosen": sharegpt_turns(example.chosen), "rejected": sharegpt_turns(example.rejected)}
    return _sharegpt(
        example.prompt, {name: side[0] if len(side) == 1 else side for name, side in sides.items()}, p=example.p
    )


def sharegpt_rated(example: Rated, swap: bool) -> Row:
    """ShareGPT's unpaired preference (KTO)."""
    return _sharegpt(example.prompt, {"kto_tag": example.right}, example.completion, p=example.p)


def sharegpt_answer(example: Answered, swap: bool) -> Row:
    """ShareGPT's supervised data."""
    return _sharegpt(example.prompt, {}, example.completion)


def _sharegpt(prompt: Conversation, beside: Row, completion: Conversation = (), **more: float) -> Row:
    """A row with the system text and the tools (JSON in a text) in fields of their own."""
    system = prompt[0].content if prompt and prompt[0].role == "system" else ""
    turns = sharegpt_turns((*prompt[bool(system) :], *completion))
    row: Row = {"conversations": turns, **beside, **({"system": system} if system else {})}
    tools = tools_of(prompt)
    return {**row, **({"tools": json.dumps(tools, ensure_ascii=False)} if tools else {}), **more}


def binarized(example: Preferred, swap: bool) -> Row:
    """UltraFeedback binarized: whole conversations with a score each, here the probability of being the better one."""
    prompt = spoken(example.prompt)
    return {
        "prompt": prompt,
        "prompt_id": content_id(prompt),
        "chosen": messages(example.prompt + example.chosen),
        "rejected": messages(example.prompt + example.rejected),
        "messages": messages(example.prompt + example.chosen),
        "score_chosen": example.p,
        "score_rejected": 1.0 - example.p,
    }


def own_pair(example: Preferred, swap: bool) -> Row:
    """Our own pair with its judgement. Either response may stand first."""
    first, second = (example.rejected, example.chosen) if swap else (example.chosen, example.rejected)
    judgement = Preference(
        verdict="tie" if example.tie else "second" if swap else "first",
        p_first=1.0 - example.p if swap else example.p,
        consistent=example.consistent,
    )
    return to_row(Pair(prompt=example.prompt, first=first, second=second)) | {"judgement": judgement_to_row(judgement)}


def own_response(example: Rated, swap: bool) -> Row:
    """Our own response with its judgement."""
    judgement = Outcome(verdict="right" if example.right else "wrong", p_correct=example.p)
    return to_row(Response(prompt=example.prompt, response=example.completion)) | {
        "judgement": judgement_to_row(judgement)
    }


def own_solution(example: Stepped, swap: bool) -> Row:
    """Our own solution with its judgement."""
    verdict: tuple[StepVerdict, ...] = tuple("right" if right else "wrong" for right in example.right)
    first_wrong = example.right.index(False) if False in example.right else -1
    judgement = Steps(verdict=verdict, p_right=example.p_right, first_wrong=first_wrong)
    solution = Solution(prompt=example.prompt, steps=example.steps, turns=example.turns)
    return to_row(solution) | {"judgement": judgement_to_row(judgement)}


def openai_steps(example: Stepped, swap: bool) -> Row:
    """A trajectory in OpenAI's messages, with a label a turn of the agent by the turn's place: 1 right, 0 neutral, -1
    wrong, as AgentProcessBench has it. The steps of a solution are turns of the assistant."""
    turns = example.turns or tuple(Message("assistant", step) for step in example.steps)
    places = [index for index, turn in enumerate(turns, start=len(example.prompt)) if turn.role == "assistant"]
    neutral = example.neutral or (False,) * len(example.right)
    labels = [0 if is_neutral else 1 if right else -1 for right, is_neutral in zip(example.right, neutral, strict=True)]
    row = {
        "messages": messages(example.prompt + turns),
        "step_labels": {str(place): label for place, label in zip(places, labels, strict=False)},
        "p_right": list(example.p_right),
    }
    return with_tools(row, example.prompt)


def own_answer(example: Answered, swap: bool) -> Row:
    """Our own response."""
    return to_row(Response(prompt=example.prompt, response=example.completion))


WRITERS: Mapping[str, Mapping[str, Writer]] = {
    "trl": {
        "preference": chosen_rejected,
        "unpaired": unpaired,
        "stepwise": stepwise,
        "sft": prompt_completion,
    },
    "openrlhf": {
        "preference": chosen_rejected,
        "unpaired": openrlhf_unpaired,
        "stepwise": openrlhf_steps,
        "sft": openrlhf_answer,
    },
    "nemo": {"preference": nemo, "sft": nemo_answer},
    "openai": {
        "preference": openai_preference,
        "unpaired": openai_rated,
        "stepwise": openai_steps,
        "sft": nemo_answer,
    },
    "sharegpt": {"preference": sharegpt_preference, "unpaired": sharegpt_rated, "sft": sharegpt_answer},
    "ultrafeedback": {"preference": binarized},
    "healthbench": {"rubric": healthbench},
    "rubrics-as-rewards": {"rubric": rubrics_as_rewards},
    "rmjudge": {
        "preference": own_pair,
        "unpaired": own_response,
        "stepwise": own_solution,
        "sft": own_answer,
        "rubric": own_rubric,
    },
}
"""Format -> kind of example -> how its row is written."""

SAYS_TIES = ("rmjudge",)
"""The formats whose readers know a tie; elsewhere one of the two would have to be called the better one."""
