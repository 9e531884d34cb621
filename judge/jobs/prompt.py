"""`judge.render_prompt`: a prompt as the judge gets it, filled with the records of data."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from judge.errors import TemplateError
from judge.prompting.template import Template, load_template, render_record
from judge.runs.data import Data, open_data
from judge.runs.runner import ignore


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RenderedPrompt:
    """One conversation as the judge gets it.

    Attributes:
        place: where the record stands, `file:line`.
        id: the record's id.
        messages: {"role", "content"} each.
        number, of: which conversation of the record's it is, and of how many.
    """

    place: str
    id: str
    messages: tuple[dict[str, str], ...]
    number: int = 1
    of: int = 1

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"place": self.place, "id": self.id, "messages": list(self.messages)}

    def __repr__(self) -> str:
        count = f" · {self.number} of {self.of}" if self.of > 1 else ""
        turns = "".join(f"\n[{turn['role']}]\n{turn['content']}\n" for turn in self.messages)
        return f"──── {self.place}{count}{turns}"


def render_prompt(
    prompt: str | Path | Template,
    data: Data,
    *,
    limit: int | None = 1,
    format: str | None = None,
    skip_bad: bool = False,
) -> list[RenderedPrompt]:
    """Fill a prompt with records.

    Args:
        prompt: a template, a shipped one's name such as "preference/default", or a .jinja file.
        data: whose records fill it.
        limit: only the first so many records.
        format: the family of formats of the data, where it is not to be recognised.
        skip_bad: pass over rows that cannot be read.

    Returns:
        The conversations; a record may give several, such as one a step.

    Raises:
        TemplateError: for a record of a kind that does not fit the prompt.
    """
    template = prompt if isinstance(prompt, Template) else load_template("", str(prompt))
    rendered = []
    on_bad = ignore if skip_bad else None
    records = (placed for source in open_data(data) for placed in source.records(format, on_bad))
    for place, record in islice(records, limit):
        try:
            conversations = list(render_record(template, record))
        except TemplateError as error:
            raise TemplateError(f"{place}: {record.kind} does not fit {template.name}: {error}") from None
        for number, turns in enumerate(conversations, start=1):
            messages = tuple({"role": turn.role, "content": turn.content} for turn in turns)
            of = len(conversations)
            rendered.append(RenderedPrompt(place=place, id=record.id, messages=messages, number=number, of=of))
    return rendered
