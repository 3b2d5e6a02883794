"""The routes and their OpenAPI document, over one service: what uvicorn and Ray Serve run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.routing import Route

from trader.serving.bodies import read_body
from trader.serving.inference import Inference
from trader.serving.refusal import Refused
from trader.serving.rows import HEAD_LENGTH
from trader.serving.schemas import (
    ForecastAnswer,
    ForecastAnswers,
    ForecastRequest,
    ForecastRequests,
    InferAnswer,
    InferRequest,
    ModelMetadata,
    ModelReady,
    Problem,
    RefusedForecast,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from trader.serving.service import Service

NAME = "hourly-trader"
_JSON, _BYTES = "application/json", "application/octet-stream"
# What a route may answer beside 200, and when.
_WHY = {
    400: "the request is not valid HTTP",
    401: "the bearer token is missing or wrong",
    404: "no such model",
    408: "the body came too slowly",
    413: "the body is too large",
    422: "the request is wrong; the message says where, and how to correct it",
    503: "not now: no model, no bar yet, or too much at once; Retry-After says when",
}


class Routes:
    """The handlers."""

    def __init__(self, service: Service) -> None:
        self._service, self._inference = service, Inference(service)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._service.bounds.answer_s

    async def forecast(self, request: Request) -> Response:
        """What the bot says of an hour: P(up) and quantiles."""
        body, deadline = await request.body(), self._deadline()
        lane = self._service.compute
        if b'"requests"' in body:
            many = await read_body(ForecastRequests, body, lane, deadline)
            return _json(await self._forecasts(many, deadline))
        one = await read_body(ForecastRequest, body, lane, deadline)
        return _json(await self._service.forecast(one, deadline))

    async def _forecasts(self, asked: ForecastRequests, deadline: float) -> bytes:
        """Each in its turn: what is refused is said in its place, and the others are answered."""
        told = []
        for one in asked.requests:
            try:
                told.append(await self._service.forecast(one, deadline))
            except Refused as refused:
                said = RefusedForecast(symbol=one.symbol, status=refused.status, error=refused.message)
                told.append(said.model_dump_json().encode())
        return b'{"answers":[' + b",".join(told) + b"]}"

    async def infer(self, request: Request) -> Response:
        """P(up) of rows of features."""
        body, deadline = await request.body(), self._deadline()
        name, of_version = request.path_params["name"], request.path_params.get("version")
        head_length = request.headers.get(HEAD_LENGTH)
        scored = await self._inference.infer(name, of_version, body, head_length, deadline)
        if scored.head_bytes is None:
            return _json(scored.body)
        return Response(scored.body, headers={HEAD_LENGTH: str(scored.head_bytes)}, media_type=_BYTES)

    async def model(self, request: Request) -> Response:
        """What a model reads and writes."""
        name, of_version = request.path_params["name"], request.path_params.get("version")
        return _told(self._inference.metadata(name, of_version))

    async def model_ready(self, request: Request) -> Response:
        """Whether a model answers."""
        name, of_version = request.path_params["name"], request.path_params.get("version")
        self._inference.model(name, of_version)
        return _told(ModelReady(name=name, ready=True))

    async def server(self, request: Request) -> Response:
        """The server's name and version."""
        return _told(
            ServerMetadata(name=NAME, version=version("hourly-trader"), extensions=["binary_tensor_data"])
        )

    async def health_live(self, request: Request) -> Response:
        """Whether the server runs."""
        return _told(ServerLive(live=True))

    async def health_ready(self, request: Request) -> Response:
        """Whether a model answers."""
        ready, _ = self._service.readiness()
        return _told(ServerReady(ready=ready), 200 if ready else 503)

    async def livez(self, request: Request) -> Response:
        """Whether the server runs, for a supervisor."""
        if self._service.alive:
            return _text("alive\n", 200)
        return _text("the server no longer looks for new models\n", 500)

    async def readyz(self, request: Request) -> Response:
        """Which model answers for each symbol, for a supervisor; 503 while there is none."""
        ready, said = self._service.readiness()
        return _text(f"{said}\n", 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Prometheus metrics."""
        text, kind = self._service.metrics.text()
        return Response(text, media_type=kind)


def app_of(service: Service, routes: Routes, closing: Callable[[], None] = lambda: None) -> FastAPI:
    """The application, which starts and stops the service. closing: called when it has stopped."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()
            closing()

    app = FastAPI(
        title="trader serve",
        version=version("hourly-trader"),
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        description="The bot's forecasts over HTTP: of single hours, and by the Open Inference Protocol for rows of "
        "features. Every answer names its model, the hash of its card and of its input, and can be derived again.",
    )
    app.state.documented = []
    _post(
        app,
        "/v1/forecast",
        routes.forecast,
        (ForecastRequest, ForecastRequests),
        ForecastAnswer | ForecastAnswers,
    )
    of_model = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    for path in of_model:  # before what is asked seldom: routes are tried in their order
        _post(app, f"{path}/infer", routes.infer, (InferRequest,), InferAnswer, 404, also_bytes=True)
    for path in of_model:
        _get(app, path, routes.model, ModelMetadata, 401, 404, 503)
        _get(app, f"{path}/ready", routes.model_ready, ModelReady, 401, 404, 503)
    _get(app, "/v2", routes.server, ServerMetadata, 401)
    _get(app, "/v2/health/live", routes.health_live, ServerLive)
    _get(app, "/v2/health/ready", routes.health_ready, ServerReady, also={503: ServerReady})
    for path, handler in (("/livez", routes.livez), ("/readyz", routes.readyz), ("/metrics", routes.metrics)):
        text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
        codes: dict[int | str, dict[str, Any]] = {200: {**text, "description": "as text"}}
        if path == "/livez":
            codes[500] = {**text, "description": "it must be started again"}
        if path == "/readyz":
            codes[503] = {**text, "description": "no model answers"}
        codes |= _problems(401) if path == "/metrics" else {}
        _route(app, "GET", path, handler, codes, {}, Response)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    _document(app)
    return app


Handler = Callable[[Request], Awaitable[Response]]


def _get(
    app: FastAPI, path: str, handler: Handler, kind: Any, *codes: int, also: dict[int, Any] | None = None
) -> None:
    told: dict[int | str, dict[str, Any]] = {200: {"model": kind, "description": "the answer"}}
    told |= {code: {"model": it, "description": _WHY[code]} for code, it in (also or {}).items()}
    _route(app, "GET", path, handler, told | _problems(*codes), {})


def _post(
    app: FastAPI,
    path: str,
    handler: Handler,
    asked: tuple[type[BaseModel], ...],
    kind: Any,
    *codes: int,
    also_bytes: bool = False,
) -> None:
    """also_bytes: JSON may be followed by a tensor's bytes, both ways."""
    more = {_BYTES: {"schema": {"type": "string", "format": "binary"}}} if also_bytes else {}
    answer: dict[str, Any] = {
        "model": kind,
        "description": "the answer",
        **({"content": more} if more else {}),
    }
    refs = [{"$ref": f"#/components/schemas/{it.__name__}"} for it in asked]
    schema = refs[0] if len(refs) == 1 else {"oneOf": refs}
    body = {"requestBody": {"required": True, "content": {_JSON: {"schema": schema}, **more}}}
    told: dict[int | str, dict[str, Any]] = {200: answer}
    _route(app, "POST", path, handler, told | _problems(401, 408, 413, 422, 503, *codes), body)


def _route(
    app: FastAPI,
    method: str,
    path: str,
    handler: Handler,
    told: dict[int | str, dict[str, Any]],
    body: dict[str, Any],
    response_class: type[Response] = JSONResponse,
) -> None:
    """A plain route, which spends nothing on what its handler reads and writes itself; and its place in the document."""
    names = [word.strip("{}") for word in path.split("/") if word.startswith("{")]
    path_words = [
        {"name": it, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for it in names
    ]
    extra = {**body, **({"parameters": path_words} if path_words else {})}
    app.router.routes.append(Route(path, handler, methods=[method]))
    app.state.documented.append(
        APIRoute(
            path,
            handler,
            methods=[method],
            responses=told,
            openapi_extra=extra,
            response_class=response_class,
        )
    )


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem, "description": _WHY[code]} for code in codes}


def _document(app: FastAPI) -> None:
    """The OpenAPI document of the routes, with the schemas of bodies, which handlers read themselves."""
    asked: list[type[BaseModel]] = [ForecastRequest, ForecastRequests, InferRequest]

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.state.documented
            )
            _, found = models_json_schema(
                [(it, "validation") for it in asked], ref_template="#/components/schemas/{model}"
            )
            made["components"]["schemas"] |= found["$defs"]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - what it is registered for
    retry = {"retry-after": str(error.retry_after_s)} if error.retry_after_s else None
    return _told(Problem(error=error.message), error.status, retry)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    said = f"{error.detail}; the routes are listed at /openapi.json"
    return _told(Problem(error=said), error.status_code, dict(error.headers or {}))


def _told(value: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(value.model_dump_json(), status, headers, _JSON)


def _json(body: bytes) -> Response:
    return Response(body, media_type=_JSON)


def _text(text: str, status: int) -> Response:
    return Response(text, status, media_type="text/plain")
