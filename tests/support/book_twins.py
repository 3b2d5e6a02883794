"""The two hosts of one book: `backtest run --book` in this process, and a replay through HTTP and the real client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.commands.book import in_book
from backtest.commands.book_inputs import given_book
from backtest.engine.book_outcome import run_book
from tests.support.rig import quick_params
from trader.adapters.book_file import read_book
from trader.adapters.files import write_bars
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET
from trader.core.book_line import book_line_text
from trader.core.hours import line_text
from trader.core.params import MOST_USDT
from trader.core.types import HOUR_MS, Bars, Filters, iso
from trader.exchange.matching import FeeAsset
from trader.exchange.server import EmbeddedExchange, ExchangeConfig, TradedSymbol
from trader.simulation import book_rehearsal, rehearsal
from trader.simulation.markets import assets_of, listed_of

Lines = dict[str, list[str]]


@dataclass(frozen=True)
class BookTwins:
    """A book in a folder, its markets, and the hours start <= T < stop (UTC ms). others: symbols that fits see and nobody trades.
    book: what book.toml holds beside symbols; params: what P.json changes."""

    bars: tuple[Bars, ...]
    others: tuple[Bars, ...]
    book: dict[str, Any]
    params: dict[str, Any]
    start: int
    stop: int

    def written(self, folder: Path) -> Path:
        """book.toml, P.json and bars/ in a folder; the path of book.toml."""
        (folder / "bars").mkdir()
        for it in (*self.bars, *self.others):
            write_bars(folder / "bars" / f"{it.symbol}-1h.parquet", it)
        (folder / "P.json").write_text(json.dumps(quick_params(**self.params)))
        values = {**self.book, "symbols": [it.symbol for it in self.bars], "params": "P.json"}
        tables = {name: value for name, value in values.items() if isinstance(value, dict)}
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if name not in tables]
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        (folder / "book.toml").write_text("\n".join(lines) + "\n")
        return folder / "book.toml"

    def backtest(self, book: Path) -> Lines:
        """The lines of every file of hours, by name."""
        given = given_book(book, [book.parent / "bars"], iso(self.start), iso(self.stop))
        run = run_book([in_book(it, given) for it in given.symbols], given.rules, given.stop).run
        return {it.symbol: list(it.run.track.texts()) for it in run.sleeves} | {
            "book": [book_line_text(it) for it in run.lines]
        }

    def replay(self, book: Path) -> Lines:
        """The same of the replay, whose store is store/ beside book.toml."""
        read = read_book(book)
        markets = {it.symbol: it for it in self.bars}
        for symbol, market in markets.items():
            chosen = read.strategies[symbol]
            rehearsal.require_replayable(
                market, self.start, self.stop, chosen, symbol, young=read.params.is_pooled
            )
        with self._exchange(read.strategies[self.bars[0].symbol]) as served:
            venue = {"url": served.url, "api_key": EMBEDDED_KEY, "api_secret": EMBEDDED_SECRET}
            settings = rehearsal.embedded_settings(venue, self.bars[0].symbol, book.parent / "store")
            told = book_rehearsal.replay_book_hours(settings, read, self.start, self.stop, quiet=True)
        return {name: [line_text(it.line) for it in records] for name, records in told.records.items()} | {
            "book": [book_line_text(it) for it in told.lines]
        }

    @contextmanager
    def _exchange(self, params: Any) -> Iterator[EmbeddedExchange]:
        discount = params.fee_discount
        filters = book_rehearsal.filters_at({it.symbol: it for it in self.bars}, self.start)
        served = EmbeddedExchange(
            ExchangeConfig(
                traded=tuple(_traded(self.bars, filters)),
                costs=params.costs,
                at_ms=self.start - params.gap_hours * HOUR_MS,
                balances={"USDT": params.allocation_usdt, "BNB": MOST_USDT},
                api_key=EMBEDDED_KEY,
                api_secret=EMBEDDED_SECRET,
                others=[listed_of(it, self.start) for it in self.others],
                fee_asset=None if discount is None else FeeAsset("BNB", discount),
            )
        )
        served.start()
        try:
            yield served
        finally:
            served.stop()


def _traded(series: Sequence[Bars], filters: dict[str, Filters]) -> Iterator[TradedSymbol]:
    for it in series:
        yield TradedSymbol(it, *assets_of(it.symbol), filters[it.symbol])
