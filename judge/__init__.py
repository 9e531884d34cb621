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
    )
    from judge.formats import FORMATS, Placed, from_row, read_records, recognise, to_row
    from judge.formats.judgement_rows import judgement_from_row, judgement_to_row
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
    from judge.runs.runner import Done, Plan, label
    from judge.tasks import TASKS, Options, Program, TaskSpec, play

__all__ = [
    "FORMATS",
    "TASKS",
    "Completion",
    "ConfigError",
    "Constitution",
    "Conversation",
    "Critique",
    "Done",
    "Engine",
    "EngineError",
    "HumanLabel",
    "InputError",
    "Judgement",
    "Message",
    "MissingExtraError",
    "Options",
    "Order",
    "Outcome",
    "Pair",
    "Placed",
    "Plan",
    "Preference",
    "Principle",
    "Program",
    "Ranking",
    "Reading",
    "Record",
    "Request",
    "Response",
    "Revision",
    "RmjudgeError",
    "Round",
    "RunChangedError",
    "RunError",
    "Score",
    "Solution",
    "Steps",
    "TaskSpec",
    "Template",
    "TemplateError",
    "UnknownNameError",
    "content_id",
    "from_row",
    "judgement_from_row",
    "judgement_to_row",
    "label",
    "list_constitutions",
    "list_templates",
    "load_constitution",
    "load_engine",
    "load_template",
    "play",
    "read_records",
    "readable",
    "recognise",
    "spoken",
    "to_row",
]

_HOMES = {
    "engines": ("Completion", "Engine", "Request", "load_engine"),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "formats": ("FORMATS", "Placed", "from_row", "read_records", "recognise", "to_row"),
    "formats.judgement_rows": ("judgement_from_row", "judgement_to_row"),
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
    "runs.runner": ("Done", "Plan", "label"),
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
