"""The two routes that are asked hundreds of times a second, straight to their handlers.

A request goes through five layers of FastAPI before it meets a route, and none of them does anything for these two. They are a
tenth of what a request costs.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from trader.serving.app import Routes
from trader.serving.gate import App, Message, Receive, Send

FORECAST = "/v1/forecast"
_INFER = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer")


class OftenAsked:
    """An ASGI application: POST of a forecast or of rows by these routes, everything else by the whole application."""

    def __init__(self, app: App, routes: Routes) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request, or the application's life. Raises Refused, as the routes do."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if scope["path"] == FORECAST:
            answer = await self._routes.forecast(Request(scope, receive))
        elif found := _INFER.fullmatch(scope["path"]):
            scope["path_params"] = {
                name: said for name, said in found.groupdict().items() if said is not None
            }
            answer = await self._routes.infer(Request(scope, receive))
        else:
            await self._app(scope, receive, send)
            return
        await answer(scope, receive, send)
