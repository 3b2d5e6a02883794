"""What stands before every route: bounds of bodies and time, the token, the request's id, metrics, logs and traces."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import nullcontext
from typing import Any

from pydantic_core import to_json

from trader.serving.bounds import Bounds
from trader.serving.metrics import ServeMetrics
from trader.serving.refusal import RETRY_AFTER_S, Refused
from trader.serving.tracing import Tracer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# Whoever supervises the server asks these without a token.
OPEN = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
_FIXED = OPEN | {"/v1/forecast", "/metrics", "/openapi.json", "/v2"}
_MODEL = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?(/ready|/infer)?")
_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


def route_of(path: str) -> str:
    """The route of a path, as a label: of a bounded number, whatever is asked for."""
    if path in _FIXED:
        return path
    found = _MODEL.fullmatch(path)
    return f"/v2/models/NAME{found[2] or ''}" if found else "other"


def refusal_message(refused: Refused) -> tuple[Message, Message]:
    """A refusal as the messages of an answer."""
    body = to_json({"error": refused.message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.retry_after_s:
        headers.append((b"retry-after", str(refused.retry_after_s).encode()))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    start = {"type": "http.response.start", "status": refused.status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


class Gate:
    """An ASGI application around another one."""

    def __init__(
        self,
        app: App,
        metrics: ServeMetrics,
        bounds: Bounds,
        token: str = "",
        log: Callable[..., None] | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """token: what a caller must send as `Authorization: Bearer TOKEN`; "" asks for none. log: is told every answered request
        with its facts; None where only trouble is logged by who meets it."""
        self._app, self._metrics, self._bounds = app, metrics, bounds
        self._token = token.encode()
        self._log, self._tracer = log, tracer
        self._in_flight = 0
        self._receiving = 0  # bytes of bodies that came in parts and are not whole yet
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, or the application's life."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, route, headers = time.perf_counter(), route_of(scope["path"]), scope["headers"]
        given = dict(headers)
        request_id = _request_id(given.get(b"x-request-id"))
        status = 500
        self._in_flight += 1

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        tracer = self._tracer
        span = (
            nullcontext()
            if tracer is None
            else tracer.request(scope["method"], route, headers, request_id.decode())
        )
        with span as traced:
            try:
                await self._let_in(scope, given, receive, told)
            except Refused as refused:
                for message in refusal_message(refused):
                    await told(message)
            finally:
                self._in_flight -= 1
                seconds = time.perf_counter() - began
                self._metrics.answered_request(route, status, seconds)
                if tracer is not None:
                    tracer.answered(traced, status)
                if self._log is not None:
                    ms = round(seconds * 1000, 3)
                    what = f"{scope['method']} {route} {status}"
                    self._log(what, request_id=request_id.decode(), route=route, code=status, ms=ms)

    async def _let_in(
        self, scope: MutableMapping[str, Any], given: dict[bytes, bytes], receive: Receive, told: Send
    ) -> None:
        if self._token and scope["path"] not in OPEN:
            self._require_token(given.get(b"authorization", b""))
        if scope["method"] != "POST":
            await self._app(scope, receive, told)
            return
        body = await self._body(given.get(b"content-length"), receive)
        if body is None:
            return  # the client went away
        await self._app(scope, _replayed(body, receive), told)

    def _require_token(self, said: bytes) -> None:
        kind, _, token = said.partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            raise Refused(
                401, "send the header Authorization: Bearer TOKEN, with the server's TRADER_SERVE_TOKEN"
            )

    async def _body(self, length: bytes | None, receive: Receive) -> bytes | None:
        """The whole body; None where the client left. Raises Refused for one that is too large, or too slow."""
        most = self._bounds.body_bytes
        too_large = Refused(
            413, f"the body is larger than {most:,} bytes; send fewer rows or requests at once"
        )
        if length is not None and length.isdigit() and int(length) > most:
            raise too_large
        message = await self._next(receive)
        if not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            if message["type"] == "http.disconnect":
                return None
            if len(body) > most:
                raise too_large
            return body
        return await self._rest(receive, message.get("body", b""), too_large)

    async def _rest(self, receive: Receive, first: bytes, too_large: Refused) -> bytes | None:
        """A body that comes in parts, after its first."""
        until, parts = asyncio.get_running_loop().time() + self._bounds.body_s, bytearray()
        try:
            message: Message = {"type": "http.request", "body": first, "more_body": True}
            while message["type"] != "http.disconnect":
                part = message.get("body", b"")
                parts += part
                self._receiving += len(part)
                if len(parts) > self._bounds.body_bytes:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(parts)
                if self._receiving > self._bounds.bodies_bytes:
                    self._metrics.shed("request")
                    raise Refused(503, "too many large bodies at once; ask again", RETRY_AFTER_S)
                message = await self._next(receive, until)
            return None
        finally:
            self._receiving -= len(parts)

    async def _next(self, receive: Receive, until: float | None = None) -> Message:
        """The next part of a body: the first is usually there already."""
        left = self._bounds.body_s
        if until is not None:
            left = max(0.0, until - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(left):
                return await receive()
        except TimeoutError:
            raise Refused(
                408, f"the body did not arrive within {self._bounds.body_s:g} s; send it faster"
            ) from None


def _request_id(given: bytes | None) -> bytes:
    """The caller's, where it is a plain word; else one of ours."""
    if given is not None and _ID.fullmatch(given):
        return given
    return secrets.token_hex(8).encode()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, then whatever the client does."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
