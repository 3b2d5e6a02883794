"""The unsigned half of `/api/v3`: time, symbol, candles, prices, book."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from trader.core.costs import exact
from trader.core.types import HOUR_MS, floor_hour
from trader.exchange.filters import ZERO
from trader.exchange.market import KLINES_DEFAULT, KLINES_MAX
from trader.exchange.params import RequestParams
from trader.exchange.replies import ApiError, eight
from trader.exchange.venue import ApiCall, Venue

INTERVAL = "1h"
DEPTH_DEFAULT, DEPTH_MAX = 100, 5000
TIME_ZONE = re.compile(r"([+-]?[0-9]{1,2})(:[0-9]{2})?")
SHOWN_LEVELS = 20
SHOWN_QTY = Decimal(1000)
MICROSECOND, MILLISECOND = "MICROSECOND", "MILLISECOND"


def ping(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /ping."""
    return {}


def server_time(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /time."""
    return {"serverTime": call.now_ms}


def exchange_info(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /exchangeInfo: the one symbol there is, or none where the status asked for is another."""
    params = call.params
    named = _named_symbols(venue, params)
    params.text("permissions")
    wanted_status = params.text("symbolStatus")
    if named and wanted_status:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    row = dict(call.symbol_row)
    if not params.flag("showPermissionSets", True):
        row["permissionSets"] = []
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": venue.limiter.limits.as_json(),
        "exchangeFilters": [],
        "symbols": [row] if wanted_status in (None, row["status"]) else [],
    }


def klines(venue: Venue, call: ApiCall) -> bytes:
    """GET /klines and /uiKlines: hourly candles, gaps left out, the newest still forming."""
    params = call.params
    need_symbol(venue, params)
    if params.needed("interval") != INTERVAL:
        raise ApiError(-1120, "Invalid interval.")
    start, end = params.moment("startTime"), params.moment("endTime")
    limit = params.limit(KLINES_DEFAULT, KLINES_MAX)
    _check_time_zone(params)
    if start is not None and end is not None and start > end:
        raise ApiError(-1023, "Start time is greater than end time.")
    micro = call.time_unit == MICROSECOND
    return venue.market.klines(call.now_ms, start, end, limit, micro).encode()


def _check_time_zone(params: RequestParams) -> None:
    """Offsets of whole hours do not move the boundaries of hourly candles; others cannot be served."""
    text = params.text("timeZone") or "0"
    found = TIME_ZONE.fullmatch(text)
    if not found or not -12 <= int(found[1]) <= 14 or found[2] not in (None, ":00"):
        raise ApiError(-1130, "Data sent for parameter 'timeZone' is not valid.")


def average_price(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /avgPrice: the price of the hour, since there is no other within it."""
    need_symbol(venue, call.params)
    price = venue.market.last_price(call.now_ms)
    return {"mins": 5, "price": eight(price), "closeTime": call.now_ms}


def ticker_price(venue: Venue, call: ApiCall) -> Any:
    """GET /ticker/price."""
    if (fee := _fee_price(venue, call.params)) is not None:
        return {"symbol": venue.fee_pair, "price": eight(fee)}
    row = {"symbol": venue.symbol, "price": eight(venue.market.last_price(call.now_ms))}
    return _one_or_list(venue, call.params, row)


def book_ticker(venue: Venue, call: ApiCall) -> Any:
    """GET /ticker/bookTicker: the quote that orders fill by, or the fee asset's, without a spread, where it is named."""
    qty = eight(_shown_qty(call))
    if (fee := _fee_price(venue, call.params)) is not None:
        return _book_row(venue.fee_pair, fee, fee, qty)
    quote = venue.market.quote(call.now_ms)
    return _one_or_list(venue, call.params, _book_row(venue.symbol, quote.bid, quote.ask, qty))


def _book_row(symbol: str, bid: Decimal, ask: Decimal, qty: str) -> dict[str, str]:
    return {
        "symbol": symbol,
        "bidPrice": eight(bid),
        "bidQty": qty,
        "askPrice": eight(ask),
        "askQty": qty,
    }


def _fee_price(venue: Venue, params: RequestParams) -> Decimal | None:
    """The price of the fee asset where its pair is named, None for any other request."""
    fee = venue.config.fee_asset
    return None if fee is None or params.text("symbol") != venue.fee_pair else fee.price


def depth(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /depth: a few levels behind the quote, a tick apart, each as thick as the first."""
    need_symbol(venue, call.params)
    limit = call.params.limit(DEPTH_DEFAULT, DEPTH_MAX)
    quote, tick, qty = venue.market.quote(call.now_ms), venue.market.tick, eight(_shown_qty(call))
    levels = range(min(limit, SHOWN_LEVELS))
    return {
        "lastUpdateId": call.now_ms,
        "bids": [[eight(price), qty] for n in levels if (price := quote.bid - n * tick) > 0],
        "asks": [[eight(quote.ask + n * tick), qty] for n in levels],
    }


def ticker_day(venue: Venue, call: ApiCall) -> Any:
    """GET /ticker/24hr over the hours that closed within the last day."""
    market, now_ms = venue.market, call.now_ms
    rows, bars = market.day(now_ms), market.bars
    last, quote = market.last_price(now_ms), market.quote(now_ms)
    opening = exact(float(bars.open[rows[0]])) if rows else last
    previous = exact(float(bars.close[rows[-1]])) if rows else last
    volume = sum((exact(float(bars.volume[row])) for row in rows), ZERO)
    turnover = sum((exact(float(bars.volume[row])) * exact(float(bars.close[row])) for row in rows), ZERO)
    qty = eight(_shown_qty(call))
    row = {
        "symbol": venue.symbol,
        "priceChange": eight(last - opening),
        "priceChangePercent": f"{(last / opening - 1) * 100:.3f}",
        "weightedAvgPrice": f"{turnover / volume if volume else last:.8f}",
        "prevClosePrice": eight(previous),
        "lastPrice": eight(last),
        "lastQty": eight(ZERO),
        "bidPrice": eight(quote.bid),
        "bidQty": qty,
        "askPrice": eight(quote.ask),
        "askQty": qty,
        "openPrice": eight(opening),
        "highPrice": eight(max([last, *(exact(float(bars.high[row])) for row in rows)])),
        "lowPrice": eight(min([last, *(exact(float(bars.low[row])) for row in rows)])),
        "volume": f"{volume:.8f}",
        "quoteVolume": f"{turnover:.8f}",
        "openTime": floor_hour(now_ms) - 24 * HOUR_MS,
        "closeTime": now_ms,
        "firstId": -1,
        "lastId": -1,
        "count": 0,
    }
    return _one_or_list(venue, call.params, row)


def execution_rules(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /executionRules: none is set, so a price is never out of range."""
    _named_symbols(venue, call.params)
    return {"symbolRules": []}


def reference_price(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /referencePrice: there has never been one, so filters go by the last price."""
    need_symbol(venue, call.params)
    raise ApiError(-2043, "This symbol doesn't have a reference price.")


def need_symbol(venue: Venue, params: RequestParams) -> None:
    """Refuse a request that names no symbol, or one that is not traded here."""
    if params.needed("symbol") != venue.symbol:
        raise ApiError(-1121, "Invalid symbol.")


def _named_symbols(venue: Venue, params: RequestParams) -> bool:
    one, many = params.text("symbol"), params.text("symbols")
    if one is not None and many is not None:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    names: Any = [one] if one is not None else []
    if many is not None:
        try:
            names = json.loads(many)
        except (ValueError, RecursionError):
            raise ApiError(-1100, "Illegal characters found in parameter 'symbols'.") from None
    if not isinstance(names, list) or any(name != venue.symbol for name in names):
        raise ApiError(-1121, "Invalid symbol.")
    return bool(names)


def _one_or_list(venue: Venue, params: RequestParams, row: dict[str, Any]) -> Any:
    _named_symbols(venue, params)
    params.text("symbolStatus")
    return row if "symbol" in params else [row]


def _shown_qty(call: ApiCall) -> Decimal:
    book = call.plan.book
    return SHOWN_QTY if book.base is None else book.base
