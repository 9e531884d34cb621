"""Tables of things by name: those of this package, and those that installed packages bring by entry points.

An entry point of the group `rmjudge.tasks`, `rmjudge.engines` or `rmjudge.formats` has the name under which users ask
for it, and points at the object. Nothing is imported before it is needed: a built-in when its name is looked up, the
packages outside when a name is not built in, or when all names are listed.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Generic, TypeVar

from judge.errors import ConfigError

T = TypeVar("T")

log = logging.getLogger(__name__)


class Registry(Mapping[str, T], Generic[T]):
    """One table. A package outside that cannot be loaded is logged once, and an error where it is asked for by name.

    Args:
        group: the group of entry points that adds to it.
        built_in: name -> the object, or where it is ("package.module:name").
        check: returns the object that a name stands for, or raises ConfigError for one that is of no use.
    """

    def __init__(self, group: str, built_in: Mapping[str, T | str], check: Callable[[str, Any], T]) -> None:
        self.group = group
        self._targets: dict[str, T | str] = dict(built_in)
        self._check = check
        self._loaded: dict[str, T] = {}
        self._broken: dict[str, str] = {}
        self._searched = False

    def register(self, name: str, target: T | str) -> None:
        """Add an object under a name of its own; ConfigError for a name that is taken."""
        if name in self:
            raise ConfigError(f"the name '{name}' in {self.group} is taken")
        self._targets[name] = target

    def unregister(self, name: str) -> None:
        """Take a name out again."""
        del self._targets[name]
        self._loaded.pop(name, None)

    def __getitem__(self, name: str) -> T:
        """The object of that name.

        Raises:
            KeyError: no such name.
            ConfigError: an installed package brings the name, and it cannot be loaded.
        """
        if name not in self._targets:
            self._search()
        if name in self._broken:
            raise ConfigError(self._broken[name])
        if name not in self._loaded:
            target = self._targets[name]
            found = _imported(target) if isinstance(target, str) else target
            self._loaded[name] = self._check(name, found)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._targets:
            self._search()
        return name in self._targets or name in self._broken

    def __iter__(self) -> Iterator[str]:
        """The names, built-in ones first; the packages outside are looked at after these."""
        known = tuple(self._targets)
        yield from known
        self._search()
        yield from [name for name in self._targets if name not in known]

    def __len__(self) -> int:
        self._search()
        return len(self._targets)

    def _search(self) -> None:
        """Read the entry points, once."""
        if self._searched:
            return
        self._searched = True
        from importlib.metadata import entry_points  # 40 ms, which a built-in name never pays

        for point in entry_points(group=self.group):
            package = point.dist.name if point.dist else point.value
            origin = f"the package '{package}' ({self.group}, '{point.name}')"
            if point.name in self._targets:
                log.warning("%s is refused: the name '%s' is taken", origin, point.name)
                continue
            try:
                self._loaded[point.name] = self._check(point.name, point.load())
            except Exception as error:  # noqa: BLE001 - a package outside is anybody's code
                message = f"{origin} cannot be used: {type(error).__name__}: {' '.join(str(error).split())}"
                self._broken[point.name] = message
                log.warning("%s", message)
            else:
                self._targets[point.name] = point.value


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


@cache
def task_table() -> Mapping[str, Any]:
    """The table of tasks (judge.tasks.TASKS), for the rooms below it.

    Whoever reads a row or a prompt asks what its task says of it, without knowing how the task is carried out. The
    module is imported by name, since imports run downward.
    """
    table: Mapping[str, Any] = import_module("judge.tasks").TASKS
    return table
