"""Files that lie elsewhere, read by fsspec: `s3://BUCKET/KEY`, `gs://…`, `az://…`, `https://…`, `memory://…`.

A file is read from its beginning to its end in pieces, never held or stored as a whole; a piece that does not come is
asked for again. `file://…` means a path of this machine. Nothing is written there.
"""

import io
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import unquote, urlsplit

from judge.errors import ConfigError, InputError, MissingExtraError, RmjudgeError, unknown
from judge.secrets import mask_secrets

WAITS = (0.5, 2.0, 8.0)
"""Seconds before a store that did not answer, or sent a piece not or in part, is asked again."""
STALLED_SECONDS = 60
CHECKSUMS = ("md5Hash", "Content-MD5", "content_md5", "ETag", "etag", "e_tag", "Digest")
"""How stores call what changes with a file's content, the best of them first."""
CHANGED = (
    "generation",
    "VersionId",
    "version_id",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "updated",
    "mtime",
    "created",
)
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_COLLAPSED = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # what pathlib makes of it
_WEB = ("http", "https")
_BUFFER = 1 << 20
T = TypeVar("T")


def is_remote(name: object) -> bool:
    """Whether a name is the URL of a file elsewhere; hub names and `file://` are not."""
    scheme = _URL.match(str(name)) if isinstance(name, str) else None
    return scheme is not None and scheme[1].lower() not in ("hf", "file")


def local_path(name: str) -> str:
    """The path that a `file://` URL means; another name as it is."""
    if name[:7].lower() != "file://":
        return name
    url = urlsplit(name)
    if url.netloc not in ("", "localhost"):
        raise InputError(f"{name}: names the machine '{url.netloc}'; write file:///PATH for a path of this one")
    return unquote(url.path)


def target_path(path: str | Path, what: str) -> Path:
    """Where something is to be written; raises ConfigError where that is elsewhere than on this machine."""
    if _COLLAPSED.match(str(path)):
        shown = re.sub(r":/+", "://", mask_secrets(str(path)), count=1)
        raise ConfigError(f"{what} {shown}: is written on this machine alone (accepted: a path; copy it afterwards)")
    return Path(path)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file elsewhere.

    Attributes:
        url: how it is reached, with whatever secrets are in it.
        system: the file system of fsspec.
        path: what the file system calls it.
    """

    url: str
    system: Any = field(repr=False)
    path: str = field(repr=False)

    def __str__(self) -> str:
        return mask_secrets(self.url)

    @property
    def name(self) -> str:
        """The last part of its path, which tells the kind of file."""
        return _plain_path(self.url).rpartition("/")[2]

    def info(self) -> dict[str, Any]:
        """What its store says of it now.

        Raises:
            InputError: where there is no such file, or it cannot be reached.
        """

        def ask() -> dict[str, Any]:
            self.system.invalidate_cache()
            return cast(dict[str, Any], self.system.info(self.path))

        info = _patiently(ask, str(self))
        if info.get("type") == "directory":
            raise InputError(f"{self}: a directory; name one file, or {str(self).rstrip('/')}/*.jsonl")
        return info

    def checksum(self) -> dict[str, Any] | None:
        """Its size and the checksum that its store keeps; None where it keeps none."""
        info = self.info()
        known = next((str(info[name]) for name in CHECKSUMS if info.get(name)), None)
        return None if known is None else {"bytes": info.get("size"), "etag": known}

    def state(self) -> tuple[str, ...]:
        """What is another one once it was overwritten, as far as its store tells."""
        return _state_of(self.info())

    def open(self, mode: str = "rb") -> BinaryIO:
        """Its bytes; they can be read from any place where the store allows it.

        A read raises InputError where the file cannot be had, or was overwritten since it was opened.
        """
        assert mode == "rb"
        return cast(BinaryIO, io.BufferedReader(_Pieces(self, self.info()), _BUFFER))


def remote_files(url: str) -> list[RemoteFile]:
    """The file that a URL names, or the files that a pattern (`*`) names, in the order of their names.

    Raises:
        InputError: where no file fits a pattern, or the store cannot be reached.
        MissingExtraError: where the package is not installed that reads such URLs.
        UnknownNameError: for a scheme that nobody knows.
    """
    system, path = _file_system(url)
    if "*" not in path:
        return [RemoteFile(url, system, path)]

    def ask() -> dict[str, Mapping[str, Any]]:
        system.invalidate_cache()
        return cast(dict[str, Mapping[str, Any]], system.glob(path, detail=True))

    matches = _patiently(ask, mask_secrets(url))
    files = sorted(match for match, info in matches.items() if info.get("type") != "directory")
    if not files:
        raise InputError(f"{mask_secrets(url)}: no file fits this pattern")
    return [RemoteFile(url_of(match, url, path) or system.unstrip_protocol(match), system, match) for match in files]


class _Pieces(io.RawIOBase):
    """The bytes of a file elsewhere. A piece that does not come is asked for again, from where it was."""

    def __init__(self, file: RemoteFile, info: Mapping[str, Any]) -> None:
        super().__init__()
        size = info.get("size")
        self._file, self._size, self._position = file, size if isinstance(size, int) else None, 0
        self._state, self._checked = _state_of(info), True  # checked: since the last byte came
        self._opened: Any = None
        # A server that gives no pieces sends the file as one stream.
        self._whole = self._size is None or info.get("partial") is False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return not self._whole

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if self._whole:
            raise io.UnsupportedOperation("seek")
        start = (0, self._position, self._size or 0)[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = _patiently(lambda: self._read(len(buffer)), str(self._file))
        if data:
            self._checked = False
        elif not self._checked:  # once at the end
            self._check_same()
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._let_go()
        super().close()

    def _read(self, count: int) -> bytes:
        try:
            return self._read_opened(count)
        except Exception as error:
            self._let_go()
            if self._whole or "range requests" not in str(error):
                raise
        self._whole = True
        return self._read(count)

    def _read_opened(self, count: int) -> bytes:
        if self._opened is None:
            self._open()
        if not self._whole and self._opened.tell() != self._position:
            self._opened.seek(self._position)
        data: bytes = self._opened.read(count)
        if not data and self._size is not None and self._position < self._size:
            raise OSError(f"it ends at byte {self._position:,} of {self._size:,}")
        return data

    def _open(self) -> None:
        """Open it where reading goes on."""
        if self._position:
            self._check_same()
        system, path = self._file.system, self._file.path
        self._opened = system.open(path, "rb", block_size=0) if self._whole else system.open(path, "rb")
        left = self._position if self._whole else 0
        while left and (passed := self._opened.read(min(left, _BUFFER))):
            left -= len(passed)

    def _check_same(self) -> None:
        """Raise InputError where the store has another file now: pieces of both would be mixed."""
        if self._file.state() != self._state:
            raise InputError(f"{self._file}: was overwritten while it was read")
        self._checked = True

    def _let_go(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with suppress(Exception):  # of a connection that broke
                opened.close()


def _file_system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    scheme = url.partition("://")[0].lower()
    if scheme not in known_implementations:
        raise unknown("scheme of a URL", scheme, (*_SCHEMES, "hf"))
    try:
        system, path = url_to_fs(url, **(_web_settings() if scheme in _WEB else {}))
    except ImportError as error:
        package = known_implementations[scheme]["class"].partition(".")[0]
        quoted = re.search(r'"(\w+)"', str(error)) if package == "fsspec" else None
        package = quoted[1] if quoted else package
        needed = str(error) if package == "fsspec" else f"pip install {package}"
        raise MissingExtraError(
            f"{mask_secrets(url)}: the package that reads {scheme}:// is not installed: {needed}"
        ) from None
    except Exception as error:  # noqa: BLE001 - drivers raise what their libraries raise
        raise _fault(mask_secrets(url), error) from None
    return system, path


_SCHEMES = ("s3", "gs", "az", "abfs", "http", "https", "hdfs", "ftp", "sftp", "smb", "memory", "file")


def _web_settings() -> dict[str, Any]:
    """A file may be read for days, so there is no limit for the whole, but one for silence. Its bytes come as they are
    stored: a server calls a `.gz` compressed, and aiohttp would unpack it."""
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=None, sock_connect=STALLED_SECONDS, sock_read=STALLED_SECONDS)
    as_stored: dict[str, Any] = {"headers": {"Accept-Encoding": "identity"}, "auto_decompress": False}
    return {"client_kwargs": {"timeout": timeout, "trust_env": True, **as_stored}}


def _plain_path(url: str) -> str:
    """A URL without the query and the fragment that one of the web may have."""
    return urlsplit(url).path if url.partition("://")[0].lower() in _WEB else url


def _state_of(info: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(info.get(name, "")) for name in ("size", *CHECKSUMS, *CHANGED))


def url_of(match: str, url: str, pattern: str) -> str:
    """The URL of a file that a pattern names, with the host and login of the URL that was asked for; "" if unknown.

    pattern: what the file system calls the URL; it ends as the URL does, and may begin otherwise.
    """
    ends = zip(reversed(url), reversed(pattern), strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    root = pattern[: len(pattern) - same]
    return url[: len(url) - same] + match[len(root) :] if same and match.startswith(root) else ""


def _patiently(ask: Callable[[], T], name: str) -> T:
    """What a store answers. A driver that fails is asked again; its last error becomes an InputError."""
    for wait in (*WAITS, None):
        try:
            return ask()
        except (RmjudgeError, io.UnsupportedOperation):
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise what their libraries raise
            if wait is None or not _may_pass(error):
                raise _fault(name, error) from None
        time.sleep(wait)
    raise AssertionError("the last wait is None")


def _may_pass(error: BaseException) -> bool:
    """Whether it is worth to ask again."""
    cause = _cause(error)
    status = getattr(cause, "status", None)
    refused = isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)
    lasting = isinstance(cause, FileNotFoundError | PermissionError | ImportError) or _lacks_credentials(cause)
    return not refused and not lasting


def _cause(error: BaseException) -> BaseException:
    """The error of aiohttp where fsspec made a FileNotFoundError of it, as it does of every answer of the web."""
    cause = error.__cause__
    of_web = isinstance(cause, TimeoutError) or type(cause).__module__.startswith("aiohttp")
    return cause if cause is not None and of_web and isinstance(error, FileNotFoundError) else error


def _lacks_credentials(error: BaseException) -> bool:
    return "credential" in str(error).lower() or isinstance(error, PermissionError)


def _fault(name: str, error: BaseException) -> InputError:
    """An error of a driver in a line."""
    cause = _cause(error)
    status, message = getattr(cause, "status", None), getattr(cause, "message", "")
    if isinstance(status, int) and status != 404:
        return InputError(f"{name}: cannot be read: the server answers {status} {message}".rstrip())
    if isinstance(cause, FileNotFoundError) or status == 404:
        return InputError(f"{name}: no such file")
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    reason = lines[0] if lines else type(cause).__name__
    hint = " (credentials are taken from where the store's own tools keep them)" if _lacks_credentials(cause) else ""
    return InputError(f"{name}: cannot be read: {reason}{hint}")
