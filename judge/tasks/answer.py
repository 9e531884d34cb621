"""A model answers a prompt, so that there is something to judge."""

from judge.engines.base import Request
from judge.errors import EngineError
from judge.records import Conversation, Message, Record, Response
from judge.tasks.base import Options, Program
from judge.tasks.queries import Question, seed_for
from judge.verdicts import EMPTY, Label, unfinished

OWN = "own reference"


def own_answer(record: Record, options: Options) -> Question:
    """The question that a judge answers before it judges; its answer is text, read whole."""
    return Question(
        id=record.id,
        asked=OWN,
        messages=record.prompt,
        labels={},
        read=_whole,
        max_tokens=options.max_tokens or 1024,
    )


def _whole(text: str, finish: str) -> Label:
    reason = unfinished(finish) or ("" if text.strip() else EMPTY)
    return Label(None, reason) if reason else Label(text.strip())


def answer(prompt: Conversation, record_id: str, options: Options) -> Program[list[Response]]:
    """`votes` responses to a prompt, in one batch. Raises EngineError when the engine failed."""
    completions = yield [
        Request(
            messages=prompt,
            max_tokens=options.max_tokens or 1024,
            temperature=options.temperature,
            top_p=options.top_p,
            seed=seed_for(options.seed, f"{record_id}/answer/{vote}", 0),
            key=f"{record_id}/answer/0/{vote}",
        )
        for vote in range(options.votes)
    ]
    for completion in completions:
        if completion.finish == "error":
            raise EngineError(f"{record_id}: {completion.text}")
    return [Response(prompt=prompt, response=(Message("assistant", completion.text),)) for completion in completions]
