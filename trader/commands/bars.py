"""Bars that are collected into a file: from the signal's market, and from archives of the exchange."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import terminal
from trader.commands.common import AsJson, BarsDir, Symbol
from trader.config import Settings, load_settings
from trader.core.errors import ConfigError
from trader.core.text import plural
from trader.core.types import HOUR_MS, floor_hour, iso, parse_hour

if TYPE_CHECKING:
    from trader.app.collect import Collector, Side
    from trader.core.types import Bars


class Prefer(StrEnum):
    """Whose bars count where two sources differ: the archive's, or what was collected from the market."""

    ARCHIVE = "archive"
    MARKET = "market"


KEPT: dict[Prefer | None, Side] = {None: "neither", Prefer.ARCHIVE: "added", Prefer.MARKET: "known"}


def collect(
    start: Annotated[
        str | None, typer.Option("--from", help="first hour, UTC; default: go on from what is there")
    ] = None,
    stop: Annotated[str | None, typer.Option("--to", help="end, exclusive, UTC; default: now")] = None,
    archive: Annotated[
        list[str] | None,
        typer.Option(
            help="use these first: a zip of the exchange's archive, a folder of them, or the archive's own "
            "address, https://data.binance.vision; repeatable"
        ),
    ] = None,
    prefer: Annotated[
        Prefer | None,
        typer.Option(help="whose bars count where archive and market differ; default: refuse and list them"),
    ] = None,
    symbol: Symbol = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring the file of collected bars to cover a span. Bars that it holds are not downloaded again,
    except the newest, which are compared. Without --from the file is extended to now.

    Example: trader collect --from 2021-01-01 --archive ~/Downloads/klines
    """
    from trader import wiring
    from trader.adapters.clocks import WallClock
    from trader.app.collect import collect

    settings = load_settings(symbol=symbol, bars=bars)
    with terminal.progress("bars", quiet=as_json) as update:
        market = wiring.make_market(settings, WallClock(), update)
        try:
            collector = wiring.make_collector(settings, market, say=terminal.say)
            first = parse_hour(start) if start else _first_known(collector)
            last = parse_hour(stop) if stop else floor_hour(market.time_ms()) + HOUR_MS
            stock = _archived(settings, archive, first, last) if archive else None
            found = collect(collector, first, last, stock, KEPT[prefer])
        finally:
            market.close()
    _tell(settings, found, stock, as_json)


def _first_known(collector: Collector) -> int:
    """Where the collected bars begin. Raises ConfigError where none are."""
    if not len(collector.known):
        raise ConfigError(
            f"no bars of {collector.symbol} are collected yet; say the first hour: trader collect --from 2021-01-01"
        )
    return collector.known.first


def _archived(settings: Settings, sources: list[str], start: int, stop: int) -> Bars:
    """The bars of archives: what lies here first, then what the archive's address adds."""
    from trader.adapters.archive import Archive
    from trader.adapters.archive_files import downloaded_bars
    from trader.adapters.clocks import WallClock
    from trader.adapters.files import read_archived_bars
    from trader.core.bars import merge
    from trader.core.types import no_bars

    addresses = [source for source in sources if source.startswith(("http://", "https://"))]
    paths = [Path(source).expanduser() for source in sources if source not in addresses]
    read = partial(read_archived_bars, say=terminal.say)
    bars = no_bars(settings.symbol)
    if paths:
        bars = downloaded_bars(paths, settings.symbol, read)
    for address in addresses:
        archive = Archive(address, settings.bars / "archive", read, WallClock(), timeout_s=settings.timeout_s)
        bars = merge(bars, archive.bars(settings.symbol, start, stop))
    return bars


def _tell(settings: Settings, bars: Bars, stock: Bars | None, as_json: bool) -> None:
    from trader.adapters.binance_outages import explain_gap
    from trader.core.bars import gaps
    from trader.core.jumps import jumps

    found, leaps = gaps(bars), jumps(bars)
    said: dict[str, Any] = {
        "symbol": bars.symbol,
        "bars": len(bars),
        "first": iso(bars.first),
        "last": iso(bars.last),
        "from_archive": 0 if stock is None else int((~stock.span(bars.first, bars.last + 1).flagged).sum()),
        "gaps": [{"close_time": iso(g.close_time), "hours": g.hours, "why": explain_gap(g)} for g in found],
        "jumps": [{"close_time": iso(it.close_time), "factor": it.factor, "where": it.where} for it in leaps],
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
    for jump in leaps:
        terminal.show(f"  {jump.in_words()}: no result counts it")
    for gap in found:
        terminal.show(f"  {iso(gap.close_time)}: {gap.hours} h without bars ({explain_gap(gap)})")
