"""Texts of requests as conversations, with the field named where one is wrong."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from judge.errors import InputError
from judge.formats.fields import message
from judge.records import Conversation, Message, Role, tagged
from judge.serving.limits import Limits
from judge.serving.refusals import invalid


class TextPart(BaseModel):
    """A part of a content that is written as a list."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """A turn of a conversation; content is a text, or a list of text parts; null beside tool calls."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None

    def message(self, field: str) -> Message:
        """The turn; RefusedError (422) for one that says nothing."""
        fields = self.model_dump(exclude_none=True)
        if isinstance(self.content, list):
            fields["content"] = "".join(part.text for part in self.content)
        try:
            return message(fields, field, empty=True)
        except InputError as error:
            raise invalid(str(error), field) from None


Text = Annotated[str | list[ChatMessage], Field(description="A text, or messages {role, content}.")]


def conversation(text: Text, role: Role, field: str, limits: Limits) -> Conversation:
    """A text as a turn of a role, or messages as they are; "" is no turn.

    Raises:
        RefusedError: 422 for a text longer than the server takes.
    """
    if isinstance(text, str):
        turns: Conversation = (Message(role, text),) if text else ()
    else:
        turns = tuple(turn.message(f"{field}[{index}]") for index, turn in enumerate(text))
    length = sum(len(tagged(turn) if turn.more else turn.content) for turn in turns)
    if length > limits.max_length:
        raise invalid(f"{length:,} characters (accepted: at most {limits.max_length:,})", field)
    return turns


def last_answer(messages: Conversation, field: str) -> tuple[Conversation, Conversation]:
    """(prompt, response) of messages: the response is what the assistant said last.

    Raises:
        RefusedError: 422 where the last message is not the assistant's.
    """
    if not messages or messages[-1].role != "assistant":
        raise invalid("the last message is not the assistant's; it is the one that is scored", field)
    return messages[:-1], messages[-1:]


def check_count(count: int, field: str, limits: Limits) -> None:
    """RefusedError (422) for no response, or more than the server takes in one request."""
    if not 1 <= count <= limits.max_responses:
        raise invalid(f"{count:,} responses (accepted: 1 to {limits.max_responses:,})", field)
