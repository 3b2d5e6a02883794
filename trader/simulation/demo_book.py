"""`trader demo --book`: ten symbols on one account of the embedded exchange, a few days with two moves of cash among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trader import terminal, wiring
from trader.adapters.bar_folder import BarSources
from trader.adapters.bar_names import ENDING
from trader.adapters.book_file import BookFile, read_book
from trader.adapters.clocks import SimClock
from trader.adapters.sources import Place, path_of
from trader.app.collect import collect
from trader.config import Settings
from trader.core.errors import ConfigError
from trader.core.text import plural
from trader.core.types import DAY_MS, HOUR_MS, Bars, floor_hour, iso
from trader.simulation import book_rehearsal, markets, rehearsal

SYMBOLS = ("ADA", "AVAX", "BNB", "BTC", "DOGE", "DOT", "ETH", "LINK", "SOL", "XRP")
TRADED_DAYS, LOOK_BACK_DAYS, REBALANCE_HOURS = 3, 45, 24
CAPITAL_USDT = 10_000
# Small models of a short past: ten of them are trained in seconds.
PARAMS: Mapping[str, Any] = {
    "look_back_days": LOOK_BACK_DAYS,
    "enter_edge": 0.01,
    "exit_edge": 0.01,
    "model": {"family": "xgboost", "n_estimators": 30, "max_depth": 3, "learning_rate": 0.1, "gamma": 0},
}


@dataclass(frozen=True, slots=True)
class DemoBook:
    """What the demo trades. market: its name, as every screen tells it; bars: of each symbol; first, last: the hours
    first <= T < last, UTC ms; served: the exchange's options."""

    market: str
    bars: Mapping[str, Bars]
    first: int
    last: int
    served: Sequence[str]


def demo_book(bars: Place | None, seed: int) -> DemoBook:
    """The newest days that all symbols have: of a folder of real bars, else of a seed's synthetic markets. Raises ConfigError
    for a folder of fewer than two symbols, or of too few hours."""
    if bars is None:
        found = {f"{it}USDT": markets.synthetic_market(seed, f"{it}USDT").bars for it in SYMBOLS}
        name, given = markets.synthetic_name(seed), ["--synthetic", str(seed)]
    else:
        folder = path_of(bars)
        if folder is None:
            raise ConfigError(
                "the demo of a book reads a folder of <SYMBOL>-1h.parquet; give one with --bars"
            )
        names = sorted(it.name.removesuffix(ENDING) for it in folder.glob(f"*{ENDING}"))[: len(SYMBOLS)]
        sources = BarSources.of([folder], names[0] if names else None)
        found = {it: sources.read(it, terminal.say) for it in names}
        name, given = str(folder), ["--bars", str(bars)]
    if len(found) < 2:
        raise ConfigError(
            f"{name} has the bars of {len(found)} symbol, and a book is of several; give a folder of <SYMBOL>-1h.parquet"
        )
    last = floor_hour(min(it.last for it in found.values()))
    last -= last % DAY_MS
    first = last - TRADED_DAYS * DAY_MS
    needed = first - (LOOK_BACK_DAYS + 3) * DAY_MS
    if late := [it for it, market in found.items() if market.first > needed]:
        raise ConfigError(
            f"the demo needs bars from {iso(needed)} to {iso(last)} of every symbol; {', '.join(late)} begins later. Give "
            f"longer files, or leave it out"
        )
    return DemoBook(name, found, first, last, ["--symbols", ",".join(found), *given])


def write_book(folder: Path, symbols: Sequence[str]) -> BookFile:
    """The demo's book.toml with its P.json in a folder, to go on with by hand."""
    (folder / "P.json").write_text(json.dumps(dict(PARAMS), indent=1) + "\n")
    names = ", ".join(f'"{it}"' for it in symbols)
    (folder / "book.toml").write_text(
        f'symbols = [{names}]\nparams = "P.json"\ncapital_usdt = {CAPITAL_USDT}\nshares = "inverse_volatility"\n'
        f"rebalance_hours = {REBALANCE_HOURS}\n"
    )
    return read_book(folder / "book.toml")


def trade(
    made: DemoBook, book: BookFile, folder: Path, quiet: bool
) -> tuple[book_rehearsal.BookReplayed, Settings]:
    """Collect, train and trade over HTTP, the journal and the bars kept in the folder: the hours, and the settings of whoever
    looks at them."""
    params = next(iter(book.strategies.values()))
    with wiring.embedded_exchange(made.served, params, made.first) as venue:
        settings = rehearsal.embedded_settings(
            venue, book.params.symbols[0], folder / "store", folder / "bars"
        ).model_copy(update={"book": book.path})
        say = terminal.say if not quiet else _nothing
        say(
            f"1/3  collecting {plural(LOOK_BACK_DAYS + 3, 'day')} of {plural(len(made.bars), 'symbol')} over HTTP ({made.market})"
        )
        _collect(settings, book, made)
        say("2/3  training a model for each symbol")
        say(
            f"3/3  trading {plural(TRADED_DAYS, 'day')} hour by hour over HTTP, cash moves every "
            f"{plural(REBALANCE_HOURS, 'hour')}"
        )
        replayed = book_rehearsal.replay_book_hours(
            settings, book, made.first, made.last, quiet, keep_bars=True
        )
        return replayed, settings


def _collect(settings: Settings, book: BookFile, made: DemoBook) -> None:
    clock_at = closing(SimClock(settings.exchange_url))
    with clock_at as clock, wiring.open_book(settings, book.params, clock, durable=False) as opened:
        until = made.first - max(it.gap_hours for it in book.strategies.values()) * HOUR_MS
        for bot in opened.sleeves.values():
            collect(bot.collector, made.first - (LOOK_BACK_DAYS + 3) * DAY_MS, until + HOUR_MS)


def _nothing(_: str) -> None:
    """Says nothing: the answer is for a machine."""
