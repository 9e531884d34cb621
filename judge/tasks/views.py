"""Records seen the way a task wants them: a solution as one text, a ranking as pairs, a long tool result shortened."""

from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from typing import NamedTuple

from judge.records import (
    Conversation,
    HumanLabel,
    Message,
    Pair,
    Ranking,
    Record,
    Response,
    Solution,
    as_steps,
    response_of,
    responses_of,
    rewritten,
    spoken,
)
from judge.tasks.base import Options


def as_response(record: Response | Solution) -> Response:
    """A solution as one response (see `response_of`); labels that name steps stay behind."""
    if isinstance(record, Response):
        return record
    return Response(
        prompt=record.prompt,
        response=response_of(record),
        reference=record.reference,
        rubric=record.rubric,
        human=tuple(label for label in record.human if label.criterion == "correct"),
        meta=record.meta,
    )


def pairs(record: Record) -> Iterator[Pair]:
    """A pair itself, or every pair of a ranking's responses, with the verdicts that people's orders imply."""
    if isinstance(record, Pair):
        yield record
    elif isinstance(record, Ranking):
        for first, second in combinations(range(len(record.responses)), 2):
            human = tuple(label for label in (_implied(vote, first, second) for vote in record.human) if label)
            yield Pair(
                prompt=record.prompt,
                first=record.responses[first],
                second=record.responses[second],
                reference=record.reference,
                rubric=record.rubric,
                human=human,
                meta={**record.meta, "responses": [first, second]},
            )


def responses(record: Record) -> Iterator[Response | Solution]:
    """A response or a solution itself, or each response of a pair or a ranking."""
    if isinstance(record, (Response, Solution)):
        yield record
        return
    each = (record.first, record.second) if isinstance(record, Pair) else record.responses
    for place, response in enumerate(each):
        yield Response(
            prompt=record.prompt,
            response=response,
            reference=record.reference,
            rubric=record.rubric,
            meta={**record.meta, "response": place},
        )


def solutions(record: Record) -> Iterator[Solution]:
    """A solution itself, or a trajectory as one whose steps are the agent's turns."""
    if isinstance(record, Solution):
        yield record
    elif isinstance(record, Response):
        yield as_steps(record)


def rankings(record: Record) -> Iterator[Ranking]:
    """A ranking itself, or a pair as a ranking of two."""
    if isinstance(record, Ranking):
        yield record
    elif isinstance(record, Pair):
        yield Ranking(
            prompt=record.prompt,
            responses=(record.first, record.second),
            reference=record.reference,
            rubric=record.rubric,
            meta=record.meta,
        )


def _implied(label: HumanLabel, first: int, second: int) -> HumanLabel | None:
    """What a label on a ranking says of two of its responses: by their places, or by which of them is correct."""
    named = label.verdict
    if not isinstance(named, tuple):
        return None
    if label.criterion == "correct":  # the correct ones in no order; two of a kind say nothing about which is better
        if (first in named) == (second in named):
            return None
        verdict = "first" if first in named else "second"
        return HumanLabel(annotator=label.annotator, verdict=verdict)
    if first not in named or second not in named:
        return None
    verdict = "first" if named.index(first) < named.index(second) else "second"
    return HumanLabel(annotator=label.annotator, verdict=verdict, criterion=label.criterion)


# -- the texts that a prompt is given ---------------------------------------------------------------------------------


class Shown(NamedTuple):
    """What a judge is shown of a record."""

    prompt: str
    responses: tuple[str, ...]


def shown(prompt: Conversation, responses: Sequence[Conversation], options: Options) -> Shown:
    """Prompt and responses as texts: parted as `options.turns` says, long tool results shortened."""
    prompt, responses = parted(prompt, responses, options.turns)
    texts = (spoken(shortened(turns, options.max_tool_result)) for turns in (prompt, *responses))
    return Shown(next(texts), tuple(texts))


def parted(
    prompt: Conversation, responses: Sequence[Conversation], turns: str
) -> tuple[Conversation, tuple[Conversation, ...]]:
    """Where the prompt ends and the responses begin.

    "all": the responses begin with the first turn of the assistant, wherever the data has it. "last": what stands
    before the last answer (one or more turns after a user's) is the prompt. Responses that come to their last answers
    by different ways stay whole, from where they part; a prompt for "last" says that only the last answer counts.
    """
    if turns == "all":
        cut = next((index for index, turn in enumerate(prompt) if turn.role == "assistant"), len(prompt))
        return prompt[:cut], tuple((*prompt[cut:], *response) for response in responses)
    if turns == "last":
        cuts = [_last_answer(response) for response in responses]
        ways = {response[:cut] for response, cut in zip(responses, cuts, strict=True)}
        if len(ways) == 1:
            return (*prompt, *ways.pop()), tuple(response[cut:] for response, cut in zip(responses, cuts, strict=True))
    return prompt, tuple(responses)


def _last_answer(response: Conversation) -> int:
    """Where the last answer begins: behind the last user turn that something follows, else at the beginning."""
    asked = [index + 1 for index, turn in enumerate(response[:-1]) if turn.role == "user"]
    return asked[-1] if asked else 0


def shortened(turns: Conversation, longest: int) -> Conversation:
    """The turns with each tool result of more than `longest` characters shortened in the middle; 0 shortens none.

    Its first and its last `longest` / 2 characters stay, around a line that says how many are left out.
    """
    if not any(_too_long(turn, longest) for turn in turns):
        return turns
    return tuple(
        rewritten(turn, _without_middle(turn.content, longest)) if _too_long(turn, longest) else turn for turn in turns
    )


def _without_middle(text: str, longest: int) -> str:
    kept = longest // 2
    return f"{text[:kept]}\n[… {len(text) - 2 * kept:,} characters left out …]\n{text[len(text) - kept :]}"


def _too_long(turn: Message, longest: int) -> bool:
    return turn.role == "tool" and 0 < longest < len(turn.content)


def count_shortened(record: Record, longest: int) -> int:
    """How many tool results of a record a judge is shown shortened."""
    turns = chain(record.prompt, *responses_of(record))
    return sum(_too_long(turn, longest) for turn in turns)
