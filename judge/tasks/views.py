"""Records seen the way a task wants them: a solution as one text, a ranking as pairs."""

from collections.abc import Iterator
from itertools import combinations

from judge.records import HumanLabel, Message, Pair, Ranking, Record, Response, Solution


def as_response(record: Response | Solution) -> Response:
    """A solution as one response, its steps joined by newlines; labels that name steps stay behind."""
    if isinstance(record, Response):
        return record
    return Response(
        prompt=record.prompt,
        response=(Message("assistant", "\n".join(record.steps)),),
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
    """A solution itself."""
    if isinstance(record, Solution):
        yield record


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
