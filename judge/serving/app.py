"""The server's routes: rewards in four protocols, health, readiness, figures, and the admin's switch of versions."""

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from judge.records import Message, tagged
from judge.rewards.reward import RewardSource
from judge.rewards.shaping import Shaping
from judge.serving.admin import admin_routes
from judge.serving.cache import RewardCache
from judge.serving.errors import answer_errors
from judge.serving.gate import NOTES, Gate, Phase
from judge.serving.keys import Key
from judge.serving.limits import Limits
from judge.serving.metrics import CONTENT_TYPE, Metrics
from judge.serving.protocols import openrlhf, score, vllm
from judge.serving.protocols.bodies import body_schema, parse
from judge.serving.request_log import log
from judge.serving.service import Answered, Asked, ScoringService
from judge.serving.versions import Models, Opener, named

CACHE_SIZE = 100_000


def create_app(
    sources: RewardSource | Sequence[RewardSource] | Mapping[str, RewardSource],
    *,
    shaping: Shaping | Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    api_key: str = "",
    admin_key: str = "",
    opener: Opener | None = None,
    cache_size: int = CACHE_SIZE,
    unreadable: float | None = None,
    log_texts: bool = False,
) -> FastAPI:
    """An ASGI app that serves rewards.

    Args:
        sources: what gives the rewards; of a mapping the keys are the models' names. The first answers requests that
            name no model.
        shaping: what becomes of each reward before it is sent: a `Shaping`, or its fields.
        limits: of bodies, texts, queues and clients.
        api_key: that requests must carry; "" asks for none.
        admin_key: that opens /admin; "" closes it.
        opener: opens a version that the admin loads, such as `judge.open_reward`.
        cache_size: how many texts' rewards are remembered; 0 for none.
        unreadable: the reward of a text that cannot be read, in protocols without a word for none; by default such a
            request is refused with 422.
        log_texts: write prompts and responses to the log.

    Raises:
        ConfigError: for no source, two of one name, and a shaping that a source has not got.
    """
    limits = limits or Limits()
    metrics = Metrics()
    models = Models(named(sources), limits, Shaping.of(shaping), opener=opener, on_batch=metrics.observe_batch)
    metrics.watch(models)
    service = ScoringService(models, RewardCache(cache_size), metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        models.close()
        if not models.join(limits.drain):
            log("ended with requests that have no rewards", level=logging.ERROR)

    app = FastAPI(title="rmjudge", description="Rewards of language models' responses.", lifespan=lifespan)
    phase = Phase()
    _Routes(service, limits, phase, unreadable, log_texts).add_to(app)
    if admin_key:
        app.include_router(admin_routes(models))
    answer_errors(app)
    app.add_middleware(
        Gate,
        limits=limits,
        api_key=Key(api_key),
        admin_key=Key(admin_key),
        metrics=metrics,
        phase=phase,
        paths=frozenset(path for route in app.routes if (path := getattr(route, "path", ""))),
    )
    app.state.models, app.state.limits, app.state.phase = models, limits, phase
    return app


class _Routes:
    """The routes of one server."""

    def __init__(
        self, service: ScoringService, limits: Limits, phase: Phase, unreadable: float | None, log_texts: bool
    ) -> None:
        self.service, self.limits, self.phase = service, limits, phase
        self.unreadable, self.log_texts = unreadable, log_texts
        self.started = time.time()

    def add_to(self, app: FastAPI) -> None:
        """Add every route to an app."""
        rewards: list[tuple[str, Any, type[BaseModel], type[BaseModel]]] = [
            ("/score", self.score, score.ScoreRequest, score.ScoreResponse),
            ("/get_reward", self.get_reward, openrlhf.GetRewardRequest, openrlhf.GetRewardResponse),
            ("/classify", self.classify, vllm.PoolingRequest, vllm.ClassificationResponse),
            ("/pooling", self.pooling, vllm.PoolingRequest, vllm.PoolingResponse),
        ]
        for path, route, takes, gives in rewards:
            described = body_schema(takes)
            app.add_api_route(
                path, route, methods=["POST"], response_model=gives, tags=["rewards"], openapi_extra=described
            )
        app.add_api_route("/v1/models", self.list_models, methods=["GET"], tags=["rewards"])
        app.add_api_route("/health", self.health, methods=["GET"], tags=["server"])
        app.add_api_route("/ready", self.ready, methods=["GET"], tags=["server"])
        app.add_api_route("/metrics", self.show_metrics, methods=["GET"], tags=["server"])

    async def score(self, request: Request) -> Response:
        """Rewards of one or several responses to a prompt."""
        body = parse(score.ScoreRequest, await request.body())
        answered = await self._score(request, [score.asked(body, self.limits)], body.model)
        return _json(score.response_of(answered))

    async def get_reward(self, request: Request) -> Response:
        """OpenRLHF's remote reward model; `?model=NAME` in the address chooses one of several."""
        body = parse(openrlhf.GetRewardRequest, await request.body())
        groups = openrlhf.groups_of(body, self.limits)
        answered = await self._score(request, groups.asked, request.query_params.get("model"))
        return _json(openrlhf.response_of(groups, answered.rewards, self.unreadable))

    async def classify(self, request: Request) -> Response:
        """Rewards in the form of vLLM's /classify."""
        body = parse(vllm.PoolingRequest, await request.body())
        answered = await self._score(request, vllm.asked(body, self.limits), body.model)
        return _json(vllm.classification_of(answered, self.unreadable))

    async def pooling(self, request: Request) -> Response:
        """Rewards in the form of vLLM's /pooling."""
        body = parse(vllm.PoolingRequest, await request.body())
        answered = await self._score(request, vllm.asked(body, self.limits), body.model)
        return _json(vllm.pooling_of(answered, self.unreadable))

    async def list_models(self) -> Response:
        """The models by name, as OpenAI's and vLLM's clients ask for them."""
        data = [
            {"id": model.name, "object": "model", "created": int(model.current.loaded), "owned_by": "rmjudge"}
            for model in self.service.models
        ]
        return _json({"object": "list", "data": data})

    async def health(self) -> Response:
        """Whether the process answers."""
        return _json({"status": "ok", "uptime": round(time.time() - self.started, 3)})

    async def ready(self) -> Response:
        """Whether rewards can be had, with each model's version, queue and drift; 503 while the server ends."""
        models = [{"model": model.name, **model.current.to_dict()} for model in self.service.models]
        drifting = [model["model"] for model in models if model["drift"]["alarm"]]
        ready = not self.phase.draining
        return _json({"ready": ready, "drifting": drifting, "models": models}, 200 if ready else 503)

    async def show_metrics(self) -> Response:
        """Figures for Prometheus."""
        return Response(self.service.metrics.page(), headers={"content-type": CONTENT_TYPE})

    async def _score(self, request: Request, asked: Sequence[Asked], model: str | None) -> Answered:
        notes = request.scope[NOTES]
        notes["responses"] = sum(len(group.responses) for group in asked)
        if self.log_texts:
            notes["texts"] = [_texts(group) for group in asked]
        answered = await self.service.score(asked, model)
        notes |= {"model": answered.model, "version": answered.version, "cached": answered.cached}
        return answered


def _texts(asked: Asked) -> dict[str, Any]:
    prompt = [{"role": turn.role, "content": _text(turn)} for turn in asked.prompt]
    return {"prompt": prompt, "responses": [[_text(turn) for turn in response] for response in asked.responses]}


def _text(turn: Message) -> str:
    return tagged(turn) if turn.more else turn.content


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
