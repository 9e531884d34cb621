"""Label text with language model judges, and train reward models on the labels.

The public names. Each is imported from the module that holds it when it is first asked for, so `import judge` costs
next to nothing and loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge import hooks
    from judge.constitution.constitution import Constitution, Principle, list_constitutions, load_constitution
    from judge.constitution_eval.ablation import Ablation
    from judge.constitution_eval.difference import ConstitutionDiff
    from judge.constitution_eval.example_tests import ExampleResults
    from judge.constitution_eval.trial import ConstitutionTrial
    from judge.engines import Completion, Engine, Request, load_engine
    from judge.errors import (
        ConfigError,
        CostLimitError,
        EngineError,
        InputError,
        MissingExtraError,
        RmjudgeError,
        RunChangedError,
        RunError,
        TemplateError,
        UnknownNameError,
        unknown,
    )
    from judge.exports.export import Exported
    from judge.formats import FORMATS, Placed, from_row, read_records, recognise, to_row
    from judge.formats.judgement_rows import judgement_from_row, judgement_to_row
    from judge.formats.survey import Survey, survey
    from judge.iteration.figures import RoundFigures
    from judge.iteration.iterate import Iteration, iterate
    from judge.jobs.agree import agree
    from judge.jobs.audit import RunAudit, audit
    from judge.jobs.constitution import (
        ablate_constitution,
        diff_constitutions,
        new_constitution,
        render_constitution,
        test_constitution,
        try_constitution,
    )
    from judge.jobs.distill import TrainingPlan, distill
    from judge.jobs.export import ExportedModel, export
    from judge.jobs.label import label
    from judge.jobs.lint import LintResult, lint_constitution, lint_prompt, lint_rubric
    from judge.jobs.merge import merge
    from judge.jobs.prompt import RenderedPrompt, render_prompt
    from judge.jobs.revise import revise
    from judge.jobs.reward_model import RewardModel, load_reward_model
    from judge.jobs.reward_source import open_reward
    from judge.jobs.rewards.best_of import best_of
    from judge.jobs.rewards.judge_reward import JudgeReward
    from judge.jobs.rewards.serve import serve
    from judge.jobs.rubrics.generate import RubricGeneration, generate_rubrics
    from judge.jobs.rubrics.rubric import (
        ablate_rubric,
        diff_rubrics,
        new_rubric,
        render_rubric,
        test_rubric,
        try_rubric,
    )
    from judge.jobs.score import score
    from judge.jobs.scoring.calibrate import CalibrationResult, calibrate
    from judge.jobs.scoring.robustness import robustness
    from judge.jobs.scoring.scoring_model import Comparison
    from judge.jobs.tiny import TinyCard, generate_problems, tiny_card
    from judge.jobs.training.sweep import sweep
    from judge.jobs.training.sweep_result import Sweep, SweepCell
    from judge.jobs.training.trainer import RewardTrainer
    from judge.judgements import (
        Categories,
        Category,
        Checklist,
        Critique,
        Judgement,
        Order,
        Outcome,
        Preference,
        Reading,
        Revision,
        Round,
        Score,
        Steps,
        readable,
    )
    from judge.prompting.template import Template, list_templates, load_template
    from judge.records import (
        Conversation,
        HumanLabel,
        Message,
        Pair,
        Ranking,
        Record,
        Response,
        RubricItem,
        Solution,
        content_id,
        spoken,
    )
    from judge.report.best_of import BestOfReport
    from judge.report.report import Report
    from judge.report.robustness import RobustnessReport
    from judge.rewards.reward import Reward, RewardSource
    from judge.rewards.shaping import Shaping
    from judge.rubric.ablation import RubricAblation
    from judge.rubric.difference import RubricDiff
    from judge.rubric.example_tests import RubricExampleResults
    from judge.rubric.rubric_file import RubricFile, load_rubric
    from judge.rubric.trial import RubricTrial
    from judge.runs.counts import Counts
    from judge.runs.preview import Preview
    from judge.runs.reader import Judged, Run, open_run
    from judge.secrets import mask_secrets
    from judge.tasks import TASKS, Options, Program, TaskSpec, play
    from judge.terminal import console, visible

__all__ = [
    "FORMATS",
    "TASKS",
    "Ablation",
    "BestOfReport",
    "CalibrationResult",
    "Categories",
    "Category",
    "Checklist",
    "Comparison",
    "Completion",
    "ConfigError",
    "Constitution",
    "ConstitutionDiff",
    "ConstitutionTrial",
    "Conversation",
    "CostLimitError",
    "Counts",
    "Critique",
    "Engine",
    "EngineError",
    "ExampleResults",
    "Exported",
    "ExportedModel",
    "HumanLabel",
    "InputError",
    "Iteration",
    "JudgeReward",
    "Judged",
    "Judgement",
    "LintResult",
    "Message",
    "MissingExtraError",
    "Options",
    "Order",
    "Outcome",
    "Pair",
    "Placed",
    "Preference",
    "Preview",
    "Principle",
    "Program",
    "Ranking",
    "Reading",
    "Record",
    "RenderedPrompt",
    "Report",
    "Request",
    "Response",
    "Revision",
    "Reward",
    "RewardModel",
    "RewardSource",
    "RewardTrainer",
    "RmjudgeError",
    "RobustnessReport",
    "Round",
    "RoundFigures",
    "RubricAblation",
    "RubricDiff",
    "RubricExampleResults",
    "RubricFile",
    "RubricGeneration",
    "RubricItem",
    "RubricTrial",
    "Run",
    "RunAudit",
    "RunChangedError",
    "RunError",
    "Score",
    "Shaping",
    "Solution",
    "Steps",
    "Survey",
    "Sweep",
    "SweepCell",
    "TaskSpec",
    "Template",
    "TemplateError",
    "TinyCard",
    "TrainingPlan",
    "UnknownNameError",
    "ablate_constitution",
    "ablate_rubric",
    "agree",
    "audit",
    "best_of",
    "calibrate",
    "console",
    "content_id",
    "diff_constitutions",
    "diff_rubrics",
    "distill",
    "export",
    "from_row",
    "generate_problems",
    "generate_rubrics",
    "hooks",
    "iterate",
    "judgement_from_row",
    "judgement_to_row",
    "label",
    "lint_constitution",
    "lint_prompt",
    "lint_rubric",
    "list_constitutions",
    "list_templates",
    "load_constitution",
    "load_engine",
    "load_reward_model",
    "load_rubric",
    "load_template",
    "mask_secrets",
    "merge",
    "new_constitution",
    "new_rubric",
    "open_reward",
    "open_run",
    "play",
    "read_records",
    "readable",
    "recognise",
    "render_constitution",
    "render_prompt",
    "render_rubric",
    "revise",
    "robustness",
    "score",
    "serve",
    "spoken",
    "survey",
    "sweep",
    "test_constitution",
    "test_rubric",
    "tiny_card",
    "to_row",
    "try_constitution",
    "try_rubric",
    "unknown",
    "visible",
]

_HOMES = {
    "constitution.constitution": (
        "Constitution",
        "Principle",
        "list_constitutions",
        "load_constitution",
    ),
    "constitution_eval.ablation": ("Ablation",),
    "constitution_eval.difference": ("ConstitutionDiff",),
    "constitution_eval.example_tests": ("ExampleResults",),
    "constitution_eval.trial": ("ConstitutionTrial",),
    "engines": (
        "Completion",
        "Engine",
        "Request",
        "load_engine",
    ),
    "errors": (
        "ConfigError",
        "CostLimitError",
        "EngineError",
        "InputError",
        "MissingExtraError",
        "RmjudgeError",
        "RunChangedError",
        "RunError",
        "TemplateError",
        "UnknownNameError",
        "unknown",
    ),
    "exports.export": ("Exported",),
    "formats": (
        "FORMATS",
        "Placed",
        "from_row",
        "read_records",
        "recognise",
        "to_row",
    ),
    "formats.judgement_rows": (
        "judgement_from_row",
        "judgement_to_row",
    ),
    "formats.survey": (
        "Survey",
        "survey",
    ),
    "iteration.figures": ("RoundFigures",),
    "iteration.iterate": (
        "Iteration",
        "iterate",
    ),
    "jobs.agree": ("agree",),
    "jobs.audit": (
        "RunAudit",
        "audit",
    ),
    "jobs.constitution": (
        "ablate_constitution",
        "diff_constitutions",
        "new_constitution",
        "render_constitution",
        "test_constitution",
        "try_constitution",
    ),
    "jobs.distill": (
        "TrainingPlan",
        "distill",
    ),
    "jobs.export": (
        "ExportedModel",
        "export",
    ),
    "jobs.label": ("label",),
    "jobs.lint": (
        "LintResult",
        "lint_constitution",
        "lint_prompt",
        "lint_rubric",
    ),
    "jobs.merge": ("merge",),
    "jobs.prompt": (
        "RenderedPrompt",
        "render_prompt",
    ),
    "jobs.revise": ("revise",),
    "jobs.reward_model": (
        "RewardModel",
        "load_reward_model",
    ),
    "jobs.reward_source": ("open_reward",),
    "jobs.rewards.best_of": ("best_of",),
    "jobs.rewards.judge_reward": ("JudgeReward",),
    "jobs.rewards.serve": ("serve",),
    "jobs.rubrics.generate": ("RubricGeneration", "generate_rubrics"),
    "jobs.rubrics.rubric": (
        "ablate_rubric",
        "diff_rubrics",
        "new_rubric",
        "render_rubric",
        "test_rubric",
        "try_rubric",
    ),
    "jobs.score": ("score",),
    "jobs.scoring.calibrate": (
        "CalibrationResult",
        "calibrate",
    ),
    "jobs.scoring.robustness": ("robustness",),
    "jobs.scoring.scoring_model": ("Comparison",),
    "jobs.tiny": (
        "TinyCard",
        "generate_problems",
        "tiny_card",
    ),
    "jobs.training.sweep": ("sweep",),
    "jobs.training.sweep_result": (
        "Sweep",
        "SweepCell",
    ),
    "jobs.training.trainer": ("RewardTrainer",),
    "judgements": (
        "Categories",
        "Category",
        "Checklist",
        "Critique",
        "Judgement",
        "Order",
        "Outcome",
        "Preference",
        "Reading",
        "Revision",
        "Round",
        "Score",
        "Steps",
        "readable",
    ),
    "prompting.template": (
        "Template",
        "list_templates",
        "load_template",
    ),
    "records": (
        "Conversation",
        "HumanLabel",
        "Message",
        "Pair",
        "Ranking",
        "Record",
        "Response",
        "RubricItem",
        "Solution",
        "content_id",
        "spoken",
    ),
    "report.best_of": ("BestOfReport",),
    "report.report": ("Report",),
    "report.robustness": ("RobustnessReport",),
    "rewards.reward": (
        "Reward",
        "RewardSource",
    ),
    "rewards.shaping": ("Shaping",),
    "rubric.ablation": ("RubricAblation",),
    "rubric.difference": ("RubricDiff",),
    "rubric.example_tests": ("RubricExampleResults",),
    "rubric.rubric_file": ("RubricFile", "load_rubric"),
    "rubric.trial": ("RubricTrial",),
    "runs.counts": ("Counts",),
    "runs.preview": ("Preview",),
    "runs.reader": (
        "Judged",
        "Run",
        "open_run",
    ),
    "secrets": ("mask_secrets",),
    "tasks": (
        "TASKS",
        "Options",
        "Program",
        "TaskSpec",
        "play",
    ),
    "terminal": (
        "console",
        "visible",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its home and keep it, so that this happens once."""
    if name == "hooks":  # the one room that is public as a module
        return import_module("judge.hooks")
    if name not in _HOME:
        raise AttributeError(f"module 'judge' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(f"judge.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
