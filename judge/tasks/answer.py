"""A model answers a prompt, so that there is something to judge."""

from judge.engines.base import Request
from judge.errors import EngineError
from judge.records import Conversation, Message, Response
from judge.tasks.base import Options, Program
from judge.tasks.queries import seed_for


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
