"""Everything that rmjudge raises on purpose.

    RmjudgeError
    ├── InputError            (ValueError)    a file, row or text that cannot be read as what it should be
    ├── ConfigError           (ValueError)    options that do not fit together
    │   ├── UnknownNameError  (LookupError)   a task, prompt, engine, format or field that does not exist
    │   ├── TemplateError                     a prompt that cannot be loaded or rendered
    │   └── RunChangedError                   a run directory made by another configuration
    ├── RunError              (OSError)       a run directory that cannot be written or read
    ├── EngineError           (RuntimeError)  a model that cannot be loaded or failed while it answered
    ├── CostLimitError        (RuntimeError)  a run that stopped because it may not cost more
    └── MissingExtraError     (ImportError)   an optional package that is not installed; names the install line

A message is one line: where (file:line or row id), what was found, what is accepted, the nearest valid name.
Every class carries its message alone, so it pickles, and masks the keys and passwords in it.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from judge.secrets import mask_secrets


class RmjudgeError(Exception):
    """The root of what a user can cause; the command line shows its message and exits with 2."""

    def __init__(self, message: str = "") -> None:
        super().__init__(mask_secrets(message))


class InputError(RmjudgeError, ValueError):
    """A file, row or text that cannot be read as what it should be; the message begins with `file:line`."""


class ConfigError(RmjudgeError, ValueError):
    """Options that do not fit together."""


class UnknownNameError(ConfigError, LookupError):
    """A name that is not on offer."""


class TemplateError(ConfigError):
    """A prompt that cannot be loaded or rendered."""


class RunChangedError(ConfigError):
    """A run directory that another configuration made; the message shows the difference."""


class RunError(RmjudgeError, OSError):
    """A run directory that cannot be written or read."""


class EngineError(RmjudgeError, RuntimeError):
    """A model that cannot be loaded, or that failed while it answered."""


class CostLimitError(RmjudgeError, RuntimeError):
    """A run that stopped at its cost limit; what was judged is kept, and a higher limit goes on."""


class MissingExtraError(RmjudgeError, ImportError):
    """An optional package that is not installed."""


def unknown(what: str, name: str, accepted: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not on offer: `unknown("task", "prefrence", TASKS)` suggests `preference`."""
    names = sorted(accepted)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return UnknownNameError(f"unknown {what} '{name}'{hint} (accepted: {', '.join(names)})")
