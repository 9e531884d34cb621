"""Examples as the rows that trainers read: TRL, OpenRLHF, NeMo-RL, UltraFeedback, and our own.

Conversations stay lists of messages, so a trainer applies the chat template of its own model. `p` and `margin` travel
beside what a trainer needs. This module refuses to know files, filters and splits.
"""

from collections.abc import Callable, Mapping
from typing import Any

from judge.exports.examples import Answered, Preferred, Rated, Stepped
from judge.formats import judgement_to_row, to_row
from judge.judgements import Outcome, Preference, Steps
from judge.records import Conversation, Pair, Response, Solution, StepVerdict, content_id, spoken

Row = dict[str, Any]
Writer = Callable[[Any, bool], Row]
"""(example, whether the chosen response stands second where places have no meaning) -> row."""


def messages(conversation: Conversation) -> list[dict[str, str]]:
    """A conversation as every chat trainer reads it."""
    return [{"role": message.role, "content": message.content} for message in conversation]


def chosen_rejected(one: Preferred, swap: bool) -> Row:
    """TRL's and OpenRLHF's preference; to both `margin` is what the rewards should differ by at least."""
    return {
        "prompt": messages(one.prompt),
        "chosen": messages(one.chosen),
        "rejected": messages(one.rejected),
        "margin": one.margin,
        "p": one.p,
    }


def unpaired(one: Rated, swap: bool) -> Row:
    """TRL's unpaired preference (KTO)."""
    row = {"prompt": messages(one.prompt), "completion": messages(one.completion), "label": one.right}
    return {**row, "p": one.p}


def stepwise(one: Stepped, swap: bool) -> Row:
    """TRL's stepwise supervision. The probabilities stand beside the labels: TRL's trainer cuts floats with int()."""
    row = {"prompt": spoken(one.prompt), "completions": list(one.steps), "labels": list(one.right)}
    return {**row, "p_right": list(one.p_right)}


def prompt_completion(one: Answered, swap: bool) -> Row:
    """TRL's prompt and completion."""
    return {"prompt": messages(one.prompt), "completion": messages(one.completion)}


def openrlhf_unpaired(one: Rated, swap: bool) -> Row:
    """OpenRLHF's KTO data: --output_key output --label_key label --apply_chat_template, which renders `output` alone,
    so it holds the prompt too."""
    return {"output": messages(one.prompt + one.completion), "label": int(one.right), "p": one.p}


def openrlhf_steps(one: Stepped, swap: bool) -> Row:
    """OpenRLHF's process-reward data: each step ends in the placeholder ки, each label is + or -."""
    text = "".join(f"{step} ки\n" for step in one.steps)
    labels = ["+" if right else "-" for right in one.right]
    return {"input": f"{spoken(one.prompt)} {text.rstrip()}", "label": labels, "p_right": list(one.p_right)}


def openrlhf_answer(one: Answered, swap: bool) -> Row:
    """OpenRLHF's supervised data: --input_key input --output_key output."""
    return {"input": messages(one.prompt), "output": messages(one.completion)}


def nemo(one: Preferred, swap: bool) -> Row:
    """NeMo-RL's preference: rank 0 is the better one; its trainers take no ties. Either response may stand first."""
    completions = [
        {"rank": 0, "completion": messages(one.chosen)},
        {"rank": 1, "completion": messages(one.rejected)},
    ]
    return {"context": messages(one.prompt), "completions": completions[::-1] if swap else completions, "p": one.p}


def nemo_answer(one: Answered, swap: bool) -> Row:
    """NeMo-RL's supervised data: one conversation."""
    return {"messages": messages(one.prompt + one.completion)}


def binarized(one: Preferred, swap: bool) -> Row:
    """UltraFeedback binarized: whole conversations with a score each, here the probability of being the better one."""
    prompt = spoken(one.prompt)
    return {
        "prompt": prompt,
        "prompt_id": content_id(prompt),
        "chosen": messages(one.prompt + one.chosen),
        "rejected": messages(one.prompt + one.rejected),
        "messages": messages(one.prompt + one.chosen),
        "score_chosen": one.p,
        "score_rejected": 1.0 - one.p,
    }


def own_pair(one: Preferred, swap: bool) -> Row:
    """Our own pair with its judgement. Either response may stand first."""
    first, second = (one.rejected, one.chosen) if swap else (one.chosen, one.rejected)
    said = Preference(
        verdict="tie" if one.tie else "second" if swap else "first",
        p_first=1.0 - one.p if swap else one.p,
        consistent=one.consistent,
    )
    return to_row(Pair(prompt=one.prompt, first=first, second=second)) | {"judgement": judgement_to_row(said)}


def own_response(one: Rated, swap: bool) -> Row:
    """Our own response with its judgement."""
    said = Outcome(verdict="right" if one.right else "wrong", p_correct=one.p)
    return to_row(Response(prompt=one.prompt, response=one.completion)) | {"judgement": judgement_to_row(said)}


def own_solution(one: Stepped, swap: bool) -> Row:
    """Our own solution with its judgement."""
    verdict: tuple[StepVerdict, ...] = tuple("right" if right else "wrong" for right in one.right)
    first_wrong = one.right.index(False) if False in one.right else -1
    said = Steps(verdict=verdict, p_right=one.p_right, first_wrong=first_wrong)
    return to_row(Solution(prompt=one.prompt, steps=one.steps)) | {"judgement": judgement_to_row(said)}


def own_answer(one: Answered, swap: bool) -> Row:
    """Our own response."""
    return to_row(Response(prompt=one.prompt, response=one.completion))


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
    "ultrafeedback": {"preference": binarized},
    "rmjudge": {"preference": own_pair, "unpaired": own_response, "stepwise": own_solution, "sft": own_answer},
}
"""Format -> kind of example -> how its row is written."""

SAYS_TIES = ("rmjudge",)
"""The formats whose readers know a tie; elsewhere one of the two would have to be called the better one."""
