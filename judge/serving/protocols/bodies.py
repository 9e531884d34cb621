"""Bodies of requests as pydantic models; what is wrong with one becomes a refusal that names the field."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from judge.serving.refusals import RefusedError

Body = TypeVar("Body", bound=BaseModel)
_SHOWN = 5


def parse(model: type[Body], body: bytes) -> Body:
    """A body as a model.

    Raises:
        RefusedError: 422 for a body that is no JSON, or has fields that are not what they should be; the message names
            up to five of them.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """How a route that parses its body itself describes it in OpenAPI; schemas within it stand where they are used."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    described = {"schema": _inlined(schema, definitions)}
    return {"requestBody": {"content": {"application/json": described}, "required": True}}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(entry, definitions) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(entry, definitions) for name, entry in schema.items()}


def _refusal(error: ValidationError) -> RefusedError:
    lines: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"] == "json_invalid":
            return RefusedError(422, f"body: {problem['msg']}", "body")
        # A union's branches stand in the place too, by their types: str, list[ChatMessage].
        place = [str(part) for part in problem["loc"] if isinstance(part, int) or _is_field(part)]
        lines.setdefault(".".join(place) or "body", []).append(problem["msg"])
    field = next(iter(lines))
    shown = [f"{name}: {', or '.join(dict.fromkeys(texts))}" for name, texts in lines.items()]
    return RefusedError(422, "; ".join(shown[:_SHOWN]), field)


def _is_field(part: str) -> bool:
    return "[" not in part and part not in ("str", "list", "function-after")
