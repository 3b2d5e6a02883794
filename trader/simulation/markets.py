"""What an embedded exchange serves: a file of bars or the synthetic market of a seed, its filters, its balances."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trader import terminal
from trader.adapters.bar_folder import BarSources, read_place
from trader.adapters.exchange_info import filters_of, info_row_of, read_info_rows
from trader.adapters.source_s3 import S3Access
from trader.adapters.sources import Place, path_of
from trader.config import load_settings
from trader.core.errors import ConfigError
from trader.core.quote_assets import quote_asset_of
from trader.core.types import HOUR_MS, Bars, Filters, floor_hour, parse_hour, plain

if TYPE_CHECKING:
    from trader.exchange.config import TradedSymbol
    from trader.exchange.listings import ListedSymbol
    from trader.exchange.market import SyntheticMarket

SYNTHETIC_SYMBOL = "BTCUSDT"
SYNTHETIC_START = "2020-01-01"
SYNTHETIC_HOURS = 4 * 365 * 24
# `--at now`: a year to look back on, a month to trade in.
YEAR_HOURS, MONTH_HOURS = 365 * 24, 30 * 24


def synthetic_market(seed: int, symbol: str | None = None) -> SyntheticMarket:
    """Four years of hours that follow from the seed and the symbol alone, and the truth about them."""
    from trader.exchange.market import synthetic

    return synthetic(symbol or SYNTHETIC_SYMBOL, seed, parse_hour(SYNTHETIC_START) + HOUR_MS, SYNTHETIC_HOURS)


def synthetic_name(seed: int) -> str:
    """What every screen calls the market of a seed."""
    return f"synthetic market, seed {seed}"


def market_of(bars: Place | None, seed: int | None, symbol: str | None) -> Bars:
    """The bars of a place, or of a seed (0 if neither is given). Raises ConfigError for both."""
    if bars is not None and seed is not None:
        raise ConfigError("give --bars or --synthetic, not both")
    if bars is None:
        return synthetic_market(seed or 0, symbol).bars
    return read_place(bars, symbol, terminal.say, s3_access)


def s3_access() -> S3Access:
    """How a bucket with bars is reached: by the settings that a store in S3 has."""
    from trader import wiring

    return wiring.s3_access(load_settings())


def sources_of(bars: Sequence[Place], symbol: str | None) -> BarSources:
    """The files of bars that were given; of a folder the setting's symbol is traded unless another is named. Raises
    ConfigError."""
    return BarSources.of(bars, symbol, load_settings().symbol, s3_access)


def markets_of(
    bars: Sequence[Place] | None, seed: int | None, names: Sequence[str] | None
) -> tuple[list[Bars], list[Bars]]:
    """The bars of the symbols that an exchange trades, and of those that it quotes beside them. names: of the traded ones, None
    for the default. Raises ConfigError."""
    if not bars or seed is not None:
        return [market_of(bars[0] if bars else None, seed, name) for name in names or (None,)], []
    file = path_of(bars[0])
    if names and len(names) > 1 and len(bars) == 1 and file is not None and not file.is_dir():
        raise ConfigError(
            f"--bars {bars[0]} holds one symbol, --symbols names {len(names)}: give a folder of <SYMBOL>-1h.parquet, or --bars "
            "for each"
        )
    sources = sources_of(bars, names[0] if names else None)
    traded = names or [sources.traded]
    beside = [it for it in sources.files if it not in traded]
    read = partial(sources.read, say=terminal.say)
    return list(map(read, traded)), list(map(read, beside))


def markets_of_now(bars: Sequence[Place] | None, seed: int | None, names: Sequence[str] | None) -> list[Bars]:
    """Synthetic markets whose hours are past and still to come. Raises ConfigError for bars, which have only the past."""
    if bars:
        raise ConfigError(
            "--at now needs hours that are still to come: give --synthetic SEED instead of --bars"
        )
    from trader.exchange.market import synthetic

    first, hours = floor_hour(time.time_ns() // 1_000_000) - YEAR_HOURS * HOUR_MS, YEAR_HOURS + MONTH_HOURS
    return [synthetic(name, seed or 0, first, hours).bars for name in names or (SYNTHETIC_SYMBOL,)]


def listed_of(bars: Bars, hour: int) -> ListedSymbol:
    """A symbol as it is quoted beside the traded one; its filters suit its price at `hour` (UTC ms), or its first. Raises
    ConfigError."""
    from trader.exchange.listings import ListedSymbol

    row = min(max(bars.row(hour), 0), len(bars) - 1)
    return ListedSymbol(bars, *assets_of(bars.symbol), Filters.derived(float(bars.close[row])))


def decimal_option(name: str, text: str) -> Decimal:
    """A Decimal from an option's text. Raises ConfigError that names the option."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ConfigError(f"{name} {text!r} is not a number") from None
    if not value.is_finite() or value < 0:
        raise ConfigError(f"{name} {text} must be zero or more")
    return value


def balances_option(given: Sequence[str]) -> dict[str, Decimal]:
    """ASSET=AMOUNT texts as amounts. Raises ConfigError."""
    result = {}
    for text in given:
        asset, equals, amount = text.partition("=")
        if not equals or not asset.isalnum():
            raise ConfigError(f"--balance {text!r} must look like USDT=10000")
        result[asset.upper()] = decimal_option(f"--balance {asset}", amount)
    return result


def assets_of(symbol: str) -> tuple[str, str]:
    """Base and quote of a symbol by its ending. Raises ConfigError."""
    if quote := quote_asset_of(symbol):
        return symbol.removesuffix(quote), quote
    raise ConfigError(
        f"{symbol}: base and quote cannot be told apart; give --filters with an exchangeInfo row"
    )


def rules_for(filters: Path | None, bars: Bars, hour: int) -> tuple[dict[str, Any] | None, Filters]:
    """An exchangeInfo row and its filters from a file, or filters derived from the close at `hour`. Raises ConfigError."""
    it = traded_symbols([bars], filters, hour)[0]
    return (None if it.exchange_info_row is None else dict(it.exchange_info_row)), it.filters


def traded_symbols(traded: Sequence[Bars], filters: Path | None, hour: int) -> tuple[TradedSymbol, ...]:
    """The symbols that an embedded exchange trades. A file has a row of exchangeInfo for each; without it assets follow from the
    symbol, filters from the close at `hour` (UTC ms). Raises ConfigError."""
    if filters is None:
        return tuple(_traded(bars, hour) for bars in traded)
    rows = read_info_rows(filters)
    return tuple(_ruled(bars, info_row_of(rows, bars.symbol, filters), filters) for bars in traded)


def _traded(bars: Bars, hour: int) -> TradedSymbol:
    from trader.exchange.config import TradedSymbol

    return TradedSymbol(bars, *assets_of(bars.symbol), Filters.derived(float(bars.close[bars.row(hour)])))


def _ruled(bars: Bars, row: dict[str, Any], source: Path) -> TradedSymbol:
    from trader.exchange.config import TradedSymbol

    if not (isinstance(row.get("baseAsset"), str) and isinstance(row.get("quoteAsset"), str)):
        raise ConfigError(f"filters {source}: the row of {bars.symbol} names no baseAsset and quoteAsset")
    return TradedSymbol(bars, row["baseAsset"], row["quoteAsset"], filters_of(row, str(source)), row)


def write_info_row(path: Path, row: dict[str, Any] | None, filters: Filters, symbol: str) -> Path:
    """An exchangeInfo row that says these filters, for a child process."""
    base, quote = assets_of(symbol) if row is None else (row["baseAsset"], row["quoteAsset"])
    made = row or {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": plain(filters.tick_size),
                "maxPrice": "1000000",
                "tickSize": plain(filters.tick_size),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": plain(filters.min_qty),
                "maxQty": "90000000000000" if filters.max_qty is None else plain(filters.max_qty),
                "stepSize": plain(filters.step_size),
            },
            {"filterType": "NOTIONAL", "minNotional": plain(filters.min_notional), "applyMinToMarket": True},
        ],
    }
    path.write_text(json.dumps(made))
    return path
