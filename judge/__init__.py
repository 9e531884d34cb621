"""Label text with language model judges, and train reward models on the labels.

The public names. Each is imported from the module that holds it when it is first asked for, so `import judge` costs
next to nothing and loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge.constitution.constitution import Constitution, Principle, list_constitutions, load_constitution
    from judge.engines import Completion, Engine, Request, load_engine
    from judge.errors import (
        ConfigError,
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
    from judge.formats import FORMATS, Placed, from_row, read_records, recognise, to_row
    from judge.formats.rmjudge import judgement_from_row, judgement_to_row
    from judge.jobs.audit import RunAudit, audit
    from judge.jobs.distill import TrainingPlan, distill
    from judge.jobs.label import label
    from judge.jobs.revise import revise
    from judge.jobs.reward_model import Reward, RewardModel, load_reward_model
    from judge.jobs.score import score
    from judge.judgements import (
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
        Solution,
        content_id,
        spoken,
    )
    from judge.runs.counts import Counts
    from judge.runs.preview import Preview
    from judge.runs.reader import Judged, Run, open_run
    from judge.tasks import TASKS, Options, Program, TaskSpec, play

__all__ = [
    "FORMATS",
    "TASKS",
    "Completion",
    "ConfigError",
    "Constitution",
    "Conversation",
    "Counts",
    "Critique",
    "Engine",
    "EngineError",
    "HumanLabel",
    "InputError",
    "Judged",
    "Judgement",
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
    "Request",
    "Response",
    "Revision",
    "Reward",
    "RewardModel",
    "RmjudgeError",
    "Round",
    "Run",
    "RunAudit",
    "RunChangedError",
    "RunError",
    "Score",
    "Solution",
    "Steps",
    "TaskSpec",
    "Template",
    "TemplateError",
    "TrainingPlan",
    "UnknownNameError",
    "audit",
    "content_id",
    "distill",
    "from_row",
    "judgement_from_row",
    "judgement_to_row",
    "label",
    "list_constitutions",
    "list_templates",
    "load_constitution",
    "load_engine",
    "load_reward_model",
    "load_template",
    "open_run",
    "play",
    "read_records",
    "readable",
    "recognise",
    "revise",
    "score",
    "spoken",
    "to_row",
    "unknown",
]

_HOMES = {
    "engines": ("Completion", "Engine", "Request", "load_engine"),
    "errors": (*(name for name in __all__ if name.endswith("Error")), "unknown"),
    "formats": ("FORMATS", "Placed", "from_row", "read_records", "recognise", "to_row"),
    "formats.rmjudge": ("judgement_from_row", "judgement_to_row"),
    "judgements": (
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
    "jobs.audit": ("RunAudit", "audit"),
    "jobs.distill": ("TrainingPlan", "distill"),
    "jobs.label": ("label",),
    "jobs.revise": ("revise",),
    "jobs.reward_model": ("Reward", "RewardModel", "load_reward_model"),
    "jobs.score": ("score",),
    "runs.counts": ("Counts",),
    "runs.preview": ("Preview",),
    "runs.reader": ("Judged", "Run", "open_run"),
    "constitution.constitution": ("Constitution", "Principle", "list_constitutions", "load_constitution"),
    "records": (
        *("Conversation", "HumanLabel", "Message", "Pair", "Ranking", "Record", "Response", "Solution"),
        *("content_id", "spoken"),
    ),
    "tasks": ("TASKS", "Options", "Program", "TaskSpec", "play"),
    "prompting.template": ("Template", "list_templates", "load_template"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its home and keep it, so that this happens once."""
    if name not in _HOME:
        raise AttributeError(f"module 'judge' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(f"judge.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
