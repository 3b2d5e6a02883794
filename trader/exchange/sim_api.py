"""The control channel outside `/api`: move the clock, read the truth, set the faults. Unsigned, loopback only."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from trader.core.errors import ConfigError
from trader.core.types import iso, parse_time
from trader.exchange.account import VenueOrder
from trader.exchange.replies import Reply, dump, eight
from trader.exchange.scenarios import SCENARIOS
from trader.exchange.venue import Venue
from trader.exchange.wire import Request

# The end of what ISO text can say.
LAST_MS = 253_402_300_800_000


def answer(venue: Venue, request: Request) -> Reply:
    """Answer one request of the control channel. Whoever calls holds the venue's lock."""
    handler = SIM_ROUTES.get((request.method, request.path))
    if handler is None:
        known = sorted(f"{method} {path}" for method, path in SIM_ROUTES)
        return _refusal(f"{request.method} {request.path} is not one of {', '.join(known)}", 404)
    try:
        return Reply(body=dump(handler(venue, request)))
    except ConfigError as error:
        return _refusal(str(error), 400)


def _refusal(message: str, status: int) -> Reply:
    return Reply(status, dump({"error": message}))


def _body(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        raise ConfigError("the body must be JSON") from None


def _clock(venue: Venue, request: Request) -> dict[str, Any]:
    now_ms = venue.tick()
    shut = [name for name in venue.instruments if name in venue.shut_symbols(now_ms)]
    said = {"now": now_ms, "iso": iso(now_ms), "open": len(shut) < len(venue.instruments)}
    said |= {"speed": venue.clock.speed, "market": venue.config.market}
    return {**said, "shut": shut} if shut else said


def _set_clock(venue: Venue, request: Request) -> dict[str, Any]:
    wanted = _body(request)
    to = wanted.get("to") if isinstance(wanted, dict) else None
    if isinstance(to, bool) or not isinstance(to, int | str):
        raise ConfigError('the body must be {"to": T}, T in UTC milliseconds or ISO text')
    to_ms = parse_time(to) if isinstance(to, str) else to
    if not 0 <= to_ms < LAST_MS:
        raise ConfigError(f"{to!r} is no time between 1970 and 9999 in UTC milliseconds")
    if not venue.move_clock(to_ms):
        raise ConfigError(
            f"the clock says {iso(venue.clock.now())} and never goes back, not to {iso(to_ms)} either"
        )
    return _clock(venue, request)


def _ledger(venue: Venue, request: Request) -> list[dict[str, Any]]:
    """Every order that was executed, at least in part, in order; with `?all=true` every order accepted."""
    venue.tick()
    wants_all = dict(parse_qsl(request.query.decode("latin-1"))).get("all") == "true"
    return [_ledger_row(order) for order in venue.account.history.values() if wants_all or order.trades]


def _ledger_row(order: VenueOrder) -> dict[str, Any]:
    return {
        "orderId": order.order_id,
        "clientOrderId": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "status": order.status,
        "time": order.time,
        "updateTime": order.update_time,
        "price": eight(order.price),
        "origQty": eight(order.orig_qty),
        "executedQty": eight(order.executed_qty),
        "cummulativeQuoteQty": eight(order.cumulative_quote),
        "epoch": order.epoch,
        "fills": [
            {
                "tradeId": trade.trade_id,
                "price": eight(trade.price),
                "qty": eight(trade.qty),
                "commission": eight(trade.commission),
                "commissionAsset": trade.commission_asset,
                "time": trade.time,
                "isMaker": trade.is_maker,
            }
            for trade in order.trades
        ],
    }


def _balances(venue: Venue, request: Request) -> dict[str, dict[str, str]]:
    venue.tick()
    account = venue.account
    return {a: {"free": eight(account.free[a]), "locked": eight(account.locked[a])} for a in account.free}


def _faults(venue: Venue, request: Request) -> list[dict[str, Any]]:
    return [{"name": fault.name, "action": fault.action, "seen": fault.seen} for fault in venue.faults]


def _set_faults(venue: Venue, request: Request) -> list[dict[str, Any]]:
    """Replace the active faults by a list, or by a named scenario: {"scenario": "symbol_halt"}, which a "symbol" beside it makes
    one of requests that name this symbol."""
    wanted = _body(request)
    if isinstance(wanted, dict):
        name = str(wanted.get("scenario"))
        if name not in SCENARIOS:
            raise ConfigError(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}")
        symbol = {"symbol": wanted["symbol"]} if "symbol" in wanted else {}
        wanted = [{**fault, **symbol} for fault in SCENARIOS[name]]
    venue.set_faults(wanted)
    return _faults(venue, request)


def _scenarios(venue: Venue, request: Request) -> dict[str, list[dict[str, Any]]]:
    return SCENARIOS


def _streams(venue: Venue, request: Request) -> dict[str, Any]:
    """The streams that are open, how many there have been, and the most that there were at once."""
    told = venue.streams
    return {
        "open": [{"streams": it.streams, "since": it.since_ms, "sent": it.sent} for it in told.now_open],
        "opened_in_all": told.opened_in_all,
        "most_at_once": told.most_at_once,
    }


def _set_streams(venue: Venue, request: Request) -> dict[str, Any]:
    """End every open stream: {"close": true}."""
    if _body(request) != {"close": True}:
        raise ConfigError('the body must be {"close": true}, which ends every open stream')
    venue.streams.close_all()
    return _streams(venue, request)


def _requests(venue: Venue, request: Request) -> list[dict[str, Any]]:
    return list(venue.requests)


SIM_ROUTES = {
    ("GET", "/sim/clock"): _clock,
    ("POST", "/sim/clock"): _set_clock,
    ("GET", "/sim/ledger"): _ledger,
    ("GET", "/sim/balances"): _balances,
    ("GET", "/sim/faults"): _faults,
    ("POST", "/sim/faults"): _set_faults,
    ("GET", "/sim/scenarios"): _scenarios,
    ("GET", "/sim/requests"): _requests,
    ("GET", "/sim/streams"): _streams,
    ("POST", "/sim/streams"): _set_streams,
}
