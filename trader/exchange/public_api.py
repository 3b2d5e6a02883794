"""The unsigned half of `/api/v3`: time, symbol, candles, prices, book."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from trader.core.costs import exact
from trader.core.types import HOUR_MS, floor_hour
from trader.exchange.filters import ZERO
from trader.exchange.instruments import Instrument
from trader.exchange.market import KLINES_DEFAULT, KLINES_MAX, Market
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
    """GET /exchangeInfo: the symbols that are named, or all, or those of the status that is asked for."""
    params = call.params
    named = _named_symbols(venue, call)
    params.text("permissions")
    wanted_status = params.text("symbolStatus")
    if named and wanted_status:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    rows = [_info_row(venue, call, symbol) for symbol in named or venue.quoted(call.now_ms)]
    if not params.flag("showPermissionSets", True):
        rows = [{**row, "permissionSets": []} for row in rows]
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": venue.limiter.limits.as_json(),
        "exchangeFilters": [],
        "symbols": [row for row in rows if wanted_status in (None, row["status"])],
    }


def _info_row(venue: Venue, call: ApiCall, symbol: str) -> dict[str, Any]:
    traded = venue.instruments.get(symbol)
    return (
        venue.listings.row(symbol, call.now_ms) if traded is None else traded.info_row(call.plan, call.now_ms)
    )


def klines(venue: Venue, call: ApiCall) -> bytes:
    """GET /klines and /uiKlines: hourly candles, gaps left out, the newest still forming."""
    params = call.params
    market = _needed_market(venue, call)
    if params.needed("interval") != INTERVAL:
        raise ApiError(-1120, "Invalid interval.")
    start, end = params.moment("startTime"), params.moment("endTime")
    limit = params.limit(KLINES_DEFAULT, KLINES_MAX)
    _check_time_zone(params)
    if start is not None and end is not None and start > end:
        raise ApiError(-1023, "Start time is greater than end time.")
    micro = call.time_unit == MICROSECOND
    return market.klines(call.now_ms, start, end, limit, micro).encode()


def _check_time_zone(params: RequestParams) -> None:
    """Offsets of whole hours do not move the boundaries of hourly candles; others cannot be served."""
    text = params.text("timeZone") or "0"
    found = TIME_ZONE.fullmatch(text)
    if not found or not -12 <= int(found[1]) <= 14 or found[2] not in (None, ":00"):
        raise ApiError(-1130, "Data sent for parameter 'timeZone' is not valid.")


def average_price(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /avgPrice: the price of the hour, since there is no other within it."""
    price = _needed_market(venue, call).last_price(call.now_ms)
    return {"mins": 5, "price": eight(price), "closeTime": call.now_ms}


def ticker_price(venue: Venue, call: ApiCall) -> Any:
    """GET /ticker/price."""
    if (fee := _fee_price(venue, call.params)) is not None:
        return {"symbol": venue.fee_pair, "price": eight(fee)}
    return _one_or_list(
        venue,
        call,
        lambda symbol: {
            "symbol": symbol,
            "price": eight(venue.market_of(symbol).last_price(call.now_ms)),
        },
    )


def book_ticker(venue: Venue, call: ApiCall) -> Any:
    """GET /ticker/bookTicker: the quote that orders fill by, or the fee asset's, without a spread, where it is named."""
    qty = eight(_shown_qty(call))
    if (fee := _fee_price(venue, call.params)) is not None:
        return _book_row(venue.fee_pair, fee, fee, qty)

    def row(symbol: str) -> dict[str, str]:
        quote = venue.market_of(symbol).quote(call.now_ms)
        return _book_row(symbol, quote.bid, quote.ask, qty)

    return _one_or_list(venue, call, row)


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
    market = _needed_market(venue, call)
    limit = call.params.limit(DEPTH_DEFAULT, DEPTH_MAX)
    quote, tick, qty = market.quote(call.now_ms), market.tick, eight(_shown_qty(call))
    levels = range(min(limit, SHOWN_LEVELS))
    return {
        "lastUpdateId": call.now_ms,
        "bids": [[eight(price), qty] for n in levels if (price := quote.bid - n * tick) > 0],
        "asks": [[eight(quote.ask + n * tick), qty] for n in levels],
    }


def ticker_day(venue: Venue, call: ApiCall) -> Any:
    """GET /ticker/24hr over the hours that closed within the last day."""
    return _one_or_list(venue, call, lambda symbol: _day_row(symbol, venue.market_of(symbol), call))


def _day_row(symbol: str, market: Market, call: ApiCall) -> dict[str, Any]:
    now_ms = call.now_ms
    rows, bars = market.day(now_ms), market.bars
    last, quote = market.last_price(now_ms), market.quote(now_ms)
    opening = exact(float(bars.open[rows[0]])) if rows else last
    previous = exact(float(bars.close[rows[-1]])) if rows else last
    volume = sum((exact(float(bars.volume[row])) for row in rows), ZERO)
    turnover = sum((exact(float(bars.volume[row])) * exact(float(bars.close[row])) for row in rows), ZERO)
    qty = eight(_shown_qty(call))
    return {
        "symbol": symbol,
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


def execution_rules(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /executionRules: none is set, so a price is never out of range."""
    _named_symbols(venue, call)
    return {"symbolRules": []}


def reference_price(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /referencePrice: there has never been one, so filters go by the last price."""
    _needed_market(venue, call)
    raise ApiError(-2043, "This symbol doesn't have a reference price.")


def need_symbol(venue: Venue, params: RequestParams) -> Instrument:
    """The traded symbol that a request must name. Raises ApiError where it names none, or one that is not traded here."""
    instrument = venue.instruments.get(params.needed("symbol"))
    if instrument is None:
        raise ApiError(-1121, "Invalid symbol.")
    return instrument


def _needed_market(venue: Venue, call: ApiCall) -> Market:
    """The market of the symbol that a request must name. Raises ApiError where none is quoted by that name."""
    symbol = call.params.needed("symbol")
    if not venue.quotes(symbol, call.now_ms):
        raise ApiError(-1121, "Invalid symbol.")
    return venue.market_of(symbol)


def _named_symbols(venue: Venue, call: ApiCall) -> list[str]:
    """The quoted symbols that a request names, none where it names none."""
    params = call.params
    one, many = params.text("symbol"), params.text("symbols")
    if one is not None and many is not None:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    names: Any = [one] if one is not None else []
    if many is not None:
        try:
            names = json.loads(many)
        except (ValueError, RecursionError):
            raise ApiError(-1100, "Illegal characters found in parameter 'symbols'.") from None
    if not isinstance(names, list) or not all(_is_quoted(venue, call, name) for name in names):
        raise ApiError(-1121, "Invalid symbol.")
    return names


def _is_quoted(venue: Venue, call: ApiCall, name: Any) -> bool:
    return isinstance(name, str) and venue.quotes(name, call.now_ms)


def _one_or_list(venue: Venue, call: ApiCall, row_of: Callable[[str], dict[str, Any]]) -> Any:
    """The row of the one symbol that is named, else a list: of those named, or of all that are quoted."""
    named = _named_symbols(venue, call)
    call.params.text("symbolStatus")
    if "symbol" in call.params:
        return row_of(named[0])
    return [row_of(symbol) for symbol in named or venue.quoted(call.now_ms)]


def _shown_qty(call: ApiCall) -> Decimal:
    book = call.plan.book
    return SHOWN_QTY if book.base is None else book.base
