"""From a request to a reply: faults, limits, key, timestamp, signature, and then the endpoint, in that order."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

from trader.exchange import sim_api
from trader.exchange.edits import edit_klines
from trader.exchange.faults import RequestFaults, plan_for
from trader.exchange.params import RequestParams, check_timing, named_symbols, signature_is_valid
from trader.exchange.public_api import MICROSECOND, MILLISECOND
from trader.exchange.replies import ApiError, Reply, dump
from trader.exchange.routes import ROUTES, Route
from trader.exchange.venue import ApiCall, Venue
from trader.exchange.wire import Request, asked_here

KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
TIME_UNITS = {unit: name for name in (MICROSECOND, MILLISECOND) for unit in (name, name.lower())}
# What the exchange answers to; `/sim` beside it is no part of the exchange.
SPOKEN = ("/api/", "/sapi/", "/fapi/", "/dapi/")
# A page of elsewhere that a browser shows on this machine must not move the clock.
ONLY_HERE = "Only this machine may ask, by http://127.0.0.1 or http://localhost."
# Response times that the microsecond header makes a thousand times larger.
TIME_KEYS = frozenset(
    {"serverTime", "time", "updateTime", "transactTime", "workingTime", "closeTime", "openTime"}
)


class ExchangeApi:
    """Answers requests on a venue; several connections may ask at once."""

    def __init__(self, venue: Venue, stopping: threading.Event) -> None:
        self._venue = venue
        self._stopping = stopping
        self._secret = venue.config.api_secret.encode()

    def answer(self, request: Request) -> Reply:
        """The reply to one request, spoilt as the active faults want it."""
        venue = self._venue
        if request.path.startswith("/sim/"):
            if not asked_here(request.headers.get("host", ""), request.headers.get("origin", "")):
                return ApiError(-1000, ONLY_HERE, 403).reply()
            with venue.lock:
                return sim_api.answer(venue, request)
        if not request.path.startswith(SPOKEN):
            return _not_found(request)
        with venue.lock:
            arrived_ms = venue.tick()
            # Binance reads the body of every method but GET.
            named = named_symbols(request.query, b"" if request.method == "GET" else request.body)
            plan = plan_for(venue.faults, request.method, request.path, named, arrived_ms)
            log = self._log(request, plan, arrived_ms)
        reply = self._before(request, plan)
        if reply is None:
            reply = self._committed(request, plan, named)
        log["status"], log["ending"] = reply.status, reply.ending
        return reply

    def _log(self, request: Request, plan: RequestFaults, arrived_ms: int) -> dict[str, Any]:
        venue = self._venue
        venue.request_count += 1
        entry = {
            "n": venue.request_count,
            "method": request.method,
            "path": request.path,
            "at": arrived_ms,
            "wall": time.time(),
            "faults": plan.names,
        }
        venue.requests.append(entry)
        return entry

    def _before(self, request: Request, plan: RequestFaults) -> Reply | None:
        """Faults that answer in the exchange's place, before it has looked at the request."""
        spoilers = plan.of("before", "drop", "close", "reset", "reply")
        if spoilers:
            self._wait(plan, "before")
            return self._with_headers(spoilers[0].spoil(Reply()))
        return None

    def _with_headers(self, reply: Reply) -> Reply:
        """The reply with what every answer carries: a number of its own, and the weight used."""
        venue = self._venue
        # Random on the real exchange; counted here, so that the same session gives the same bytes.
        number = {"x-mbx-uuid": str(uuid.UUID(int=venue.request_count))}
        with venue.lock:
            reply.headers = {**number, **venue.limiter.weight_headers(venue.clock.now()), **reply.headers}
        return reply

    def _committed(self, request: Request, plan: RequestFaults, named: Sequence[str]) -> Reply:
        """Check on arrival, be held up if a fault says so, then check the time once more and commit."""
        venue = self._venue
        try:
            with venue.lock:
                route, call = self._arrive(request, plan, named)
            self._wait(plan, "before")
            with venue.lock:
                call.now_ms = venue.tick() + int(plan.total("skew", "ms"))
                reply = self._run(route, call)
        except ApiError as error:
            reply = error.reply()
        reply = self._with_headers(reply)
        self._wait(plan, "after")
        for fault in plan.of("after"):
            reply = edit_klines(reply, fault) if fault.action == "klines" else fault.spoil(reply)
        return reply

    def _wait(self, plan: RequestFaults, phase: str) -> None:
        for fault in plan.of(phase, "delay", "advance"):
            if fault.action == "delay":
                self._stopping.wait(float(fault.settings["seconds"]))
            else:
                with self._venue.lock:
                    self._venue.move_clock(self._venue.clock.now() + int(fault.settings["ms"]))

    def _arrive(self, request: Request, plan: RequestFaults, named: Sequence[str]) -> tuple[Route, ApiCall]:
        venue = self._venue
        real_ms = venue.tick()
        route = ROUTES.get((request.method, request.path))
        _require_open(venue, route, named, real_ms)
        venue.apply_world_faults(plan, real_ms)
        for fault in plan.of("before", "limit_429", "ban_418"):
            refuse = venue.limiter.ban if fault.action == "ban_418" else venue.limiter.block
            raise refuse(real_ms, int(fault.settings["seconds"]))
        params = RequestParams(request.query, b"" if request.method == "GET" else request.body)
        venue.limiter.admit(real_ms, route.cost(params) if route else 1)
        if route is None:
            raise _Unrouted(request)
        unit = TIME_UNITS.get(request.headers.get("x-mbx-time-unit", MILLISECOND))
        if unit is None:
            raise ApiError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
        call = ApiCall(params, named, real_ms + int(plan.total("skew", "ms")), plan, unit)
        if route.is_signed:
            self._authorise(request, call)
        return route, call

    def _authorise(self, request: Request, call: ApiCall) -> None:
        key, plan, params = request.headers.get("x-mbx-apikey", ""), call.plan, call.params
        if not key or not KEY_CHARACTERS.issuperset(key):
            raise ApiError(-2014, "API-key format invalid.", 401)
        check_timing(params, call.now_ms)
        params.needed("signature")
        if plan.has("revoke_key"):
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if key != self._venue.config.api_key:
            raise ApiError(-2008, "Invalid Api-Key ID.", 401)
        if plan.has("bad_signature") or not signature_is_valid(self._secret, request.query, request.body):
            raise ApiError(-1022, "Signature for this request is not valid.")

    def _run(self, route: Route, call: ApiCall) -> Reply:
        venue = self._venue
        _require_open(venue, route, call.named, venue.clock.now())
        if route.is_order and call.plan.has("no_trade"):
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        result = route.handler(venue, call)
        headers = {}
        if route.is_order:
            venue.limiter.refund(venue.clock.now(), 1)
            headers = venue.limiter.order_headers(venue.clock.now())
        if isinstance(result, Reply):
            return result
        if isinstance(result, bytes):
            return Reply(body=result, headers=headers)
        return Reply(
            body=dump(_in_micro(result) if call.time_unit == MICROSECOND else result), headers=headers
        )


def _require_open(venue: Venue, route: Route | None, named: Sequence[str], now_ms: int) -> None:
    """Raises ApiError where nobody answers. Candles of a symbol that cannot be traded now are told as long as another symbol can,
    as Binance tells those of a symbol whose trading is halted or over."""
    if venue.is_shut(() if route is not None and route.is_history else named, now_ms):
        raise ApiError(-1001, "Internal error; unable to process your request. Please try again.", 503)


class _Unrouted(ApiError):
    """A path or method that does not exist; the answer has no JSON code."""

    def __init__(self, request: Request) -> None:
        super().__init__(-1000, f"no such endpoint: {request.method} {request.path}", 404)
        self._request = request

    def reply(self) -> Reply:
        return _not_found(self._request)


def _not_found(request: Request) -> Reply:
    if "text/html" in request.headers.get("accept", ""):
        return Reply(404, b"<html><body><h2>404 Not found</h2></body></html>", {"Content-Type": "text/html"})
    return Reply(404, b"")


def _in_micro(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_micro(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {k: v * 1000 if k in TIME_KEYS and isinstance(v, int) else _in_micro(v) for k, v in value.items()}
