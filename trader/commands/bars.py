"""Bars that are collected into a file: from the signal's market, and from archives of the exchange."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import terminal
from trader.commands.common import AsJson, BarsDir, Symbol
from trader.config import Settings, load_settings
from trader.core.text import plural
from trader.core.types import HOUR_MS, floor_hour, iso, parse_hour

if TYPE_CHECKING:
    from trader.core.types import Bars


def collect(
    start: Annotated[str, typer.Option("--from", help="first hour, UTC")],
    stop: Annotated[str | None, typer.Option("--to", help="the hour after the last; default: now")] = None,
    archive: Annotated[
        list[str] | None,
        typer.Option(
            help="use these first: a zip of the exchange's archive, a folder of them, or the archive's own "
            "address, https://data.binance.vision; repeatable"
        ),
    ] = None,
    symbol: Symbol = None,
    data: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring the file of collected bars to cover a span. What is there is not asked for again.

    Example: trader collect --from 2021-01-01 --archive ~/Downloads/klines
    """
    from trader import wiring
    from trader.adapters.clocks import WallClock
    from trader.app.collect import collect

    settings = load_settings(symbol=symbol, bars=data)
    with terminal.progress("bars", quiet=as_json) as update:
        first = parse_hour(start)
        market = wiring.make_market(settings, WallClock(), update)
        try:
            last = parse_hour(stop) if stop else floor_hour(market.time_ms()) + HOUR_MS
            stock = _archived(settings, archive, first, last) if archive else None
            bars = collect(wiring.make_collector(settings, market), first, last, stock)
        finally:
            market.close()
    _say(settings, bars, stock, as_json)


def _archived(settings: Settings, sources: list[str], start: int, stop: int) -> Bars:
    """The bars of archives: what lies here first, then what the archive's address adds."""
    from trader.adapters.archive import Archive
    from trader.adapters.archive_files import downloaded_bars
    from trader.adapters.clocks import WallClock
    from trader.adapters.files import read_bars
    from trader.core.bars import merge
    from trader.core.types import no_bars

    addresses = [source for source in sources if source.startswith(("http://", "https://"))]
    paths = [Path(source).expanduser() for source in sources if source not in addresses]
    bars = no_bars(settings.symbol)
    if paths:
        bars = downloaded_bars(paths, settings.symbol, read_bars)
    for address in addresses:
        archive = Archive(
            address, settings.bars / "archive", read_bars, WallClock(), timeout_s=settings.timeout_s
        )
        bars = merge(bars, archive.bars(settings.symbol, start, stop))
    return bars


def _say(settings: Settings, bars: Bars, stock: Bars | None, as_json: bool) -> None:
    from trader.adapters.binance_outages import explain_gap
    from trader.core.bars import gaps

    found = gaps(bars)
    said: dict[str, Any] = {
        "symbol": bars.symbol,
        "bars": len(bars),
        "first": iso(bars.first),
        "last": iso(bars.last),
        "from_archive": 0 if stock is None else int((~stock.span(bars.first, bars.last + 1).flagged).sum()),
        "gaps": [{"close_time": iso(g.close_time), "hours": g.hours, "why": explain_gap(g)} for g in found],
        "file": str(settings.bars / f"{bars.symbol}-1h.parquet"),
    }
    if as_json:
        terminal.emit(said)
        return
    terminal.show(
        f"{bars.symbol}: {plural(len(bars), 'hour')}, {said['first']} to {said['last']}, in {said['file']}"
    )
    if stock is not None:
        terminal.show(f"  {said['from_archive']:,} of them stand in the archive")
    for gap in found:
        terminal.show(f"  {iso(gap.close_time)}: {gap.hours} h without bars ({explain_gap(gap)})")
