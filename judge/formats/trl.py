"""TRL's three families, and OpenRLHF's, whose default field names are the same.

Preference: `chosen`, `rejected`, texts or message lists, with `prompt` or with it as the part that both share.
Unpaired: `prompt`, `completion`, `label`. Stepwise: `prompt`, `completions`, `labels`.
Everything else in a row (`margin`, `tools`, `chat_template_kwargs`) is kept in `meta`.
"""

from typing import Any

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import assistant, conversation, label, need, rest, shared, texts, truth, user, values, wrong
from judge.records import Conversation, HumanLabel, Message, Pair, Response, Solution


def preference(row: Row, *, annotator: str = "chosen") -> list[Pair]:
    """One pair; the chosen response stands first."""
    chosen, rejected = need(row, "chosen"), need(row, "rejected")
    for name, value in (("chosen", chosen), ("rejected", rejected)):
        if not isinstance(value, str | list):
            raise wrong(name, value, "a text or a list of messages")
    if type(chosen) is not type(rejected):
        raise wrong("rejected", rejected, "the same kind of value as 'chosen'")
    if row.get("prompt") is not None:
        prompt = user(row, "prompt")
        first, second = assistant(row, "chosen"), assistant(row, "rejected")
        first, second = _after(prompt, first), _after(prompt, second)
    elif isinstance(chosen, str):
        prompt, first, second = _split_texts(chosen, rejected)
    else:
        prompt, first, second = split_messages(assistant(row, "chosen"), assistant(row, "rejected"))
    meta = rest(row, ("prompt", "chosen", "rejected"))
    return [Pair(prompt=prompt, first=first, second=second, human=label(annotator, "first"), meta=meta)]


def _after(prompt: Conversation, response: Conversation) -> Conversation:
    """A response without the prompt that some data sets repeat in it."""
    count = len(prompt)
    return response[count:] if len(response) > count and response[:count] == prompt else response


def split_messages(chosen: Conversation, rejected: Conversation) -> tuple[Conversation, Conversation, Conversation]:
    """The shared prompt of two conversations, and what is left of each."""
    end = min(shared(chosen, rejected), len(chosen) - 1, len(rejected) - 1)
    if end < 1:
        raise InputError("fields 'chosen', 'rejected': no shared prompt before them, and no field 'prompt'")
    return chosen[:end], chosen[end:], rejected[end:]


def _split_texts(chosen: str, rejected: str) -> tuple[Conversation, Conversation, Conversation]:
    # TRL takes the longest shared beginning as the prompt; ours ends at a blank, so that no word is cut in two.
    common = chosen[: shared(chosen, rejected)]
    end = len(common.rstrip()) if common != common.rstrip() else max(common.rfind(" "), common.rfind("\n"))
    if end < 1:
        raise InputError("fields 'chosen', 'rejected': no shared prompt before them, and no field 'prompt'")
    prompt = (Message("user", common[:end]),)
    return (
        prompt,
        conversation(chosen[end:], "assistant", "chosen"),
        conversation(rejected[end:], "assistant", "rejected"),
    )


def unpaired(row: Row) -> list[Response]:
    """One response with a thumb up (1) or down (0)."""
    prompt, response = user(row, "prompt"), assistant(row, "completion")
    human = label("label", float(truth(row, "label")))
    meta = rest(row, ("prompt", "completion", "label"))
    return [Response(prompt=prompt, response=_after(prompt, response), human=human, meta=meta)]


def stepwise(row: Row) -> list[Solution]:
    """One solution; the first false label is the first wrong step. Labels between 0 and 1 stay in `meta` as they are:
    where they turn from right to wrong is not theirs to say."""
    prompt, steps, labels = user(row, "prompt"), texts(row, "completions"), values(row, "labels")
    if len(labels) != len(steps):
        raise wrong("labels", labels, f"one label a step, {len(steps)}")
    meta = rest(row, ("prompt", "completions", "labels"))
    human = first_false(labels)
    if not human:
        meta["labels"] = labels
    return [Solution(prompt=prompt, steps=steps, human=human, meta=meta)]


def first_false(labels: list[Any], *, annotator: str = "labels") -> tuple[HumanLabel, ...]:
    """The label of a solution from one truth value a step; none when some of them are neither 0 nor 1."""
    for index, value in enumerate(labels):
        if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
            raise wrong(f"labels[{index}]", value, "true, false or a probability")
    if any(value not in (0, 1) for value in labels):
        return ()
    return label(annotator, labels.index(0) if 0 in labels else -1)


FORMATS = (
    Format(
        name="trl-preference",
        about="TRL preference: chosen, rejected (texts or messages), with prompt or with a shared beginning",
        fields=("chosen", "rejected"),
        read=preference,
        over=("openrlhf",),
    ),
    Format(
        name="openrlhf",
        about="OpenRLHF preference: prompt, chosen, rejected; read as trl-preference",
        fields=("chosen", "rejected"),
        read=preference,
    ),
    Format(
        name="trl-unpaired",
        about="TRL unpaired preference: prompt, completion, label (true or false)",
        fields=("prompt", "completion", "label"),
        read=unpaired,
    ),
    Format(
        name="trl-stepwise",
        about="TRL stepwise supervision: prompt, completions (steps), labels (one a step)",
        fields=("prompt", "completions", "labels"),
        read=stepwise,
    ),
)
