"""The shipped prompts: each loads, is clean, reads the verdict it asks for, and shares what it can."""

import re

import pytest

from judge.prompting.template import Template, lint, list_templates, load_template, render_record
from judge.records import Message, Pair, Ranking, Solution
from judge.verdicts import read_label, read_steps

SHIPPED = list_templates()
JUDGES = [template for template in SHIPPED if not template.name.endswith(("/brief", "/few-shot"))]
PAIR = Pair(
    prompt=(Message("user", "Name a prime."),),
    first=(Message("assistant", "7"),),
    second=(Message("assistant", "8"),),
)
SOLUTION = Solution(prompt=(Message("user", "1+1+1?"),), steps=("1+1=2", "2+1=4", "So 4."))
VALUES: dict[str, object] = {
    "prompt": "p",
    "first": "f",
    "second": "s",
    "response": "r",
    "critique": "c",
    "reference": "4",
    "steps": ["a", "b"],
    "responses": ["x", "y"],
    "index": 0,
    "criterion": "brevity",
    "categories": ["harm", "none"],
    "category": "harm",
}


def shared(texts: list[str]) -> str:
    """The beginning that all texts share: what a prefix cache computes once."""
    same = 0
    while all(len(text) > same and text[same] == texts[0][same] for text in texts):
        same += 1
    return texts[0][:same]


def named(template: Template) -> str:
    return template.name


def test_the_prompts_that_every_task_needs_are_there() -> None:
    needed = {"preference/default", "preference/verdict", "critique/default", "score/default", "score/verdict"}
    needed |= {"steps/default", "steps/verdict", "steps/all", "outcome/default", "outcome/verdict", "ranking/default"}
    assert needed <= {template.name for template in SHIPPED}


@pytest.mark.parametrize("template", SHIPPED, ids=named)
def test_a_shipped_prompt_is_clean(template: Template) -> None:
    assert lint(template.source) == []
    assert template.name == f"{template.task}/{template.name.split('/')[1]}"
    assert template.description and not template.description.endswith(".")


@pytest.mark.parametrize("template", JUDGES, ids=named)
def test_the_system_message_names_every_frame_and_is_the_same_for_every_record(template: Template) -> None:
    system, user = template.render(**VALUES)
    assert (system.role, user.role) == ("system", "user")
    for frame in re.findall(r"^<(\w+)>$", user.content, re.MULTILINE):
        assert frame in system.content or re.sub(r"_\d+", "", frame) in system.content, frame
    assert template.render(**{**VALUES, "prompt": "another", "first": "g", "steps": ["z"]})[0] == system


@pytest.mark.parametrize("template", SHIPPED, ids=named)
def test_labels_are_single_letters_or_words_that_begin_apart(template: Template) -> None:
    labels = list(template.labels.values())
    assert all(re.fullmatch("[A-Z]|[a-z]+", label) for label in labels)
    assert len({label[0] for label in labels}) == len(labels)


@pytest.mark.parametrize("template", [one for one in JUDGES if one.labels and one.name != "steps/all"], ids=named)
def test_the_form_that_is_asked_for_is_the_form_that_is_read(template: Template) -> None:
    user = template.render(**VALUES)[-1].content
    for verdict, label in template.labels.items():
        form = re.search(r"\w+: \[\[X\]\]$|Output \(X\)", user, re.MULTILINE)
        reply = f"Some reasons.\n{form[0].replace('X', label)}" if form else label
        assert (form is not None) == bool(template.verdict)
        assert read_label(reply, template.verdict, template.labels).verdict == verdict


def test_steps_all_reads_a_line_a_step_whatever_its_dress() -> None:
    template = load_template("steps", "all")
    reply = (
        "1+1 is 2.\nStep 1: [[right]]\n\n**Step 2:** [[wrong]]\n- step 3 - [[ neutral ]]\nIn step 4 [[right]] stands."
    )
    found = read_steps(reply, template.verdict, template.labels, 4)
    assert [label.verdict for label in found] == ["right", "wrong", "neutral", None]


@pytest.mark.parametrize(
    ("name", "reply", "read"),
    [
        ("score/default", "Good.\nScore: [[4]]", "4"),
        ("score/default", "Score: [[ -2 ]]", "-2"),
        ("ranking/default", "Order: [[2 > 1 > 3]]", "2 > 1 > 3"),
        ("ranking/default", "Order: [[2>10>1]]", "2>10>1"),
    ],
)
def test_numbers_and_orders_are_read(name: str, reply: str, read: str) -> None:
    match = re.search(load_template("", name).verdict, reply)
    assert match is not None and match[1] == read


@pytest.mark.parametrize("name", ["preference/default", "preference/verdict"])
def test_both_orders_share_everything_before_the_responses(name: str) -> None:
    template = load_template("", name)
    (forward,), (swapped,) = (list(render_record(template, pair)) for pair in (PAIR, PAIR.swap()))
    assert forward[0] == swapped[0]
    assert shared([forward[1].content, swapped[1].content]).endswith("</user_prompt>\n\n<response_a>\n")


@pytest.mark.parametrize("name", ["steps/default", "steps/verdict"])
def test_the_steps_of_a_solution_share_all_but_the_question(name: str) -> None:
    calls = list(render_record(load_template("", name), SOLUTION))
    assert len(calls) == 3
    assert shared([call[1].content for call in calls]).endswith("So 4.\n</step_3>\n\nCheck step ")


@pytest.mark.parametrize("name", ["score/default", "score/verdict"])
def test_several_criteria_share_all_but_the_question(name: str) -> None:
    template = load_template("", name)
    texts = [template.render(**{**VALUES, "criterion": one})[1].content for one in ("tact", "brevity")]
    assert shared(texts).endswith("</candidate_response>\n\nScore the response for this criterion: ")


@pytest.mark.parametrize("name", ["score/default", "score/verdict", "outcome/default", "outcome/verdict"])
def test_a_reference_is_shown_only_where_there_is_one(name: str) -> None:
    template = load_template("", name)
    assert "<reference_answer>\n4\n</reference_answer>" in template.render(**VALUES)[1].content
    assert "<reference_answer>" not in template.render(**{**VALUES, "reference": ""})[1].content


def test_a_ranking_numbers_its_responses_from_one() -> None:
    ranking = Ranking(prompt=PAIR.prompt, responses=(PAIR.first, PAIR.second))
    ((_, user),) = render_record(load_template("ranking", "default"), ranking)
    assert "<response_1>\n7\n</response_1>\n\n<response_2>\n8\n</response_2>" in user.content


@pytest.mark.parametrize("name", ["preference/few-shot", "critique/few-shot", "revision/few-shot"])
def test_a_few_shot_prompt_is_one_text_that_breaks_off_where_the_reply_begins(name: str) -> None:
    template = load_template("", name)
    (user,) = template.render(**VALUES)
    begun = template.opening or template.choice_prefix
    assert user.role == "user"
    assert user.content.count(begun) == (2 if template.opening else 3)  # the examples' own
    assert not user.content.endswith(begun)
