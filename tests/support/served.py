"""An embedded exchange in the test's own process, and the settings of a bot that trades on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from trader.adapters.files import read_bars
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET, Settings, load_settings
from trader.core.params import Params
from trader.core.types import Bars, Filters
from trader.exchange.server import EmbeddedExchange, ExchangeConfig, TradedSymbol


@cache
def bars_of(file: Path) -> Bars:
    """A file's bars, read once."""
    return read_bars(file, "BTCUSDT")


@contextmanager
def exchange_at(
    bars_file: Path, at: int, params: Params, state: Path | None = None, priced_at: int | None = None
) -> Iterator[EmbeddedExchange]:
    """An exchange with the allocation and costs of `params`, its clock standing at `at` (UTC ms), or where its state
    file left it. Its filters follow from the price at `priced_at`, else at `at`."""
    bars = bars_of(bars_file)
    filters = Filters.derived(float(bars.close[bars.row(at if priced_at is None else priced_at)]))
    served = EmbeddedExchange(
        ExchangeConfig(
            traded=(TradedSymbol(bars, "BTC", "USDT", filters),),
            costs=params.costs,
            at_ms=at,
            balances={"USDT": params.allocation_usdt},
            api_key=EMBEDDED_KEY,
            api_secret=EMBEDDED_SECRET,
            state_path=state,
        )
    )
    served.start()
    try:
        yield served
    finally:
        served.stop()


def settings_at(url: str, **more: Any) -> Settings:
    """Settings of a bot at an embedded exchange."""
    keys = {"api_key": EMBEDDED_KEY, "api_secret": EMBEDDED_SECRET}
    return load_settings(**{"venue": "embedded", "venue_url": url, "data_url": url, **keys, **more})
