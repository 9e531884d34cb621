"""The public names, pinned: adding one is a decision, losing one breaks somebody's code."""

import ast
from pathlib import Path

import pytest

import judge

PUBLIC = """
FORMATS TASKS Ablation BestOfReport CalibrationResult Categories Category Checklist Comparison Completion ConfigError
Constitution ConstitutionDiff ConstitutionTrial Conversation CostLimitError Counts Critique Engine EngineError
ExampleResults Exported ExportedModel HumanLabel InputError Iteration JudgeReward Judged Judgement LintResult
Message MissingExtraError Options Order Outcome Pair Placed Preference Preview Principle Program Ranking Reading
Record RenderedPrompt Report Request Response Revision Reward RewardModel RewardSource RewardTrainer RmjudgeError
RobustnessReport Round RoundFigures RubricAblation RubricDiff RubricExampleResults RubricFile RubricGeneration
RubricItem RubricTrial Run RunAudit RunChangedError RunError Score Shaping Solution Steps Survey Sweep SweepCell
TaskSpec Template TemplateError TinyCard TrainingPlan UnknownNameError ablate_constitution ablate_rubric agree
audit best_of calibrate console content_id diff_constitutions diff_rubrics distill export from_row
generate_problems generate_rubrics hooks iterate judgement_from_row judgement_to_row label lint_constitution
lint_prompt lint_rubric list_constitutions list_templates load_constitution load_engine load_reward_model
load_rubric load_template mask_secrets merge new_constitution new_rubric open_reward open_run play read_records
readable recognise render_constitution render_prompt render_rubric revise robustness score serve spoken survey
sweep test_constitution test_rubric tiny_card to_row try_constitution try_rubric unknown visible
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
