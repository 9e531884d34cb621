"""Keys of a server: read from the environment or a file, never from an argument, and compared in constant time."""

import base64
import os
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

from judge.errors import ConfigError
from judge.secrets import remember_secret

API_KEY, ADMIN_KEY = "RMJUDGE_API_KEY", "RMJUDGE_ADMIN_KEY"
_SHORTEST = 8


def read_key(file: str | Path | None, variable: str) -> str:
    """A key from a file, else from an environment variable; "" where there is neither.

    Raises:
        ConfigError: for a file that cannot be read, and a key that is shorter than 8 characters or not in ASCII.
    """
    if file is not None:
        try:
            key, origin = Path(file).read_text("utf-8").strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: the key cannot be read: {getattr(error, 'strerror', error)}") from None
        if not key:
            raise ConfigError(f"{file}: holds no key (it is empty)")
    else:
        key, origin = os.environ.get(variable, "").strip(), variable
    if key and (len(key) < _SHORTEST or not key.isascii() or not key.isprintable()):
        raise ConfigError(f"{origin}: a key has at least {_SHORTEST} characters, all printable ASCII")
    remember_secret(key)
    return key


class Key:
    """A key that a request must carry; "" accepts every request."""

    def __init__(self, key: str) -> None:
        self.asked = bool(key)
        self._digest = sha256(key.encode()).digest()

    def accepts(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the headers carry the key: `Authorization: Bearer KEY`, `X-API-Key: KEY`, or the password of
        `Authorization: Basic …`, which is what http://:KEY@host:port/ becomes (OpenRLHF sets no headers of its own)."""
        if not self.asked:
            return True
        # Digests have one length, so comparing them says nothing of the key's.
        return any(
            compare_digest(sha256(candidate).digest(), self._digest)
            for name, value in headers
            for candidate in _candidates(name.lower(), value)
        )


def _candidates(name: bytes, value: bytes) -> list[bytes]:
    if name == b"x-api-key":
        return [value.strip()]
    if name != b"authorization":
        return []
    scheme, _, given = value.strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            return [given.strip()]
        case b"basic":
            try:
                return [base64.b64decode(given.strip(), validate=True).partition(b":")[2]]
            except ValueError:
                return []
        case _:
            return []
