"""`openai:URL#MODEL`: a server's address and the model it serves."""

import inspect
from typing import Any

from judge.engines.base import Engine
from judge.errors import ConfigError, unknown
from judge.secrets import split_userinfo


def openai(address: str, **settings: Any) -> Engine:
    """The engine of an address `http://HOST:PORT/v1#MODEL`."""
    from judge.engines.openai import OpenAIEngine

    parameters = inspect.signature(OpenAIEngine).parameters.values()
    accepted = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for name in settings:
        if name not in accepted:
            raise unknown("engine setting", name, accepted)
    userinfo, opened = split_userinfo(address)  # a password may hold a "#"
    url, _, model = opened.partition("#")
    if not url.startswith(("http://", "https://")) or not model:
        raise ConfigError(f"engine 'openai:{address}': write 'openai:http://HOST:PORT/v1#MODEL'")
    return OpenAIEngine(url.replace("://", f"://{userinfo}@", 1) if userinfo else url, model, **settings)
