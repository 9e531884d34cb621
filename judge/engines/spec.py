"""The spec of an engine in words: `KIND:MODEL?NAME=VALUE&NAME=VALUE`, such as `vllm:some/model?max_model_len=8192`."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from judge.errors import ConfigError


class Spec(NamedTuple):
    """A spec, read.

    Attributes:
        kind: which engine, a name of the table of engines.
        model: what it runs: a model, a file, a server's address with a model; "" when the spec names none.
        settings: the engine's own settings, after the question mark.
    """

    kind: str
    model: str
    settings: dict[str, Any]


def parse_spec(text: str) -> Spec:
    """Read a spec.

    Settings follow the first question mark behind the model: a server's address, which ends at `#`, may have one of
    its own. Values are read as YAML (`2` a number, `true` a truth value); `%26` stands for `&`.
    Raises ConfigError for a setting without a value.
    """
    kind, _, rest = text.partition(":")
    if not rest and "?" in kind:
        kind, _, rest = text.partition("?")
        return Spec(kind, "", read_settings(map(unquote, rest.split("&"))))
    address, sharp, model = rest.rpartition("#")
    model, question, settings = model.partition("?")
    return Spec(kind, address + sharp + model, read_settings(map(unquote, settings.split("&"))) if question else {})


def read_settings(settings: Mapping[str, Any] | Iterable[str] | None) -> dict[str, Any]:
    """Settings by name; texts `NAME=VALUE` are read, values as YAML. Raises ConfigError for a text without a value."""
    from judge.yaml_input import YamlError, load_yaml  # PyYAML is loaded only where there are settings

    if isinstance(settings, Mapping):
        return dict(settings)
    values: dict[str, Any] = {}
    for text in settings or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"setting '{text}': write NAME=VALUE (on the command line --set NAME=VALUE)")
        try:
            values[name] = load_yaml(value)
        except YamlError:
            values[name] = value
    return values
