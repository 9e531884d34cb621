"""Every shipped verdict pattern reads what a person reads: against replies written down, and against generated ones."""

import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.prompting.template import Template, list_templates, load_template
from judge.tasks.ranking import read_order
from judge.verdicts import read_label, read_steps
from tests import verdict_replies

ABC = {"first": "A", "second": "B", "tie": "C"}
SCALE = {str(number): str(number) for number in range(1, 6)}
TABLES = {
    "preference/default": verdict_replies.PREFERENCE,
    "preference/principle": verdict_replies.PREFERENCE,
    "preference/llmbar": verdict_replies.LLMBAR,
    "score/default": verdict_replies.SCORE,
    "outcome/default": verdict_replies.OUTCOME,
    "steps/default": verdict_replies.STEPS,
    "ranking/default": verdict_replies.RANKING,
}
CASES = [(name, *(*row, "stop")[:3]) for name, table in TABLES.items() for row in table]


def read(template: Template, text: str, finish: str = "stop") -> str | None:
    if template.task == "ranking":
        return read_order(text, template.verdict, 3, finish=finish).verdict
    return read_label(text, template.verdict, template.labels or SCALE, finish=finish).verdict


@pytest.mark.parametrize(("name", "text", "verdict", "finish"), CASES)
def test_what_is_read_is_what_a_person_reads(name: str, text: str, verdict: str | None, finish: str) -> None:
    assert read(load_template("", name), text, finish) == verdict


def test_the_replies_are_enough_and_no_two_alike() -> None:
    own = [row[0] for table in {id(table): table for table in TABLES.values()}.values() for row in table]
    assert len(own) >= 200


LABELLED = [
    template for template in list_templates() if template.verdict and (template.labels or template.task == "score")
]
WORDS = st.sampled_from(
    [
        *"the answer response a b c A B C output Output (a) (b) is better right wrong neutral not".split(),
        *"if so therefore".split(),
        *"4 5 / out of [[ ]] [ ] 【 】 ［［ ］］ ** * _ ` ' . , : ; ! ?".split(),
        *"( ) < > Verdict Score step 1 2 \\[\\[ \\]\\]".split(),
        *('"', "\n", "\n\n", "é", "結", "\u200d", "```", " "),
    ]
)
TEXTS = st.lists(WORDS, max_size=60).map(" ".join)
FORMS = (
    "[[{}]]",
    "**[[{}]]**",
    "【{}】",
    "［［{}］］",
    "[[ {} ]]",
    "\\[\\[{}\\]\\]",
    "`[[{}]]`",
    "Verdict: [[{}]].",
    "[[**{}**]]",
)
FILLERS = (
    "It is good.",
    "Response one errs; the other does not.",
    "7 x 8 = 56",
    "- clear\n- short",
    "",
    "See (above).",
)


def form(template: Template, typed: str, label: str) -> str:
    if template.name == "preference/llmbar":
        return f"Output ({label}) is better."
    if template.name == "steps/all":
        return f"Step 1: [[{label}]]"
    return typed.format(label)


def asked(template: Template) -> dict[str, str]:
    return dict(template.labels) or SCALE


def verdict_of(template: Template, text: str, finish: str = "stop") -> str | None:
    if template.name == "steps/all":
        return read_steps(text, template.verdict, asked(template), 1, finish=finish)[0].verdict
    return read_label(text, template.verdict, asked(template), finish=finish).verdict


Reply = tuple[Template, list[str], str, bool]


def reply(draw: Random) -> Reply:
    """A prompt, the verdicts that a reply gives, the reply, and whether it ends with the last of them."""
    template = draw.choice(LABELLED)
    chosen = draw.choices(list(asked(template)), k=draw.randrange(4))
    parts = []
    for verdict in chosen:
        parts += [draw.choice(FILLERS), form(template, draw.choice(FORMS), asked(template)[verdict])]
    ends = draw.random() < 0.5
    parts += [] if ends else ["That is all that I have to say about these two."]
    return template, chosen, "\n".join(parts), ends


def check(template: Template, chosen: list[str], text: str, ends: bool) -> None:
    if not chosen:
        expected = None
    elif len(set(chosen)) == 1:
        expected = chosen[0]
    else:
        expected = chosen[-1] if ends and template.name != "steps/all" else None
    assert verdict_of(template, text) == expected, (template.name, text)


@pytest.mark.parametrize("count", [20_000, pytest.param(200_000, marks=pytest.mark.soak)])
def test_one_clear_verdict_is_read_and_two_or_none_are_not(count: int) -> None:
    draw = Random(count)
    for _ in range(count):
        check(*reply(draw))


@settings(max_examples=2_000)
@given(st.sampled_from(LABELLED), TEXTS, st.sampled_from(["stop", "length", "repetition"]))
def test_no_text_breaks_the_reading_or_gives_what_is_not_on_offer(template: Template, text: str, finish: str) -> None:
    assert verdict_of(template, text, finish) in (None, *asked(template))


@pytest.mark.parametrize(
    "piece", ["[[", "[[A", "[[A]] ", "\n", " ", "Output (a) ", "Verdict: ", "**", "<think>", "step 1 ", "4/", "] "]
)
def test_long_replies_of_one_piece_are_read_in_linear_time(piece: str) -> None:
    """40,000 characters of anything take less than the second that 4,000 quadratic ones would cost."""
    text = piece * (40_000 // len(piece))
    for template in LABELLED:
        start = time.process_time()
        verdict_of(template, text)
        assert time.process_time() - start < 2.0, template.name
