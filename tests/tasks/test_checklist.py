"""Checklists: what is asked, and how criteria become a score."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.engines.base import Completion, Request
from judge.formats.rubric import load_rubric, rubric_items, rubric_rows
from judge.judgements import Checklist
from judge.records import Message, Response, RubricItem
from judge.tasks import TASKS, Options
from judge.tasks.checklist import score

HELPFUL = RubricItem(text="Answers the question", points=3.0, name="answers")
POLITE = RubricItem(text="Is polite", points=1.0, name="polite")
RUDE = RubricItem(text="Insults the reader", points=-2.0, name="insults")
TRUE = RubricItem(text="Says nothing false", points=1.0, name="true", gate=True)
RECORD = Response(
    prompt=(Message("user", "What is 2+2?"),),
    response=(Message("assistant", "4"),),
    rubric=(HELPFUL, POLITE, RUDE, TRUE),
)


def test_the_score_is_the_share_of_the_points_on_offer() -> None:
    assert score([(HELPFUL, 1.0), (POLITE, 0.0)]) == 0.75  # 3 of 4
    assert score([(HELPFUL, 1.0), (POLITE, 1.0), (RUDE, 1.0)]) == 0.5  # (3 + 1 - 2) / 4
    assert score([(POLITE, 1.0), (RUDE, 1.0)]) == 0.0  # (1 - 2) / 1, held to 0
    assert score([(HELPFUL, 0.5), (POLITE, 0.25)]) == pytest.approx((1.5 + 0.25) / 4)


def test_a_gate_that_is_not_met_leaves_nothing() -> None:
    assert score([(HELPFUL, 1.0), (TRUE, 0.0)]) == 0.0
    assert score([(HELPFUL, 1.0), (TRUE, 0.5)]) == pytest.approx(0.5 * 3.5 / 4)


def test_criteria_that_all_count_against_a_response_start_from_one() -> None:
    shouts = RubricItem(text="Shouts", points=-6.0)
    assert score([(RUDE, 0.0), (shouts, 0.0)]) == 1.0
    assert score([(RUDE, 1.0), (shouts, 0.0)]) == pytest.approx(1 - 2 / 8)


def answer(says: Mapping[str, Mapping[str, float]]) -> Any:
    """A judge that gives each criterion's text its probabilities of yes, no and unsure."""

    def reply(request: Request) -> Completion:
        shown = (
            request.messages[-1].content.rpartition("<judging_criterion>\n")[2].partition("\n</judging_criterion>")[0]
        )
        shares = says[shown]
        best = max(shares, key=lambda label: shares[label])
        return Completion(text=best, logprobs={label: math.log(share) for label, share in shares.items()})

    return reply


def judged(says: Mapping[str, Mapping[str, float]], record: Response = RECORD) -> Checklist:
    spec, options = TASKS["checklist"], Options()
    template = judge.load_template("checklist", "default")
    judgement = judge.play(spec.program(record, template, options), answer(says))
    assert isinstance(judgement, Checklist)
    return judgement


def shares(yes: float, no: float) -> dict[str, float]:
    return {"yes": yes, "no": no, "unsure": 1.0 - yes - no}


def test_criteria_are_merged_and_an_abstention_is_never_a_no() -> None:
    made = judged(
        {
            HELPFUL.text: shares(0.6, 0.2),  # met; P(met) = 0.6 / 0.8
            POLITE.text: shares(0.1, 0.2),  # unsure 0.7: left out
            RUDE.text: shares(0.1, 0.8),
            TRUE.text: shares(0.9, 0.05),
        }
    )
    assert made.verdict == {"": 1.0, "answers": 1, "insults": 0, "true": 1}  # 4 of the 4 points that were decided
    assert made.abstained == ("polite",)
    p_answers, p_insults, p_true = 0.6 / 0.8, 0.1 / 0.9, 0.9 / 0.95
    expected = p_true * (3 * p_answers - 2 * p_insults + p_true) / 4
    assert made.expected[""] == pytest.approx(expected)
    assert made.points == {"answers": 3.0, "polite": 1.0, "insults": -2.0, "true": 1.0}
    assert judge.judgement_from_row(json.loads(json.dumps(judge.judgement_to_row(made)))) == made


def test_a_judge_that_abstains_on_everything_gives_no_score() -> None:
    made = judged({item.text: shares(0.1, 0.1) for item in RECORD.rubric})
    assert made.verdict == {"": None} and made.reason == "the judge abstains on every criterion"
    assert not judge.readable(made)


def test_the_requests_of_a_record_are_alike_up_to_the_criterion() -> None:
    asked: list[str] = []

    def reply(request: Request) -> Completion:
        asked.append(request.messages[-1].content)
        return Completion(text="yes", logprobs={"yes": 0.0, "no": -math.inf, "unsure": -math.inf})

    judge.play(TASKS["checklist"].program(RECORD, judge.load_template("checklist", "default"), Options()), reply)
    begins = {text.partition("<judging_criterion>")[0] for text in asked}
    assert len(asked) == 4 and len(begins) == 1


def test_rows_bring_their_own_rubric_and_others_take_the_runs(tmp_path: Path) -> None:
    (tmp_path / "rubric.yaml").write_text("- criterion: Is short\n  points: 2\n- Is correct\n")
    rows = [
        {"prompt": "Q1", "response": "A", "rubric": [{"criterion": "Says A", "weight": 5, "title": "says"}]},
        {"prompt": "Q2", "response": "B"},
    ]
    run = judge.label(
        rows,
        task="checklist",
        judges=f"scripted:{script(tmp_path)}",
        rubric=tmp_path / "rubric.yaml",
        out=tmp_path / "run",
        progress=False,
    )
    verdicts = {spoken(row): row.judgement.verdict for row in run}
    assert verdicts == {"Q1": {"": 1.0, "says": 1}, "Q2": {"": 1.0, "Is short": 1, "Is correct": 1}}
    assert run.manifest["counts"]["verdicts"] == {"met": 3}


def spoken(row: judge.Judged) -> str:
    return row.record.prompt[0].content


def script(folder: Path) -> Path:
    path = folder / "judge.jsonl"
    path.write_text(json.dumps({"match": "", "text": "yes"}))
    return path


def test_a_row_without_a_rubric_is_named(tmp_path: Path) -> None:
    with pytest.raises(judge.InputError, match="no rubric"):
        judge.label(
            [{"prompt": "Q", "response": "A"}],
            task="checklist",
            judges=f"scripted:{script(tmp_path)}",
            out=tmp_path / "run",
            progress=False,
        )


def test_a_rubric_enters_the_id_and_only_where_there_is_one() -> None:
    bare = Response(prompt=RECORD.prompt, response=RECORD.response)
    assert bare.id != RECORD.id
    assert bare.id == judge.content_id("response", [["user", "What is 2+2?"]], [["assistant", "4"]], "")


def test_rows_with_a_rubric_are_read_again_as_they_were() -> None:
    assert judge.from_row(json.loads(json.dumps(judge.to_row(RECORD)))) == RECORD
    assert rubric_items(rubric_rows(RECORD.rubric), "rubric") == RECORD.rubric


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- criterion: a\n- points: 2\n", r"rubric.yaml:2: no 'criterion'|rubric.yaml:2: .*'criterion'"),
        ("- criterion: a\n  points: many\n", "rubric.yaml:1: .*points.*many"),
        ("- a\n- a\n", "'a' stands there twice"),
        ("a: b\n", "no list of criteria"),
        ("- [\n", "rubric.yaml:2: no YAML"),
        ("- criterion: a\n  points: 0\n", "points other than 0"),
    ],
)
def test_a_wrong_rubric_file_is_one_line_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_text(text)
    with pytest.raises(judge.InputError, match=message) as caught:
        load_rubric(path)
    assert "\n" not in str(caught.value)
