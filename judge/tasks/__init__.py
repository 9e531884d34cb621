"""What can be asked of a judge. A task is one file (its program and its `TaskSpec`) and one line in this table."""

from typing import Any

from judge.errors import ConfigError
from judge.registry import Registry
from judge.tasks.base import Options, Program, play
from judge.tasks.spec import Prompt, TaskSpec

__all__ = ["TASKS", "Options", "Program", "Prompt", "TaskSpec", "play"]


def _check(name: str, plugin: Any) -> TaskSpec:
    if not isinstance(plugin, TaskSpec):
        raise ConfigError(f"a task is a judge.TaskSpec, found {type(plugin).__name__}")
    if plugin.name != name:
        raise ConfigError(f"the TaskSpec calls itself '{plugin.name}'")
    return plugin


TASKS: Registry[TaskSpec] = Registry(
    "rmjudge.tasks",
    {
        "preference": "judge.tasks.preference:TASK",
        "critique": "judge.tasks.critique:TASK",
        "score": "judge.tasks.score:TASK",
        "classify": "judge.tasks.classify:TASK",
        "multilabel": "judge.tasks.classify:MULTILABEL",
        "checklist": "judge.tasks.checklist:TASK",
        "steps": "judge.tasks.steps:TASK",
        "outcome": "judge.tasks.outcome:TASK",
        "ranking": "judge.tasks.ranking:TASK",
        "rubric": "judge.tasks.authoring.rubric:TASK",
        "revision": "judge.tasks.revision:TASK",
    },
    _check,
)
"""Name -> task; packages outside add to it by entry points of the group `rmjudge.tasks`."""
