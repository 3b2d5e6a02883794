"""The embedded exchange."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from trader import terminal
from trader.commands.common import AsJson, Symbol
from trader.config import EMBEDDED_KEY, EMBEDDED_PORT, EMBEDDED_SECRET
from trader.core.errors import ConfigError
from trader.core.types import DAY_MS, HOUR_MS, Bars, floor_hour, iso, parse_hour
from trader.simulation import markets

# `--at now`: a year to look back on, a month to trade in.
YEAR_HOURS, MONTH_HOURS = 365 * 24, 30 * 24


def exchange(
    at: Annotated[
        str | None,
        typer.Option(
            help="the virtual clock's first hour, UTC, or `now` (synthetic only); default: 30 days before the end"
        ),
    ] = None,
    bars: Annotated[Path | None, typer.Option(help="hourly bars of the market: Parquet, CSV or zip")] = None,
    synthetic: Annotated[
        int | None, typer.Option(help="instead of bars: the seed of a synthetic market")
    ] = None,
    symbol: Symbol = None,
    filters: Annotated[
        Path | None, typer.Option(help="an exchangeInfo row; default: from the price at --at")
    ] = None,
    balance: Annotated[list[str] | None, typer.Option(help="ASSET=AMOUNT, repeatable")] = None,
    fee_rate: Annotated[str, typer.Option(help="share of the received amount")] = "0.001",
    half_spread_bps: Annotated[str, typer.Option(help="half the spread, in 1/10,000 of the price")] = "1",
    slippage_bps: Annotated[str, typer.Option(help="slippage of market orders, in 1/10,000")] = "1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one")] = EMBEDDED_PORT,
    speed: Annotated[
        str, typer.Option(help="virtual seconds a second; 0 stands still until POST /sim/clock")
    ] = "0",
    state: Annotated[Path | None, typer.Option(help="file that orders and balances survive in")] = None,
    faults: Annotated[Path | None, typer.Option(help="faults to inject, a JSON list")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the embedded exchange on loopback until SIGTERM. It speaks Binance's spot protocol and needs no account.

    One line says when it is ready. POST /sim/clock moves its time, POST /sim/faults makes it fail, GET /sim/ledger tells
    what was executed. With `--at now --speed 1` its time is the wall's, as clients expect. More in docs/exchange.md.

    Example: trader exchange --bars BTCUSDT-1h.parquet --at 2022-01-01 --port 8900
    """
    from trader.core.costs import CostModel
    from trader.exchange.server import EmbeddedExchange, ExchangeConfig

    market, at_ms = _market_at(at, bars, synthetic, symbol)
    if not market.first <= at_ms < market.last:
        raise ConfigError(f"--at {iso(at_ms)} is outside the bars, {iso(market.first)} to {iso(market.last)}")
    row, accepted = markets.rules_for(filters, market, floor_hour(at_ms))
    base, quote = (row["baseAsset"], row["quoteAsset"]) if row else markets.assets_of(market.symbol)
    served = EmbeddedExchange(
        ExchangeConfig(
            bars=market,
            base=base,
            quote=quote,
            filters=accepted,
            costs=CostModel(
                markets.decimal_option("--fee-rate", fee_rate),
                markets.decimal_option("--half-spread-bps", half_spread_bps),
                markets.decimal_option("--slippage-bps", slippage_bps),
            ),
            at_ms=at_ms,
            balances=markets.balances_option(balance or [f"{quote}=10000"]),
            api_key=EMBEDDED_KEY,
            api_secret=EMBEDDED_SECRET,
            port=port,
            speed=float(markets.decimal_option("--speed", speed)),
            state_path=state,
            faults=_read_faults(faults) if faults else (),
            exchange_info_row=row,
        )
    )
    served.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: served.stop())
    ready = {"url": served.url, "api_key": EMBEDDED_KEY, "api_secret": EMBEDDED_SECRET}
    if as_json:
        terminal.emit(ready)
    else:
        said = "synthetic market" if bars is None else str(bars)
        print(
            f"{market.symbol} ({said}) at {iso(at_ms)}: " + ", ".join(f"{k} {v}" for k, v in ready.items()),
            flush=True,
        )
    served.serve_forever()


def _market_at(at: str | None, bars: Path | None, seed: int | None, symbol: str | None) -> tuple[Bars, int]:
    """The bars that are served, and the first moment of the clock in UTC milliseconds."""
    if at != "now":
        market = markets.market_of(bars, seed, symbol)
        return market, parse_hour(at) if at else market.last - 30 * DAY_MS
    if bars is not None:
        raise ConfigError(
            "--at now needs hours that are still to come: give --synthetic SEED instead of --bars"
        )
    from trader.exchange.market import synthetic

    now_ms = time.time_ns() // 1_000_000
    first, hours = floor_hour(now_ms) - YEAR_HOURS * HOUR_MS, YEAR_HOURS + MONTH_HOURS
    return synthetic(symbol or markets.SYNTHETIC_SYMBOL, seed or 0, first, hours).bars, now_ms


def _read_faults(path: Path) -> Any:
    """The faults of a file. Raises ConfigError where it holds no JSON."""
    try:
        return json.loads(terminal.read_text(path, "faults"))
    except ValueError as error:
        raise ConfigError(
            f"{path}: not JSON ({error}); faults are a list, as docs/exchange.md tells"
        ) from None
