"""The smaller verbs from Python: exports, constitutions, prompts, surveys, tiny problems; each returns an object."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from tests.constitution_eval.support import FOUR, choose, pairs
from tests.jobs.test_agree import ROWS, write


@pytest.fixture
def data() -> list[dict[str, Any]]:
    return [judge.to_row(pair) for pair in pairs(6)]


def sees_right(request: Request) -> Completion:
    """Prefers the response that is right where the principle asks for it, and tells nothing apart elsewhere."""
    text = request.messages[-1].content
    if "is right" not in text.split("<judging_principle>")[1]:
        return choose("C", 0.9)
    return choose("A" if text.index("right") < text.index("wrong") else "B", 0.9)


def engine() -> ScriptedEngine:
    return ScriptedEngine(sees_right, seed=1)


def test_export(tmp_path: Path) -> None:
    write(tmp_path / "run" / "labels.jsonl", ROWS)
    (tmp_path / "run" / "manifest.json").write_text('{"config": {"task": "preference"}}')
    exported = judge.export(tmp_path / "run", to="trl", out=tmp_path / "out", validation=0.0)
    assert isinstance(exported, judge.Exported)
    assert exported.to_row() == {
        "out": str(tmp_path / "out"),
        "kind": "preference",
        "records": 8,
        "unreadable": 0,
        "skipped": 0,
        "rows": {"train": 8},
        "left_out": {},
    }
    assert repr(exported).startswith(f"8 preference rows in {tmp_path}/out/train.jsonl")
    with pytest.raises(judge.ConfigError, match="--to, --out"):
        judge.export(tmp_path / "run")


def test_a_run_of_rows_in_memory_is_exported(data: list[dict[str, Any]], tmp_path: Path) -> None:
    def knows(request: Request) -> Completion:
        text = request.messages[-1].content
        return choose("A" if text.index("right") < text.index("wrong") else "B", 0.9)

    folder, judges = tmp_path / "run", ScriptedEngine(knows)
    run = judge.label(data, task="preference", judges=judges, prompt="verdict", out=folder, progress=False)
    exported = judge.export(run, to="trl", out=tmp_path / "out", validation=0.0)
    assert isinstance(exported, judge.Exported)
    assert exported.records == len(data)
    assert f"| data | {len(data)} rows (" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_try_takes_rows_and_an_engine_and_leaves_the_engine_open(data: list[dict[str, Any]]) -> None:
    own = engine()
    for _ in range(2):  # the second call would fail on a closed engine
        trial = judge.try_constitution(FOUR, data, judges=own, progress=False)
        useful = next(row for row in trial.principles if row.id == "useful")
        assert (trial.pairs, useful.speaks, useful.decides) == (6, 6, 6)


def test_ablate(data: list[dict[str, Any]]) -> None:
    ablation = judge.ablate_constitution(FOUR, data, judges=engine(), resamples=100, progress=False)
    assert (ablation.principles[0].id, ablation.whole.value, ablation.pairs) == ("useful", 1.0, 6)
    one = judge.ablate_constitution(FOUR, data, judges=engine(), human="person", resamples=100, progress=False)
    assert one.to_row() == ablation.to_row()


def test_diff_in_words_and_in_verdicts(data: list[dict[str, Any]]) -> None:
    lean = FOUR.without("useful")
    words = judge.diff_constitutions(FOUR, lean)
    assert [(change.kind, change.what) for change in words.changes] == [("removed", "useful")] and words.pairs is None
    judged = judge.diff_constitutions(FOUR, lean, data=data, judges=engine(), progress=False)
    assert (judged.pairs, len(judged.verdict_changes)) == (6, 6)
    with pytest.raises(judge.ConfigError, match="--judge needs --data"):
        judge.diff_constitutions(FOUR, lean, judges=engine())


def test_a_new_constitution_loads_and_passes_lint(tmp_path: Path) -> None:
    path = judge.new_constitution(tmp_path / "mine.yaml")
    assert judge.load_constitution(path).principles
    assert judge.lint_constitution(path).passed
    with pytest.raises(judge.ConfigError, match="exists already"):
        judge.new_constitution(path)


def test_lint_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: bad\ndescription: d\nversion: 1\nprinciples:\n  - id: a\n")
    result = judge.lint_constitution(tmp_path / "bad.yaml")
    assert not result.passed and len(result) == 1
    assert repr(result) == f"{tmp_path}/bad.yaml:5: no 'text' in principle 1\n1 file: 1 finding"
    assert judge.lint_prompt("preference/default").passed


def test_a_constitution_without_examples_has_nothing_to_test() -> None:
    with pytest.raises(judge.ConfigError, match="no principle has examples"):
        judge.test_constitution(FOUR, judges=engine(), progress=False)


def test_examples_are_tested() -> None:
    example = judge.load_constitution("code-review").principles[0].examples[0]
    good = replace(example, first="right", second="wrong", verdict="first")
    useful = FOUR.principle("useful")
    constitution = replace(FOUR, principles=(replace(useful, examples=(good,)),))
    results = judge.test_constitution(constitution, judges=engine(), progress=False)
    assert results.passed and [result.verdict for result in results] == ["first"]
    wrong = replace(constitution, principles=(replace(useful, examples=(replace(good, verdict="second"),)),))
    assert not judge.test_constitution(wrong, judges=engine(), progress=False).passed


def test_a_constitution_is_rendered_as_the_judge_sees_it() -> None:
    rendered = judge.render_constitution(FOUR)
    assert [each["principle"] for each in rendered] == [principle.id for principle in FOUR.principles]
    assert "The response rhymes." in rendered[1]["messages"][-1]["content"] + rendered[1]["messages"][0]["content"]


def test_a_prompt_is_filled_with_rows(data: list[dict[str, Any]]) -> None:
    (rendered,) = judge.render_prompt("preference/default", data)
    assert rendered.id == data[0]["id"] and rendered.place == "row 1"
    assert "Question 0?" in repr(rendered) and repr(rendered).startswith("──── row 1\n[")
    assert len(judge.render_prompt("preference/default", data, limit=None)) == 6


def test_a_survey_of_rows_in_memory(data: list[dict[str, Any]]) -> None:
    survey = judge.survey(data)
    assert (survey.rows, survey.records, survey.labelled, survey.to_row()["format"]) == (6, 6, 6, "rmjudge")
    assert "records: 6 pairs" in repr(survey) and "human labels: on 6: person 6" in repr(survey)


def test_problems_are_generated(tmp_path: Path) -> None:
    rows = judge.generate_problems("pairs", 3, seed=1, out=tmp_path / "pairs.jsonl")
    assert [placed.record.id for placed in judge.read_records(tmp_path / "pairs.jsonl")] == [row["id"] for row in rows]
    assert len(rows) == 3 and all(row["human"][0]["annotator"] == "truth" for row in rows)
    with pytest.raises(judge.ConfigError, match="is there already"):
        judge.generate_problems("pairs", 3, out=tmp_path / "pairs.jsonl")


def test_the_card_of_the_embedded_judge() -> None:
    card = judge.tiny_card()
    assert card["layers"] == 6 and card["head_width"] == 64
    assert card._repr_markdown_() == card.text and "LlamaForCausalLM" in card.text
