"""TRL's three families, and OpenRLHF's, whose default field names are the same.

Preference: `chosen`, `rejected`, texts or message lists, with `prompt` or with it as the part that both share.
Unpaired: `prompt`, `completion`, `label`. Stepwise: `prompt`, `completions`, `labels`.
`tools` go with the prompt; everything else in a row (`margin`, `chat_template_kwargs`) is kept in `meta`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from judge.errors import InputError
from judge.formats.base import Format, Row
from judge.formats.fields import (
    assistant,
    conversation,
    label,
    need,
    offered,
    rest,
    said,
    shared,
    texts,
    truth,
    user,
    values,
    wrong,
)
from judge.records import Conversation, HumanLabel, Message, Pair, Response, Solution


def preference(row: Row, *, annotator: str = "chosen") -> list[Pair]:
    """One pair; the chosen response stands first. The prompt is `prompt`, else another column that is one by its name,
    else the beginning that both responses share."""
    chosen, rejected = (_side(row, name) for name in ("chosen", "rejected"))
    if type(chosen) is not type(rejected):
        raise wrong("rejected", rejected, "the same kind of value as 'chosen'")
    used = ["prompt", "chosen", "rejected"]
    if row.get("prompt") is not None:
        prompt = user(row, "prompt")
    else:
        prompt, columns = _prompt_column(row)
        used += columns
    first, second = assistant(row, "chosen"), assistant(row, "rejected")
    if prompt:
        prompt, (first, second) = once(prompt, (first, second))
    elif isinstance(chosen, str):
        prompt, first, second = _split_texts(chosen, rejected)
    else:
        prompt, first, second = split_messages(first, second)
    meta = rest(row, (*used, "tools"))
    human = label(annotator, "first")
    return [Pair(prompt=offered(prompt, row), first=first, second=second, human=human, meta=meta)]


def _side(row: Row, name: str) -> Any:
    value = need(row, name)
    if isinstance(value, Mapping):  # one message alone
        value = [value]
    if not isinstance(value, str | list):
        raise wrong(name, value, "a text or a list of messages")
    return value


PROMPT_COLUMNS = ("question", "instruction", "query", "input")
"""Columns that hold the prompt where there is no `prompt`; an `instruction` may have an `input` beside it."""
_MAY_BE_PROMPT = (
    *("problem", "task", "context", "conversation", "conversations", "messages", "history", "dialogue", "dialog"),
    *("post", "user", "human", "user_input", "user_query", "user_prompt", "prompt_text", "request", "text"),
)


def _prompt_column(row: Row) -> tuple[Conversation, list[str]]:
    """The prompt by the name of its column, and the columns used; nothing where no column can be one.

    Raises InputError where one may be the prompt and its name does not say so: a shared beginning of two answers must
    not be taken for the prompt then.
    """
    names = [name for name in PROMPT_COLUMNS if row.get(name) not in (None, "", [])]
    if names == ["instruction", "input"] and all(isinstance(row[name], str) for name in names):
        prompt = said("user", "\n\n".join(str(row[name]) for name in names))
    elif len(names) == 1:
        prompt = user(row, names[0])
    else:
        names = names or [name for name in row if _asks(str(name), row[name])]
        if names:
            hints = " or ".join(f"--format trl-preference:prompt={name}" for name in names)
            columns = ", ".join(f"'{name}'" for name in names)
            raise InputError(f"no field 'prompt', and the prompt may stand in {columns}: name it with {hints}")
        return (), []
    if isinstance(row.get("system"), str):
        names = [*names, "system"]
        if row["system"].strip() and prompt[0].role != "system":
            prompt = (Message("system", row["system"]), *prompt)
    return prompt, [*names, *(name for name in ("input",) if row.get(name) == "")]


def _asks(name: str, value: Any) -> bool:
    """Whether a column of another name looks like a prompt."""
    if name in ("chosen", "rejected", "system", "tools") or value in (None, "", []):
        return False
    if name.lower() in _MAY_BE_PROMPT or any(word in name.lower() for word in ("prompt", "question", "instruction")):
        return isinstance(value, str | list) and not name.lower().endswith(("id", "hash"))
    return isinstance(value, str) and value.rstrip().endswith("?")


def once(prompt: Conversation, responses: Sequence[Conversation]) -> tuple[Conversation, list[Conversation]]:
    """Prompt and responses without what many data sets write in both: the prompt's text before each answer's, or its
    turns, with turns before them that the prompt column leaves out."""
    texts = [response[0].content if len(response) == 1 else None for response in responses]
    if len(prompt) == 1 and all(text is not None and _continues(prompt[0].content, text) for text in texts):
        start = len(prompt[0].content)
        cut = [replace(response[0], content=response[0].content[start:].lstrip()) for response in responses]
        return prompt, [(message,) for message in cut]
    heads = [_head(prompt, response) for response in responses]
    if not all(heads) or any(head != heads[0] for head in heads):
        return prompt, list(responses)
    head = heads[0]
    left = [response[len(head) :] for response in responses]
    kept = next((size for size in range(len(prompt), 0, -1) if _same(head[-size:], prompt[-size:])), 0)
    if kept == len(prompt):  # the responses may hold turns that the prompt leaves out
        return (prompt if len(head) == len(prompt) else head), left
    before = head[: len(head) - kept]  # turns that the prompt column has too, or a system turn that it lacks
    return (prompt if not before or prompt[: len(before)] == before else (*before, *prompt)), left


def _continues(prompt: str, text: str) -> bool:
    """Whether a text is the whole prompt and then an answer. A prompt of one word may begin an answer by chance."""
    if not text.startswith(prompt):
        return False
    stem = prompt.rstrip()
    after = text[len(prompt) :]
    return len(stem.split()) > 1 and (not stem[-1:].isalnum() or not after[:1].isalnum())


def _head(prompt: Conversation, response: Conversation) -> Conversation:
    """The leading turns of a response that belong to its prompt: through the prompt's last turns, or system turns."""
    if response[0].role == "assistant":
        return ()
    if len(response) > len(prompt) and _same(response[: len(prompt)], prompt):
        return response[: len(prompt)]
    for end in range(len(response) - 1, 0, -1):
        size = min(end, len(prompt))
        if _same(response[end - size : end], prompt[-size:]) and response[end - 1].role != "system":
            return response[:end]
    end = next((index for index, message in enumerate(response) if message.role != "system"), 0)
    return response[:end]


def _same(left: Conversation, right: Conversation) -> bool:
    """Whether turns are the same but for blanks around them."""
    return len(left) == len(right) and all(
        message == other
        or (
            message.role == other.role
            and message.more == other.more
            and message.content.strip() == other.content.strip()
        )
        for message, other in zip(left, right, strict=True)
    )


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
    prompt, (response,) = once(user(row, "prompt"), [assistant(row, "completion")])
    human = label("label", float(truth(row, "label")))
    meta = rest(row, ("prompt", "completion", "label", "tools"))
    return [Response(prompt=offered(prompt, row), response=response, human=human, meta=meta)]


def completion(row: Row) -> list[Response]:
    """One response without a label."""
    prompt, (response,) = once(user(row, "prompt"), [assistant(row, "completion")])
    meta = rest(row, ("prompt", "completion", "tools"))
    return [Response(prompt=offered(prompt, row), response=response, meta=meta)]


_NO_COMPLETION = tuple(
    "label labels response responses first second steps chosen rejected kind completions rubric rubrics".split()
)


def stepwise(row: Row) -> list[Solution]:
    """One solution; the first false label is the first wrong step. Labels between 0 and 1 stay in `meta` as they are:
    where they turn from right to wrong is not theirs to say."""
    prompt, steps, labels = offered(user(row, "prompt"), row), texts(row, "completions"), values(row, "labels")
    if len(labels) != len(steps):
        raise wrong("labels", labels, f"one label a step, {len(steps)}")
    meta = rest(row, ("prompt", "completions", "labels", "tools"))
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
        name="trl-completion",
        about="TRL prompt and completion: prompt, completion (texts or messages), tools; no label",
        fields=("prompt", "completion"),
        read=completion,
        fits=lambda row: not any(name in row for name in _NO_COMPLETION),
    ),
    Format(
        name="trl-stepwise",
        about="TRL stepwise supervision: prompt, completions (steps), labels (one a step)",
        fields=("prompt", "completions", "labels"),
        read=stepwise,
    ),
)
