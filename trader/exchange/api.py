"""From a request to a reply: faults, limits, key, timestamp, signature, and then the endpoint, in that order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trader.exchange import account_api, order_api, public_api, sim_api
from trader.exchange.edits import edit_klines
from trader.exchange.faults import Plan, plan_for
from trader.exchange.params import Params, check_timing, signature_is_valid
from trader.exchange.public_api import DEPTH_DEFAULT, MICROSECOND, MILLISECOND
from trader.exchange.replies import ApiError, Reply, dump
from trader.exchange.venue import Call, Venue
from trader.exchange.wire import Request

PREFIX = "/api/v3"
KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
# Response times that the microsecond header makes a thousand times larger.
TIME_KEYS = frozenset(
    {"serverTime", "time", "updateTime", "transactTime", "workingTime", "closeTime", "openTime"}
)
Weight = int | Callable[[Params], int]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint. `is_order` marks those that cost no weight when they succeed and count as orders."""

    handler: Callable[[Venue, Call], Any]
    weight: Weight
    is_signed: bool = False
    is_order: bool = False

    def cost(self, params: Params) -> int:
        """The request weight of one call."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)


def _by_symbol(one: int, all_symbols: int) -> Weight:
    return lambda params: one if "symbol" in params else all_symbols


def _depth_weight(params: Params) -> int:
    text = params.text("limit") or ""
    limit = int(text) if text.isascii() and text.isdigit() else DEPTH_DEFAULT
    return next((weight for most, weight in ((100, 5), (500, 25), (1000, 50)) if limit <= most), 250)


def _test_weight(params: Params) -> int:
    return 20 if (params.text("computeCommissionRates") or "").lower() == "true" else 1


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/ping"): Route(public_api.ping, 1),
    ("GET", "/time"): Route(public_api.server_time, 1),
    ("GET", "/exchangeInfo"): Route(public_api.exchange_info, 20),
    ("GET", "/klines"): Route(public_api.klines, 2),
    ("GET", "/uiKlines"): Route(public_api.klines, 2),
    ("GET", "/avgPrice"): Route(public_api.average_price, 2),
    ("GET", "/depth"): Route(public_api.depth, _depth_weight),
    ("GET", "/ticker/price"): Route(public_api.ticker_price, _by_symbol(2, 4)),
    ("GET", "/ticker/bookTicker"): Route(public_api.book_ticker, _by_symbol(2, 4)),
    ("GET", "/ticker/24hr"): Route(public_api.ticker_day, _by_symbol(2, 80)),
    ("GET", "/account"): Route(account_api.account, 20, is_signed=True),
    ("POST", "/order"): Route(order_api.new_order, 1, is_signed=True, is_order=True),
    ("POST", "/order/test"): Route(order_api.test_order, _test_weight, is_signed=True),
    ("GET", "/order"): Route(order_api.query_order, 4, is_signed=True),
    ("DELETE", "/order"): Route(order_api.cancel_order, 1, is_signed=True, is_order=True),
    ("GET", "/openOrders"): Route(order_api.open_orders, _by_symbol(6, 80), is_signed=True),
    ("DELETE", "/openOrders"): Route(order_api.cancel_all, 1, is_signed=True, is_order=True),
    ("GET", "/allOrders"): Route(account_api.all_orders, 20, is_signed=True),
    ("GET", "/myTrades"): Route(
        account_api.my_trades, lambda params: 5 if "orderId" in params else 20, is_signed=True
    ),
    ("GET", "/rateLimit/order"): Route(account_api.order_limits, 40, is_signed=True),
    ("GET", "/account/commission"): Route(account_api.commission_rates, 20, is_signed=True),
}


class Api:
    """Answers requests on a venue; several connections may ask at once."""

    def __init__(self, venue: Venue, stopping: threading.Event) -> None:
        self._venue = venue
        self._stopping = stopping
        self._secret = venue.config.api_secret.encode()

    def answer(self, request: Request) -> Reply:
        """The reply to one request, spoilt as the active faults want it."""
        venue = self._venue
        if not request.path.startswith("/api/"):
            return self._outside(request)
        with venue.lock:
            arrived_ms = venue.tick()
            plan = plan_for(venue.faults, request.method, request.path, arrived_ms)
            log = self._log(request, plan, arrived_ms)
        reply = self._before(request, plan)
        if reply is None:
            reply = self._committed(request, plan)
        log["status"], log["ending"] = reply.status, reply.ending
        return reply

    def _outside(self, request: Request) -> Reply:
        if not request.path.startswith("/sim/"):
            return _not_found(request)
        with self._venue.lock:
            return sim_api.answer(self._venue, request)

    def _log(self, request: Request, plan: Plan, arrived_ms: int) -> dict[str, Any]:
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

    def _before(self, request: Request, plan: Plan) -> Reply | None:
        """Faults that answer in the exchange's place, before it has looked at the request."""
        spoilers = plan.of("before", "drop", "close", "reset", "reply")
        if spoilers:
            self._wait(plan, "before")
            return spoilers[0].spoil(Reply())
        return None

    def _committed(self, request: Request, plan: Plan) -> Reply:
        """Check on arrival, be held up if a fault says so, then check the time once more and commit."""
        venue = self._venue
        try:
            with venue.lock:
                route, call = self._arrive(request, plan)
            self._wait(plan, "before")
            with venue.lock:
                call.now_ms = venue.tick() + int(plan.total("skew", "ms"))
                reply = self._run(route, call)
        except ApiError as error:
            reply = error.reply()
        with venue.lock:
            reply.headers = {**venue.limiter.weight_headers(venue.clock.now()), **reply.headers}
        self._wait(plan, "after")
        for fault in plan.of("after"):
            reply = edit_klines(reply, fault) if fault.action == "klines" else fault.spoil(reply)
        return reply

    def _wait(self, plan: Plan, phase: str) -> None:
        for fault in plan.of(phase, "delay", "advance"):
            if fault.action == "delay":
                self._stopping.wait(float(fault.settings["seconds"]))
            else:
                with self._venue.lock:
                    self._venue.move_clock(self._venue.clock.now() + int(fault.settings["ms"]))

    def _arrive(self, request: Request, plan: Plan) -> tuple[Route, Call]:
        venue = self._venue
        real_ms = venue.tick()
        if not venue.market.is_open(real_ms):
            raise ApiError(-1001, "Internal error; unable to process your request. Please try again.", 503)
        venue.apply_world_faults(plan, real_ms)
        for fault in plan.of("before", "limit_429", "ban_418"):
            refuse = venue.limiter.ban if fault.action == "ban_418" else venue.limiter.block
            raise refuse(real_ms, int(fault.settings["seconds"]))
        route = ROUTES.get((request.method, request.path.removeprefix(PREFIX)))
        params = Params(request.query, request.body)
        venue.limiter.admit(real_ms, route.cost(params) if route else 1)
        if route is None or not request.path.startswith(PREFIX + "/"):
            raise _Unrouted(request)
        unit = request.headers.get("x-mbx-time-unit", MILLISECOND).upper()
        if unit not in (MICROSECOND, MILLISECOND):
            raise ApiError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
        row, rules = venue.row_for(plan)
        call = Call(params, real_ms + int(plan.total("skew", "ms")), plan, row, rules, unit)
        if route.is_signed:
            self._authorise(request, call)
        return route, call

    def _authorise(self, request: Request, call: Call) -> None:
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

    def _run(self, route: Route, call: Call) -> Reply:
        venue = self._venue
        if not venue.market.is_open(venue.clock.now()):
            raise ApiError(-1001, "Internal error; unable to process your request. Please try again.", 503)
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
