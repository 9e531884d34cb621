"""Rubric files: read, saved and read again."""

from pathlib import Path

import pytest

import judge
from judge.formats.rubric import load_rubric as read_criteria
from judge.rubric.rubric_file import CriterionExample

TEXT = """\
name: mine
description: What a test needs.
criteria:
  - name: right
    criterion: The answer is right.
    points: 3
    tags: [truth]
    examples:
      - {prompt: "1+1?", response: It is 2., verdict: met}
      - {prompt: "1+1?", response: It is 3., verdict: unmet, reference: "2"}
  - {text: The answer insults the reader., weight: -2}
  - The tone is kind.
"""


def test_a_file_is_read_saved_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(TEXT, encoding="utf-8")
    rubric = judge.load_rubric(file)
    assert (rubric.name, rubric.description, len(rubric)) == ("mine", "What a test needs.", 3)
    assert [(item.label, item.points) for item in rubric] == [
        ("right", 3.0),
        ("The answer insults the reader.", -2.0),
        ("The tone is kind.", 1.0),
    ]
    assert rubric.examples == {
        "right": (
            CriterionExample(prompt="1+1?", response="It is 2.", verdict="met"),
            CriterionExample(prompt="1+1?", response="It is 3.", verdict="unmet", reference="2"),
        )
    }
    again = judge.load_rubric(rubric.save(tmp_path / "again.yaml"))
    assert (again.criteria, again.examples, again.hash) == (rubric.criteria, rubric.examples, rubric.hash)
    assert read_criteria(file) == rubric.criteria  # what `label --rubric` reads


def test_a_list_of_criteria_is_a_rubric() -> None:
    rubric = judge.load_rubric(["Is short", {"criterion": "Is right", "points": 2}])
    assert [item.points for item in rubric] == [1.0, 2.0]
    assert judge.load_rubric(rubric) is rubric
    with pytest.raises(judge.InputError, match="the rubric has no criteria"):
        judge.load_rubric([])


def test_everything_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("- points: 2\n- {criterion: a b, points: x}\n", encoding="utf-8")
    with pytest.raises(judge.InputError) as error:
        judge.load_rubric(file)
    assert f"{file}:1: no 'criterion' in it" in str(error.value) and f"{file}:2: field 'points'" in str(error.value)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "p", "response": "r", "rubric": ["a b"]}\n')
    with pytest.raises(judge.InputError, match="rows have rubrics of their own"):
        judge.load_rubric(rows)
    with pytest.raises(judge.InputError, match="cannot be read"):
        judge.load_rubric(tmp_path / "none.yaml")
