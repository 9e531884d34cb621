"""Which of two responses is better: both orders, K votes, a jury."""

from collections.abc import Sequence

from judge.judgements import Preference, Reading, Shape
from judge.prompting.front_matter import PromptKind
from judge.prompting.template import Template
from judge.records import Pair
from judge.tasks.base import Options, Program
from judge.tasks.queries import Question, ask, gather, questions
from judge.tasks.spec import Prompt, TaskSpec
from judge.tasks.views import pairs, shown
from judge.verdicts import consistent, mean, merge_orders, p_first, preferred, swapped_labels, unread

FORWARD, SWAPPED = "forward", "swapped"


def preference(pair: Pair, template: Template, options: Options) -> Program[Preference]:
    """Both orders in one batch, unless `one_order`; each juror's orders are merged, then the jury's mean is taken."""
    batch = pair_questions(pair, template, options, record_id=pair.id, names=(FORWARD, SWAPPED))
    readings = yield from gather([ask(question, options) for question in batch])
    return merge(readings, forward=FORWARD)


def pair_questions(
    pair: Pair, template: Template, options: Options, *, record_id: str, names: tuple[str, str]
) -> list[Question]:
    """What is asked about a pair under the two given names, as it stands and the other way round."""
    prompt, (first, second) = shown(pair.prompt, (pair.first, pair.second), options)
    beside = {"prompt": prompt, "reference": pair.reference if options.reference else ""}
    messages = template.render(**beside, first=first, second=second)
    batch = questions(record_id, names[0], messages, template, options)
    if options.one_order:
        return batch
    messages = template.render(**beside, first=second, second=first)
    labels = swapped_labels(template.labels)
    return batch + questions(record_id, names[1], messages, template, options, labels=labels)


def merge(readings: Sequence[Reading], *, forward: str) -> Preference:
    """One preference from all readings of a pair; `forward` is what a reading of the pair as it stands was asked as.

    The verdict is the one with the most merged weight (a tie when two share it), so it never contradicts p_first.
    """
    merged = pooled(readings, forward=forward)
    if not merged:
        return Preference(verdict=None, reason=unread(readings), readings=tuple(readings))
    return Preference(
        verdict=preferred(merged),
        p_first=p_first(merged),
        consistent=consistent(*_orders(readings, forward)),
        readings=tuple(readings),
    )


def pooled(readings: Sequence[Reading], *, forward: str) -> dict[str, float]:
    """The distribution over first, second, tie of all readings of a pair; {} when nothing was readable."""
    as_given, turned = _orders(readings, forward)
    return mean(
        merge_orders([r for r in as_given if r.judge == juror], [r for r in turned if r.judge == juror])
        for juror in dict.fromkeys(reading.judge for reading in readings)
    )


def _orders(readings: Sequence[Reading], forward: str) -> tuple[list[Reading], list[Reading]]:
    as_given = [reading for reading in readings if reading.asked == forward]
    return as_given, [reading for reading in readings if reading.asked != forward]


def default_prompt(options: Options) -> str:
    """The shipped prompt that the options ask for."""
    if options.turns == "last":
        return "last-turn"
    return "reference" if options.own_reference else "default"


TASK = TaskSpec(
    name="preference",
    about="which of two responses is better, asked in both orders",
    kinds=("pair", "ranking"),
    split=pairs,
    build=preference,
    prompt=lambda options: Prompt("preference", default_prompt(options)),
    prompts={
        "preference": PromptKind(
            variables=("prompt", "first", "second", "reference"), labels=("first", "second"), third_label="tie"
        )
    },
    shape=Shape(
        judgement=Preference,
        form="label",
        records=("pair",),
        labels=("first", "second", "tie"),
        probability="p_first",
    ),
    exports=("preference", "unpaired", "sft"),
)
