"""Keys and passwords are never written or shown: one function masks them in whatever leaves the process.

Every RmjudgeError masks its message by itself; manifests, hints and logs are masked where they are written.
"""

import re
from typing import Any

MASK = "***"
_SHORTEST = 6  # a shorter word is no key, and masking it would make holes in ordinary text

_NAMES = (
    r"(?:[\w-]*(?:api|access|auth|refresh|subscription|private|secret|account)[_-]?(?:key|token)|[\w-]*token|key|secret|"
    r"client[_-]?secret|password|passwd|pwd|pass|sig|[\w-]*signature|auth|authorization|[\w-]*credentials?)"
)
_USERINFO = re.compile(
    # https://user:password@host, with "#", "/" or "?" in the password too; not https://host:8000/v1#@model
    r"(?i)\b(https?://)(?:(?![^\s'\"/?#@:]*:\d+(?:[/?#]|$))[^\s'\"/?#@:]*:[^\s'\"]*|[^\s'\"/?#@]+)@"
)
_STORE_PASSWORD = re.compile(  # up to the last "@" before the first "/": a password may hold one, "?" or "#" too
    r"(?i)\b(?!https?:)([a-z][a-z0-9+.-]+://)[^\s'\"/:]*:[^\s'\"/]+@"
)
_PARAMETER = re.compile(rf"(?i)([?&;]{_NAMES}=)[^\s&#'\"]+")
_SETTING = re.compile(
    r"(?i)((?<![\w-])(?!key_variable)\w*(?:api[_-]?key|password|passwd|secret)\w*(?:\s*=\s*[\"']?|[\"']\s*:\s*[\"']))[^\s,;&'\"]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?=[\w.~+/=-]*\d)[\w.~+/=-]{6,}")
_KEY = re.compile(
    r"\b(?:sk[-_]|gsk_|xai-|hf_|nvapi-|pplx-|r8_|gh[pos]_|glpat-|xox[abp]-)[\w-]{8,}"
    r"|\bgithub_pat_\w{6,}|\bAIza[\w-]{10,}|\bAKIA[0-9A-Z]{12,}|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"
)

_remembered: set[str] = set()


def remember_secret(value: str) -> None:
    """Mask this text wherever it turns up from now on, a server's error included."""
    if len(value) >= _SHORTEST:
        _remembered.add(value)


def mask_secrets(text: str) -> str:
    """The text without passwords of URLs, parameters that hold keys, words that look like keys, remembered secrets."""
    for secret in sorted(_remembered, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _STORE_PASSWORD.sub(rf"\1{MASK}@", text)
    text = _PARAMETER.sub(rf"\1{MASK}", text)
    text = _SETTING.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _KEY.sub(MASK, text)


def split_userinfo(text: str) -> tuple[str, str]:
    """(user and password of the URL in a text, "" for none; the text without them)."""
    found = _USERINFO.search(text)
    if found is None:
        return "", text
    return text[found.end(1) : found.end() - 1], text[: found.end(1)] + text[found.end() :]


def masked(value: Any) -> Any:
    """A value of JSON with every text in it masked."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {name: masked(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [masked(entry) for entry in value]
    return value
