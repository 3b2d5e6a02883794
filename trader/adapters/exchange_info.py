"""Binance's exchangeInfo rows: filters from a reply, or from a file that a person gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from trader.core.errors import ConfigError
from trader.core.types import Filters
from trader.plain_file import read_plain, text_of

# Of the thousands of symbols of a whole reply a message names so many.
SHOWN = 10


def read_info_row(path: Path) -> dict[str, Any]:
    """The only exchangeInfo row of a file: a row, or a reply or a list that holds one. Raises ConfigError that names the file."""
    return info_row_of(read_info_rows(path), None, path)


def read_info_rows(path: Path) -> list[Any]:
    """What should be exchangeInfo rows in a file: one row, a list of them, or a whole reply. Raises ConfigError that names the
    file where it is not JSON."""
    try:
        value = json.loads(text_of(read_plain(path)))
    except OSError as error:
        raise ConfigError(f"filters {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"filters {path} is not JSON: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("symbols"), list):
        value = value["symbols"]
    return value if isinstance(value, list) else [value]


def info_row_of(rows: Sequence[Any], symbol: str | None, path: Path) -> dict[str, Any]:
    """The row of a symbol, for None the only one. A single row need not say its symbol. Raises ConfigError that names the
    file."""
    named = {it["symbol"]: it for it in rows if isinstance(it, dict) and isinstance(it.get("symbol"), str)}
    row = rows[0] if len(rows) == 1 and (symbol is None or not named) else named.get(symbol or "")
    if row is None and named:
        wanted = f"has no row of {symbol}, only" if symbol else "must hold one row, not those"
        raise ConfigError(f"filters {path} {wanted} of {', '.join(sorted(named)[:SHOWN])}")
    if not isinstance(row, dict) or not isinstance(row.get("filters"), list):
        raise ConfigError(f"filters {path} must hold one exchangeInfo row with a list named filters")
    return row


def read_filters(path: Path) -> Filters:
    """The filters of an exchangeInfo row in a file. Raises ConfigError."""
    return filters_of(read_info_row(path), str(path))


def filters_of(row: Mapping[str, Any], source: str) -> Filters:
    """Filters from an exchangeInfo row. Raises ConfigError that names a missing filter."""
    try:
        by_type = {item.get("filterType"): item for item in row["filters"]}
        lot, market = by_type["LOT_SIZE"], by_type.get("MARKET_LOT_SIZE", {})
        notional = by_type.get("NOTIONAL") or by_type["MIN_NOTIONAL"]
        limits = [_figure(lot["maxQty"]), _figure(market.get("maxQty", "0"))]
        return Filters(
            tick_size=_step(by_type["PRICE_FILTER"]["tickSize"]),
            step_size=_step(lot["stepSize"]),
            min_notional=_figure(notional["minNotional"]),
            min_qty=max(_figure(lot["minQty"]), _figure(market.get("minQty", "0"))),
            max_qty=min((limit for limit in limits if limit > 0), default=None),
        )
    except (KeyError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{source}: {row.get('symbol')} lacks a filter that sizing needs ({error})"
        ) from None


def _figure(value: Any) -> Decimal:
    """A limit, finite and not negative. Raises ArithmeticError, TypeError or ValueError."""
    figure = Decimal(value)
    if not figure.is_finite() or figure < 0:
        raise ValueError(f"{value} is no limit")
    return figure


def _step(value: Any) -> Decimal:
    """What prices or quantities are multiples of, above 0. Raises as `_figure`."""
    step = _figure(value)
    if not step:
        raise ValueError(f"{value} is no step")
    return step
