"""The admin's routes: load a version, take it into use, roll it back. They have a key of their own."""

import asyncio
from typing import Annotated

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from judge.serving.gate import ADMIN
from judge.serving.protocols.bodies import body_schema, parse
from judge.serving.request_log import log
from judge.serving.versions import Models, ServedModel


class LoadRequest(BaseModel):
    """A version to load and to take into use."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="Which model; without it the first that is served.")
    source: Annotated[str, Field(min_length=1, description="What `rmjudge serve` takes: a directory, a hub name, …")]
    wait: bool = Field(False, description="Answer when the version serves, not when its loading has begun.")


class RollBackRequest(BaseModel):
    """A model whose version before shall serve again."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None


def admin_routes(models: Models) -> APIRouter:
    """Routes that change what is served."""
    router = APIRouter(prefix=ADMIN, tags=["admin"])
    tasks: set[asyncio.Task[None]] = set()  # the event loop itself keeps no task alive

    @router.get("/models")
    async def list_versions() -> Response:
        """Each model with its current version, the one before, and what is being loaded."""
        return _json([model.to_dict() for model in models])

    @router.post("/load", status_code=202, openapi_extra=body_schema(LoadRequest))
    async def load(request: Request) -> Response:
        """Load a version in the background; once loaded it takes the requests, and the one before stands by."""
        body = parse(LoadRequest, await request.body())
        model = models.begin_loading(body.model or "", body.source)
        log("loading", model=model.name, origin=body.source)
        task = asyncio.create_task(_load(models, model, body.source))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if body.wait:
            await task
        return _json(model.to_dict(), 202 if model.loading else 422 if model.failure else 200)

    @router.post("/rollback", openapi_extra=body_schema(RollBackRequest))
    async def roll_back(request: Request) -> Response:
        """Let the version before serve again, at once; a second roll-back undoes the first."""
        body = parse(RollBackRequest, await request.body())
        return _json(models.roll_back(body.model or "").to_dict())

    return router


async def _load(models: Models, model: ServedModel, origin: str) -> None:
    version = await asyncio.to_thread(models.open, model, origin)
    models.finish_loading(model, version)


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
