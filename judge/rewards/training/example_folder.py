"""Where a training's examples lie while it lasts: in its state, written by one process and read by the others and by
whoever takes an interrupted training up again; or in temporary files."""

import errno
import fcntl
import json
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from judge.errors import RunError
from judge.files import write_atomic
from judge.json_input import load_json
from judge.rewards.training.claim import FINGERPRINT
from judge.rewards.training.resume import STATE, force_to_disk

EXAMPLES = "examples"
ABOUT = "about.json"
_FRESH, _LOCK = "examples.new", "examples.lock"
_ATTEMPTS = 100  # to open a file in a folder that other processes remove once it is empty


class ExampleFolder:
    """A folder of examples.

    Attributes:
        path: to read from, or to write to.
        about: what was said of the examples when they were written; None where they are still to be written.
    """

    def __init__(
        self,
        path: Path,
        key: str = "",
        about: Mapping[str, Any] | None = None,
        discard: Callable[[int], None] | None = None,
    ) -> None:
        self.path, self.about, self._key, self._discard = path, about, key, discard

    def finish(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        """Say of the examples what a reader must know, once they are written; JSON values."""
        if self._key:
            write_atomic(self.path / ABOUT, json.dumps({**about, "key": self._key}))
        return about

    def belongs_to(self, owner: object) -> Callable[[], object]:
        """Remove the examples with the last object that they belong to, in any process, if no training began by then.

        Returns:
            What gives them up at once.
        """
        if self._discard is None or (claim := _share(self.path / ABOUT)) is None:
            return _nothing
        return weakref.finalize(owner, self._discard, claim)


@contextmanager
def example_folder(out: Path | None, key: str) -> Iterator[ExampleFolder]:
    """The examples that lie in a training's state under a key, or a folder to write them to.

    What is written gets its name when the block ends well, whole or not at all; when it does not end well, nothing
    stays. One process writes, the others wait for it. Without a directory or a key the folder is a temporary one.

    Args:
        out: the model directory.
        key: names the data, the tokenizer and the settings that the examples are made by.

    Raises:
        RunError: where the directory cannot be written.
    """
    existed = out is not None and out.exists()
    lock = _lock(out) if out is not None and key else None
    if out is None or lock is None:
        if out is not None:
            _remove_empty(out, existed)
        with TemporaryDirectory(prefix="rmjudge-") as name:
            yield ExampleFolder(Path(name))
        return
    kept, fresh = out / STATE / EXAMPLES, out / STATE / _FRESH
    try:
        shutil.rmtree(fresh, ignore_errors=True)  # of a process that was killed
        about = _about(kept, key)
        yield ExampleFolder(fresh if about is None else kept, key, about, partial(_discard, out, existed))
        if about is None:
            _publish(fresh, kept)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        _unlock(lock, out)
        _remove_empty(out, existed)


def _nothing() -> None:
    """Examples in temporary files, or on a disk that has no locks."""


def _share(about: Path) -> int | None:
    """Say that examples are in use: the descriptor of a shared lock; None where there can be none."""
    try:
        descriptor = os.open(about, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _discard(out: Path, existed: bool, claim: int) -> None:
    """Give up a claim to examples, and remove them where it was the last and no training began."""
    kept = out / STATE / EXAMPLES
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError while others hold theirs
        same = os.path.samestat(os.fstat(claim), (kept / ABOUT).stat())  # others may lie there by now
        if same and not (out / STATE / FINGERPRINT).is_file():
            _remove(kept)
            _remove_empty(out, existed)
    except OSError:
        return
    finally:
        fcntl.flock(claim, fcntl.LOCK_UN)  # a forked process may hold the descriptor too
        os.close(claim)


def _remove(folder: Path) -> None:
    """Remove examples. What is said of them goes first, so that a killed process leaves none that look complete."""
    (folder / ABOUT).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_empty(out: Path, existed: bool) -> None:
    for folder in (out / STATE, *(() if existed else (out,))):
        with suppress(OSError):
            folder.rmdir()


def _lock(out: Path) -> int | None:
    """Let one process in at a time, the others wait: the descriptor of the lock; None on a disk that has no locks.

    Raises:
        RunError: where the directory cannot be written.
    """
    path = out / STATE / _LOCK
    while True:
        descriptor = _opened(path, out)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
        except OSError:
            _unlock(descriptor, out)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # removed by the process that was waited for


def _opened(path: Path, out: Path) -> int:
    try:
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):  # whoever left removed the empty folder
                path.parent.mkdir(parents=True, exist_ok=True)
                return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))  # it can never be made, as in /proc
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}") from None


def _unlock(descriptor: int, out: Path) -> None:
    (out / STATE / _LOCK).unlink(missing_ok=True)
    os.close(descriptor)


def _about(folder: Path, key: str) -> Mapping[str, Any] | None:
    """What is said of the examples in a folder, where they have this key."""
    try:
        about: dict[str, Any] = load_json((folder / ABOUT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and about.get("key") == key else None


def _publish(fresh: Path, kept: Path) -> None:
    try:
        force_to_disk(fresh)
        _remove(kept)
        fresh.replace(kept)
    except OSError as error:
        raise RunError(f"{kept}: cannot be written: {error.strerror}") from None
