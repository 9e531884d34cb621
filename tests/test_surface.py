"""The public names, pinned: adding one is a decision, losing one breaks somebody's code."""

import ast
from pathlib import Path

import pytest

import judge

PUBLIC = """
FORMATS TASKS Completion ConfigError Constitution Conversation Counts Critique Engine EngineError HumanLabel
InputError Judged Judgement Message MissingExtraError Options Order Outcome Pair Placed Preference Preview Principle
Program Ranking Reading Record Request Response Revision RmjudgeError Round Run RunAudit RunChangedError RunError
Score Solution Steps TaskSpec Template TemplateError UnknownNameError audit content_id from_row judgement_from_row
judgement_to_row label list_constitutions list_templates load_constitution load_engine load_template open_run play
read_records readable recognise revise score spoken to_row unknown
""".split()


def order(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions, each by the alphabet: what ruff calls sorted."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_public_names_are_pinned_and_sorted() -> None:
    assert judge.__all__ == PUBLIC
    assert judge.__all__ == sorted(judge.__all__, key=order)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(judge, name) is not None
    assert name in dir(judge)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(judge.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = [alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(seen) == sorted(PUBLIC)


def test_a_public_name_is_the_very_object_of_its_home() -> None:
    from judge.records import Pair
    from judge.tasks import TASKS

    assert judge.Pair is Pair
    assert judge.TASKS is TASKS


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Pear'"):
        judge.Pear  # noqa: B018
