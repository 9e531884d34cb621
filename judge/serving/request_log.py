"""What happens at a server as lines of JSON on stderr; texts are in them only when that was asked for."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

from judge.secrets import mask_secrets, masked

LOGGER = logging.getLogger("rmjudge.serve")


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, event, and the fields that `log` was given."""

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": mask_secrets(record.getMessage()),
        }
        row |= getattr(record, "fields", {})
        if record.exc_info:
            row["exception"] = mask_secrets(self.formatException(record.exc_info))
        return orjson.dumps(row, default=str).decode()


def set_up_logging(level: str) -> None:
    """Send what the server and uvicorn say to stderr as JSON. level: debug, info, warning or error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in (LOGGER.name, "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler] if name != "uvicorn.error" else [], name == "uvicorn.error"
        logger.setLevel(level.upper() if name == LOGGER.name else max(logging.WARNING, _number(level)))


def log(event: str, *, level: int = logging.INFO, exception: BaseException | None = None, **fields: Any) -> None:
    """Write an event with its fields; what looks like a key is masked."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={"fields": masked(fields)}, exc_info=exception)


def log_request(**fields: Any) -> None:
    """Write the line of a request; its fields are the server's own, so nothing in them needs masking."""
    if LOGGER.isEnabledFor(logging.INFO):
        LOGGER.info("request", extra={"fields": fields})


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
