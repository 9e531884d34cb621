"""A judge at hand, and what it says of pairs under each principle of a constitution.

Every principle is asked once about every pair, in both orders; what any part of the constitution would have said is
then computed from the answers, without asking again. Answers are kept in memory and nothing is written: a trial is a
sample.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from judge.constitution.constitution import Constitution, Sampling
from judge.constitution_eval.trial_judge import TrialJudge, refuse_untaught
from judge.engines.jury import Judge
from judge.errors import InputError
from judge.formats import OnBad
from judge.judgements import Judgement, Preference, Reading
from judge.prompting.template import load_template
from judge.records import Pair, PairVerdict, Record
from judge.runs.counts import Counts
from judge.runs.data import Data, DataSource, open_data, reject
from judge.runs.scheduler import distinct
from judge.tasks import TASKS, Options, Program
from judge.tasks.constitution_preference import PROMPT, Voice, check_principle, merge_principles, principled, said
from judge.verdicts import preferred, unread


class PrincipleVotes(NamedTuple):
    """A pair, and what each principle says of it: id -> distribution over first, second, tie; {} when unreadable."""

    pair: Pair
    says: Mapping[str, Mapping[str, float]]
    readings: tuple[Reading, ...]

    def verdict(self, constitution: Constitution) -> PairVerdict | None:
        """What a constitution of principles that were asked says; None when nothing was readable."""
        merged = self.merged(constitution)
        return preferred(merged) if merged else None

    def merged(self, constitution: Constitution) -> dict[str, float]:
        """The distribution under a constitution of principles that were asked."""
        return merge_principles(Voice(p.weight, self.says.get(p.id, {})) for p in constitution.principles)

    def alone(self, principle: str) -> PairVerdict | None:
        """What one principle says on its own; a tie is an abstention, None is unreadable."""
        says = self.says.get(principle, {})
        return preferred(says) if says else None

    def why_unread(self, principle: str) -> str:
        """Why one principle's verdict could not be read."""
        return unread([reading for reading in self.readings if reading.principle == principle])


class PrincipleJudge(TrialJudge):
    """A judge that answers under principles: its engines, its prompt and how it is asked.

    Raises ConfigError for a prompt without a place for a principle, before any model is loaded.
    """

    def __init__(
        self,
        judges: Sequence[Judge],
        *,
        prompt: str = "",
        options: Options | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if not prompt:
            refuse_untaught(judges, "to judge under a principle")
        template = load_template("preference", prompt or PROMPT)
        check_principle(template)
        super().__init__(judges, template, task="preference", options=options, settings=settings)

    def vote(
        self,
        pairs: Iterable[Pair],
        constitution: Constitution | Callable[[Pair], Constitution],
        *,
        watch: Callable[[Counts], None] = lambda counts: None,
    ) -> list[PrincipleVotes]:
        """What every principle says of every distinct pair, in their order; sampling rules are left aside."""
        constitution_for = constitution if callable(constitution) else lambda pair: constitution

        def whole(record: Record) -> Constitution:
            assert isinstance(record, Pair)
            return replace(constitution_for(record), sampling=Sampling())

        def program(record: Record) -> Program[Judgement]:
            assert isinstance(record, Pair)
            return principled(record, self.template, self.options, constitution=whole(record))

        votes = []
        for record, judgement in self.judge(pairs, program, watch=watch):
            assert isinstance(record, Pair) and isinstance(judgement, Preference)
            says = {p.id: said(judgement.readings, p.id) for p in whole(record).principles}
            votes.append(PrincipleVotes(record, says, judgement.readings))
        return votes


def read_pairs(
    data: Data, *, format: str | None = None, limit: int | None = None, on_bad: OnBad | None = None
) -> list[Pair]:
    """The first distinct pairs of data; a ranking gives the pairs of its responses. on_bad is told of each row that has
    none; without it such a row raises InputError with its place."""
    sources = open_data(data)
    pairs = [record for _, record in islice(distinct(_pairs(sources, format, on_bad), Counts()), limit)]
    if not pairs:
        raise InputError(f"{', '.join(source.name for source in sources)}: holds no pair to judge")
    return [pair for pair in pairs if isinstance(pair, Pair)]


def _pairs(sources: Sequence[DataSource], format: str | None, on_bad: OnBad | None) -> Iterator[Record]:
    spec = TASKS["preference"]
    for source in sources:
        for place, record in source.records(format, on_bad):
            if record.kind not in spec.kinds:
                reject(place, f"a {record.kind}; a constitution judges: {', '.join(spec.kinds)}", on_bad)
            elif isinstance(record, Pair) and not record.judgeable:
                reject(place, "labels without the texts they are about; there is nothing to judge", on_bad)
            else:
                yield from spec.split(record)
