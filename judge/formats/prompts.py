"""Prompts without a response: what an author is asked to answer. They become responses with nothing in them."""

from judge.formats.base import Format, Row
from judge.formats.fields import offered, rest, user
from judge.records import Response

_BESIDE = {"prompt", "id", "meta", "source", "subset", "category", "tags", "tools"}


def prompt_alone(row: Row) -> list[Response]:
    """One prompt, a text or a list of messages; the rest of the row goes to `meta`."""
    return [Response(prompt=offered(user(row, "prompt"), row), response=(), meta=rest(row, ("prompt", "tools")))]


FORMATS = (
    Format(
        name="prompts",
        about="prompts to be answered: prompt (text or messages), nothing to judge yet",
        fields=("prompt",),
        read=prompt_alone,
        # A row with more fields may be one of another family whose field is misspelt: that must stay an error.
        fits=lambda row: row.keys() <= _BESIDE,
    ),
)
