"""The embedded exchange."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from trader import terminal
from trader.adapters.bar_folder import said_of
from trader.commands.common import AsJson, Symbol
from trader.config import EMBEDDED_KEY, EMBEDDED_PORT, EMBEDDED_SECRET, load_settings
from trader.core.errors import ConfigError
from trader.core.text import plural
from trader.core.types import DAY_MS, Bars, floor_hour, iso, parse_hour
from trader.simulation import markets

if TYPE_CHECKING:
    from trader.core.costs import CostModel
    from trader.exchange.config import ExchangeConfig
    from trader.exchange.matching import FeeAsset

# An hour's order must leave within ten minutes of the exchange's time: here 5 s, and a fresh `trader tick` needs two or three.
MOST_SPEED = 120.0

At = Annotated[
    str | None,
    typer.Option(
        help="the virtual clock's first hour, UTC, or `now` (synthetic only); default: 30 days before the last bar"
    ),
]
BarsFiles = Annotated[
    list[str] | None,
    typer.Option(
        help="hourly bars of the market: Parquet, CSV, zip or an address (docs/sources.md); a folder of "
        "<SYMBOL>-1h.parquet, or repeated, quotes "
        "several symbols and trades --symbol or --symbols"
    ),
]
Symbols = Annotated[
    str | None,
    typer.Option(
        help="trade these on one account, comma separated, such as BTCUSDT,ETHUSDT; default: --symbol alone"
    ),
]
Synthetic = Annotated[int | None, typer.Option(help="instead of bars: the seed of a synthetic market")]
FiltersFile = Annotated[
    Path | None,
    typer.Option(
        help="a JSON file of exchangeInfo's row of each traded symbol; default: tick and step from the price at --at"
    ),
]
Balances = Annotated[list[str] | None, typer.Option(help="starting balance, ASSET=AMOUNT, repeatable")]
FeeRate = Annotated[str, typer.Option(help="commission rate, taken from the asset received")]
FeeAssetName = Annotated[
    str, typer.Option(help="take commission in this asset, such as BNB, while the account holds some of it")
]
FeeDiscount = Annotated[str, typer.Option(help="share that commission in --fee-asset is cheaper by")]
FeeAssetPrice = Annotated[str, typer.Option(help="what one --fee-asset costs in the quote asset")]
HalfSpread = Annotated[str, typer.Option(help="half the spread, in 1/10,000 of the price")]
Slippage = Annotated[str, typer.Option(help="slippage of market orders, in 1/10,000")]
Port = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help=f"0 picks a free one; default: that of the setting venue_url, else {EMBEDDED_PORT}",
    ),
]
Speed = Annotated[
    str,
    typer.Option(
        help=f"virtual seconds per real second, at most {MOST_SPEED:g} (60: an hour a "
        "minute); 0 stops its clock until POST /sim/clock"
    ),
]
StateFile = Annotated[Path | None, typer.Option(help="file that keeps orders and balances across restarts")]
FaultsFile = Annotated[Path | None, typer.Option(help="faults to inject, a JSON list")]


def exchange(
    at: At = None,
    bars: BarsFiles = None,
    synthetic: Synthetic = None,
    symbol: Symbol = None,
    symbols: Symbols = None,
    filters: FiltersFile = None,
    balance: Balances = None,
    fee_rate: FeeRate = "0.001",
    half_spread_bps: HalfSpread = "1",
    slippage_bps: Slippage = "1",
    fee_asset: FeeAssetName = "",
    fee_discount: FeeDiscount = "0.25",
    fee_asset_price: FeeAssetPrice = "1",
    port: Port = None,
    speed: Speed = "0",
    state: StateFile = None,
    faults: FaultsFile = None,
    as_json: AsJson = False,
) -> None:
    """Serve the embedded exchange on loopback until SIGTERM. It speaks Binance's spot protocol and needs no account.

    One line says when it is ready. POST /sim/clock moves its time, POST /sim/faults injects faults, GET /sim/ledger tells
    what was executed. With `--at now --speed 1` its time is real time, as clients expect; with `--speed 60` an hour closes every
    minute, for `trader run` as well. More in docs/exchange.md.

    Example: trader exchange --bars BTCUSDT-1h.parquet --at 2022-01-01 --port 8900
    """
    names = _names(symbol, symbols)
    traded, others = (
        (markets.markets_of_now(bars, synthetic, names), [])
        if at == "now"
        else markets.markets_of(bars, synthetic, names)
    )
    at_ms = _moment(at, traded)
    costs = _costs(fee_rate, half_spread_bps, slippage_bps)
    fee = _fee_asset(fee_asset, fee_discount, fee_asset_price)
    config = replace(
        _account(traded, at_ms, costs, filters, balance, fee),
        port=_asked_port() if port is None else port,
        speed=_speed(speed),
        state_path=state,
        faults=_read_faults(faults) if faults else (),
        market="" if bars else markets.synthetic_name(synthetic or 0),
        others=[markets.listed_of(it, floor_hour(at_ms)) for it in others],
    )
    source = config.market or ", ".join(map(said_of, bars or ()))
    _serve(
        config, f"{source}, {plural(len(others), 'symbol')} quoted beside it" if others else source, as_json
    )


def _names(symbol: str | None, symbols: str | None) -> list[str] | None:
    """The symbols that were asked for, None for the default's one. Raises ConfigError."""
    if symbols is None:
        return None if symbol is None else [symbol]
    if symbol is not None:
        raise ConfigError(f"give --symbol {symbol} or --symbols {symbols}, not both")
    names = [name.strip() for name in symbols.split(",")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not all(names) or twice:
        said = f"names {', '.join(twice)} twice" if all(names) else "has an empty name"
        raise ConfigError(f"--symbols {symbols} {said}; write each symbol once, such as BTCUSDT,ETHUSDT")
    return names


def _asked_port() -> int:
    """Where the bot of these settings looks for an embedded exchange."""
    return urlsplit(load_settings().venue_url or "").port or EMBEDDED_PORT


def _speed(text: str) -> float:
    """Raises ConfigError for no number, and for a speed at which no order would leave before its deadline."""
    speed = float(markets.decimal_option("--speed", text))
    if speed > MOST_SPEED:
        raise ConfigError(
            f"--speed {text} is above {MOST_SPEED:g}: the ten minutes within which an hour's order must leave would pass in "
            f"{600 / speed:.2g} s. Give {MOST_SPEED:g} or less, or jump to a time at once: POST /sim/clock"
        )
    return speed


def _account(
    traded: Sequence[Bars],
    at_ms: int,
    costs: CostModel,
    filters: Path | None,
    balance: list[str] | None,
    fee: FeeAsset | None,
) -> ExchangeConfig:
    """The markets at the first moment of their clock (UTC ms), their rules, and what the account holds there. A balance of the
    fee asset alone leaves the account its 10,000 of quote. Raises ConfigError for a fee asset that a symbol trades."""
    from trader.exchange.config import ExchangeConfig

    symbols = markets.traded_symbols(traded, filters, floor_hour(at_ms))
    held = markets.balances_option(balance or [])
    for it in symbols:
        if fee is not None and fee.name in (it.base, it.quote):
            raise ConfigError(f"--fee-asset {fee.name} is traded by {it.name}; name a third asset")
    if not held.keys() - {fee.name if fee else ""}:
        held[symbols[0].quote] = Decimal(10_000)
    return ExchangeConfig(
        symbols,
        costs,
        at_ms,
        held,
        api_key=EMBEDDED_KEY,
        api_secret=EMBEDDED_SECRET,
        fee_asset=fee,
    )


def _fee_asset(name: str, discount: str, price: str) -> FeeAsset | None:
    """None without a name. Raises ConfigError that names the option which is wrong."""
    from trader.exchange.matching import FeeAsset

    if not name:
        return None
    share = markets.decimal_option("--fee-discount", discount)
    costs = markets.decimal_option("--fee-asset-price", price)
    if not name.isalnum() or share >= 1 or not costs:
        raise ConfigError(
            f"--fee-asset {name} must be letters and digits, --fee-discount {discount} below 1, "
            f"--fee-asset-price {price} above 0"
        )
    return FeeAsset(name.upper(), share, costs)


def _costs(fee_rate: str, half_spread_bps: str, slippage_bps: str) -> CostModel:
    """Raises ConfigError that names the option which is no amount."""
    from trader.core.costs import CostModel

    return CostModel(
        markets.decimal_option("--fee-rate", fee_rate),
        markets.decimal_option("--half-spread-bps", half_spread_bps),
        markets.decimal_option("--slippage-bps", slippage_bps),
    )


def _serve(config: ExchangeConfig, source: str, as_json: bool) -> None:
    """Until a signal; one line says when it is ready. source: what the bars are, for a person."""
    from trader.exchange.server import EmbeddedExchange

    served = EmbeddedExchange(config)
    served.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: served.stop())
    ready = {"url": served.url, "api_key": config.api_key, "api_secret": config.api_secret}
    if as_json:
        terminal.emit(ready)
    else:
        told = ", ".join(f"{key} {value}" for key, value in ready.items())
        terminal.show(f"{', '.join(config.symbols)} ({source}) at {iso(config.at_ms)}: {told}", flush=True)
    served.serve_forever()


def _moment(at: str | None, traded: Sequence[Bars]) -> int:
    """The first moment of the clock in UTC milliseconds. Raises ConfigError where it is outside a symbol's bars."""
    if at == "now":
        return time.time_ns() // 1_000_000
    at_ms = parse_hour(at) if at else min(market.last for market in traded) - 30 * DAY_MS
    for market in traded:
        if not market.first <= at_ms < market.last:
            of = f" of {market.symbol}" if len(traded) > 1 else ""
            raise ConfigError(
                f"--at {iso(at_ms)} is outside the bars{of}, {iso(market.first)} to {iso(market.last)}"
            )
    return at_ms


def _read_faults(path: Path) -> Any:
    """The faults of a file. Raises ConfigError where it holds no JSON."""
    try:
        return json.loads(terminal.read_text(path, "faults"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}: not JSON ({error}); faults are a list, as docs/exchange.md tells"
        ) from None
