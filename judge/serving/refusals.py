"""Why a request gets no rewards: one exception with its status, its field and its headers."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from judge.errors import RmjudgeError

TYPES = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    413: "body_too_large",
    422: "invalid_request",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


class RefusedError(RmjudgeError):
    """A request that is refused.

    Attributes:
        status: of HTTP.
        field: the part of the body that is wrong, such as `responses.3`; "" where it is no single one.
        headers: of the response, beside those that every response has.
    """

    def __init__(self, status: int, message: str, field: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.field, self.headers = status, field, dict(headers or {})

    def __reduce__(self) -> Any:
        return (RefusedError, (self.status, str(self), self.field, self.headers))


def body_of(error: RefusedError) -> dict[str, Any]:
    """The JSON of a refusal, in the form that servers of OpenAI's kind have."""
    kind = TYPES.get(error.status, "error")
    return {"error": {"message": str(error), "type": kind, "param": error.field or None, "code": error.status}}


def invalid(message: str, field: str) -> RefusedError:
    """422: a field that is not what it should be."""
    return RefusedError(422, f"{field}: {message}", field)


def busy(waiting: int, seconds: float) -> RefusedError:
    """429: so many responses wait already that no more are taken in."""
    retry = str(min(60, max(1, ceil(seconds))))
    return RefusedError(
        429, f"{waiting} responses wait already; try again in {retry} s", headers={"Retry-After": retry}
    )
