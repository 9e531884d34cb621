"""Where a server is and what opens it: a URL taken apart, so that its secrets are in one place and never shown."""

import os
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from judge.errors import ConfigError
from judge.secrets import mask_secrets, remember_secret, split_userinfo

OPENAI = "api.openai.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One server. shown: its URL without secrets. root: scheme and host. path, query: the rest of its URL.

    authorization: the header that opens it, "" for none.
    """

    shown: str
    root: str
    path: str
    query: str
    authorization: str

    @property
    def official(self) -> bool:
        """Whether this is OpenAI's own server."""
        return self.root.removeprefix("https://") == OPENAI

    def url(self, path: str) -> str:
        """The address of a path below the base, such as "/chat/completions"."""
        return f"{self.root}{self.path}{path}{self.query}"

    def root_url(self, path: str) -> str:
        """The address of a path beside /v1, such as vLLM's "/tokenize"."""
        return f"{self.root}{self.path.removesuffix('/v1')}{path}{self.query}"


def parse_address(url: str, key_variable: str) -> Address:
    """Take a judge's URL apart. A user and password in it go before the key of the environment.

    Raises ConfigError for a URL that names no host and for a key that cannot stand in a header.
    """
    userinfo, opened = split_userinfo(url)
    try:
        parts = urlsplit(opened)
        host, port = parts.hostname, parts.port
    except ValueError:  # what it says may hold a piece of a password
        raise ConfigError(
            "an openai engine's URL cannot be taken apart: write openai:http://HOST:PORT/v1#MODEL, the port a number, "
            "signs of a password as %23, %2F or %40"
        ) from None
    if not host:
        raise ConfigError(f"engine 'openai:{opened}' names no host")
    netloc = f"[{host}]" if ":" in host else host
    root = f"{parts.scheme}://{netloc}" + (f":{port}" if port else "")
    path, query = parts.path.rstrip("/"), f"?{parts.query}" if parts.query else ""
    for name, value in parse_qsl(parts.query):
        if mask_secrets(f"?{name}={value}") != f"?{name}={value}":
            remember_secret(value)
    if userinfo:
        user, _, password = (unquote(part) for part in userinfo.partition(":"))
        remember_secret(password or user)
        encoded = b64encode(f"{user}:{password}".encode()).decode()
        remember_secret(encoded)
        authorization = f"Basic {encoded}"
    else:
        key = checked_key(key_variable)
        authorization = f"Bearer {key}" if key else ""
    return Address(
        shown=mask_secrets(root + path + query), root=root, path=path, query=query, authorization=authorization
    )


def checked_key(variable: str) -> str:
    """The key in an environment variable, "" for none; a broken one is a ConfigError that does not show it."""
    key = os.environ.get(variable, "")
    remember_secret(key.strip())
    if key != key.strip():
        raise ConfigError(
            f"the key in the environment variable {variable} begins or ends with white space or a line break; "
            f'remove it, for instance with export {variable}="$(echo ${variable})"'
        )
    broken = next((index for index, letter in enumerate(key, 1) if not "!" <= letter <= "~"), 0)
    if broken:
        raise ConfigError(
            f"the key in the environment variable {variable} holds a character that no key has (the {broken}th of "
            f"{len(key)}): accepted are ASCII letters, digits and signs"
        )
    return key
