"""What people said of answers, as pairs of answers to one prompt: the material that rubrics are measured on."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations, islice

from judge.errors import InputError
from judge.formats import OnBad
from judge.records import HumanLabel, Pair, PairVerdict, Record, Response, Solution, content_id, plain
from judge.runs.counts import Counts
from judge.runs.data import Data, open_data, reject
from judge.runs.scheduler import distinct
from judge.tasks.views import as_response, pairs

VERDICTS = ("first", "second", "tie")


def read_answers(
    data: Data,
    *,
    format: str | None = None,
    limit: int | None = None,
    on_bad: OnBad | None = None,
    unfit: Callable[[Record], str] = lambda record: "",
) -> list[Record]:
    """The first distinct records of data.

    Args:
        data: see `open_data`.
        format: the family of formats, where it is not to be recognised.
        limit: only the first so many.
        on_bad: is told of each row that cannot be used; without it such a row raises InputError with its place.
        unfit: why a record cannot be used, "" where it can.
    """
    sources = open_data(data)

    def each() -> Iterator[Record]:
        for source in sources:
            for place, record in source.records(format, on_bad):
                if reason := unfit(record):
                    reject(place, reason, on_bad)
                else:
                    yield record

    records = [record for _, record in islice(distinct(each(), Counts()), limit)]
    if not records:
        raise InputError(f"{', '.join(source.name for source in sources)}: holds nothing to judge")
    return records


def comparisons(records: Iterable[Record]) -> list[Pair]:
    """The pairs on which people have a verdict: those of the data, those that an order of several answers implies, and
    answers to one prompt that have scores, or are known to be right or wrong."""
    found: dict[str, Pair] = {}
    answers: dict[str, list[Response]] = {}
    for record in records:
        if isinstance(record, Response | Solution):
            answers.setdefault(prompt_id(record), []).append(as_response(record))
            continue
        for pair in pairs(record):
            human = tuple(label for label in pair.human if not label.criterion and label.verdict in VERDICTS)
            if human and pair.judgeable:
                _add(found, replace(pair, human=human))
    for several in answers.values():
        for first, second in combinations(several, 2):
            if human := _implied(first, second):
                pair = Pair(
                    prompt=first.prompt,
                    first=first.response,
                    second=second.response,
                    reference=first.reference or second.reference,
                    rubric=first.rubric,
                    human=human,
                )
                _add(found, pair)
    return list(found.values())


def majority(pair: Pair) -> PairVerdict:
    """What most people say of a pair; a tie where as many say the one as the other."""
    votes = [label.verdict for label in pair.human]
    margin = votes.count("first") - votes.count("second")
    return "first" if margin > 0 else "second" if margin < 0 else "tie"


def prompt_id(record: Record) -> str:
    """The id of a record's prompt."""
    return content_id("prompt", plain(record.prompt))


def _add(found: dict[str, Pair], pair: Pair) -> None:
    """Keep a pair once, with the labels of all its rows."""
    earlier = found.get(pair.id)
    if earlier is None:
        found[pair.id] = pair
    else:
        added = tuple(label for label in pair.human if label not in earlier.human)
        found[pair.id] = replace(earlier, human=(*earlier.human, *added))


def _implied(first: Response, second: Response) -> tuple[HumanLabel, ...]:
    """Which of two answers people find better, by their scores, or by which of them is right."""
    if not (first.response and second.response) or first.id == second.id:
        return ()
    for criterion in ("correct", ""):
        scores = [_scores(response, criterion) for response in (first, second)]
        if not all(scores):
            continue
        if common := sorted(scores[0].keys() & scores[1].keys()):
            labels = [HumanLabel(annotator=name, verdict=_higher(scores[0][name], scores[1][name])) for name in common]
        else:
            means = [sum(of.values()) / len(of) for of in scores]
            labels = [HumanLabel(annotator="people", verdict=_higher(*means))]
        # Two right answers, or two wrong ones, say nothing about which is better.
        return tuple(label for label in labels if label.verdict != "tie" or not criterion)
    return ()


def _scores(response: Response, criterion: str) -> dict[str, float]:
    labels = (label for label in response.human if label.criterion == criterion)
    return {label.annotator: float(label.verdict) for label in labels if isinstance(label.verdict, int | float)}


def _higher(first: float, second: float) -> PairVerdict:
    return "tie" if first == second else "first" if first > second else "second"
