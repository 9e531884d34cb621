"""Every error of a route as a refusal in one form."""

import logging

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from judge.serving.gate import NOTES
from judge.serving.refusals import RefusedError, body_of
from judge.serving.request_log import log


def answer_errors(app: FastAPI) -> None:
    """Have an app answer refusals, unknown paths and methods, and its own failures in one form."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _failed)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    request.scope[NOTES]["reason"] = str(error)
    content = orjson.dumps(body_of(error))
    return Response(content, error.status, error.headers, media_type="application/json")


async def _of_http(request: Request, error: Exception) -> Response:
    """An unknown path or method."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return await _refused(request, RefusedError(error.status_code, message, headers=error.headers))


async def _failed(request: Request, error: Exception) -> Response:
    log("request failed", level=logging.ERROR, exception=error)
    return await _refused(request, RefusedError(500, "the server failed; its log has the reason"))
